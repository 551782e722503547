//! Older rows that a backfill brings don't take the place of newer ones: of two rows with one key the later cursor counts,
//! whichever came first.

use super::feed::is_of;
use super::rows::{PageRows, ids_of, leave_out};
use crate::error::Result;
use crate::extract::CursorValue;
use crate::load::RowId;
use crate::plan::model::{FieldPath, Notation};
use crate::schema::catalog::Catalog;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The rule by which rows are left out that are older than those stored.
const NEWER_STORED: &str = "newer_stored";

/// What is known of the rows that a load may meet.
pub struct NewerStays {
    paths: Vec<FieldPath>,
    notation: Notation,
    /// The cursors of rows that are stored, or that the open load was given.
    known: HashMap<RowId, Option<CursorValue>>,
}

impl NewerStays {
    /// `paths`: where records show the cursor.
    pub(super) fn new(paths: Vec<FieldPath>, notation: Notation) -> Self {
        NewerStays { paths, notation, known: HashMap::new() }
    }

    /// Forgets what the open load was given, which is committed now.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// Leaves out rows that are older than what is known under their id. `stored` looks columns up in the committed rows.
    pub(super) fn leave_out_older(
        &mut self,
        pages: &mut [PageRows],
        catalog: &Catalog,
        discarded: &mut BTreeMap<&'static str, u64>,
        stored: impl FnOnce(&[RowId], &[String]) -> Result<HashMap<RowId, Vec<Value>>>,
    ) -> Result<()> {
        let columns = self.columns(catalog);
        let ids = pages.iter().flat_map(|page| page.chunks.first().map(|c| ids_of(&c.ids)).unwrap_or_default());
        let unknown: HashSet<RowId> = ids.filter(|id| !self.known.contains_key(id)).collect();
        if !columns.is_empty() && !unknown.is_empty() {
            let unknown: Vec<RowId> = unknown.into_iter().collect();
            let found = stored(&unknown, &columns)?.into_iter();
            let found: Vec<_> = found.map(|(id, values)| (id, self.cursor_of(&values))).collect();
            self.known.extend(found);
        }
        for page in pages.iter_mut().filter(|page| !page.cursors.is_empty()) {
            let ids = page.chunks.first().map(|c| ids_of(&c.ids)).unwrap_or_default();
            let mut older = HashSet::new();
            for (row, (id, cursor)) in ids.into_iter().zip(&page.cursors).enumerate() {
                if self.is_older(cursor.as_ref(), self.known.get(&id).and_then(Option::as_ref)) {
                    older.insert(row);
                } else {
                    self.known.insert(id, cursor.clone());
                }
            }
            leave_out(page, &older, NEWER_STORED, discarded)?;
        }
        Ok(())
    }

    /// The columns that hold the cursor, in the order in which they count.
    fn columns(&self, catalog: &Catalog) -> Vec<String> {
        let Some(root) = catalog.table(&Vec::new()) else { return Vec::new() };
        let column = |path: &FieldPath| root.columns.iter().find(|c| is_of(&c.source, path)).map(|c| c.name.clone());
        self.paths.iter().filter_map(column).collect()
    }

    /// The cursor of a stored row: a column may hold it as the API wrote it, or as the time that it is.
    fn cursor_of(&self, values: &[Value]) -> Option<CursorValue> {
        let token = values.iter().find(|value| !value.is_null())?.to_string();
        let read = |notation: &Notation| CursorValue::parse_json(token.as_bytes(), notation).ok().flatten();
        let timezone = self.notation.timezone;
        read(&self.notation).or_else(|| read(&Notation { timezone, ..Notation::default() }))
    }

    /// Whether a row is older than what is known. Where one of them has no cursor, or they can't be compared, what came last
    /// counts, as in every merge.
    fn is_older(&self, cursor: Option<&CursorValue>, known: Option<&CursorValue>) -> bool {
        let (Some(cursor), Some(known)) = (cursor, known) else { return false };
        cursor.order(known, &self.notation).is_ok_and(|order| order.is_lt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::model::CursorFormat;
    use serde_json::json;

    fn guard(format: Option<CursorFormat>) -> NewerStays {
        let record_formats = format.into_iter().collect();
        NewerStays::new(vec![FieldPath(vec!["at".into()])], Notation { record_formats, ..Notation::default() })
    }

    #[test]
    fn a_row_is_older_by_the_value_of_its_cursor_whatever_its_column_has_become() {
        let slashes = || Some(CursorFormat::Strftime("%d/%m/%Y".to_owned()));
        for (format, row, stored, is_older) in [
            (None, json!("2024-01-01T00:00:00Z"), json!("2024-01-02T00:00:00Z"), true),
            (None, json!("2024-01-02T00:00:00+02:00"), json!("2024-01-01T22:00:00Z"), false),
            (None, json!("2024-01-02"), json!("2024-01-02T00:00:00"), false),
            (None, json!(9), json!(10), true),
            (None, json!(10), json!(9), false),
            (None, json!("2024-01-01"), json!(null), false),
            (None, json!(null), json!("2024-01-01"), false),
            (None, json!("2024-01-01"), json!(7), false),
            (slashes(), json!("02/01/2024"), json!("01/02/2024"), true),
            (slashes(), json!("02/01/2024"), json!("2024-02-01"), true),
            (slashes(), json!("02/02/2024"), json!("2024-02-01"), false),
            (Some(CursorFormat::EpochSeconds), json!(1_704_067_200), json!("2024-01-02T00:00:00Z"), true),
        ] {
            let guard = guard(format);
            let token = row.to_string();
            let cursor = CursorValue::parse_json(token.as_bytes(), &guard.notation).unwrap();
            let known = guard.cursor_of(std::slice::from_ref(&stored));
            assert_eq!(guard.is_older(cursor.as_ref(), known.as_ref()), is_older, "{row} {stored}");
        }
    }
}
