//! A proof of who we are, and the one place where it is put into a request in clear.

use super::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::http::origin::Reach;
use crate::http::redirect::Hop;
use crate::http::transport::WireRequest;
use crate::http::{HeaderMap, Request};
use crate::plan::model::Place;
use crate::secret::Secret;
use base64::prelude::{BASE64_STANDARD, Engine};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue};
use std::sync::Arc;
use url::Url;

/// Headers that hold credentials by their meaning, also when a file spells the value out: they stay at home as well.
const CREDENTIAL_HEADERS: [&str; 6] =
    ["authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-auth-token"];

/// What goes with a request to prove who we are: to the API's own origin only.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct Proof {
    headers: Vec<(HeaderName, Secret)>,
    params: Vec<(String, Secret)>,
    /// Content of a `Cookie` header.
    cookies: Option<Secret>,
    /// Made for each request anew, because it depends on it.
    digest: Option<Arc<Digest>>,
}

impl Proof {
    /// A token at its place.
    ///
    /// # Errors
    /// [`Kind::Config`]: the place is a header that can't be, or the token holds what no header can.
    pub(super) fn of_token(token: &Secret, place: &Place) -> Result<Proof> {
        let mut proof = Proof::default();
        match place {
            Place::Header { name, prefix } => {
                let name = header_name(name)?;
                let value = Secret::new(format!("{prefix}{}", token.expose()));
                secret_value(&name, &value)?;
                proof.headers.push((name, value));
            }
            Place::Param(name) => proof.params.push((name.clone(), token.clone())),
            Place::Cookie(name) => {
                let cookie = Secret::new(format!("{name}={}", token.expose()));
                secret_value(&COOKIE, &cookie)?;
                proof.cookies = Some(cookie);
            }
            Place::Cookies => {
                secret_value(&COOKIE, token)?;
                proof.cookies = Some(token.clone());
            }
        }
        Ok(proof)
    }

    /// `Authorization: Basic …` (RFC 7617).
    pub(super) fn basic(username: &str, password: &str) -> Proof {
        Proof { headers: vec![(AUTHORIZATION, basic_value(username, password))], ..Proof::default() }
    }

    /// A digest, once the server has sent its challenge.
    pub(super) fn digest(digest: Arc<Digest>) -> Proof {
        Proof { digest: Some(digest), ..Proof::default() }
    }
}

/// The value of `Authorization: Basic`. Its encoded part alone is a secret too: servers send it back in errors.
pub(super) fn basic_value(username: &str, password: &str) -> Secret {
    let encoded = Secret::new(BASE64_STANDARD.encode(format!("{username}:{password}")));
    Secret::new(format!("Basic {}", encoded.expose()))
}

/// The URL without the parameters that are added as credentials, by their names: servers repeat them in `next` links
/// and redirects. What remains keeps its spelling.
pub(in crate::http) fn strip(url: &Url, request: &Request, param: Option<&str>) -> Url {
    let is_secret = |pair: &str| {
        let mut names = request.secret_params.iter().map(|(name, _)| name.as_str()).chain(param);
        url::form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(name, _)| names.any(|n| n == name))
    };
    let mut clean = url.clone();
    clean.set_fragment(None);
    if let Some(query) = url.query()
        && query.split('&').any(is_secret)
    {
        let kept: Vec<&str> = query.split('&').filter(|pair| !is_secret(pair)).collect();
        clean.set_query(if kept.is_empty() { None } else { Some(kept.join("&")) }.as_deref());
    }
    clean
}

/// Puts a request on the wire: with credentials where they may go, without them elsewhere.
///
/// # Errors
/// [`Kind::Config`]: a name or value that a header can't hold. [`Kind::Status`]: a body with a credential would go to a
/// host that doesn't get credentials.
pub(in crate::http) fn dress(
    request: &Request,
    proof: &Proof,
    hop: &Hop,
    reach: Reach,
    body_bytes_max: u64,
) -> Result<WireRequest> {
    let trusted = reach == Reach::Trusted;
    let body = request.body.clone().filter(|_| hop.carries_body);
    if body.is_some() && request.secret_body && !trusted {
        let host = hop.url.host_str().unwrap_or_default();
        return Err(Error::new(Kind::Status, format!("a body with a credential is not sent to another host, {host}"))
            .hint(format!("`allowed_hosts = [{{ host = \"{host}\", send_auth = true }}]` in [client] permits it")));
    }
    let mut headers = HeaderMap::new();
    if let (Some(content_type), true) = (&request.content_type, body.is_some()) {
        headers.insert(CONTENT_TYPE, header_value("content-type", content_type)?);
    }
    for (name, value) in &request.headers {
        let name = header_name(name)?;
        let is_credential = CREDENTIAL_HEADERS.contains(&name.as_str());
        if trusted || !is_credential {
            let mut value = header_value(name.as_str(), value)?;
            value.set_sensitive(is_credential);
            headers.insert(name, value);
        }
    }
    let mut url = hop.url.clone();
    let mut secret_params = Vec::new();
    if trusted {
        add_secrets(request, proof, &hop.method, &mut url, &mut headers)?;
        secret_params.extend(request.secret_params.iter().chain(&proof.params).map(|(name, _)| name.clone()));
    }
    let method = method(&hop.method)?;
    let download = request.download.clone();
    Ok(WireRequest { method, url, headers, body, body_bytes_max, secret_params, is_login: false, download })
}

fn add_secrets(request: &Request, proof: &Proof, method: &str, url: &mut Url, headers: &mut HeaderMap) -> Result<()> {
    for (name, secret) in &request.secret_headers {
        let name = header_name(name)?;
        headers.insert(name.clone(), secret_value(&name, secret)?);
    }
    for (name, secret) in &proof.headers {
        headers.insert(name, secret_value(name, secret)?);
    }
    if let Some(cookies) = &proof.cookies {
        let mut value = secret_value(&COOKIE, cookies)?;
        if let Some(others) = headers.get(COOKIE).and_then(|others| others.to_str().ok()) {
            value = secret_value(&COOKIE, &Secret::new(format!("{others}; {}", cookies.expose())))?;
        }
        headers.insert(COOKIE, value);
    }
    for (name, secret) in request.secret_params.iter().chain(&proof.params) {
        url.query_pairs_mut().append_pair(name, secret.expose());
    }
    if let Some(answer) = proof.digest.as_ref().and_then(|digest| digest.answer(method, url)) {
        headers.insert(AUTHORIZATION, secret_value(&AUTHORIZATION, &answer)?);
    }
    Ok(())
}

/// The proxy of the client. Its URL may hold a password.
///
/// # Errors
/// [`Kind::Config`]: it is no URL of a proxy.
pub(in crate::http) fn proxy(url: &Secret) -> Result<reqwest::Proxy> {
    reqwest::Proxy::all(url.expose()).map_err(|_| {
        Error::new(Kind::Config, "`proxy` is not a URL of a proxy")
            .hint("write it as `http://host:port` or `http://user:password@host:port`")
    })
}

fn method(name: &str) -> Result<Method> {
    Method::from_bytes(name.as_bytes()).map_err(|_| Error::new(Kind::Config, format!("`{name}` is not an HTTP method")))
}

fn header_name(name: &str) -> Result<HeaderName> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| Error::new(Kind::Config, format!("`{name}` is not the name of a header")))
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue> {
    HeaderValue::from_bytes(value.trim().as_bytes())
        .map_err(|_| Error::new(Kind::Config, format!("the value of the header `{name}` holds control characters")))
}

fn secret_value(name: &HeaderName, secret: &Secret) -> Result<HeaderValue> {
    let mut value = header_value(name.as_str(), secret.expose())?;
    value.set_sensitive(true);
    Ok(value)
}
