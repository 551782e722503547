//! Rows of the parent: first those of this run, as their pages arrive, then those of the warehouse, page by page.

use super::super::feed::{Live, ParentRow};
use super::super::warehouse::Warehouse;
use crate::error::Result;
use crate::load::RowId;
use crate::plan::model::{FieldPath, Parent, Resource};

/// Parents asked for from the warehouse at a time.
const PARENTS_PAGE: usize = 1000;

/// The same where most of them are expected to be left out again.
const CHANGED_PAGE: usize = 16_000;

/// Where a child's parents come from.
pub(in crate::run) struct Parents {
    pub(in crate::run) spec: Parent,
    /// Fields of a parent row's values, in order.
    pub(in crate::run) fields: Vec<FieldPath>,
    /// Rows of this run; none when the parent is not part of it.
    pub(in crate::run) live: Option<Live>,
}

/// The fields that a child needs of its parent: those of its request, those it keeps, and the key that tells which row it is.
pub(in crate::run) fn fields_of(spec: &Parent, parent: Option<&Resource>) -> Vec<FieldPath> {
    let mut fields: Vec<FieldPath> = Vec::new();
    let key = parent.map(|p| p.primary_key.as_slice()).unwrap_or_default();
    let of_expressions = spec.fields.iter().chain(&spec.further_fields).map(|f| &f.field);
    for field in of_expressions.chain(spec.include.iter().map(|(_, field)| field)).chain(key) {
        if !fields.contains(field) {
            fields.push(field.clone());
        }
    }
    fields
}

/// A way through all rows of the parent.
pub(super) struct ParentPages {
    parents: Parents,
    warehouse: Warehouse,
    /// Only parents of later loads than this one are taken from the warehouse.
    since: Option<String>,
    after: Option<RowId>,
    known_done: bool,
}

impl ParentPages {
    pub(super) fn new(parents: Parents, since: Option<String>, warehouse: Warehouse) -> Self {
        ParentPages { parents, warehouse, since, after: None, known_done: false }
    }

    /// The next rows; none when there are no more.
    ///
    /// # Errors
    /// The warehouse could not be read.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<ParentRow>>> {
        if let Some(live) = &mut self.parents.live {
            match live.rows.recv().await {
                Some(rows) => return Ok(Some(rows)),
                None => self.parents.live = None,
            }
        }
        if self.known_done {
            return Ok(None);
        }
        let (resource, fields) = (&self.parents.spec.resource, self.parents.fields.clone());
        let limit = if self.since.is_some() { CHANGED_PAGE } else { PARENTS_PAGE };
        let known = self.warehouse.parents(resource, fields, self.since.clone(), self.after, limit).await?;
        self.known_done = known.next.is_none();
        self.after = known.next;
        Ok(Some(known.rows.into_iter().map(|values| ParentRow { values, from_warehouse: true }).collect()))
    }
}
