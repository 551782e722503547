//! The request of a resource.

use super::json_text;
use super::layers::Layers;
use super::scope::{Scope, Use};
use crate::config::tree::{Key, Node, Value};
use crate::plan::model::{BaseUrl, BodySpec, Client, JsonTemplate, RequestSpec, Text};
use crate::plan::template::Template;
use std::ops::Range;
use url::Url;

/// Keys that give a body; one of them.
const BODIES: [&str; 3] = ["json", "form", "body"];

/// Builds the request. `own` is the resource with its defaults, `all` has the client's table behind them.
pub(super) fn request(
    name: &str,
    own: &Layers<'_>,
    all: &Layers<'_>,
    client: Option<&Client>,
    scope: &mut Scope<'_>,
) -> Option<RequestSpec> {
    let params = params(all, scope);
    let headers = headers(all, scope);
    let body = body(own, scope);
    let path = match own.get("path") {
        Some(node) => path(node, client, scope)?,
        None => Template::literal(name),
    };
    let method = own.get("method").and_then(Node::resolved);
    let default_method = if body.is_some() { "POST" } else { "GET" };
    let method = method.unwrap_or_else(|| default_method.to_owned());
    Some(RequestSpec { method, path, params, headers, body })
}

pub(super) fn params(all: &Layers<'_>, scope: &mut Scope<'_>) -> Vec<(String, Vec<Text>)> {
    all.merged("params", |a, b| a == b).into_iter().filter_map(|entry| values(entry, scope)).collect()
}

/// A name with one or several values.
fn values((key, node): &(Key, Node), scope: &mut Scope<'_>) -> Option<(String, Vec<Text>)> {
    Some((key.name.clone(), node.one_or_many().iter().filter_map(|n| scope.text(n)).collect()))
}

/// Reports a name that no header can have.
pub(super) fn check_header_name(name: &str, place: Range<usize>, scope: &mut Scope<'_>) {
    // RFC 9110 section 5.6.2: a field name is a token.
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(is_token) {
        scope.found.error(place, format!("`{name}` can't be the name of a header"));
    }
}

pub(super) fn headers(all: &Layers<'_>, scope: &mut Scope<'_>) -> Vec<(String, Text)> {
    let mut headers = Vec::new();
    for (key, node) in all.merged("headers", str::eq_ignore_ascii_case) {
        check_header_name(&key.name, key.span.clone(), scope);
        if let Some(text) = scope.text(node) {
            // RFC 9110 section 5.5: a control character would end the header. White space around a value is not part of it.
            let is_control = |c: char| c.is_control() && c != '\t';
            let parts: Vec<&str> = text.template.literals().collect();
            let fixed = parts.concat();
            if fixed.trim().chars().any(is_control) {
                let message = format!("the value of the header `{}` holds control characters", key.name);
                let help = "a header is one line; does a variable or mounted file have several?";
                scope.found.error(node.span.clone(), message).help(help);
            }
            headers.push((key.name.clone(), text));
        }
    }
    headers
}

/// Refuses what has no value on the first request (`page.cursor`, `page.body.FIELD`) where that can't be left out.
fn refuse_absent_at_first(since: usize, place: &str, scope: &mut Scope<'_>) {
    let Scope { found, uses, .. } = scope;
    let is_absent = |used: &&Use| (used.is("page", "cursor") || used.is_of_body()) && !used.guarded;
    for used in uses[since..].iter().filter(is_absent) {
        let name = used.name();
        found
            .error(used.span.clone(), format!("`{name}` has no value on the first request, and `{place}` needs one"))
            .help(format!("say what to send then: `{{{{ {name} | default('') }}}}`"));
    }
}

/// The path. A leading slash is left out: a path is always below the base.
fn path(node: &Node, client: Option<&Client>, scope: &mut Scope<'_>) -> Option<Template> {
    let text = node.as_text()?.without_leading_slash();
    let since = scope.uses.len();
    let template = scope.template(&text)?;
    refuse_absent_at_first(since, "path", scope);
    let written = template.source();
    let is_absolute = written.starts_with("http://") || written.starts_with("https://");
    if let Some(client) = client.filter(|_| is_absolute && !text.is_missing()) {
        check_origin(node, written, client, scope);
    }
    Some(template)
}

fn check_origin(node: &Node, written: &str, client: &Client, scope: &mut Scope<'_>) {
    let fixed = written.split("{{").next().unwrap_or_default();
    let Ok(url) = Url::parse(fixed) else {
        scope.found.error(node.span.clone(), "`path` is not a URL");
        return;
    };
    // A base with expressions is known with a request, and the path is held against it then.
    let BaseUrl::Fixed(base) = &client.base_url else { return };
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default();
    let allowed = client.allowed_hosts.iter().any(|a| a.host == host && (a.port.is_none() || a.port == port));
    if url.origin() != base.origin() && !allowed {
        scope
            .found
            .error(node.span.clone(), format!("`path` leads to another origin than `base_url`: {host}"))
            .help(format!("if it should, add \"{host}\" to `allowed_hosts` under [client]"));
    }
}

pub(super) fn body(own: &Layers<'_>, scope: &mut Scope<'_>) -> Option<BodySpec> {
    for table in &own.0 {
        let given: Vec<&(Key, Node)> = BODIES.iter().filter_map(|name| table.entry(name)).collect();
        if let [(first, _), (second, _), ..] = given.as_slice() {
            let message = format!("`{}` and `{}` can't both be the body", first.name, second.name);
            scope.found.error(second.span.clone(), message).help("keep one of them");
        }
        if let Some((key, node)) = given.first() {
            return match key.name.as_str() {
                _ if node.is_off() => None,
                "json" => json_body(node, own, scope),
                "form" => {
                    let entries = &node.as_table()?.entries;
                    Some(BodySpec::Form(entries.iter().filter_map(|entry| values(entry, scope)).collect()))
                }
                _ => {
                    let since = scope.uses.len();
                    let text = scope.text(node)?;
                    refuse_absent_at_first(since, "body", scope);
                    Some(BodySpec::Raw(text))
                }
            };
        }
    }
    None
}

/// An object is merged with inherited ones by key; anything else stands alone.
fn json_body(node: &Node, own: &Layers<'_>, scope: &mut Scope<'_>) -> Option<BodySpec> {
    if let Some(text) = node.as_text().filter(json_text::is_json) {
        return json_text::json(text, scope).map(BodySpec::Json);
    }
    if node.as_table().is_none() {
        return json(node, scope).map(BodySpec::Json);
    }
    let members = own.merged("json", |a, b| a == b);
    Some(BodySpec::Json(JsonTemplate::Object(
        members.into_iter().filter_map(|(key, node)| Some((key.name.clone(), json(node, scope)?))).collect(),
    )))
}

/// A JSON value whose texts may have expressions.
pub(super) fn json(node: &Node, scope: &mut Scope<'_>) -> Option<JsonTemplate> {
    json_of(node, scope, |scope, node| scope.text(node))
}

/// A JSON value. `text` compiles a text or a date.
pub(super) fn json_of(
    node: &Node,
    scope: &mut Scope<'_>,
    text: fn(&mut Scope<'_>, &Node) -> Option<Text>,
) -> Option<JsonTemplate> {
    Some(match &node.value {
        Value::Text(_) | Value::Datetime(_) => JsonTemplate::Text(text(scope, node)?),
        Value::Integer(n) => JsonTemplate::Literal((*n).into()),
        Value::Boolean(flag) => JsonTemplate::Literal((*flag).into()),
        Value::Float(n) => match serde_json::Number::from_f64(*n) {
            Some(n) => JsonTemplate::Literal(n.into()),
            None => {
                scope.found.error(node.span.clone(), "JSON has no such number");
                return None;
            }
        },
        Value::List(nodes) => JsonTemplate::Array(nodes.iter().filter_map(|n| json_of(n, scope, text)).collect()),
        Value::Table(table) => {
            let member = |(key, n): &(Key, Node)| Some((key.name.clone(), json_of(n, scope, text)?));
            JsonTemplate::Object(table.entries.iter().filter_map(member).collect())
        }
    })
}
