//! `auth`: credentials of `[client]` or of a resource.

mod jwt;
mod session;

use super::scope::Scope;
use super::{path, request};
use crate::config::tree::{Key, Node, Table};
use crate::config::values;
use crate::plan::model::{
    Auth, BaseUrl, Client, ClientAuth, FieldPath, Grant, JsonTemplate, Login, OAuth2, Place, Text, TokenEndpoint,
    TokenRequestFormat,
};
use crate::plan::template::Template;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;
use url::Url;

/// Names without a value where credentials are made, because one set of them serves many requests.
const REQUEST_NAMES: [&str; 4] = ["parent", "partition", "page", "cursor"];

/// What the parts of an auth table are read with.
struct Reader<'a, 'b, 's> {
    table: &'a Table,
    /// Where a missing key is reported.
    place: Range<usize>,
    /// Folder of the pipeline file.
    folder: &'a Path,
    /// The client; none if it has a mistake.
    client: Option<&'a Client>,
    scope: &'b mut Scope<'s>,
}

/// Credentials: `false` is none. None: a mistake was reported.
pub(super) fn auth(
    entry: Option<&(Key, Node)>,
    file: &Path,
    client: Option<&Client>,
    scope: &mut Scope<'_>,
) -> Option<Auth> {
    let Some((key, node)) = entry.filter(|(_, node)| !node.is_off()) else { return Some(Auth::None) };
    let table = node.as_table()?;
    let kind = table.get("type").and_then(Node::resolved)?;
    let since = scope.uses.len();
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut reader = Reader { table, place: key.span.clone(), folder, client, scope };
    let auth = match kind.as_str() {
        "bearer" => {
            reader.optional_credential("token").map(|token| token.map_or(Auth::None, |token| Auth::Bearer { token }))
        }
        "http_basic" => reader.user_and_password().map(Auth::HttpBasic),
        "digest" => reader.user_and_password().map(Auth::Digest),
        "api_key" => reader.api_key(),
        "oauth2_client_credentials" => reader.oauth2(Some(Grant::ClientCredentials)),
        "oauth2_refresh_token" => {
            let grant = reader.refresh_token();
            reader.oauth2(grant)
        }
        "jwt" => reader.jwt(),
        "session" => reader.session(),
        // The description of the keys has refused it.
        _ => None,
    };
    scope.refuse_names(since, "auth", &REQUEST_NAMES);
    auth
}

impl Reader<'_, '_, '_> {
    fn word(&self, name: &str) -> Option<String> {
        self.table.get(name).and_then(Node::resolved)
    }

    fn error(&mut self, name: &str, message: impl Into<String>, help: impl Into<String>) {
        let place = self.table.get(name).map_or(self.place.clone(), |node| node.span.clone());
        self.scope.found.error(place, message).help(help);
    }

    /// A text; none also when the key is absent.
    fn text(&mut self, name: &str) -> Option<Text> {
        self.scope.text(self.table.get(name)?)
    }

    /// A text that can't be empty.
    fn credential(&mut self, name: &str) -> Option<Text> {
        let text = self.text(name)?;
        if text.template.as_literal().is_some_and(|t| t.trim().is_empty()) {
            let what = name.replace('_', " ");
            self.error(name, format!("the {what} is empty"), "is the variable set to an empty text?");
        }
        Some(text)
    }

    /// A text that may be empty on purpose: some APIs can be asked with or without a token. `Some(None)`: it is left out.
    fn optional_credential(&mut self, name: &str) -> Option<Option<Text>> {
        let text = self.text(name)?;
        if !self.is_left_out(name, &text) {
            return self.credential(name).map(Some);
        }
        let message = format!("the {} is empty: requests go out without credentials", name.replace('_', " "));
        let help = "without `auth` nothing is sent either, and nothing is said";
        self.scope.found.warning(self.place_of(name), message).help(help);
        Some(None)
    }

    /// Whether a default (`${NAME:-}`) or a variable of the file makes a text empty. An empty text of the environment does
    /// not: that is a secret that was not put in place.
    fn is_left_out(&self, name: &str, text: &Text) -> bool {
        let is_substituted = self.table.get(name).and_then(Node::as_text).is_some_and(|text| text.has_substitution());
        let names = text.template.references();
        if text.secret || (names.is_empty() && !is_substituted) {
            return false;
        }
        let known = self.scope.known();
        let is_known = names.iter().all(|r| r.path.first().is_some_and(|root| root == "vars") && known.has(&r.path));
        is_known && text.template.render(&known).is_ok_and(|value| value.is_none_or(|v| v.trim().is_empty()))
    }

    fn texts(&mut self, name: &str) -> Vec<Text> {
        let nodes = self.table.get(name).map(Node::one_or_many).unwrap_or_default();
        nodes.iter().filter_map(|node| self.scope.text(node)).collect()
    }

    fn map(&mut self, name: &str) -> Vec<(String, Text)> {
        let entries = self.table.get(name).and_then(Node::as_table).map(|t| t.entries.as_slice()).unwrap_or_default();
        entries.iter().filter_map(|(key, node)| Some((key.name.clone(), self.scope.text(node)?))).collect()
    }

    fn field(&mut self, name: &str, default: &str) -> Option<FieldPath> {
        match self.table.get(name) {
            Some(node) => path::place(node, self.scope),
            None => Some(FieldPath(vec![default.to_owned()])),
        }
    }

    fn duration(&self, name: &str) -> Option<Duration> {
        self.table.get(name).and_then(values::time)
    }

    /// HTTP Basic and Digest: one of the two may be empty, as where a key stands for the user.
    fn user_and_password(&mut self) -> Option<Login> {
        let username = self.text("username")?;
        let password = self.text("password").unwrap_or_else(|| Text { template: Template::literal(""), secret: false });
        let empty = |text: &Text| text.template.as_literal().is_some_and(str::is_empty);
        if empty(&username) && empty(&password) {
            self.error("username", "user and password are empty", "are the variables set to empty texts?");
        }
        if username.template.as_literal().is_some_and(|user| user.contains(':')) {
            // RFC 7617 section 2: what stands before the first colon is the user.
            self.error("username", "a user can't have a colon", "the password may; is it in `username` too?");
        }
        Some(Login { username, password })
    }

    fn api_key(&mut self) -> Option<Auth> {
        let Some(api_key) = self.optional_credential("api_key")? else { return Some(Auth::None) };
        let name = self.word("name").unwrap_or_else(|| "Authorization".to_owned());
        let place = match self.word("location").as_deref() {
            Some("query" | "param") => Place::Param(name),
            Some("cookie") => Place::Cookie(name),
            _ => {
                request::check_header_name(&name, self.place_of("name"), self.scope);
                Place::Header { name, prefix: String::new() }
            }
        };
        Some(Auth::ApiKey { api_key, place })
    }

    fn place_of(&self, name: &str) -> Range<usize> {
        self.table.get(name).map_or(self.place.clone(), |node| node.span.clone())
    }

    /// Where a token goes: one place.
    fn token_place(&mut self) -> Place {
        if let Some(param) = self.word("param") {
            for name in ["header", "prefix"] {
                if self.table.get(name).is_some() {
                    self.error(name, format!("`{name}` has no meaning beside `param`"), "a token goes to one place");
                }
            }
            return Place::Param(param);
        }
        let name = self.word("header").unwrap_or_else(|| "Authorization".to_owned());
        request::check_header_name(&name, self.place_of("header"), self.scope);
        let usual = if name.eq_ignore_ascii_case("authorization") { "Bearer " } else { "" };
        let prefix = self.word("prefix").unwrap_or_else(|| usual.to_owned());
        Place::Header { name, prefix }
    }

    fn refresh_token(&mut self) -> Option<Grant> {
        let successor_path = self.field("refresh_token_path", "refresh_token")?;
        Some(Grant::RefreshToken { refresh_token: self.credential("refresh_token")?, successor_path })
    }

    fn oauth2(&mut self, grant: Option<Grant>) -> Option<Auth> {
        let url = self.address("access_token_url");
        let endpoint = self.endpoint();
        let place = self.token_place();
        Some(Auth::OAuth2(Box::new(OAuth2 { grant: grant?, url: url?, endpoint: endpoint?, place })))
    }

    fn endpoint(&mut self) -> Option<TokenEndpoint> {
        let (client_id, client_secret) = (self.credential("client_id"), self.credential("client_secret"));
        let client_auth = match self.word("client_auth").as_deref() {
            Some("basic") => ClientAuth::Basic,
            _ => ClientAuth::Body,
        };
        if client_auth == ClientAuth::Basic && self.table.get("client_id").is_none() {
            self.error("client_auth", "`client_auth = \"basic\"` needs a `client_id`", "add it");
        }
        let request_format = match self.word("access_token_request_format").as_deref() {
            Some("json") => TokenRequestFormat::Json,
            _ => TokenRequestFormat::Form,
        };
        let headers = self.table.get("access_token_request_headers").and_then(Node::as_table);
        for (key, _) in headers.map(|t| t.entries.as_slice()).unwrap_or_default() {
            request::check_header_name(&key.name, key.span.clone(), self.scope);
        }
        Some(TokenEndpoint {
            client_id,
            client_secret,
            client_auth,
            scope: self.texts("scope"),
            request_data: self.map("access_token_request_data"),
            request_headers: self.map("access_token_request_headers"),
            request_format,
            token_path: self.field("token_path", "access_token")?,
            expires_in_path: self.field("expires_in_path", "expires_in")?,
            default_expiration: self.duration("default_token_expiration"),
        })
    }

    /// A whole URL, or a path below the base.
    fn address(&mut self, name: &str) -> Option<Template> {
        let node = self.table.get(name)?;
        let text = node.as_text()?.without_leading_slash();
        let template = self.scope.template(&text)?;
        let written = template.source();
        if text.is_missing() || !written.contains("://") {
            let is_relative = !text.is_missing() && !written.starts_with("{{");
            if is_relative && self.client.is_some_and(|c| varies(&c.base_url)) {
                let help = "write the whole URL; `base_url` differs from request to request";
                self.error(name, format!("`{name}` can't be below `base_url` here"), help);
            }
            return Some(template);
        }
        let help = "write it as `https://auth.example.com/oauth/token`";
        if let Some(literal) = template.as_literal() {
            let usable = Url::parse(literal).is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
            });
            if !usable {
                self.error(name, format!("`{name}` is not a URL that a request can go to"), help);
            }
        }
        self.warn_of_clear_text(node, written);
        Some(template)
    }

    /// Credentials in clear, though the API itself is asked over TLS.
    fn warn_of_clear_text(&mut self, node: &Node, written: &str) {
        let is_clear = written.starts_with("http://");
        let is_tls = |client: &Client| matches!(&client.base_url, BaseUrl::Fixed(url) if url.scheme() == "https");
        if is_clear && self.client.is_some_and(is_tls) {
            let warning = self.scope.found.warning(node.span.clone(), "credentials go over an unencrypted connection");
            warning.help("`base_url` is https; is this address right?");
        }
    }

    fn json_map(&mut self, name: &str) -> Vec<(String, JsonTemplate)> {
        let entries = self.table.get(name).and_then(Node::as_table).map(|t| t.entries.as_slice()).unwrap_or_default();
        entries.iter().filter_map(|(key, node)| Some((key.name.clone(), request::json(node, self.scope)?))).collect()
    }
}

/// Whether a base is only known with a request: it has names of a parent or partition.
fn varies(base: &BaseUrl) -> bool {
    match base {
        BaseUrl::Fixed(_) => false,
        BaseUrl::Template(template) => {
            template.references().iter().any(|r| REQUEST_NAMES.contains(&r.path.first().map_or("", String::as_str)))
        }
    }
}
