//! Digest authentication (RFC 7616): a hash of user, password and request in answer to the server's challenge. The nonce
//! of a challenge serves all further requests, each with a count of its own, until the server calls it stale.

use crate::error::{Error, Kind, Result};
use crate::http::HeaderMap;
use crate::secret::Secret;
use http_auth::ChallengeRef;
use md5::Md5;
use reqwest::header::WWW_AUTHENTICATE;
use sha2::{Digest as _, Sha256, Sha512_256};
use std::sync::{Mutex, PoisonError};
use url::Url;

/// A user with a password, and the newest challenge of the server.
pub(super) struct Digest {
    username: Secret,
    password: Secret,
    challenge: Mutex<Option<Open>>,
}

/// A challenge with the count of requests that answered it.
struct Open {
    challenge: Challenge,
    /// Ours, for as long as the challenge serves: a session's hash is made with it once.
    client_nonce: String,
    count: u32,
}

/// What a server asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    /// As the server writes it; `None` when it does not say.
    algorithm_name: Option<String>,
    algorithm: Algorithm,
    /// Whether the hash of user and password is renewed with each session.
    is_session: bool,
    /// Whether the request is counted (`qop=auth`); servers of RFC 2069 know nothing of that.
    is_counted: bool,
}

/// Hashes, the strongest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Md5,
    Sha256,
    Sha512_256,
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest(***)")
    }
}

impl Digest {
    pub(super) fn new(username: Secret, password: Secret) -> Self {
        Digest { username, password, challenge: Mutex::default() }
    }

    /// Takes a challenge from an answer.
    ///
    /// # Errors
    /// [`Kind::Auth`]: there is none that can be answered.
    pub(super) fn learn(&self, headers: &HeaderMap) -> Result<()> {
        let Some(challenge) = challenges(headers).into_iter().max_by_key(|c| c.algorithm) else {
            let offered: Vec<&str> =
                headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).collect();
            let offered = if offered.is_empty() { "(nothing)".to_owned() } else { offered.join(", ") };
            return Err(Error::new(Kind::Auth, "the server offers no digest that can be answered")
                .with("it offers", offered)
                .hint("another `type` of `auth` may fit: `http_basic` for Basic, `bearer` for Bearer"));
        };
        let client_nonce = format!("{:032x}", rand::random::<u128>());
        let open = Open { challenge, client_nonce, count: 0 };
        *self.challenge.lock().unwrap_or_else(PoisonError::into_inner) = Some(open);
        Ok(())
    }

    /// The `Authorization` of a request; none before there is a challenge.
    pub(super) fn answer(&self, method: &str, url: &Url) -> Option<Secret> {
        let mut open = self.challenge.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.as_mut()?;
        open.count = open.count.saturating_add(1);
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let credentials = (self.username.expose(), self.password.expose());
        Some(Secret::new(open.challenge.answer(credentials, method, &target, open.count, &open.client_nonce)))
    }
}

/// Whether an answer says that only the nonce was too old.
pub(super) fn is_stale(headers: &HeaderMap) -> bool {
    each_challenge(headers, |challenge| param(challenge, "stale").is_some_and(|v| v.eq_ignore_ascii_case("true")))
        .into_iter()
        .any(|stale| stale)
}

fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    each_challenge(headers, Challenge::read).into_iter().flatten().collect()
}

fn each_challenge<T>(headers: &HeaderMap, read: impl Fn(&ChallengeRef<'_>) -> T) -> Vec<T> {
    let mut found = Vec::new();
    for value in headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()) {
        let parsed = http_auth::parse_challenges(value).unwrap_or_default();
        found.extend(parsed.iter().filter(|c| c.scheme.eq_ignore_ascii_case("digest")).map(&read));
    }
    found
}

fn param(challenge: &ChallengeRef<'_>, name: &str) -> Option<String> {
    challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_unescaped())
}

impl Challenge {
    /// A challenge that can be answered.
    fn read(challenge: &ChallengeRef<'_>) -> Option<Challenge> {
        let algorithm_name = param(challenge, "algorithm");
        let written = algorithm_name.as_deref().unwrap_or("MD5").to_ascii_uppercase();
        let (hash, is_session) = match written.strip_suffix("-SESS") {
            Some(hash) => (hash, true),
            None => (written.as_str(), false),
        };
        let algorithm = match hash {
            "MD5" => Algorithm::Md5,
            "SHA-256" => Algorithm::Sha256,
            "SHA-512-256" => Algorithm::Sha512_256,
            _ => return None,
        };
        let is_counted = match param(challenge, "qop") {
            None => false,
            // `auth-int` alone can't be answered: it covers the body.
            Some(qop) if qop.split(',').any(|word| word.trim().eq_ignore_ascii_case("auth")) => true,
            Some(_) => return None,
        };
        Some(Challenge {
            realm: param(challenge, "realm").unwrap_or_default(),
            nonce: param(challenge, "nonce")?,
            opaque: param(challenge, "opaque"),
            algorithm_name,
            algorithm,
            is_session,
            is_counted,
        })
    }

    /// The value of `Authorization` (RFC 7616 section 3.4).
    fn answer(
        &self,
        (username, password): (&str, &str),
        method: &str,
        target: &str,
        count: u32,
        client_nonce: &str,
    ) -> String {
        let hash = |text: String| self.algorithm.hash(&text);
        let nonce = &self.nonce;
        let mut secret = hash(format!("{username}:{}:{password}", self.realm));
        if self.is_session {
            secret = hash(format!("{secret}:{nonce}:{client_nonce}"));
        }
        let request = hash(format!("{method}:{target}"));
        let response = if self.is_counted {
            hash(format!("{secret}:{nonce}:{count:08x}:{client_nonce}:auth:{request}"))
        } else {
            hash(format!("{secret}:{nonce}:{request}"))
        };
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            quoted(username),
            quoted(&self.realm),
            quoted(nonce),
            quoted(target)
        );
        if let Some(name) = &self.algorithm_name {
            value.push_str(&format!(", algorithm={name}"));
        }
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(", opaque={}", quoted(opaque)));
        }
        if self.is_counted {
            value.push_str(&format!(", qop=auth, nc={count:08x}"));
        }
        if self.is_counted || self.is_session {
            value.push_str(&format!(", cnonce=\"{client_nonce}\""));
        }
        value
    }
}

impl Algorithm {
    fn hash(self, text: &str) -> String {
        fn hex(bytes: &[u8]) -> String {
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        }
        match self {
            Algorithm::Md5 => hex(&Md5::digest(text)),
            Algorithm::Sha256 => hex(&Sha256::digest(text)),
            Algorithm::Sha512_256 => hex(&Sha512_256::digest(text)),
        }
    }
}

/// A quoted string (RFC 9110 section 5.6.4).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        headers
    }

    /// The examples of RFC 7616 section 3.9.1.
    const RFC: [&str; 2] = [
        "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, \
         nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
        "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=MD5, \
         nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
    ];

    #[test]
    fn the_examples_of_the_rfc_come_out() {
        let responses =
            ["753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1", "8ca523f5e9506fed4657c9700eebdbec"];
        for (challenge, response) in RFC.iter().zip(responses) {
            let challenge = challenges(&headers(&[challenge])).remove(0);
            let client_nonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
            let value = challenge.answer(("Mufasa", "Circle of Life"), "GET", "/dir/index.html", 1, client_nonce);
            assert!(value.contains(&format!("response=\"{response}\"")), "{value}");
            assert!(value.contains("qop=auth, nc=00000001"), "{value}");
        }
    }

    #[test]
    fn the_strongest_challenge_is_answered_and_each_request_counted() {
        let digest = Digest::new(Secret::new("user"), Secret::new("password"));
        let url = Url::parse("https://h/a%20b?x=1&y=2").unwrap();
        assert!(digest.answer("GET", &url).is_none());
        digest.learn(&headers(&["Basic realm=\"x\"", RFC[1], RFC[0]])).unwrap();
        for count in ["00000001", "00000002"] {
            let value = digest.answer("GET", &url).unwrap();
            let value = value.expose();
            assert!(value.contains("algorithm=SHA-256") && value.contains(&format!("nc={count}")), "{value}");
            assert!(value.contains("uri=\"/a%20b?x=1&y=2\""), "{value}");
        }
    }

    #[test]
    fn challenges_of_every_form_are_read_or_left_aside() {
        let cases = [
            ("Digest realm=\"a\", nonce=\"n\"", Some((Algorithm::Md5, false, false))),
            ("Digest realm=\"a\", nonce=\"n\", qop=auth, algorithm=md5-sess", Some((Algorithm::Md5, true, true))),
            (
                "Basic realm=\"b\", Digest realm=\"a\", nonce=\"n\", algorithm=SHA-512-256",
                Some((Algorithm::Sha512_256, false, false)),
            ),
            ("Digest realm=\"a\", nonce=\"n\", qop=\"auth-int\"", None),
            ("Digest realm=\"a\", nonce=\"n\", algorithm=SHA-1", None),
            ("Digest realm=\"a\"", None),
            ("Basic realm=\"b\"", None),
            ("", None),
        ];
        for (value, expected) in cases {
            let read = challenges(&headers(&[value])).pop().map(|c| (c.algorithm, c.is_session, c.is_counted));
            assert_eq!(read, expected, "{value}");
        }
    }

    #[test]
    fn a_stale_nonce_is_told_from_a_wrong_password() {
        assert!(is_stale(&headers(&["Digest realm=\"a\", nonce=\"n\", stale=TRUE"])));
        assert!(!is_stale(&headers(&["Digest realm=\"a\", nonce=\"n\", stale=false"])));
        assert!(!is_stale(&headers(&["Digest realm=\"a\", nonce=\"n\""])));
    }

    #[test]
    fn a_server_without_digest_is_named_with_what_it_offers() {
        let digest = Digest::new(Secret::new("user"), Secret::new("password"));
        let report = digest.learn(&headers(&["Basic realm=\"x\""])).unwrap_err().report();
        assert!(report.contains("it offers: Basic realm=\"x\"") && report.contains("http_basic"), "{report}");
    }
}
