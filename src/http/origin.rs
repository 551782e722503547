//! Where requests may go, and where credentials may go with them.

use crate::error::{Error, Kind, Result};
use crate::plan::model::AllowedHost;
use url::Url;

/// The own origin of a request, and the hosts that are allowed beside it.
#[derive(Debug, Clone, Copy)]
pub struct Origins<'a> {
    base_url: &'a Url,
    allowed_hosts: &'a [AllowedHost],
    /// Whether the request asks for a token: then no other host is ever right.
    is_alone: bool,
}

/// What may go to an address that requests may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The request with its credentials.
    Trusted,
    /// The request without them.
    Allowed,
}

impl<'a> Origins<'a> {
    /// The origins of a request: that of its base, and those of `allowed_hosts`.
    pub fn new(base_url: &'a Url, allowed_hosts: &'a [AllowedHost]) -> Self {
        Origins { base_url, allowed_hosts, is_alone: false }
    }

    /// The one origin of a request for a token.
    pub fn alone(url: &'a Url) -> Self {
        Origins { base_url: url, allowed_hosts: &[], is_alone: true }
    }

    /// What may go to a URL. An origin is scheme, host and port (RFC 6454 section 4).
    ///
    /// # Errors
    /// [`Kind::Status`]: nothing may, because the host is not allowed or the way there is not encrypted any more.
    pub fn reach(&self, url: &Url) -> Result<Reach> {
        if same_origin(self.base_url, url) {
            return Ok(Reach::Trusted);
        }
        let target = origin_text(url);
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::new(Kind::Status, format!("the answer leads to {target}, which is not HTTP")));
        }
        if self.base_url.scheme() == "https" && url.scheme() == "http" {
            let message = format!("the answer leads from https to {target}, which is not encrypted");
            return Err(Error::new(Kind::Status, message).hint(
                "that is refused on every host; if the API's links are wrong, another `paginator` can page without them",
            ));
        }
        match self.allowed_hosts.iter().find(|allowed| matches_host(allowed, url)) {
            Some(AllowedHost { send_auth: true, .. }) => Ok(Reach::Trusted),
            Some(_) => Ok(Reach::Allowed),
            None if self.is_alone => Err(Error::new(
                Kind::Status,
                format!("the answer leads to another host, {target}"),
            )
            .with("own origin", origin_text(self.base_url))
            .hint(
                "the credentials for a token go only where the file sends them; if the address moved, name the new one",
            )),
            None => {
                let host = host_text(url);
                Err(Error::new(Kind::Status, format!("the answer leads to another host, {target}"))
                    .with("own origin", origin_text(self.base_url))
                    .hint(format!("if that is right, add it to [client]: allowed_hosts = [\"{host}\"]")))
            }
        }
    }
}

fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && a.host() == b.host() && a.port_or_known_default() == b.port_or_known_default()
}

fn matches_host(allowed: &AllowedHost, url: &Url) -> bool {
    let host = url.host_str().is_some_and(|host| host.eq_ignore_ascii_case(&allowed.host));
    host && allowed.port.is_none_or(|port| url.port_or_known_default() == Some(port))
}

fn host_text(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn origin_text(url: &Url) -> String {
    format!("{}://{}", url.scheme(), host_text(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(base: &str, url: &str) -> Result<Reach> {
        let host = |host: &str, port, send_auth| AllowedHost { host: host.to_owned(), port, send_auth };
        let allowed_hosts = [host("cdn.example.org", None, false), host("eu.example.com", Some(8443), true)];
        Origins::new(&Url::parse(base).unwrap(), &allowed_hosts).reach(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_request_for_a_token_goes_to_its_own_origin_alone() {
        let own = Url::parse("https://auth.example.com/token").unwrap();
        let reach = |url: &str| Origins::alone(&own).reach(&Url::parse(url).unwrap());
        assert_eq!(reach("https://auth.example.com/v2/token").unwrap(), Reach::Trusted);
        for elsewhere in ["https://api.example.com/", "http://auth.example.com/token", "https://auth.example.com:8443/"]
        {
            assert!(reach(elsewhere).is_err(), "{elsewhere}");
        }
    }

    #[test]
    fn credentials_go_to_the_own_origin_and_where_send_auth_says_so() {
        let https = "https://api.example.com/v1/";
        let cases = [
            (https, "https://api.example.com/other?x=1", Some(Reach::Trusted)),
            (https, "https://API.example.com:443/", Some(Reach::Trusted)),
            (https, "https://api.example.com:8443/", None),
            (https, "https://api.example.com.evil.org/", None),
            (https, "https://api.example.com@evil.org/", None),
            (https, "http://api.example.com/", None),
            (https, "https://cdn.example.org/x", Some(Reach::Allowed)),
            (https, "https://cdn.example.org:9000/x", Some(Reach::Allowed)),
            (https, "http://cdn.example.org/x", None),
            (https, "https://eu.example.com:8443/x", Some(Reach::Trusted)),
            (https, "https://eu.example.com/x", None),
            (https, "ftp://cdn.example.org/x", None),
            (https, "file:///etc/passwd", None),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8081/", None),
            ("http://127.0.0.1:8080/", "http://cdn.example.org/", Some(Reach::Allowed)),
            ("http://api.example.com/", "https://api.example.com/", None),
        ];
        for (base, url, expected) in cases {
            let found = reach(base, url);
            assert_eq!(found.as_ref().ok(), expected.as_ref(), "{base} -> {url}");
        }
    }

    #[test]
    fn a_refused_host_is_named_together_with_the_key_that_allows_it() {
        let report =
            reach("https://api.example.com/", "https://user:pw@files.example.net:444/a?b=c").unwrap_err().report();
        assert!(report.contains("another host, https://files.example.net:444"), "{report}");
        assert!(report.contains("allowed_hosts = [\"files.example.net:444\"]"), "{report}");
        assert!(!report.contains("pw@"), "{report}");
    }
}
