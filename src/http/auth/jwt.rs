//! Signed JSON web tokens (RFC 7515, 7518, 7519): used themselves, or exchanged for an access token (RFC 7523).

mod service_account;

use super::token::{Fresh, Obtain, TokenSource};
use super::{Setting, oauth2, plain};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{Jwt, JwtAlgorithm, JwtKey, render_members};
use crate::secret::Secret;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use ring::hmac;
use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SigningKey;
use serde_json::{Map, Value, json};
use service_account::ServiceAccount;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use url::Url;

/// A JWT is issued this much in the past, so that a server whose clock is a little behind takes it.
const ISSUED_EARLIER: Duration = Duration::from_secs(10);

/// Claims that are about time, and are made for each JWT.
const TIME_CLAIMS: [&str; 3] = ["iat", "nbf", "exp"];

/// Makes JWTs.
pub(super) struct Signer {
    /// The header, encoded.
    header: String,
    claims: Map<String, Value>,
    lifetime: Duration,
    key: Key,
    /// Whether the claims have what is asked for, in the place of a field of the token request.
    carries_scope: bool,
}

/// A key, with what it signs by.
enum Key {
    Shared(hmac::Key),
    Private {
        key: Arc<dyn SigningKey>,
        scheme: SignatureScheme,
        /// Of the curve's numbers, for ECDSA.
        number_bytes: Option<usize>,
    },
}

/// Tokens of `jwt`.
///
/// # Errors
/// [`Kind::Config`]: the key can't be read, or is not one that the algorithm signs with; nothing says where the JWT is
/// exchanged.
pub(super) fn source(jwt: &Jwt, setting: &Setting<'_>) -> Result<TokenSource> {
    let (signer, account) = Signer::new(jwt, setting)?;
    let obtain = match (&jwt.exchange, account) {
        (Some(exchange), Some(account)) => {
            let url = match &exchange.url {
                Some(url) => oauth2::address(url, setting)?,
                None => account.token_url()?,
            };
            let signer = signer.for_scope(oauth2::asked_for(&exchange.endpoint, setting.scope)?);
            Obtain::OAuth2(oauth2::of_assertion(exchange, url, signer, setting.scope)?)
        }
        (Some(exchange), None) => {
            let url = exchange.url.as_ref().ok_or_else(|| {
                Error::new(Kind::Config, "nothing says where the JWT is exchanged for a token")
                    .hint("add `access_token_url`; the key is not the JSON of a service account, which has one")
            })?;
            let url = oauth2::address(url, setting)?;
            Obtain::OAuth2(oauth2::of_assertion(exchange, url, signer, setting.scope)?)
        }
        (None, Some(account)) => Obtain::Jwt(signer.for_itself(&account, setting.base_url)),
        (None, None) => Obtain::Jwt(signer),
    };
    Ok(TokenSource::new(obtain, jwt.place.clone(), vec![401]))
}

impl Signer {
    /// A signer, and the service account whose key it has. Beside a tape there is no key, and an account only where it has to
    /// say where the token was asked for.
    fn new(jwt: &Jwt, setting: &Setting<'_>) -> Result<(Signer, Option<ServiceAccount>)> {
        let mut header = Map::new();
        header.insert("alg".to_owned(), jwt.algorithm.name().into());
        header.insert("typ".to_owned(), "JWT".into());
        header.extend(render_members(&jwt.headers, setting.scope)?);
        let mut claims = render_members(&jwt.claims, setting.scope)?;
        let (key, account) = if setting.is_replay {
            let needs_address = jwt.exchange.as_ref().is_some_and(|exchange| exchange.url.is_none());
            (Key::Shared(hmac::Key::new(hmac::HMAC_SHA256, b"")), needs_address.then(|| ServiceAccount::recorded(jwt)))
        } else {
            let material = key_material(jwt, setting)?;
            let account = ServiceAccount::read(&material)?;
            let key = account.as_ref().map_or(material.as_slice(), ServiceAccount::private_key);
            (Key::new(jwt.algorithm, key)?, account)
        };
        if let Some(account) = &account {
            account.introduce(&mut header, &mut claims);
        }
        let header = BASE64_URL_SAFE_NO_PAD.encode(Value::Object(header).to_string());
        Ok((Signer { header, claims, lifetime: jwt.expires_in, key, carries_scope: false }, account))
    }

    /// Whether the claims have what is asked for.
    pub(super) fn carries_scope(&self) -> bool {
        self.carries_scope
    }

    /// Has what is asked for as a claim, as service accounts do it.
    fn for_scope(mut self, asked: Option<String>) -> Signer {
        if let Some(asked) = asked {
            self.claims.entry("scope").or_insert(asked.into());
            self.carries_scope = true;
        }
        self
    }

    /// A JWT that is used itself speaks for the account, to the API.
    fn for_itself(mut self, account: &ServiceAccount, base_url: Option<&Url>) -> Signer {
        account.speak_for_itself(&mut self.claims);
        let has_reach = ["aud", "scope"].iter().any(|name| self.claims.contains_key(*name));
        if let (Some(base), false) = (base_url, has_reach) {
            let audience = format!("{}/", base.origin().ascii_serialization());
            self.claims.insert("aud".to_owned(), audience.into());
        }
        self
    }

    /// Names the endpoint as the audience, unless the claims name another one (RFC 7523 section 3).
    pub(super) fn for_audience(mut self, url: &str) -> Signer {
        if !self.claims.contains_key("aud") {
            self.claims.insert("aud".to_owned(), url.into());
        }
        self
    }

    /// A JWT that is used itself.
    ///
    /// # Errors
    /// As [`Signer::sign`].
    pub(super) fn obtain(&self) -> Result<Fresh> {
        let valid = self.lifetime.saturating_sub(ISSUED_EARLIER).max(self.lifetime / 2);
        Ok(Fresh { token: self.sign(SystemTime::now())?, lifetime: Some(valid) })
    }

    /// A JWT of this moment, in the compact form.
    ///
    /// # Errors
    /// [`Kind::Internal`]: the key fails to sign.
    pub(super) fn sign(&self, now: SystemTime) -> Result<Secret> {
        let claims = Value::Object(self.claims_at(now)).to_string();
        let signed = format!("{}.{}", self.header, BASE64_URL_SAFE_NO_PAD.encode(claims));
        let signature = self.key.sign(signed.as_bytes())?;
        Ok(Secret::new(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))))
    }

    fn claims_at(&self, now: SystemTime) -> Map<String, Value> {
        let issued = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_sub(ISSUED_EARLIER);
        let mut claims = self.claims.clone();
        for (name, time) in [("iat", issued), ("nbf", issued), ("exp", issued + self.lifetime)] {
            if !claims.contains_key(name) {
                claims.insert(name.to_owned(), time.as_secs().into());
            }
        }
        claims.retain(|name, value| !(TIME_CLAIMS.contains(&name.as_str()) && *value == json!(false)));
        claims
    }
}

/// The bytes of the key: a secret, or PEM.
fn key_material(jwt: &Jwt, setting: &Setting<'_>) -> Result<Vec<u8>> {
    let (bytes, name) = match &jwt.key {
        JwtKey::Inline(text) => (plain(text, setting.scope)?.into_bytes(), "auth.key"),
        JwtKey::File(path) => {
            let read = std::fs::read(path).map_err(|e| {
                Error::new(Kind::Config, "`auth.key_file` can't be read").with("file", path.display()).source(e)
            });
            (read?, "auth.key_file")
        }
    };
    if bytes.trim_ascii().is_empty() {
        return Err(Error::new(Kind::Config, format!("`{name}` is empty")));
    }
    if !jwt.key_base64 {
        // The line break that ends a file is no part of a secret.
        let end = if matches!(jwt.key, JwtKey::File(_)) { bytes.trim_ascii_end().len() } else { bytes.len() };
        return Ok(bytes[..end].to_vec());
    }
    let text: Vec<u8> = bytes.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let decoded = BASE64_STANDARD.decode(&text).or_else(|_| {
        let unpadded: Vec<u8> = text.iter().copied().filter(|byte| *byte != b'=').collect();
        BASE64_URL_SAFE_NO_PAD.decode(unpadded)
    });
    // The cause would show a byte of the key.
    decoded.map_err(|_| Error::new(Kind::Config, format!("`{name}` is not base64, as `key_base64` says")))
}

impl Key {
    fn new(algorithm: JwtAlgorithm, material: &[u8]) -> Result<Key> {
        let shared = |kind| Ok(Key::Shared(hmac::Key::new(kind, material)));
        match algorithm {
            JwtAlgorithm::Hs256 => shared(hmac::HMAC_SHA256),
            JwtAlgorithm::Hs384 => shared(hmac::HMAC_SHA384),
            JwtAlgorithm::Hs512 => shared(hmac::HMAC_SHA512),
            JwtAlgorithm::Rs256 => private(algorithm, material, SignatureScheme::RSA_PKCS1_SHA256, None),
            JwtAlgorithm::Rs384 => private(algorithm, material, SignatureScheme::RSA_PKCS1_SHA384, None),
            JwtAlgorithm::Rs512 => private(algorithm, material, SignatureScheme::RSA_PKCS1_SHA512, None),
            JwtAlgorithm::Ps256 => private(algorithm, material, SignatureScheme::RSA_PSS_SHA256, None),
            JwtAlgorithm::Ps384 => private(algorithm, material, SignatureScheme::RSA_PSS_SHA384, None),
            JwtAlgorithm::Ps512 => private(algorithm, material, SignatureScheme::RSA_PSS_SHA512, None),
            JwtAlgorithm::Es256 => private(algorithm, material, SignatureScheme::ECDSA_NISTP256_SHA256, Some(32)),
            JwtAlgorithm::Es384 => private(algorithm, material, SignatureScheme::ECDSA_NISTP384_SHA384, Some(48)),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let fault = |e| Error::new(Kind::Internal, "the JWT can't be signed").source(e);
        match self {
            Key::Shared(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Key::Private { key, scheme, number_bytes } => {
                let signer = key.choose_scheme(&[*scheme]);
                let signer = signer.ok_or_else(|| Error::new(Kind::Internal, "the key of the JWT changed its kind"))?;
                let signature = signer.sign(message).map_err(fault)?;
                match number_bytes {
                    None => Ok(signature),
                    Some(bytes) => fixed_width(&signature, *bytes)
                        .ok_or_else(|| Error::new(Kind::Internal, "the signature of the JWT has an unknown form")),
                }
            }
        }
    }
}

fn private(
    algorithm: JwtAlgorithm,
    material: &[u8],
    scheme: SignatureScheme,
    number_bytes: Option<usize>,
) -> Result<Key> {
    let name = algorithm.name();
    // Causes are left out: they may show what was read.
    let fault = |message: String| Err(Error::new(Kind::Config, message));
    let Ok(der) = PrivateKeyDer::from_pem_slice(&with_line_breaks(material)) else {
        let error = Error::new(Kind::Config, "the key of `auth` is not a private key in PEM form");
        return Err(error.hint(
            "it begins with `-----BEGIN PRIVATE KEY-----` (also RSA or EC); one with a password has to be decrypted first",
        ));
    };
    let Ok(key) = rustls::crypto::ring::sign::any_supported_type(&der) else {
        return fault(format!("the key of `auth` is not one that {name} signs with (RSA keys: 2048 to 8192 bits)"));
    };
    if key.choose_scheme(&[scheme]).is_none() {
        return fault(format!("the key of `auth` is not one that {name} signs with"));
    }
    Ok(Key::Private { key, scheme, number_bytes })
}

/// PEM with its line breaks: in an environment variable they are often written as `\n`.
fn with_line_breaks(material: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(material) {
        Ok(text) if !text.trim().contains('\n') => text.replace("\\r", "").replace("\\n", "\n").into_bytes(),
        _ => material.to_vec(),
    }
}

/// An ECDSA signature as JWTs have it, two numbers of fixed width (RFC 7518 section 3.4), from the DER form: a sequence of
/// two integers. All lengths are below 128 on these curves.
fn fixed_width(der: &[u8], number_bytes: usize) -> Option<Vec<u8>> {
    let mut rest = match der {
        [0x30, length, rest @ ..] if usize::from(*length) == rest.len() => rest,
        _ => return None,
    };
    let mut out = Vec::with_capacity(2 * number_bytes);
    for _ in 0..2 {
        let (length, after) = match rest {
            [0x02, length, after @ ..] => (usize::from(*length), after),
            _ => return None,
        };
        let (number, after) = after.split_at_checked(length)?;
        let digits = &number[number.iter().take_while(|byte| **byte == 0).count()..];
        out.extend(std::iter::repeat_n(0, number_bytes.checked_sub(digits.len())?));
        out.extend_from_slice(digits);
        rest = after;
    }
    rest.is_empty().then_some(out)
}

#[cfg(test)]
mod tests;
