//! Credentials: what the plan says of them made into what goes with a request. Nothing else sees a secret in clear.
//!
//! Some are fixed, some are a token that is asked for when it is first needed and renewed before it ends or when it is
//! refused ([`token`]), and a digest is made for each request from the server's challenge ([`digest`]).

mod digest;
mod jwt;
mod kept;
mod oauth2;
mod proof;
mod session;
mod token;

pub use kept::KeptTokens;
pub(super) use proof::{Proof, dress, proxy, strip};

use super::{HeaderMap, Http, Meter, Request};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{Auth, Login, Place, Text};
use crate::plan::template::Scope;
use crate::secret::Secret;
use digest::Digest;
use std::sync::Arc;
use token::TokenSource;
use url::Url;

/// The credentials of a resource. Clones share tokens.
#[derive(Debug, Clone)]
pub struct Credentials {
    source: Source,
    /// The query parameter that holds a credential.
    param: Option<String>,
}

#[derive(Debug, Clone)]
enum Source {
    Fixed(Proof),
    Token(Arc<TokenSource>),
    Digest(Arc<Digest>),
}

/// A proof, and which of the proofs of its source it is.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) proof: Proof,
    pub(super) generation: u64,
}

/// Whether new credentials may help against an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// The answer does not say that the credentials are over, or they can't be renewed.
    None,
    /// They can be renewed.
    Possible,
    /// They were renewed for this request already.
    Spent,
}

/// More renewals for one request than this are not tried, whatever the server says of stale nonces.
const DIGEST_RENEWALS_MAX: u32 = 3;

/// What credentials are made with.
pub struct Setting<'a> {
    /// Variables and the run.
    pub scope: &'a Scope,
    /// Where relative URLs of token requests begin; none if that differs from request to request.
    pub base_url: Option<&'a Url>,
    /// The login of a session, ready to be sent.
    pub login: Option<Request>,
    /// Refresh tokens that servers exchanged.
    pub kept: Arc<KeptTokens>,
    /// Whether a tape stands in for the server: it has masks in the place of keys, and looks at no signature.
    pub is_replay: bool,
}

/// Makes the credentials of a resource from what its plan says. Nothing is requested.
///
/// # Errors
/// [`Kind::Config`]: an expression of the auth table gives nothing or something that can't be sent, or a key can't be read.
pub fn resolve(auth: &Auth, setting: &Setting<'_>) -> Result<Credentials> {
    let scope = setting.scope;
    let fixed = |proof: Proof, param: Option<String>| Credentials { source: Source::Fixed(proof), param };
    match auth {
        Auth::None => Ok(Credentials::none()),
        Auth::Bearer { token } => {
            let place = Place::Header { name: "Authorization".to_owned(), prefix: "Bearer ".to_owned() };
            Ok(fixed(Proof::of_token(&credential("token", token, scope)?, &place)?, None))
        }
        Auth::HttpBasic(login) => {
            let (username, password) = user_and_password(login, scope)?;
            Ok(fixed(Proof::basic(username.expose(), password.expose()), None))
        }
        Auth::ApiKey { api_key, place } => {
            Ok(fixed(Proof::of_token(&credential("api_key", api_key, scope)?, place)?, param_of(place)))
        }
        Auth::OAuth2(oauth2) => Ok(of_source(oauth2::source(oauth2, setting)?, &oauth2.place)),
        Auth::Jwt(jwt) => Ok(of_source(jwt::source(jwt, setting)?, &jwt.place)),
        Auth::Session(session) => Ok(of_source(session::source(session, setting)?, &session.place)),
        Auth::Digest(login) => {
            let (username, password) = user_and_password(login, scope)?;
            Ok(Credentials { source: Source::Digest(Arc::new(Digest::new(username, password))), param: None })
        }
    }
}

fn of_source(source: TokenSource, place: &Place) -> Credentials {
    Credentials { source: Source::Token(Arc::new(source)), param: param_of(place) }
}

fn param_of(place: &Place) -> Option<String> {
    match place {
        Place::Param(name) => Some(name.clone()),
        Place::Header { .. } | Place::Cookie(_) | Place::Cookies => None,
    }
}

fn user_and_password(login: &Login, scope: &Scope) -> Result<(Secret, Secret)> {
    let (username, password) = (plain(&login.username, scope)?, plain(&login.password, scope)?);
    if username.is_empty() && password.is_empty() {
        return Err(Error::new(Kind::Config, "`auth.username` and `auth.password` are empty"));
    }
    for (key, text) in [("username", &username), ("password", &password)] {
        refuse_control_characters(key, text)?;
    }
    Ok((Secret::new(username), Secret::new(password)))
}

/// A text that may be empty.
fn plain(text: &Text, scope: &Scope) -> Result<String> {
    Ok(text.template.render(scope)?.unwrap_or_default())
}

/// A text that can't be empty. Blanks around it, as files have them, are left out.
fn credential(key: &str, text: &Text, scope: &Scope) -> Result<Secret> {
    let value = plain(text, scope)?;
    let value = value.trim();
    if value.is_empty() {
        return Err(Error::new(Kind::Config, format!("`auth.{key}` is empty")));
    }
    refuse_control_characters(key, value)?;
    Ok(Secret::new(value))
}

/// RFC 9110 section 5.5: control characters would end a header.
fn refuse_control_characters(key: &str, value: &str) -> Result<()> {
    if value.chars().any(char::is_control) {
        let message = format!("`auth.{key}` holds control characters, which a header can't carry");
        return Err(Error::new(Kind::Config, message));
    }
    Ok(())
}

impl Credentials {
    /// No credentials.
    pub fn none() -> Self {
        Credentials { source: Source::Fixed(Proof::default()), param: None }
    }

    /// The query parameter that holds a credential: it is kept out of whatever is shown.
    pub(super) fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }

    /// What goes with the next request. `refused` is the generation that the server refused for it.
    ///
    /// # Errors
    /// [`Kind::Auth`]: the token request failed. [`Kind::Interrupted`]: the run was asked to end.
    pub(super) async fn grant(&self, http: &Http, meter: &Meter, refused: Option<u64>) -> Result<Grant> {
        match &self.source {
            Source::Fixed(proof) => Ok(Grant { proof: proof.clone(), generation: 0 }),
            Source::Digest(digest) => Ok(Grant { proof: Proof::digest(Arc::clone(digest)), generation: 0 }),
            Source::Token(source) => source.grant(http, meter, refused).await,
        }
    }

    /// Whether new credentials may help against an answer of the API, after so many renewals for the request.
    pub(super) fn renewal(&self, status: u16, headers: &HeaderMap, renewals: u32) -> Renewal {
        let (concerns, may_again) = match &self.source {
            Source::Fixed(_) => (false, false),
            Source::Token(source) => (source.renews_on(status), false),
            Source::Digest(_) => (status == 401, renewals < DIGEST_RENEWALS_MAX && digest::is_stale(headers)),
        };
        match (concerns, renewals) {
            (false, _) => Renewal::None,
            (true, 0) => Renewal::Possible,
            (true, _) if may_again => Renewal::Possible,
            (true, _) => Renewal::Spent,
        }
    }

    /// Takes note of the challenge of a refusal.
    ///
    /// # Errors
    /// [`Kind::Auth`]: there is none that can be answered.
    pub(super) fn learn(&self, headers: &HeaderMap) -> Result<()> {
        match &self.source {
            Source::Fixed(_) | Source::Token(_) => Ok(()),
            Source::Digest(digest) => digest.learn(headers),
        }
    }

    /// Waits for a token request in flight, so that what the server hands out last is not lost.
    pub async fn settle(&self) {
        if let Source::Token(source) = &self.source {
            source.settle().await;
        }
    }
}

#[cfg(test)]
mod tests;
