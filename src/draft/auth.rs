//! Where requests go and how they prove who they are.

use super::document::Document;
use super::words::{first_line, inline, quoted, written};
use serde_json::Value;
use std::collections::BTreeMap;

/// Lines of `[client]` about addresses or credentials, comments included.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Lines {
    pub(super) lines: Vec<String>,
    /// What a person has to fill in.
    pub(super) to_edit: Option<String>,
    /// Headers and parameters that carry further credentials.
    pub(super) headers: Vec<(String, String)>,
    pub(super) params: Vec<(String, String)>,
}

/// `base_url`.
pub(super) fn base_url(document: &Document<'_>) -> Lines {
    let mut found = Lines::default();
    let (url, notes) = if document.is_swagger() { swagger_url(document.root()) } else { server_url(document.root()) };
    found.lines.extend(notes);
    let is_whole = url::Url::parse(&url).is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
    let url = if is_whole {
        url
    } else {
        found.lines.push("# EDIT: the document doesn't say on which host the API is.".to_owned());
        found.to_edit = Some("base_url".to_owned());
        format!("https://api.example.com/{}", url.trim_start_matches('/'))
    };
    found.lines.push(format!("base_url = {}", quoted(&format!("{}/", url.trim_end_matches('/')))));
    found
}

/// The first server, with its variables filled in.
fn server_url(root: &Value) -> (String, Vec<String>) {
    let servers = root["servers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(server) = servers.first() else { return (String::new(), Vec::new()) };
    let mut url = server["url"].as_str().unwrap_or_default().to_owned();
    let mut notes = Vec::new();
    for (name, variable) in server["variables"].as_object().into_iter().flatten() {
        let default = variable["default"].as_str().unwrap_or(name);
        url = url.replace(&format!("{{{name}}}"), default);
        let others = variable["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let others = others.filter(|o| *o != default).collect::<Vec<_>>().join(", ");
        let others = if others.is_empty() { String::new() } else { format!("; others: {others}") };
        notes.push(format!("# {name}: `{}` is the document's default{}", first_line(default), first_line(&others)));
    }
    for other in servers.iter().skip(1).take(5).filter_map(|s| s["url"].as_str()) {
        notes.push(format!("# another server: {}", first_line(other)));
    }
    (url, notes)
}

fn swagger_url(root: &Value) -> (String, Vec<String>) {
    let path = root["basePath"].as_str().unwrap_or("/");
    let schemes = root["schemes"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let scheme =
        if schemes.clone().next().is_none_or(|_| schemes.clone().any(|s| s == "https")) { "https" } else { "http" };
    match root["host"].as_str() {
        Some(host) => (format!("{scheme}://{host}/{}", path.trim_start_matches('/')), Vec::new()),
        None => (path.to_owned(), Vec::new()),
    }
}

/// `auth`. `prefix` begins the names of variables.
pub(super) fn auth(document: &Document<'_>, prefix: &str) -> Lines {
    let root = document.root();
    let schemes =
        if document.is_swagger() { &root["securityDefinitions"] } else { &root["components"]["securitySchemes"] };
    let known: Vec<(&String, &Value)> =
        schemes.as_object().into_iter().flatten().map(|(name, scheme)| (name, document.resolve(scheme))).collect();
    let wanted = requirement(document);
    let of = |name: &str| known.iter().find(|(known, _)| *known == name).map(|(_, scheme)| *scheme);
    let chosen: Vec<&Value> = wanted.iter().filter_map(|name| of(name)).collect();
    let mut found = Lines::default();
    let mut tables = chosen.iter().copied().filter_map(|scheme| table(document, scheme, prefix));
    match tables.next() {
        Some((note, table)) => {
            found.lines.extend(note.map(|note| format!("# {note}")));
            found.lines.push(format!("auth = {table}"));
        }
        None => {
            let why = if known.is_empty() {
                "The document names no credentials"
            } else {
                "How requests prove who they are is unclear"
            };
            found.lines.push(format!("# {why}. If the API wants some:"));
            found.lines.push(format!("# auth = {{ type = \"bearer\", token = \"${{{prefix}_TOKEN}}\" }}"));
        }
    }
    // Of several that are wanted together, the others are keys beside it.
    for scheme in chosen.iter().skip(1).filter(|scheme| scheme["type"] == "apiKey") {
        let name = scheme["name"].as_str().unwrap_or_default();
        let value = written(&format!("${{{prefix}_{}}}", variable(name)));
        match scheme["in"].as_str() {
            Some("header") => found.headers.push((name.to_owned(), value)),
            Some("query") => found.params.push((name.to_owned(), value)),
            _ => {}
        }
    }
    for (name, scheme) in known.iter().filter(|(name, _)| !wanted.contains(&name.as_str())).take(5) {
        if let Some((_, table)) = table(document, scheme, prefix) {
            found.lines.push(format!("# or, as {}: auth = {table}", first_line(name)));
        }
    }
    found
}

/// Names of the schemes that are wanted together: what the document says for all, else what most operations say.
fn requirement<'d>(document: &Document<'d>) -> Vec<&'d str> {
    fn names(requirement: &Value) -> Vec<&str> {
        requirement.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }
    let of_all = document.root()["security"].as_array().into_iter().flatten().map(names).find(|n| !n.is_empty());
    if let Some(found) = of_all {
        return found;
    }
    let mut counts: BTreeMap<Vec<&str>, usize> = BTreeMap::new();
    for operation in document.operations() {
        for requirement in operation.get["security"].as_array().into_iter().flatten() {
            let names = names(requirement);
            if !names.is_empty() {
                *counts.entry(names).or_default() += 1;
            }
        }
    }
    if let Some((found, _)) = counts.into_iter().max_by_key(|(_, count)| *count) {
        return found;
    }
    let root = document.root();
    let schemes =
        if document.is_swagger() { &root["securityDefinitions"] } else { &root["components"]["securitySchemes"] };
    schemes.as_object().and_then(|s| s.keys().next()).map(String::as_str).into_iter().collect()
}

/// A scheme as our `auth`, with a remark where one is due; none: we have nothing like it.
fn table(document: &Document<'_>, scheme: &Value, prefix: &str) -> Option<(Option<String>, String)> {
    let secret = |name: &str| written(&format!("${{{prefix}_{name}}}"));
    let entry = |name: &str, value: String| (name.to_owned(), value);
    let user = || vec![entry("username", secret("USERNAME")), entry("password", secret("PASSWORD"))];
    let bearer = || of_type("bearer", vec![entry("token", secret("TOKEN"))]);
    let kind = scheme["type"].as_str().unwrap_or_default();
    let style = scheme["scheme"].as_str().unwrap_or_default().to_lowercase();
    match (kind, style.as_str()) {
        ("http", "bearer") => Some((None, bearer())),
        ("http", "basic") | ("basic", _) => Some((None, of_type("http_basic", user()))),
        ("http", "digest") => Some((None, of_type("digest", user()))),
        ("apiKey", _) => {
            let name = scheme["name"].as_str()?;
            let place = scheme["in"].as_str()?;
            let is_authorization = place == "header" && name.eq_ignore_ascii_case("authorization");
            let note = is_authorization.then(|| {
                "the whole value of the header: many APIs want a word such as `Bearer ` or `Token ` first".to_owned()
            });
            let rest = vec![
                entry("name", quoted(name)),
                entry("location", quoted(place)),
                entry("api_key", secret("API_KEY")),
            ];
            Some((note, of_type("api_key", rest)))
        }
        ("oauth2", _) => Some(oauth2(document, scheme, prefix, &bearer)),
        ("openIdConnect", _) => Some((Some("OpenID Connect: a token that you have got".to_owned()), bearer())),
        _ => None,
    }
}

/// An `auth` table of a type.
fn of_type(name: &str, rest: Vec<(String, String)>) -> String {
    let all = std::iter::once(("type".to_owned(), quoted(name))).chain(rest);
    inline(&all.collect::<Vec<_>>())
}

fn oauth2(
    document: &Document<'_>,
    scheme: &Value,
    prefix: &str,
    bearer: &dyn Fn() -> String,
) -> (Option<String>, String) {
    let flow = match document.is_swagger() {
        true if scheme["flow"] == "application" => scheme,
        true => &Value::Null,
        false => &scheme["flows"]["clientCredentials"],
    };
    let Some(token_url) = flow["tokenUrl"].as_str() else {
        return (Some("OAuth 2 for users: a token that you have got, or `oauth2_refresh_token`".to_owned()), bearer());
    };
    let secret = |name: &str| written(&format!("${{{prefix}_{name}}}"));
    let scopes: Vec<&str> = flow["scopes"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let note =
        (!scopes.is_empty()).then(|| format!("`scope` may be one or several of: {}", first_line(&scopes.join(", "))));
    let entries = [
        ("access_token_url", quoted(token_url)),
        ("client_id", secret("CLIENT_ID")),
        ("client_secret", secret("CLIENT_SECRET")),
    ];
    (note, of_type("oauth2_client_credentials", entries.map(|(n, v)| (n.to_owned(), v)).to_vec()))
}

/// A name as part of the name of an environment variable.
fn variable(name: &str) -> String {
    let name = name.trim_start_matches("X-").trim_start_matches("x-");
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}
