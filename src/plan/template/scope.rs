//! The values behind the names of expressions.

use crate::plan::model::FieldPath;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

/// What expressions see.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// `parent.FIELD`: field path, value. In a batch of parents the value is the list of theirs.
    pub parent: Vec<(FieldPath, Value)>,
    /// In a batch of parents: what stands between their values in a text.
    pub batch_separator: Option<String>,
    /// `partition.NAME`.
    pub partition: Vec<(String, Value)>,
    /// `record.FIELD`, where a record is looked at. A bare text or number is an object with a `value`.
    pub record: Option<Value>,
    /// `before.NAME`: name of a request that came before the walk, its answer as an object of `body` and `headers`.
    pub before: Vec<(String, Value)>,
    /// `cursor.start` as it is to be written, a text or a number; none: absent.
    pub cursor_start: Option<Value>,
    /// `cursor.end`, likewise.
    pub cursor_end: Option<Value>,
    /// `page.offset`.
    pub page_offset: Option<u64>,
    /// `page.number`.
    pub page_number: Option<u64>,
    /// `page.limit`.
    pub page_limit: Option<u64>,
    /// `page.cursor`, of the type that the answer gave it: none on the first request.
    pub page_cursor: Option<Value>,
    /// `page.first`; none where there is no page.
    pub page_first: Option<bool>,
    /// `page.body.FIELD`, of the answer before: none on the first request.
    pub page_body: Vec<(FieldPath, Value)>,
    /// `vars.NAME`, rendered: a text, a list or an object.
    pub vars: Vec<(String, Value)>,
    /// `run.started_at`.
    pub run_started_at: DateTime<Utc>,
}

impl Scope {
    /// Whether a name has a value.
    pub fn has(&self, path: &[String]) -> bool {
        self.resolve(path).is_some()
    }

    /// The value of a name; `None` when it is null or absent.
    pub(super) fn resolve(&self, path: &[String]) -> Option<Value> {
        let (root, rest) = path.split_first()?;
        let number = |n: Option<u64>| n.map(Value::from);
        let value = match (root.as_str(), rest) {
            ("parent", fields) => value_within(&self.parent, fields),
            ("record", fields) => self.record.as_ref().and_then(|record| descend(record, fields)),
            ("partition", [name, rest @ ..]) => {
                self.partition.iter().find(|(n, _)| n == name).and_then(|(_, v)| descend(v, rest))
            }
            ("before", [name, rest @ ..]) => {
                self.before.iter().find(|(n, _)| n == name).and_then(|(_, v)| descend(v, rest))
            }
            ("vars", [name, rest @ ..]) => {
                self.vars.iter().find(|(n, _)| n == name).and_then(|(_, v)| descend(v, rest))
            }
            ("cursor", [member]) if member == "start" => self.cursor_start.clone(),
            ("cursor", [member]) if member == "end" => self.cursor_end.clone(),
            ("page", [member, fields @ ..]) if member == "body" => value_within(&self.page_body, fields),
            ("page", [member]) => match member.as_str() {
                "first" => self.page_first.map(Value::from),
                "offset" => number(self.page_offset),
                "number" => number(self.page_number),
                "limit" => number(self.page_limit),
                _ => self.page_cursor.clone(),
            },
            ("run", _) => Some(Value::from(self.run_started_at.to_rfc3339_opts(SecondsFormat::AutoSi, true))),
            _ => None,
        };
        value.filter(|v| !v.is_null())
    }
}

/// The value of a field. The scope may hold the field itself or an object around it.
fn value_within(known: &[(FieldPath, Value)], fields: &[String]) -> Option<Value> {
    known.iter().find_map(|(path, value)| descend(value, fields.strip_prefix(path.0.as_slice())?))
}

/// The value that steps lead to: names of members, indexes of elements.
pub fn descend(value: &Value, path: &[String]) -> Option<Value> {
    let mut value = value;
    for step in path {
        value = match value {
            Value::Array(elements) => elements.get(FieldPath::index_of(step)?)?,
            other => other.get(step)?,
        };
    }
    Some(value.clone())
}
