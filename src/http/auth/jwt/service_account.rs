//! The JSON that Google gives for the key of a service account: the key, whose it is, and where tokens are handed out.

use crate::error::{Error, Kind, Result};
use crate::plan::model::{Jwt, JwtKey};
use crate::secret::Secret;
use serde_json::{Map, Value};
use url::Url;

/// Where Google hands out tokens, as the JSON of its accounts says.
const GOOGLE_TOKEN_URL: &str = "https://oauth2.googleapis.com/token";

/// A service account.
pub(super) struct ServiceAccount {
    private_key: Vec<u8>,
    private_key_id: Option<String>,
    client_email: Option<String>,
    token_uri: Option<String>,
}

impl ServiceAccount {
    /// The account, if what should be a key is the JSON of one.
    ///
    /// # Errors
    /// [`Kind::Config`]: it is JSON without a key.
    pub(super) fn read(material: &[u8]) -> Result<Option<ServiceAccount>> {
        let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(material) else { return Ok(None) };
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        let Some(private_key) = text("private_key") else {
            let kind = text("type").unwrap_or_else(|| "none".to_owned());
            return Err(Error::new(Kind::Config, "the key of `auth` is JSON without a `private_key`")
                .with("its `type`", kind)
                .hint("the JSON of a service account has one; that of a user (`authorized_user`) is for `oauth2_refresh_token`"));
        };
        // It is to be shown nowhere, however it came here.
        Secret::new(private_key.as_str());
        Ok(Some(ServiceAccount {
            private_key: private_key.into_bytes(),
            private_key_id: text("private_key_id"),
            client_email: text("client_email"),
            token_uri: text("token_uri"),
        }))
    }

    /// The account of a recorded run: of its file only the address counts, and without the file it is Google's.
    pub(super) fn recorded(jwt: &Jwt) -> ServiceAccount {
        let of_file = match &jwt.key {
            JwtKey::File(path) => std::fs::read(path).ok().and_then(|material| Self::read(&material).ok().flatten()),
            JwtKey::Inline(_) => None,
        };
        let token_uri = of_file.and_then(|account| account.token_uri).unwrap_or_else(|| GOOGLE_TOKEN_URL.to_owned());
        ServiceAccount { private_key: Vec::new(), private_key_id: None, client_email: None, token_uri: Some(token_uri) }
    }

    /// The key, in PEM form.
    pub(super) fn private_key(&self) -> &[u8] {
        &self.private_key
    }

    /// Where tokens are handed out.
    ///
    /// # Errors
    /// [`Kind::Config`]: it does not say, or not with a URL that a request can go to.
    pub(super) fn token_url(&self) -> Result<Url> {
        let fault = |message: &str| Error::new(Kind::Config, message).hint("add `access_token_url` to `auth`");
        let text = self.token_uri.as_deref();
        let text = text.ok_or_else(|| fault("the JSON of the service account has no `token_uri`"))?;
        let url = Url::parse(text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
        });
        url.ok_or_else(|| fault("the `token_uri` of the service account is not a URL that a request can go to"))
    }

    /// Says who issues a JWT and with which key, unless the file does.
    pub(super) fn introduce(&self, header: &mut Map<String, Value>, claims: &mut Map<String, Value>) {
        add(header, "kid", self.private_key_id.as_deref());
        add(claims, "iss", self.client_email.as_deref());
    }

    /// Names the account as the subject. In an exchange that would be the user for whom it asks.
    pub(super) fn speak_for_itself(&self, claims: &mut Map<String, Value>) {
        add(claims, "sub", self.client_email.as_deref());
    }
}

fn add(members: &mut Map<String, Value>, name: &str, value: Option<&str>) {
    if let (Some(value), false) = (value, members.contains_key(name)) {
        members.insert(name.to_owned(), value.into());
    }
}
