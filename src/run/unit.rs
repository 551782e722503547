//! A unit of work: all pages of one request sequence, for a resource or for one parent of it.

use super::engine::Context;
use super::feed::{Feed, Line};
use super::progress::Tracker;
use super::rows::PageRows;
use super::unit_walk::UnitWalk;
use super::warehouse::Warehouse;
use crate::batch::decode::{DecodeSpec, Decoder};
use crate::error::Result;
use crate::extract::CursorValue;
use crate::extract::cursor::{Bounds, Covered, Position, Received, Slice};
use crate::extract::format::file::Files;
use crate::http::{Credentials, Http};
use crate::load::CursorRow;
use crate::plan::model::{Action, Incremental, Resource};
use crate::plan::template::Scope;
use crate::schema::catalog::Catalog;
use serde_json::Value;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

/// Memory of one unit's pages that are held back until it is complete, bytes of their bodies.
const HELD_BACK_BYTES: u64 = 32 << 20;

/// A resource with all that its units share.
pub(super) struct Task {
    pub(super) context: Arc<Context>,
    pub(super) resource: Arc<Resource>,
    /// Sends its requests.
    pub(super) http: Http,
    pub(super) credentials: Arc<Credentials>,
    pub(super) tracker: Arc<Tracker>,
    pub(super) decoders: Decoders,
    /// Where bodies go that are stored as files.
    pub(super) files: Option<Arc<Files>>,
    /// Whether rows are stored.
    pub(super) stored: bool,
    /// Children that this run has for it.
    pub(super) feeds: Vec<Feed>,
    /// Set when it was loaded without a failure.
    pub(super) came_through: Arc<AtomicBool>,
}

/// What one unit asks for.
#[derive(Clone)]
pub(super) struct Unit {
    /// Parent fields, variables, run.
    pub(super) scope: Scope,
    /// Columns from the parent and the partition.
    pub(super) parent_columns: Vec<(String, Value)>,
    /// Name of the partition; empty for the resource itself.
    pub(super) partition: String,
    /// What the last run left.
    pub(super) stored: Option<Position>,
    /// What the slices of this run have come to.
    pub(super) position: Option<Position>,
    /// The slice to walk; `None`: the first one.
    pub(super) slice: Option<Slice>,
    /// What of the past is loaded, if that is what it asks for.
    pub(super) covered: Option<Covered>,
    /// What is left of a slice that held too much, the next part last.
    pub(super) parts: Vec<Slice>,
    /// What the slice before it brought that may come again.
    pub(super) received: Received,
    /// Rows of the resource itself that led to it, if it is its own parent.
    pub(super) line: Line,
    /// Its place among the units of a fan-out, in the order in which they were begun.
    pub(super) rank: Option<u64>,
}

impl Unit {
    /// A unit before its first request.
    pub(super) fn new(
        scope: Scope,
        parent_columns: Vec<(String, Value)>,
        partition: String,
        stored: Option<Position>,
    ) -> Unit {
        let position = stored.clone();
        Unit {
            scope,
            parent_columns,
            partition,
            stored,
            position,
            slice: None,
            covered: None,
            parts: Vec::new(),
            received: Received::default(),
            line: Line::default(),
            rank: None,
        }
    }

    /// The unit where the last run left it.
    #[must_use]
    pub(super) fn starting_at(self, stored: Option<Position>) -> Unit {
        Unit { position: stored.clone(), stored, ..self }
    }
}

/// How a walk of a unit ended.
#[derive(Default)]
pub(super) struct UnitEnd {
    pub(super) reason: String,
    /// What its rows justify.
    pub(super) position: Option<Position>,
    /// The same as a row of the state, if it moved and the unit has a cursor of its own; of a past its progress.
    pub(super) cursors: Vec<CursorRow>,
    /// The slice that was walked.
    pub(super) slice: Option<Slice>,
    /// The newest value that came.
    pub(super) newest: Option<CursorValue>,
    pub(super) warnings: Vec<String>,
    /// The unit with the slice that follows.
    pub(super) next: Option<Box<Unit>>,
    /// The slice held too much, and its halves follow.
    pub(super) was_split: bool,
}

/// Where a unit's pages go.
pub(super) enum Sink {
    /// To the warehouse as they come: what a failed unit leaves does no harm, or is rolled back.
    Direct(Warehouse),
    /// Held back until the unit is complete, because rows of a half-read unit must not be committed.
    HeldBack {
        warehouse: Warehouse,
        pages: Vec<PageRows>,
        bytes: u64,
        /// There were too many to hold back; the unit has rows in the open load.
        spilled: bool,
    },
    /// Nowhere: they are looked at.
    Kept(Vec<PageRows>),
}

impl Sink {
    /// The sink for a unit of a fan-out.
    pub(super) fn for_partition(resource: &Resource, warehouse: Warehouse) -> Sink {
        Sink::new(resource.parts().of_parent_wait || must_be_droppable(resource), warehouse)
    }

    /// The sink for a slice of a resource without a parent.
    pub(super) fn for_slice(resource: &Resource, warehouse: Warehouse) -> Sink {
        Sink::new(must_be_droppable(resource), warehouse)
    }

    fn new(holds_back: bool, warehouse: Warehouse) -> Sink {
        if holds_back {
            Sink::HeldBack { warehouse, pages: Vec::new(), bytes: 0, spilled: false }
        } else {
            Sink::Direct(warehouse)
        }
    }

    /// Whether pages wait for the end of their walk.
    pub(super) fn holds_back(&self) -> bool {
        matches!(self, Sink::HeldBack { .. })
    }

    /// Makes ready for a walk that begins again: what is held back is dropped. Returns its records; `None` if some rows are in
    /// the open load and would be there twice.
    pub(super) fn begin_again(&mut self, resource: &Resource) -> Option<u64> {
        let dropped = self.held_back_records() + self.kept_records();
        if let Sink::Kept(pages) = self {
            pages.clear();
            return Some(dropped);
        }
        let is_in_load = !self.holds_back() || self.has_spilled();
        if is_in_load && !resource.has_ids_from_key() {
            return None;
        }
        if let Sink::HeldBack { pages, bytes, .. } = self {
            pages.clear();
            *bytes = 0;
        }
        Some(dropped)
    }

    /// Records that are held back.
    pub(super) fn held_back_records(&self) -> u64 {
        match self {
            Sink::Direct(_) | Sink::Kept(_) => 0,
            Sink::HeldBack { pages, .. } => pages.iter().map(PageRows::record_count).sum(),
        }
    }

    /// Records that are there to be looked at.
    pub(super) fn kept_records(&self) -> u64 {
        match self {
            Sink::Direct(_) | Sink::HeldBack { .. } => 0,
            Sink::Kept(pages) => pages.iter().map(PageRows::record_count).sum(),
        }
    }

    /// Whether a failed unit has rows in the open load that must not be committed.
    pub(super) fn has_spilled(&self) -> bool {
        matches!(self, Sink::HeldBack { spilled: true, .. })
    }

    pub(super) async fn push(&mut self, resource: &str, page: PageRows, page_bytes: u64) -> Result<()> {
        match self {
            Sink::Direct(warehouse) => warehouse.push(resource, page).await,
            Sink::HeldBack { pages, bytes, .. } => {
                pages.push(page);
                *bytes += page_bytes;
                if *bytes > HELD_BACK_BYTES {
                    self.release(resource).await?;
                }
                Ok(())
            }
            Sink::Kept(pages) => {
                pages.push(page);
                Ok(())
            }
        }
    }

    /// Sends what was held back.
    pub(super) async fn release(&mut self, resource: &str) -> Result<()> {
        if let Sink::HeldBack { warehouse, pages, bytes, spilled } = self {
            *spilled |= !pages.is_empty();
            *bytes = 0;
            for page in pages.drain(..) {
                warehouse.push(resource, page).await?;
            }
        }
        Ok(())
    }
}

/// Whether the rows of a walk may have to be dropped, because it begins again: rows that come again take the place of the
/// earlier ones only where a key tells that they are the same.
fn must_be_droppable(resource: &Resource) -> bool {
    let restarts = resource.response_actions.iter().any(|entry| entry.action == Action::Restart);
    restarts && !resource.has_ids_from_key()
}

/// Decoders of a resource, one for each page that is decoded at the same time. Each learns for itself.
pub(super) struct Decoders {
    spec: DecodeSpec,
    catalog: Catalog,
    idle: Mutex<Vec<Decoder>>,
}

impl Decoders {
    pub(super) fn new(spec: DecodeSpec, catalog: Catalog) -> Self {
        Decoders { spec, catalog, idle: Mutex::new(Vec::new()) }
    }

    pub(super) fn take(&self) -> Decoder {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| Decoder::new(self.spec.clone(), &self.catalog))
    }

    pub(super) fn give_back(&self, decoder: Decoder) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(decoder);
    }
}

impl Task {
    /// Walks all pages of a unit's slice into the sink.
    ///
    /// # Errors
    /// As [`UnitWalk::page`]. Pages before that are in the sink.
    pub(super) async fn walk(self: &Arc<Self>, unit: &Arc<Unit>, sink: &mut Sink) -> Result<UnitEnd> {
        let Some(mut walk) = UnitWalk::begin(self, unit.clone())? else { return Ok(UnitEnd::nothing_to_ask()) };
        while walk.page(sink).await? {}
        walk.end()
    }

    /// The cursor of the resource, with the bounds that the file gives to it in this run.
    pub(super) fn cursor(&self) -> Option<(&Incremental, &Bounds)> {
        self.resource.incremental.as_ref().zip(self.context.bounds.get(&self.resource.name))
    }

    /// The row of the state that says how far a partition has come.
    pub(super) fn cursor_row(&self, partition: &str, position: &Position) -> CursorRow {
        CursorRow { resource: self.resource.name.clone(), partition: partition.to_owned(), value: position.to_state() }
    }
}

impl UnitEnd {
    /// The range is complete, or lies in the future.
    pub(super) fn nothing_to_ask() -> UnitEnd {
        UnitEnd { reason: "nothing to ask for".to_owned(), ..UnitEnd::default() }
    }
}
