//! The request of a resource.

use super::layers::Layers;
use super::resource::File;
use super::scope::Scope;
use crate::config::tree::{Key, Node, Value};
use crate::plan::model::{BodySpec, Client, JsonTemplate, RequestSpec, Text};
use crate::plan::template::Template;
use url::Url;

/// Keys that give a body; one of them.
const BODIES: [&str; 3] = ["json", "form", "body"];

/// Builds the request. `own` is the resource with its defaults, `all` has the client's table behind them.
pub(super) fn request(
    name: &str,
    own: &Layers<'_>,
    all: &Layers<'_>,
    file: &File<'_>,
    scope: &mut Scope<'_>,
) -> Option<RequestSpec> {
    let params: Vec<_> =
        all.merged("params", |a, b| a == b).into_iter().filter_map(|entry| values(entry, scope)).collect();
    let headers = headers(all, scope);
    let body = body(own, scope);
    let path = match own.get("path") {
        Some(node) => path(node, file.resolved, scope)?,
        None => Template::literal(name),
    };
    let path = below_base(path, file, scope);
    let method = own.get("method").and_then(Node::resolved);
    let default_method = if body.is_some() { "POST" } else { "GET" };
    let method = method.unwrap_or_else(|| default_method.to_owned());
    Some(RequestSpec { method, path, params, headers, body })
}

/// A name with one or several values.
fn values((key, node): &(Key, Node), scope: &mut Scope<'_>) -> Option<(String, Vec<Text>)> {
    Some((key.name.clone(), node.one_or_many().iter().filter_map(|n| scope.text(n)).collect()))
}

fn headers(all: &Layers<'_>, scope: &mut Scope<'_>) -> Vec<(String, Text)> {
    let mut headers = Vec::new();
    for (key, node) in all.merged("headers", str::eq_ignore_ascii_case) {
        // RFC 9110 section 5.6.2: a field name is a token.
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if key.name.is_empty() || !key.name.chars().all(is_token) {
            scope.found.error(key.span.clone(), format!("`{}` can't be the name of a header", key.name));
        }
        if let Some(text) = scope.text(node) {
            headers.push((key.name.clone(), text));
        }
    }
    headers
}

/// The path. A leading slash is left out: a path is always below the base.
fn path(node: &Node, client: Option<&Client>, scope: &mut Scope<'_>) -> Option<Template> {
    let text = node.as_text()?.without_leading_slash();
    let template = scope.template(&text)?;
    if let Some(client) = client.filter(|_| is_absolute(&template) && !text.is_missing()) {
        check_origin(node, template.source(), client, scope);
    }
    Some(template)
}

fn is_absolute(path: &Template) -> bool {
    path.source().starts_with("http://") || path.source().starts_with("https://")
}

/// A relative path with the part of `base_url` that depends on the request in front of it.
fn below_base(path: Template, file: &File<'_>, scope: &mut Scope<'_>) -> Template {
    let Some(base) = file.base_path.filter(|_| !is_absolute(&path)) else { return path };
    scope.uses.extend(base.uses.iter().cloned());
    let is_separated = path.as_literal() == Some("") || base.template.source().ends_with('/');
    let slash = if is_separated { "" } else { "/" };
    Template::concat(vec![base.template.clone(), Template::literal(slash), path])
}

fn check_origin(node: &Node, written: &str, client: &Client, scope: &mut Scope<'_>) {
    let fixed = written.split("{{").next().unwrap_or_default();
    let Ok(url) = Url::parse(fixed) else {
        scope.found.error(node.span.clone(), "`path` is not a URL");
        return;
    };
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default();
    let allowed = client.allowed_hosts.iter().any(|a| a.host == host && (a.port.is_none() || a.port == port));
    if url.origin() != client.base_url.origin() && !allowed {
        scope
            .found
            .error(node.span.clone(), format!("`path` leads to another origin than `base_url`: {host}"))
            .help(format!("if it should, add \"{host}\" to `allowed_hosts` under [client]"));
    }
}

fn body(own: &Layers<'_>, scope: &mut Scope<'_>) -> Option<BodySpec> {
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
                _ => scope.text(node).map(BodySpec::Raw),
            };
        }
    }
    None
}

/// An object is merged with inherited ones by key; anything else stands alone.
fn json_body(node: &Node, own: &Layers<'_>, scope: &mut Scope<'_>) -> Option<BodySpec> {
    if node.as_table().is_none() {
        return json(node, scope).map(BodySpec::Json);
    }
    let members = own.merged("json", |a, b| a == b);
    Some(BodySpec::Json(JsonTemplate::Object(
        members.into_iter().filter_map(|(key, node)| Some((key.name.clone(), json(node, scope)?))).collect(),
    )))
}

/// A value whose texts may have expressions.
pub(super) fn json(node: &Node, scope: &mut Scope<'_>) -> Option<JsonTemplate> {
    Some(match &node.value {
        Value::Text(_) | Value::Datetime(_) => JsonTemplate::Text(scope.text(node)?),
        Value::Integer(n) => JsonTemplate::Literal((*n).into()),
        Value::Boolean(flag) => JsonTemplate::Literal((*flag).into()),
        Value::Float(n) => match serde_json::Number::from_f64(*n) {
            Some(n) => JsonTemplate::Literal(n.into()),
            None => {
                scope.found.error(node.span.clone(), "JSON has no such number");
                return None;
            }
        },
        Value::List(nodes) => JsonTemplate::Array(nodes.iter().filter_map(|n| json(n, scope)).collect()),
        Value::Table(table) => JsonTemplate::Object(
            table.entries.iter().filter_map(|(key, n)| Some((key.name.clone(), json(n, scope)?))).collect(),
        ),
    })
}
