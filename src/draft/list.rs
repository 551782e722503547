//! Where an answer has its list.

use super::document::{Document, Members, Operation, Shape};
use super::words::normal;
use serde_json::Value;

/// Names under which answers have their records, likeliest first.
const LIST_NAMES: &[&str] = &[
    "data",
    "results",
    "items",
    "records",
    "value",
    "values",
    "entries",
    "rows",
    "list",
    "objects",
    "content",
    "elements",
    "collection",
    "hits",
    "resources",
    "edges",
    "nodes",
    "members",
    "member",
    "matches",
];

/// Objects in which an answer may have its list, one step down.
const WRAPPERS: &[&str] =
    &["data", "result", "results", "response", "embedded", "payload", "body", "d", "hits", "page"];

/// What an envelope has beside its list.
const ENVELOPE_WORDS: &[&str] = &[
    "total",
    "count",
    "next",
    "prev",
    "page",
    "offset",
    "limit",
    "skip",
    "start",
    "hasmore",
    "more",
    "link",
    "meta",
    "cursor",
    "token",
    "first",
    "last",
    "object",
    "url",
    "size",
    "status",
    "success",
    "error",
    "message",
    "warning",
    "code",
    "kind",
    "etag",
    "incomplete",
    "pagination",
    "paging",
    "query",
    "request",
    "time",
    "version",
    "self",
    "href",
    "index",
    "results",
];

/// A list in an answer.
#[derive(Debug, Clone)]
pub(super) struct List<'d> {
    /// Where it is; none: the answer is the list.
    pub(super) selector: Option<String>,
    /// The schema of a record.
    pub(super) item: &'d Value,
    /// The schema of the object around it.
    pub(super) envelope: Option<&'d Value>,
}

/// The list of an operation's answer, or why there is none.
pub(super) fn find<'d>(
    document: &Document<'d>,
    operation: &Operation<'d>,
    answer: &'d Value,
) -> Result<List<'d>, String> {
    match document.shape(answer) {
        Shape::List(item) => {
            return Ok(List { selector: None, item: document.resolve(item), envelope: None });
        }
        Shape::Object => {}
        Shape::Unknown => return Err("describes no fields of its answer".to_owned()),
        _ => return Err("answers a single value".to_owned()),
    }
    let last = operation.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let is_record = last.ends_with('}');
    let own_name = normal(last.split('.').next().unwrap_or_default());
    let members = document.members(answer);
    let found = in_object(document, &members, &own_name, is_record).map(|(name, item)| (name.to_owned(), item));
    let found = found.or_else(|| {
        let mut wrapped = members.all.iter().filter(|(name, _)| WRAPPERS.contains(&normal(name).as_str()));
        wrapped.find_map(|&(wrapper, schema)| {
            let below = document.members(schema);
            let (name, item) = in_object(document, &below, &own_name, is_record)?;
            Some((format!("{wrapper}.{name}"), item))
        })
    });
    match found {
        Some((path, item)) => Ok(List { selector: Some(path), item: document.resolve(item), envelope: Some(answer) }),
        None if members.all.is_empty() => Err("describes no fields of its answer".to_owned()),
        None => Err("answers one object, and not a list".to_owned()),
    }
}

/// The member of an object that is the list. Of an object with fields of its own, a list is only a part.
fn in_object<'d>(
    document: &Document<'d>,
    members: &Members<'d>,
    own_name: &str,
    is_record: bool,
) -> Option<(&'d str, &'d Value)> {
    let lists = members.all.iter().filter_map(|&(name, schema)| match document.shape(schema) {
        Shape::List(item) => Some((name, item)),
        _ => None,
    });
    let lists: Vec<(&str, &Value)> = lists.collect();
    let rest: Vec<&str> =
        members.all.iter().map(|(name, _)| *name).filter(|name| lists.iter().all(|(list, _)| list != name)).collect();
    let is_envelope = rest.iter().all(|name| {
        let name = normal(name);
        ENVELOPE_WORDS.iter().any(|word| name.contains(word))
    });
    let named = LIST_NAMES.iter().find_map(|wanted| lists.iter().find(|(name, _)| normal(name) == *wanted));
    if let Some(found) = named.filter(|_| is_envelope) {
        return Some(*found);
    }
    if is_record || !is_envelope {
        return None;
    }
    let of_objects: Vec<&(&str, &Value)> =
        lists.iter().filter(|(_, item)| document.shape(item) == Shape::Object).collect();
    let own = lists.iter().find(|(name, _)| !own_name.is_empty() && normal(name) == own_name);
    match (own, of_objects.as_slice(), lists.as_slice()) {
        (Some(own), _, _) => Some(*own),
        (None, [only], _) => Some(**only),
        (None, [], [only]) => Some(*only),
        _ => None,
    }
}
