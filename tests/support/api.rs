//! An API of plain lists that page by `offset` and filter by `since` (inclusive) and `until` (exclusive), whose records a test can change.

use super::{Reply, Request};
use chrono::{DateTime, FixedOffset};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Lists by path. Clones share the records.
#[derive(Clone)]
pub(crate) struct Api {
    lists: Arc<Mutex<BTreeMap<String, Vec<Value>>>>,
    /// Records in a page, whatever `limit` asks for.
    cap: usize,
}

impl Api {
    pub(crate) fn new(cap: usize) -> Api {
        Api { lists: Arc::default(), cap }
    }

    /// Puts a list under a path like `/videos`, in the place of an earlier one.
    pub(crate) fn put(&self, path: &str, records: impl IntoIterator<Item = Value>) {
        self.lists.lock().expect("no test panics with the lock").insert(path.to_owned(), records.into_iter().collect());
    }

    /// Adds a record to a list.
    pub(crate) fn push(&self, path: &str, record: Value) {
        self.lists.lock().expect("no test panics with the lock").entry(path.to_owned()).or_default().push(record);
    }

    /// Changes fields of the record with an id.
    pub(crate) fn edit(&self, path: &str, id: u64, fields: &[(&str, Value)]) {
        let mut lists = self.lists.lock().expect("no test panics with the lock");
        let record = lists.get_mut(path).and_then(|list| list.iter_mut().find(|r| r["id"] == id));
        let record = record.unwrap_or_else(|| panic!("{path} has no record {id}"));
        for (name, value) in fields {
            record[*name] = value.clone();
        }
    }

    /// The page that a request asks for.
    pub(crate) fn page(&self, request: &Request) -> Option<Vec<Value>> {
        let lists = self.lists.lock().expect("no test panics with the lock");
        let list = lists.get(&request.path)?;
        let since = request.param("since").map(|s| time(s).unwrap_or_else(|| panic!("since={s} is no time")));
        let until = request.param("until").map(|s| time(s).unwrap_or_else(|| panic!("until={s} is no time")));
        let changed = list.iter().filter(|record| match (since, until) {
            (None, None) => true,
            _ => record["updated_at"]
                .as_str()
                .and_then(time)
                .is_some_and(|t| since.is_none_or(|since| t >= since) && until.is_none_or(|until| t < until)),
        });
        let limit = request.number_param("limit", self.cap).min(self.cap);
        Some(changed.skip(request.number_param("offset", 0)).take(limit).cloned().collect())
    }

    /// The page, or 404.
    pub(crate) fn reply(&self, request: &Request) -> Reply {
        match self.page(request) {
            Some(records) => Reply::json(records),
            None => Reply::status(404),
        }
    }
}

fn time(text: &str) -> Option<DateTime<FixedOffset>> {
    DateTime::parse_from_rfc3339(text).ok()
}
