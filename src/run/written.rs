//! What a resource has written.

use std::collections::BTreeMap;

/// What was written, over the whole run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
    /// Rows left out here, by rule.
    pub discarded: BTreeMap<&'static str, u64>,
}

impl Written {
    /// Adds what was written since.
    pub(super) fn add(&mut self, other: &Written) {
        for (table, rows) in &other.rows {
            *self.rows.entry(table.clone()).or_default() += rows;
        }
        for (rule, rows) in &other.discarded {
            *self.discarded.entry(rule).or_default() += rows;
        }
    }
}
