//! Credentials: where they come from, and the one place where they are put into a request in clear.

use super::origin::Reach;
use super::redirect::Hop;
use super::transport::WireRequest;
use super::{HeaderMap, Request};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{Auth, Text};
use crate::plan::template::Scope;
use crate::secret::Secret;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use url::Url;

/// Headers that hold credentials by their meaning, also when a file spells the value out: they stay at home as well.
const CREDENTIAL_HEADERS: [&str; 6] =
    ["authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-auth-token"];

/// What proves who we are: headers and query parameters that go to the API's own origin only.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Credentials {
    headers: Vec<(HeaderName, Secret)>,
    params: Vec<(String, Secret)>,
}

impl Credentials {
    /// No credentials.
    pub fn none() -> Self {
        Credentials::default()
    }
}

/// Makes the credentials of a resource from what its plan says.
///
/// # Errors
/// [`Kind::Config`]: an expression of the auth table gives nothing, or something that a header can't hold.
pub fn resolve(auth: &Auth, scope: &Scope) -> Result<Credentials> {
    match auth {
        Auth::None => Ok(Credentials::none()),
        Auth::Bearer { token } => {
            let token = credential("token", token, scope)?;
            let value = Secret::new(format!("Bearer {}", token.expose()));
            Ok(Credentials { headers: vec![(AUTHORIZATION, value)], params: Vec::new() })
        }
    }
}

fn credential(key: &str, text: &Text, scope: &Scope) -> Result<Secret> {
    let value = text.template.render(scope)?.unwrap_or_default();
    let value = value.trim();
    let fault = |what: &str| Err(Error::new(Kind::Config, format!("`auth.{key}` {what}")));
    if value.is_empty() {
        return fault("is empty");
    }
    // RFC 9110 section 5.5: control characters would end the header.
    if value.chars().any(char::is_control) {
        return fault("holds control characters, which a header can't carry");
    }
    Ok(Secret::new(value))
}

/// The URL without the parameters that are added as credentials, by their names: servers repeat them in `next` links
/// and redirects. What remains keeps its spelling.
pub(super) fn strip(url: &Url, request: &Request, credentials: &Credentials) -> Url {
    let is_secret = |pair: &str| {
        let mut names = request.secret_params.iter().chain(&credentials.params).map(|(name, _)| name.as_str());
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
pub(super) fn dress(
    request: &Request,
    credentials: &Credentials,
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
        for (name, secret) in &request.secret_headers {
            let name = header_name(name)?;
            headers.insert(name.clone(), secret_value(&name, secret)?);
        }
        for (name, secret) in &credentials.headers {
            headers.insert(name, secret_value(name, secret)?);
        }
        for (name, secret) in request.secret_params.iter().chain(&credentials.params) {
            url.query_pairs_mut().append_pair(name, secret.expose());
            secret_params.push(name.clone());
        }
    }
    let (method, download) = (method(&hop.method)?, request.download.clone());
    Ok(WireRequest { method, url, headers, body, body_bytes_max, secret_params, is_login: false, download })
}

/// The proxy of the client. Its URL may hold a password.
///
/// # Errors
/// [`Kind::Config`]: it is no URL of a proxy.
pub(super) fn proxy(url: &Secret) -> Result<reqwest::Proxy> {
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
