//! Redirects, which we follow ourselves: each one is a request that passes the rate windows and the allowed hosts.

use super::transport::WireResponse;
use crate::error::{Error, Kind, Result};
use reqwest::header::LOCATION;
use url::Url;

/// More redirects than this, one after the other, are an error.
pub(super) const REDIRECTS_MAX: usize = 10;

/// One request of a chain of redirects.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hop {
    /// HTTP method.
    pub(super) method: String,
    /// URL without secret parameters.
    pub(super) url: Url,
    /// Whether the body goes with it.
    pub(super) carries_body: bool,
}

/// Where an answer redirects to; `None` if it doesn't. The URL is as the server wrote it.
///
/// # Errors
/// [`Kind::Status`]: the `Location` is missing or is no URL.
pub(super) fn next(hop: &Hop, response: &WireResponse) -> Result<Option<Hop>> {
    let becomes_get = match response.status {
        // RFC 9110 section 15.4: a POST becomes a GET, for historical reasons.
        301 | 302 => hop.method == "POST",
        303 => hop.method != "HEAD",
        307 | 308 => false,
        _ => return Ok(None),
    };
    let fault = |message: &str| Error::new(Kind::Status, message).with("status", response.status);
    let location =
        response.headers.get(LOCATION).ok_or_else(|| fault("the server redirects, but does not say where"))?;
    let target = std::str::from_utf8(location.as_bytes())
        .ok()
        .and_then(|text| hop.url.join(text).ok())
        .ok_or_else(|| fault("the server redirects to something that is no URL"))?;
    let method = if becomes_get { "GET".to_owned() } else { hop.method.clone() };
    Ok(Some(Hop { method, url: target, carries_body: hop.carries_body && !becomes_get }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeaderMap;

    fn check(status: u16, method: &str, location: &str) -> Result<Option<(String, String, bool)>> {
        let url = Url::parse("https://api.example.com/v1/items?page=2").unwrap();
        let hop = Hop { method: method.to_owned(), url, carries_body: method == "POST" };
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, location.parse().unwrap());
        let response = WireResponse { status, headers, body: bytes::Bytes::new(), file: None };
        Ok(next(&hop, &response)?.map(|hop| (hop.method, hop.url.to_string(), hop.carries_body)))
    }

    #[test]
    fn the_method_changes_as_the_status_says() {
        let cases = [
            (301, "GET", "GET", false),
            (302, "GET", "GET", false),
            (301, "POST", "GET", false),
            (302, "POST", "GET", false),
            (303, "POST", "GET", false),
            (303, "HEAD", "HEAD", false),
            (307, "POST", "POST", true),
            (308, "POST", "POST", true),
            (302, "PUT", "PUT", false),
        ];
        for (status, method, expected, carries_body) in cases {
            let (method_next, _, body) = check(status, method, "/x").unwrap().unwrap();
            assert_eq!((method_next.as_str(), body), (expected, carries_body), "{status} {method}");
        }
    }

    #[test]
    fn locations_resolve_against_the_request() {
        let cases = [
            ("/v2/items", "https://api.example.com/v2/items"),
            ("other?x=1", "https://api.example.com/v1/other?x=1"),
            ("//cdn.example.org/a", "https://cdn.example.org/a"),
            ("https://cdn.example.org/a", "https://cdn.example.org/a"),
        ];
        for (location, expected) in cases {
            assert_eq!(check(302, "GET", location).unwrap().unwrap().1, expected);
        }
        assert!(check(302, "GET", "https://[bad").is_err());
    }

    #[test]
    fn other_statuses_are_answers() {
        for status in [200, 204, 300, 304, 305, 400] {
            assert_eq!(check(status, "GET", "/x").unwrap(), None, "{status}");
        }
    }
}
