//! A unit of work: all pages of one request sequence, for a resource or for one parent of it.

use super::engine::Context;
use super::feed::Feed;
use super::progress::Tracker;
use super::warehouse::Warehouse;
use super::writer::PageRows;
use crate::batch::Decoded;
use crate::batch::decode::{DecodeSpec, Decoder};
use crate::error::{Error, Kind, Result};
use crate::extract::{CursorValue, Page, Walk, WalkSpec, cursor, request};
use crate::http::Credentials;
use crate::load::CursorRow;
use crate::plan::model::{Incremental, Resource, WriteDisposition};
use crate::plan::template::Scope;
use crate::schema::catalog::Catalog;
use serde_json::Value;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

/// Memory of one unit's pages that are held back until it is complete, bytes of their bodies.
const HELD_BACK_BYTES: u64 = 32 << 20;

/// A resource with all that its units share.
pub(super) struct Task {
    pub(super) context: Arc<Context>,
    pub(super) resource: Arc<Resource>,
    pub(super) credentials: Arc<Credentials>,
    pub(super) tracker: Arc<Tracker>,
    pub(super) decoders: Decoders,
    /// Whether rows are stored.
    pub(super) stored: bool,
    /// Children that this run has for it.
    pub(super) feeds: Vec<Feed>,
}

/// What one unit asks for.
pub(super) struct Unit {
    /// Parent fields, variables, run.
    pub(super) scope: Scope,
    /// Columns from the parent and the partition.
    pub(super) parent_columns: Vec<(String, Value)>,
    /// Name of the partition; empty for the resource itself.
    pub(super) partition: String,
    /// The cursor that the last run left.
    pub(super) cursor: Option<CursorValue>,
}

/// How a unit ended.
#[derive(Debug, Default)]
pub(super) struct UnitEnd {
    pub(super) reason: String,
    /// The cursor that its rows justify, if it moved.
    pub(super) cursor: Option<CursorRow>,
    /// The same, as people read it.
    pub(super) cursor_text: Option<String>,
    pub(super) warnings: Vec<String>,
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
}

impl Sink {
    /// The sink for a unit of a fan-out.
    pub(super) fn for_partition(write: WriteDisposition, warehouse: Warehouse) -> Sink {
        match write {
            WriteDisposition::Append => Sink::HeldBack { warehouse, pages: Vec::new(), bytes: 0, spilled: false },
            WriteDisposition::Replace | WriteDisposition::Merge => Sink::Direct(warehouse),
        }
    }

    /// Whether a failed unit has rows in the open load that must not be committed.
    pub(super) fn has_spilled(&self) -> bool {
        matches!(self, Sink::HeldBack { spilled: true, .. })
    }

    async fn push(&mut self, resource: &str, page: PageRows, page_bytes: u64) -> Result<()> {
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

    fn take(&self) -> Decoder {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| Decoder::new(self.spec.clone(), &self.catalog))
    }

    fn give_back(&self, decoder: Decoder) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(decoder);
    }
}

impl Task {
    /// Walks all pages of a unit into the sink.
    ///
    /// # Errors
    /// A request failed, a body or a record is not what it should be, paging can't go on, or the run was asked to end
    /// (`Kind::Interrupted`). Pages before that are in the sink.
    pub(super) async fn walk(self: &Arc<Self>, unit: &Unit, sink: &mut Sink) -> Result<UnitEnd> {
        let incremental = self.resource.incremental.as_ref();
        let mut scope = unit.scope.clone();
        if let Some(incremental) = incremental {
            scope.cursor_start = cursor::start_text(incremental, unit.cursor.as_ref())?;
        }
        let mut columns = unit.parent_columns.clone();
        columns.extend(request::columns(&self.resource.add_columns, &scope)?);
        let mut walk = Walk::new(WalkSpec {
            resource: self.resource.clone(),
            client: self.context.client.clone(),
            scope,
            http: self.context.http.clone(),
            credentials: self.credentials.clone(),
            meter: self.tracker.meter.clone(),
        });
        let mut newest = unit.cursor.clone();
        while let Some(page) = walk.next_page().await? {
            let decoded = match self.decode(&page, &columns).await {
                Ok(decoded) => decoded,
                Err(error) if error.kind() == Kind::Body => {
                    walk.ask_again(page.source.explain(error)).await?;
                    continue;
                }
                Err(error) => return Err(page.source.explain(error).with("resource", &self.resource.name)),
            };
            self.take_in(&page, decoded, unit, &mut newest, &mut walk, sink).await?;
            if walk.end().is_none() && self.context.stop.requested().is_some() {
                return Err(Error::new(Kind::Interrupted, "the run was asked to end"));
            }
        }
        if let Some(selector) = walk.chosen_selector() {
            tracing::debug!(resource = %self.resource.name, %selector, "records found by themselves");
        }
        let moved = newest.filter(|newest| unit.cursor.as_ref() != Some(newest));
        Ok(UnitEnd {
            reason: walk.end().map(ToString::to_string).unwrap_or_default(),
            cursor_text: moved.as_ref().map(ToString::to_string),
            cursor: moved.map(|newest| CursorRow {
                resource: self.resource.name.clone(),
                partition: unit.partition.clone(),
                value: newest.to_state(),
            }),
            warnings: walk.warnings().iter().map(ToString::to_string).collect(),
        })
    }

    /// A decoded page: counted, its cursors looked at, sent to the children and to the sink.
    async fn take_in(
        &self,
        page: &Page,
        decoded: Decoded,
        unit: &Unit,
        newest: &mut Option<CursorValue>,
        walk: &mut Walk,
        sink: &mut Sink,
    ) -> Result<()> {
        self.tracker.pages.fetch_add(1, Ordering::Relaxed);
        self.tracker.records.fetch_add(decoded.record_count, Ordering::Relaxed);
        let mut suspects = Vec::new();
        if let Some(incremental) = &self.resource.incremental {
            let explain = |error: Error| page.source.explain(error).with("resource", &self.resource.name);
            self.note_cursors(incremental, page, &decoded, newest).map_err(explain)?;
            suspects = self.suspects(page, &decoded, unit).map_err(explain)?;
        }
        let record_count = decoded.record_count;
        self.tracker.discard(&decoded.discarded);
        if let Some(root) = decoded.chunks.first().filter(|c| c.table.is_empty()) {
            for feed in &self.feeds {
                feed.send(root).await;
            }
        }
        if self.stored {
            let rows = PageRows { chunks: decoded.chunks, suspects };
            sink.push(&self.resource.name, rows, page.body_bytes).await?;
        }
        walk.accept(record_count)
    }

    async fn decode(self: &Arc<Self>, page: &Page, parent_columns: &[(String, Value)]) -> Result<Decoded> {
        let (task, records, parent) = (self.clone(), page.records.clone(), parent_columns.to_vec());
        let decoded = tokio::task::spawn_blocking(move || {
            let mut decoder = task.decoders.take();
            let decoded = decoder.decode(&records, &parent);
            task.decoders.give_back(decoder);
            decoded
        });
        decoded.await.map_err(|e| Error::new(Kind::Internal, "the decoder ended without an answer").source(e))?
    }

    /// Moves the newest cursor over a page's.
    fn note_cursors(
        &self,
        incremental: &Incremental,
        page: &Page,
        decoded: &Decoded,
        newest: &mut Option<CursorValue>,
    ) -> Result<()> {
        let tokens = decoded.cursors.iter().map(|t| t.as_ref().map(|t| &page.records[t.part][t.range.clone()]));
        let extent = cursor::max_of(tokens)?;
        if extent.missing_count > 0 {
            self.tracker.cursor_missing.fetch_add(extent.missing_count, Ordering::Relaxed);
        }
        if let Some(max) = extent.max {
            *newest = Some(match newest.take() {
                Some(before) => before.max(max).map_err(|e| {
                    let paths = incremental.cursor_paths.iter().map(ToString::to_string).collect::<Vec<_>>();
                    e.with("cursor_path", paths.join(", "))
                })?,
                None => max,
            });
        }
        Ok(())
    }

    /// Which records an earlier load may have stored already: an append leaves those out that it did, unchanged. Only what
    /// is not newer than the stored cursor can be there.
    fn suspects(&self, page: &Page, decoded: &Decoded, unit: &Unit) -> Result<Vec<bool>> {
        let (WriteDisposition::Append, Some(stored)) = (self.resource.write, &unit.cursor) else {
            return Ok(Vec::new());
        };
        let is_suspect = |token: &Option<crate::batch::CursorToken>| -> Result<bool> {
            let Some(token) = token else { return Ok(true) };
            match CursorValue::parse_json(&page.records[token.part][token.range.clone()])? {
                Some(value) => Ok(value.compare(stored)?.is_le()),
                None => Ok(true),
            }
        };
        decoded.cursors.iter().map(is_suspect).collect()
    }
}
