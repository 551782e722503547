//! Where requests may go, and where credentials may go with them.

use crate::error::{Error, Kind, Result};
use crate::plan::model::{AllowedHost, Client};
use url::Url;

/// The API's own origin, and the hosts that are allowed beside it.
#[derive(Debug, Clone)]
pub struct Origins {
    base_url: Url,
    allowed_hosts: Vec<AllowedHost>,
}

/// What may go to an address that requests may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The request with its credentials.
    Trusted,
    /// The request without them.
    Allowed,
}

impl Origins {
    /// The origins of a pipeline.
    pub fn new(client: &Client) -> Self {
        Origins { base_url: client.base_url.clone(), allowed_hosts: client.allowed_hosts.clone() }
    }

    /// What may go to a URL. An origin is scheme, host and port (RFC 6454 section 4).
    ///
    /// # Errors
    /// [`Kind::Status`]: nothing may, because the host is not allowed or the way there is not encrypted any more.
    pub fn reach(&self, url: &Url) -> Result<Reach> {
        if same_origin(&self.base_url, url) {
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
            None => {
                let host = host_text(url);
                Err(Error::new(Kind::Status, format!("the answer leads to another host, {target}"))
                    .with("own origin", origin_text(&self.base_url))
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

    fn origins(base: &str) -> Origins {
        let host = |host: &str, port, send_auth| AllowedHost { host: host.to_owned(), port, send_auth };
        Origins {
            base_url: Url::parse(base).unwrap(),
            allowed_hosts: vec![host("cdn.example.org", None, false), host("eu.example.com", Some(8443), true)],
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
            let reach = origins(base).reach(&Url::parse(url).unwrap());
            assert_eq!(reach.as_ref().ok(), expected.as_ref(), "{base} -> {url}");
        }
    }

    #[test]
    fn a_refused_host_is_named_together_with_the_key_that_allows_it() {
        let url = Url::parse("https://user:pw@files.example.net:444/a?b=c").unwrap();
        let report = origins("https://api.example.com/").reach(&url).unwrap_err().report();
        assert!(report.contains("another host, https://files.example.net:444"), "{report}");
        assert!(report.contains("allowed_hosts = [\"files.example.net:444\"]"), "{report}");
        assert!(!report.contains("pw@"), "{report}");
    }
}
