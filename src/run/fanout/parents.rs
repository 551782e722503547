//! Rows of the parents: first those of this run, as their pages arrive, then those of the warehouse, page by page.

use super::super::feed::{Line, ParentRow};
use super::super::warehouse::{KnownAfter, Warehouse};
use crate::error::Result;
use crate::load::RowId;
use crate::plan::model::{FieldPath, Parent, Resource};
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// Parents asked for from the warehouse at a time.
const PARENTS_PAGE: usize = 1000;

/// The same where most of them are expected to be left out again.
const CHANGED_PAGE: usize = 16_000;

/// Rows of this run on their way to a child.
pub(in crate::run) type Live = mpsc::Receiver<Vec<ParentRow>>;

/// Where a child's parents come from.
pub(in crate::run) struct Parents {
    pub(in crate::run) spec: Parent,
    /// Fields of the values of each parent's rows, in order.
    pub(in crate::run) fields: Vec<Vec<FieldPath>>,
    /// Those whose rows of earlier runs are parents too.
    pub(in crate::run) known: Vec<KnownParent>,
    /// Rows of this run; none when no parent is part of it.
    pub(in crate::run) live: Option<Live>,
    /// Whether rows of this run come by feeds. Otherwise they are taken from the warehouse with the others.
    pub(in crate::run) are_fed: bool,
    pub(in crate::run) came_through: CameThrough,
}

/// A parent whose rows are taken from the warehouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::run) struct KnownParent {
    /// Which of the parents.
    pub(in crate::run) number: usize,
    /// Whether it is the resource itself.
    pub(in crate::run) is_own: bool,
}

/// The parents that are part of a run, with whether each was loaded without a failure; known when it has ended.
#[derive(Debug, Clone, Default)]
pub(in crate::run) struct CameThrough(Vec<(String, Arc<AtomicBool>)>);

impl CameThrough {
    /// Those that were not, or not yet.
    pub(super) fn failed(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, flag)| !flag.load(Ordering::Acquire)).map(|(name, _)| name.as_str())
    }
}

/// Which resources of a run were loaded without a failure.
#[derive(Debug, Default)]
pub(in crate::run) struct Progress(HashMap<String, Arc<AtomicBool>>);

impl Progress {
    /// The resources of a run before it began.
    pub(in crate::run) fn new(running: &[&Resource]) -> Progress {
        Progress(running.iter().map(|r| (r.name.clone(), Arc::default())).collect())
    }

    /// The flag of a resource, which it sets.
    pub(in crate::run) fn flag(&self, resource: &str) -> Arc<AtomicBool> {
        self.0.get(resource).cloned().unwrap_or_default()
    }

    /// Those of a child's parents, but for itself.
    pub(super) fn of(&self, spec: &Parent, child: &str) -> CameThrough {
        let others = spec.resources.iter().filter(|name| *name != child);
        CameThrough(others.filter_map(|name| Some((name.clone(), self.0.get(name)?.clone()))).collect())
    }
}

/// The fields that a child needs of its parent of a number: those of its request, those it keeps, and the key that tells
/// which row it is.
pub(in crate::run) fn fields_of(spec: &Parent, number: usize, parent: Option<&Resource>) -> Vec<FieldPath> {
    let mut fields: Vec<FieldPath> = Vec::new();
    let key = parent.map(|p| p.primary_key.as_slice()).unwrap_or_default();
    let of_expressions =
        spec.fields.iter().chain(&spec.further_fields).filter_map(|f| Some(&f.places.get(number)?.field));
    let stored = spec.include.iter().filter_map(|column| column.fields.get(number));
    for field in of_expressions.chain(stored).chain(key) {
        if !fields.contains(field) {
            fields.push(field.clone());
        }
    }
    fields
}

/// A way through all rows of the parents.
pub(super) struct ParentPages {
    spec: Parent,
    fields: Vec<Vec<FieldPath>>,
    live: Option<Live>,
    are_fed: bool,
    /// Parents whose rows of the warehouse are still to come.
    known: VecDeque<usize>,
    warehouse: Warehouse,
    /// Only parents of later loads than this one are taken from the warehouse.
    since: Option<String>,
    after: Option<RowId>,
}

impl ParentPages {
    /// `anew`: the tables are made anew, so that the resource's own rows of earlier runs are none of it.
    pub(super) fn new(parents: Parents, since: Option<String>, anew: bool, warehouse: Warehouse) -> Self {
        let Parents { spec, fields, known, live, are_fed, .. } = parents;
        let known = known.iter().filter(|parent| !(parent.is_own && anew)).map(|parent| parent.number).collect();
        ParentPages { spec, fields, live, are_fed, known, warehouse, since, after: None }
    }

    /// The next rows; none when there are no more.
    ///
    /// # Errors
    /// The warehouse could not be read.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<ParentRow>>> {
        if let Some(live) = &mut self.live {
            match live.recv().await {
                Some(rows) => return Ok(Some(rows)),
                None => self.live = None,
            }
        }
        let Some(number) = self.known.front().copied() else { return Ok(None) };
        let (resource, fields) = (&self.spec.resources[number], self.fields[number].clone());
        let limit = if self.since.is_some() { CHANGED_PAGE } else { PARENTS_PAGE };
        let start = KnownAfter { since: self.since.clone(), with_this_load: !self.are_fed, after: self.after, limit };
        let known = self.warehouse.parents(resource, fields, start).await?;
        self.after = known.next;
        if known.next.is_none() {
            self.known.pop_front();
        }
        let row = |(values, of_this_load): (Vec<Value>, bool)| ParentRow {
            values,
            parent: number,
            from_warehouse: !of_this_load,
            line: Line::default(),
        };
        Ok(Some(known.rows.into_iter().map(row).collect()))
    }
}
