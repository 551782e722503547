//! The lists that a document describes: what is asked for, and what was found out about each.

use super::document::{Document, Operation, Parameter};
use super::list::{self, List};
use super::paging::{self, Paging};
use super::since::{self, Since};
use super::words::{first_line, normal, singular, value};
use serde_json::Value;

/// Headers that requests have anyway, or that are no business of a resource.
const OWN_HEADERS: &[&str] = &["accept", "contenttype", "authorization", "ifnonematch", "ifmodifiedsince", "useragent"];

/// An endpoint that returns a list.
#[derive(Debug)]
pub(super) struct Endpoint<'d> {
    pub(super) path: &'d str,
    pub(super) summary: String,
    pub(super) list: List<'d>,
    pub(super) paging: Paging,
    pub(super) since: Since,
    /// Parameters that must be sent, and others that may be.
    pub(super) params: Vec<(String, String)>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) others: Vec<&'d str>,
    /// Field that identifies a record.
    pub(super) key: Option<&'d str>,
    pub(super) path_parameters: Vec<Parameter<'d>>,
    /// Why it can't be used as it is.
    pub(super) unsure: Option<String>,
}

/// The endpoints, and `GET path: why not` of the others.
pub(super) fn all<'d>(document: &Document<'d>) -> (Vec<Endpoint<'d>>, Vec<String>) {
    let mut endpoints = Vec::new();
    let mut left_out = Vec::new();
    for operation in document.operations() {
        match read(document, &operation) {
            Ok(endpoint) => endpoints.push(endpoint),
            Err(why) => left_out.push(format!("{}: {}", first_line(operation.path), first_line(&why))),
        }
    }
    (endpoints, left_out)
}

fn read<'d>(document: &Document<'d>, operation: &Operation<'d>) -> Result<Endpoint<'d>, String> {
    let get = operation.get;
    if get["deprecated"] == true {
        return Err("deprecated".to_owned());
    }
    if operation.has_own_server {
        return Err("is on a server of its own".to_owned());
    }
    if operation.path.contains("{{") || operation.path.contains("${") || operation.path.contains(['?', '#']) {
        return Err("has a path that isn't one".to_owned());
    }
    let (answer, headers) = document.answer(get)?;
    let list = list::find(document, operation, answer)?;
    let paging = paging::guess(document, operation, &list, &headers);
    let since = since::guess(document, operation, list.item, &paging.taken);
    let mut endpoint = Endpoint {
        path: operation.path,
        summary: first_line(get["summary"].as_str().or(get["description"].as_str()).unwrap_or_default()),
        key: key(document, operation.path, list.item),
        list,
        params: paging.params.clone(),
        paging,
        since,
        headers: Vec::new(),
        others: Vec::new(),
        path_parameters: operation.parameters.iter().filter(|p| p.place == "path").copied().collect(),
        unsure: None,
    };
    for parameter in &operation.parameters {
        endpoint.take(parameter);
    }
    Ok(endpoint)
}

impl<'d> Endpoint<'d> {
    /// What becomes of a parameter that is no part of the path.
    fn take(&mut self, parameter: &Parameter<'d>) {
        let is_known = self.paging.taken.iter().any(|name| name == parameter.name)
            || matches!(&self.since, Since::Sure { param, .. } if param == parameter.name);
        let given = parameter.example.and_then(value);
        match (parameter.place, parameter.required, given) {
            _ if is_known => {}
            ("query", true, Some(given)) => self.params.push((parameter.name.to_owned(), given)),
            ("query", false, _) => self.others.push(parameter.name),
            ("header", true, _) if OWN_HEADERS.contains(&normal(parameter.name).as_str()) => {}
            ("header", true, Some(given)) => self.headers.push((parameter.name.to_owned(), given)),
            ("query" | "header", true, None) => {
                let why = format!("it needs `{}`, and the document gives no value", parameter.name);
                self.unsure.get_or_insert(why);
            }
            _ => {}
        }
    }

    /// The parts of the path that are names, without versions and the like.
    pub(super) fn literals(&self) -> Vec<String> {
        let parts = self.path.split('/').filter(|part| !part.is_empty() && !part.contains('{'));
        let parts = parts.map(|part| part.split('.').next().unwrap_or_default()).filter(|part| !part.is_empty());
        let all: Vec<String> = parts.map(crate::schema::names::identifier).collect();
        let named: Vec<String> = all.iter().filter(|part| !is_prefix(part)).cloned().collect();
        if named.is_empty() { all } else { named }
    }
}

/// Whether a part of a path is one that all paths of an API have.
fn is_prefix(part: &str) -> bool {
    let version = part.strip_prefix('v').unwrap_or(part);
    let is_version = !version.is_empty() && version.chars().all(|c| c.is_ascii_digit() || c == '_');
    is_version || matches!(part, "api" | "rest" | "odata")
}

/// The field that identifies a record.
fn key<'d>(document: &Document<'d>, path: &str, item: &'d Value) -> Option<&'d str> {
    let members = document.members(item);
    let last = path.split('/').rfind(|part| !part.is_empty() && !part.contains('{')).unwrap_or_default();
    let own = normal(&singular(&last.to_lowercase()));
    let wanted = [
        "id".to_owned(),
        "uuid".to_owned(),
        "guid".to_owned(),
        format!("{own}id"),
        format!("{own}uuid"),
        "gid".to_owned(),
    ];
    let single = |schema: &Value| {
        use super::document::Shape::{Integer, Text, Unknown};
        matches!(document.shape(schema), Integer | Text | Unknown) && !document.is_nullable(schema)
    };
    let found = wanted.iter().find_map(|w| members.all.iter().find(|(name, s)| normal(name) == *w && single(s)));
    found.map(|(name, _)| *name)
}
