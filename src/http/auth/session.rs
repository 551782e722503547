//! Sessions: a login, and the token or the cookies that it answers with.

use super::proof::basic_value;
use super::token::{self, Fresh, Obtain, TokenSource};
use super::{Setting, user_and_password};
use crate::error::{Error, Kind, Result};
use crate::http::client::{Reading, any_body};
use crate::http::{HeaderMap, Http, Meter, Request, Response};
use crate::plan::model::{FieldPath, Session, SessionToken};
use crate::secret::Secret;
use reqwest::header::SET_COOKIE;
use std::time::{Duration, SystemTime};

/// What a failure is called.
const WHAT: &str = "the login";

const HINT: &str = "are the `path` and the credentials of `auth.login` right and still valid?";

/// Logs in, and takes the token out of the answer.
pub(super) struct SessionClient {
    login: Request,
    source: SessionToken,
    expires_in_path: Option<FieldPath>,
    default_expiration: Option<Duration>,
}

/// Tokens of `session`.
///
/// # Errors
/// [`Kind::Config`]: user and password can't be sent.
pub(super) fn source(session: &Session, setting: &Setting<'_>) -> Result<TokenSource> {
    let mut login =
        setting.login.clone().ok_or_else(|| Error::new(Kind::Internal, "a session has no login request"))?;
    if let Some(basic) = &session.basic {
        let (username, password) = user_and_password(basic, setting.scope)?;
        let value = basic_value(username.expose(), password.expose());
        login.secret_headers.push(("Authorization".to_owned(), value));
    }
    let client = SessionClient {
        login,
        source: session.source.clone(),
        expires_in_path: session.expires_in_path.clone(),
        default_expiration: session.default_expiration,
    };
    Ok(TokenSource::new(Obtain::Session(client), session.place.clone(), session.relogin_statuses.clone()))
}

impl SessionClient {
    /// Begins a session.
    ///
    /// # Errors
    /// [`Kind::Auth`]: the login failed, or its answer has no token. [`Kind::Interrupted`].
    pub(super) async fn obtain(&self, http: &Http, meter: &Meter) -> Result<Fresh> {
        let reads_body = matches!(self.source, SessionToken::Body(_)) || self.expires_in_path.is_some();
        let validate = if reads_body { token::is_json } else { any_body };
        let reading = match self.source {
            // A login by a form answers with a redirect that sets the cookie.
            SessionToken::Cookies(_) => Reading::Cookies,
            SessionToken::Body(_) | SessionToken::Header(_) => Reading::Token,
        };
        let sent = http.send_for_token(&self.login, meter, reading, &validate).await;
        let response = sent.map_err(|error| token::failed(WHAT, error, HINT))?;
        tracing::debug!(url = %response.url, "logged in");
        Ok(Fresh { token: self.token(&response)?, lifetime: self.lifetime(&response)? })
    }

    fn token(&self, response: &Response) -> Result<Secret> {
        let missing = |what: String| {
            Error::new(Kind::Auth, format!("the login brought no {what}")).with("status", response.status).hint(HINT)
        };
        match &self.source {
            SessionToken::Body(path) => {
                let answer = token::json(response)?;
                token::token_at(&answer, path).ok_or_else(|| token::without_token(WHAT, &answer, path))
            }
            SessionToken::Header(name) => {
                let value = response.header(name).map(str::trim).filter(|value| !value.is_empty());
                value.map(Secret::new).ok_or_else(|| missing(format!("header `{name}`")))
            }
            SessionToken::Cookies(names) => {
                let mut pairs = Vec::with_capacity(names.len());
                for name in names {
                    let value = cookie(&response.headers, name).ok_or_else(|| missing(format!("cookie `{name}`")))?;
                    pairs.push(format!("{name}={}", Secret::new(value).expose()));
                }
                Ok(Secret::new(pairs.join("; ")))
            }
        }
    }

    fn lifetime(&self, response: &Response) -> Result<Option<Duration>> {
        let stated = match &self.expires_in_path {
            Some(path) => {
                let answer = token::json(response)?;
                token::at(&answer, path).and_then(|value| token::lifetime(value, SystemTime::now()))
            }
            None => None,
        };
        Ok(stated.or(self.default_expiration))
    }
}

/// The value of a cookie that an answer sets (RFC 6265 section 5.2). Of several the last counts; an empty value takes a
/// cookie away.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let pairs = headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let values = pairs.filter_map(|text| text.split(';').next()?.split_once('='));
    let value = values.rev().find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())?;
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_read_as_browsers_do() {
        let mut headers = HeaderMap::new();
        for line in ["sid=first; Path=/", "other=x", "sid = a=b+c== ; HttpOnly; Max-Age=60", "gone=; Max-Age=0"] {
            headers.append(SET_COOKIE, line.parse().unwrap());
        }
        for (name, value) in [("sid", Some("a=b+c==")), ("other", Some("x")), ("gone", None), ("SID", None)] {
            assert_eq!(cookie(&headers, name).as_deref(), value, "{name}");
        }
    }
}
