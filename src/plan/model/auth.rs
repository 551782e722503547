//! How requests prove who they are.

use super::{FieldPath, JsonTemplate, RequestSpec, Text};
use crate::plan::template::Template;
use std::path::PathBuf;
use std::time::Duration;

/// How requests prove who they are.
#[derive(Debug, Clone, PartialEq)]
pub enum Auth {
    /// No credentials.
    None,
    /// `Authorization: Bearer TOKEN` (RFC 6750).
    Bearer {
        /// The token.
        token: Text,
    },
    /// `Authorization: Basic …` (RFC 7617).
    HttpBasic(Login),
    /// A key at a place of its own.
    ApiKey {
        /// The key.
        api_key: Text,
        /// Where it goes.
        place: Place,
    },
    /// An access token for client credentials or a refresh token (RFC 6749).
    OAuth2(Box<OAuth2>),
    /// A signed assertion, used itself or exchanged for a token.
    Jwt(Box<Jwt>),
    /// A login, and what it answers with.
    Session(Box<Session>),
    /// `Authorization: Digest …` (RFC 7616).
    Digest(Login),
}

impl Auth {
    /// Its `type`, as the file has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Auth::None => "none",
            Auth::Bearer { .. } => "bearer",
            Auth::HttpBasic(_) => "http_basic",
            Auth::ApiKey { .. } => "api_key",
            Auth::OAuth2(oauth2) => match oauth2.grant {
                Grant::ClientCredentials => "oauth2_client_credentials",
                Grant::RefreshToken { .. } => "oauth2_refresh_token",
            },
            Auth::Jwt(_) => "jwt",
            Auth::Session(_) => "session",
            Auth::Digest(_) => "digest",
        }
    }
}

/// A user with a password.
#[derive(Debug, Clone, PartialEq)]
pub struct Login {
    /// The user.
    pub username: Text,
    /// The password; may be empty.
    pub password: Text,
}

/// Where a key or token goes.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// A header.
    Header {
        /// Its name.
        name: String,
        /// What stands before the token.
        prefix: String,
    },
    /// A query parameter of this name.
    Param(String),
    /// A cookie of this name.
    Cookie(String),
    /// The token is a whole `Cookie` header: `a=1; b=2`.
    Cookies,
}

/// `oauth2_client_credentials` and `oauth2_refresh_token`.
#[derive(Debug, Clone, PartialEq)]
pub struct OAuth2 {
    /// What the token is given for.
    pub grant: Grant,
    /// Where it is asked for: a whole URL, or a path below `base_url`.
    pub url: Template,
    /// How it is asked for.
    pub endpoint: TokenEndpoint,
    /// Where it goes.
    pub place: Place,
}

/// What an access token is given for.
#[derive(Debug, Clone, PartialEq)]
pub enum Grant {
    /// The client's own credentials (RFC 6749 section 4.4).
    ClientCredentials,
    /// A refresh token (RFC 6749 section 6).
    RefreshToken {
        /// The one that the file names.
        refresh_token: Text,
        /// Where an answer has its successor.
        successor_path: FieldPath,
    },
}

/// How access tokens are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenEndpoint {
    /// The client.
    pub client_id: Option<Text>,
    /// Its secret.
    pub client_secret: Option<Text>,
    /// How the client proves who it is.
    pub client_auth: ClientAuth,
    /// What is asked for.
    pub scope: Vec<Text>,
    /// Further fields of the request. They replace those of the same name.
    pub request_data: Vec<(String, Text)>,
    /// Headers of the request.
    pub request_headers: Vec<(String, Text)>,
    /// How the fields are written.
    pub request_format: TokenRequestFormat,
    /// Where the answer has the token.
    pub token_path: FieldPath,
    /// Where it says how long the token lives.
    pub expires_in_path: FieldPath,
    /// How long it lives if the answer does not say; none: until it is refused.
    pub default_expiration: Option<Duration>,
}

/// How a client proves who it is to a token endpoint (RFC 6749 section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// With fields of the body.
    Body,
    /// With HTTP Basic.
    Basic,
}

/// How the fields of a token request are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRequestFormat {
    /// `application/x-www-form-urlencoded`, as RFC 6749 says.
    Form,
    /// A JSON object.
    Json,
}

/// `jwt`.
#[derive(Debug, Clone, PartialEq)]
pub struct Jwt {
    /// How it is signed.
    pub algorithm: JwtAlgorithm,
    /// What it is signed with.
    pub key: JwtKey,
    /// Whether the key is written in base64.
    pub key_base64: bool,
    /// Claims. `false` switches an automatic one off.
    pub claims: Vec<(String, JsonTemplate)>,
    /// Further fields of the JWT's header.
    pub headers: Vec<(String, JsonTemplate)>,
    /// How long one is valid.
    pub expires_in: Duration,
    /// Where it is exchanged for an access token; none: it is used itself.
    pub exchange: Option<Exchange>,
    /// Where the JWT or the token goes.
    pub place: Place,
}

/// A JWT as an authorisation grant (RFC 7523 section 2.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// Where: a whole URL, or a path below `base_url`; none: where the key's own file says.
    pub url: Option<Template>,
    /// How.
    pub endpoint: TokenEndpoint,
    /// Field of the request that carries the JWT.
    pub assertion_param: String,
}

/// Where the key of a JWT comes from. Either may be the JSON of a service account, which has the key and more.
#[derive(Debug, Clone, PartialEq)]
pub enum JwtKey {
    /// The file has it.
    Inline(Text),
    /// A file of its own.
    File(PathBuf),
}

/// Signature algorithms (RFC 7518 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the RFC")]
pub enum JwtAlgorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
}

impl JwtAlgorithm {
    /// All of them.
    pub const ALL: [JwtAlgorithm; 11] = [
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
    ];

    /// Its `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
        }
    }
}

/// `session`.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// The request that begins a session.
    pub login: RequestSpec,
    /// User and password that the login sends as HTTP Basic.
    pub basic: Option<Login>,
    /// Where its answer has the token.
    pub source: SessionToken,
    /// Where the token goes.
    pub place: Place,
    /// Where the answer says how long the session lives.
    pub expires_in_path: Option<FieldPath>,
    /// How long it lives if the answer does not say; none: until it is refused.
    pub default_expiration: Option<Duration>,
    /// Statuses that mean that the session is over.
    pub relogin_statuses: Vec<u16>,
}

/// Where the answer to a login has the token.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionToken {
    /// In its JSON body.
    Body(FieldPath),
    /// In a header.
    Header(String),
    /// In cookies that it sets, all of these.
    Cookies(Vec<String>),
}
