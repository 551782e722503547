//! Access tokens of OAuth 2.0 (RFC 6749): for client credentials, for a refresh token, for a signed assertion (RFC 7523).

use super::jwt::Signer;
use super::kept::{KeptTokens, TokenKey};
use super::proof::basic_value;
use super::token::{self, Fresh, Obtain, TokenSource};
use super::{Setting, credential, plain};
use crate::error::{Error, Kind, Result};
use crate::http::client::Reading;
use crate::http::{Http, Meter, Request};
use crate::plan::model::{ClientAuth, Exchange, FieldPath, Grant, OAuth2, TokenEndpoint, TokenRequestFormat};
use crate::plan::template::{Scope, Template};
use crate::secret::Secret;
use bytes::Bytes;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use url::Url;
use url::form_urlencoded::Serializer;

/// What a failure is called.
const WHAT: &str = "the token request";

const HINT: &str = "are `access_token_url`, `client_id` and `client_secret` right and still valid?";

/// A client of a token endpoint.
pub(super) struct OAuthClient {
    url: Url,
    /// Fields of every request, secrets among them.
    fields: Vec<(String, String)>,
    /// Fields of the file, in the place of ours with the same name.
    request_data: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    secret_headers: Vec<(String, Secret)>,
    format: TokenRequestFormat,
    token_path: FieldPath,
    expires_in_path: FieldPath,
    default_expiration: Option<Duration>,
    flow: Flow,
}

/// What the token is given for.
enum Flow {
    ClientCredentials,
    Refresh(RefreshTokens),
    Assertion { signer: Box<Signer>, param: String },
}

/// The refresh tokens of a client: the one of the file, and the newest that the server gave for it, which is kept.
struct RefreshTokens {
    configured: Secret,
    successor_path: FieldPath,
    key: TokenKey,
    kept: Arc<KeptTokens>,
}

/// Tokens of `oauth2_client_credentials` or `oauth2_refresh_token`.
///
/// # Errors
/// [`Kind::Config`]: a value is empty or can't be sent, or the URL is none.
pub(super) fn source(oauth2: &OAuth2, setting: &Setting<'_>) -> Result<TokenSource> {
    let url = address(&oauth2.url, setting)?;
    let flow = match &oauth2.grant {
        Grant::ClientCredentials => Flow::ClientCredentials,
        Grant::RefreshToken { refresh_token, successor_path } => {
            let configured = credential("refresh_token", refresh_token, setting.scope)?;
            let client_id = oauth2.endpoint.client_id.as_ref().map(|id| plain(id, setting.scope)).transpose()?;
            let key = TokenKey::new(&url, client_id.as_deref().unwrap_or_default(), &configured);
            Flow::Refresh(RefreshTokens {
                configured,
                successor_path: successor_path.clone(),
                key,
                kept: Arc::clone(&setting.kept),
            })
        }
    };
    let client = client(&oauth2.endpoint, url, flow, setting.scope)?;
    Ok(TokenSource::new(Obtain::OAuth2(client), oauth2.place.clone(), vec![401]))
}

/// Tokens for signed assertions, from an endpoint.
///
/// # Errors
/// As [`source`].
pub(super) fn of_assertion(exchange: &Exchange, url: Url, signer: Signer, scope: &Scope) -> Result<OAuthClient> {
    let signer = signer.for_audience(url.as_str());
    let flow = Flow::Assertion { signer: Box::new(signer), param: exchange.assertion_param.clone() };
    client(&exchange.endpoint, url, flow, scope)
}

fn client(endpoint: &TokenEndpoint, url: Url, flow: Flow, scope: &Scope) -> Result<OAuthClient> {
    let read = |key: &str, text| credential(key, text, scope);
    let id = endpoint.client_id.as_ref().map(|text| read("client_id", text)).transpose()?;
    let secret = endpoint.client_secret.as_ref().map(|text| read("client_secret", text)).transpose()?;
    let mut fields = vec![("grant_type".to_owned(), flow.grant_type().to_owned())];
    let asked = asked_for(endpoint, scope)?.filter(|_| !flow.carries_scope());
    fields.extend(asked.map(|asked| ("scope".to_owned(), asked)));
    let mut secret_headers = Vec::new();
    match endpoint.client_auth {
        ClientAuth::Body => {
            fields.extend(id.map(|id| ("client_id".to_owned(), id.expose().to_owned())));
            fields.extend(secret.map(|secret| ("client_secret".to_owned(), secret.expose().to_owned())));
        }
        ClientAuth::Basic => {
            secret_headers.push(("Authorization".to_owned(), client_basic(id.as_ref(), secret.as_ref())));
        }
    }
    let mut headers = vec![("Accept".to_owned(), "application/json".to_owned())];
    for (name, text) in &endpoint.request_headers {
        match (plain(text, scope)?, text.secret) {
            (value, true) => secret_headers.push((name.clone(), Secret::new(value))),
            (value, false) => headers.push((name.clone(), value)),
        }
    }
    let data = endpoint.request_data.iter().map(|(name, text)| Ok((name.clone(), plain(text, scope)?)));
    Ok(OAuthClient {
        url,
        fields,
        request_data: data.collect::<Result<_>>()?,
        headers,
        secret_headers,
        format: endpoint.request_format,
        token_path: endpoint.token_path.clone(),
        expires_in_path: endpoint.expires_in_path.clone(),
        default_expiration: endpoint.default_expiration,
        flow,
    })
}

/// What is asked for, as one text (RFC 6749 section 3.3).
///
/// # Errors
/// An expression fails.
pub(super) fn asked_for(endpoint: &TokenEndpoint, scope: &Scope) -> Result<Option<String>> {
    let asked = endpoint.scope.iter().map(|text| plain(text, scope)).collect::<Result<Vec<_>>>()?;
    Ok((!asked.is_empty()).then(|| asked.join(" ")))
}

/// RFC 6749 section 2.3.1: both parts are form-encoded before they are joined.
fn client_basic(id: Option<&Secret>, secret: Option<&Secret>) -> Secret {
    let encode = |part: Option<&Secret>| {
        part.map(|part| url::form_urlencoded::byte_serialize(part.expose().as_bytes()).collect::<String>())
    };
    basic_value(&encode(id).unwrap_or_default(), &encode(secret).unwrap_or_default())
}

/// The URL of a token request: whole, or below the base.
///
/// # Errors
/// It is no URL that a request can go to.
pub(super) fn address(template: &Template, setting: &Setting<'_>) -> Result<Url> {
    let fault = |message: &str| Error::new(Kind::Config, message).with("access_token_url", template.source());
    let text = template.render(setting.scope)?.ok_or_else(|| fault("`access_token_url` has no value"))?;
    let text = text.trim();
    let url = match (text.contains("://"), setting.base_url) {
        (true, _) => Url::parse(text),
        (false, Some(base)) => Url::parse(&format!("{base}{}", text.trim_start_matches('/'))),
        (false, None) => {
            return Err(fault(
                "`access_token_url` has to be a whole URL, because `base_url` differs from request to request",
            ));
        }
    };
    let url = url.map_err(|e| fault("`access_token_url` is not a URL").source(e))?;
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        return Err(fault("`access_token_url` is not a URL that a request can go to"));
    }
    Ok(url)
}

impl Flow {
    /// Whether what is asked for stands in the assertion.
    fn carries_scope(&self) -> bool {
        match self {
            Flow::ClientCredentials | Flow::Refresh(_) => false,
            Flow::Assertion { signer, .. } => signer.carries_scope(),
        }
    }

    fn grant_type(&self) -> &'static str {
        match self {
            Flow::ClientCredentials => "client_credentials",
            Flow::Refresh(_) => "refresh_token",
            Flow::Assertion { .. } => "urn:ietf:params:oauth:grant-type:jwt-bearer",
        }
    }
}

impl OAuthClient {
    /// Asks for a token.
    ///
    /// # Errors
    /// [`Kind::Auth`]: the request failed, or its answer has no token. [`Kind::Interrupted`].
    pub(super) async fn obtain(&self, http: &Http, meter: &Meter) -> Result<Fresh> {
        match &self.flow {
            Flow::ClientCredentials => self.fresh(&self.ask(&[], http, meter).await?),
            Flow::Assertion { signer, param } => {
                let assertion = signer.sign(SystemTime::now())?;
                self.fresh(&self.ask(&[(param, &assertion)], http, meter).await?)
            }
            Flow::Refresh(tokens) => self.refresh(tokens, http, meter).await,
        }
    }

    /// Asks with the newest refresh token. If that is refused, the file's own is tried once: it may be a new one of old,
    /// and servers that exchange tokens may still take it.
    async fn refresh(&self, tokens: &RefreshTokens, http: &Http, meter: &Meter) -> Result<Fresh> {
        let newest = tokens.kept.get(&tokens.key)?;
        let answer = match &newest {
            None => self.ask(&[("refresh_token", &tokens.configured)], http, meter).await?,
            Some(newest) => match self.ask(&[("refresh_token", newest)], http, meter).await {
                Err(error) if is_refusal(&error) => {
                    tracing::warn!(%error, "the kept refresh token is refused; trying the one of the pipeline file");
                    let again = self.ask(&[("refresh_token", &tokens.configured)], http, meter).await;
                    let answer = again.map_err(|e| {
                        e.with("tried", "the kept refresh token, and the one of the pipeline file")
                            .hint("get a new refresh token, and put it in the place of the old one")
                    })?;
                    tokens.forget();
                    answer
                }
                other => other?,
            },
        };
        if let Some(successor) = token::token_at(&answer, &tokens.successor_path) {
            tokens.take_over(newest.as_ref(), &successor);
        }
        self.fresh(&answer)
    }

    async fn ask(&self, extra: &[(&str, &Secret)], http: &Http, meter: &Meter) -> Result<Value> {
        let request = self.request(extra);
        let response = http.send_for_token(&request, meter, Reading::Token, &token::is_json).await;
        let response = response.map_err(|error| token::failed(WHAT, error, HINT))?;
        tracing::debug!(url = %request.url, "a token was handed out");
        token::json(&response)
    }

    fn request(&self, extra: &[(&str, &Secret)]) -> Request {
        let own = self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let extra = extra.iter().map(|(name, secret)| (*name, secret.expose()));
        let replaced = |name: &str| self.request_data.iter().any(|(other, _)| other == name);
        let mut fields: Vec<(&str, &str)> = own.chain(extra).filter(|(name, _)| !replaced(name)).collect();
        fields.extend(self.request_data.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let (body, content_type) = match self.format {
            TokenRequestFormat::Form => {
                (Serializer::new(String::new()).extend_pairs(fields).finish(), "application/x-www-form-urlencoded")
            }
            TokenRequestFormat::Json => {
                let members = fields.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value)));
                (Value::Object(members.collect::<Map<_, _>>()).to_string(), "application/json")
            }
        };
        Request {
            method: "POST".to_owned(),
            headers: self.headers.clone(),
            secret_headers: self.secret_headers.clone(),
            body: Some(Bytes::from(body)),
            content_type: Some(content_type.to_owned()),
            secret_body: true,
            ..Request::get(self.url.clone())
        }
    }

    /// The token of an answer, with its life.
    fn fresh(&self, answer: &Value) -> Result<Fresh> {
        let token = token::token_at(answer, &self.token_path).ok_or_else(|| {
            token::without_token(WHAT, answer, &self.token_path).with("request", format!("POST {}", self.url))
        })?;
        let stated = token::at(answer, &self.expires_in_path).and_then(|v| token::lifetime(v, SystemTime::now()));
        Ok(Fresh { token, lifetime: stated.or(self.default_expiration) })
    }
}

/// Whether an error says that the server does not take what was sent, rather than that it could not be asked.
fn is_refusal(error: &Error) -> bool {
    error.context("status").is_some_and(|status| ["400", "401", "403"].iter().any(|code| status.starts_with(code)))
}

impl RefreshTokens {
    /// Keeps a new refresh token, on disk before it is used: after this run nobody else knows it.
    fn take_over(&self, newest: Option<&Secret>, successor: &Secret) {
        if newest.unwrap_or(&self.configured) == successor {
            return;
        }
        if let Err(error) = self.kept.put(&self.key, successor) {
            tracing::error!(%error, "the new refresh token could not be kept; the next run may need another one");
        }
    }

    /// Leaves a kept token aside that the server does not take any more.
    fn forget(&self) {
        if let Err(error) = self.kept.remove(&self.key) {
            tracing::warn!(%error, "a refresh token that is over is still kept");
        }
    }
}
