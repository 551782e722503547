//! `jwt`: a signed assertion, and where it is exchanged for a token.

use super::Reader;
use crate::config::text::Text as FileText;
use crate::config::tree::Node;
use crate::plan::model::{Auth, Exchange, Jwt, JwtAlgorithm, JwtKey};
use std::time::Duration;

/// How long a JWT is valid by default.
const JWT_LIFETIME: Duration = Duration::from_secs(20 * 60);

/// Keys that say something of an exchange.
const EXCHANGE_KEYS: [&str; 11] = [
    "assertion_param",
    "client_id",
    "client_secret",
    "client_auth",
    "scope",
    "access_token_request_data",
    "access_token_request_headers",
    "access_token_request_format",
    "token_path",
    "expires_in_path",
    "default_token_expiration",
];

impl Reader<'_, '_, '_> {
    pub(super) fn jwt(&mut self) -> Option<Auth> {
        let algorithm = self.jwt_algorithm();
        let key = self.jwt_key();
        let claims = self.json_map("claims");
        let headers = self.json_map("jwt_headers");
        let exchange = match self.has_exchange() {
            true => Some(self.exchange()?),
            false => None,
        };
        Some(Auth::Jwt(Box::new(Jwt {
            algorithm: algorithm?,
            key: key?,
            key_base64: self.table.get("key_base64").and_then(Node::as_boolean).unwrap_or(false),
            claims,
            headers,
            expires_in: self.duration("expires_in").unwrap_or(JWT_LIFETIME),
            exchange,
            place: self.token_place(),
        })))
    }

    /// The algorithm. Service accounts have RSA keys.
    fn jwt_algorithm(&mut self) -> Option<JwtAlgorithm> {
        if let Some(word) = self.word("algorithm") {
            return JwtAlgorithm::ALL.into_iter().find(|algorithm| algorithm.name() == word);
        }
        if self.table.get("key").is_some() {
            let help = "add `algorithm = \"RS256\"`, or what the API says that it is signed with";
            self.scope.found.error(self.place.clone(), "`algorithm` is missing").help(help);
            return None;
        }
        Some(JwtAlgorithm::Rs256)
    }

    /// Whether the JWT is exchanged for a token: the file says where, or it has more to say of it and the key may be a service
    /// account's, which says where.
    fn has_exchange(&mut self) -> bool {
        let given: Vec<&str> = EXCHANGE_KEYS.into_iter().filter(|name| self.table.get(name).is_some()).collect();
        if self.table.get("access_token_url").is_some() || (!given.is_empty() && self.may_be_account()) {
            return true;
        }
        for name in given {
            let help = "without it the JWT itself goes with each request";
            self.error(name, format!("`{name}` has no meaning without `access_token_url`"), help);
        }
        false
    }

    /// Whether the key may turn out to be the JSON of a service account.
    fn may_be_account(&self) -> bool {
        let key = self.table.get("key").and_then(Node::as_text);
        self.table.get("key_file").is_some() || key.is_some_and(FileText::has_substitution)
    }

    fn exchange(&mut self) -> Option<Exchange> {
        let url = match self.table.get("access_token_url") {
            Some(_) => Some(self.address("access_token_url")?),
            None => None,
        };
        let assertion_param = self.word("assertion_param").unwrap_or_else(|| "assertion".to_owned());
        Some(Exchange { url, endpoint: self.endpoint()?, assertion_param })
    }

    fn jwt_key(&mut self) -> Option<JwtKey> {
        match (self.table.get("key").is_some(), self.table.get("key_file").is_some()) {
            (true, true) => {
                self.error("key_file", "`key` and `key_file` can't both be the key", "keep one of them");
                None
            }
            (true, false) => self.credential("key").map(JwtKey::Inline),
            (false, true) => self.word("key_file").map(|path| JwtKey::File(self.folder.join(path))),
            (false, false) => {
                let help =
                    "add `key = \"${NAME}\"`, or `key_file` with the path of a PEM file or of a service account's JSON";
                self.scope.found.error(self.place.clone(), "`jwt` has no key").help(help);
                None
            }
        }
    }
}
