//! One slice of a unit: its pages fetched, decoded, held against the cursor and sent on.

use super::backfill;
use super::feed::Feed;
use super::filter::{filtered, is_filtered};
use super::first_request::{entry_link, show_slice, slice_of};
use super::rows::{PageRows, leave_out};
use super::stages::Stage;
use super::unit::{Sink, Task, Unit, UnitEnd};
use crate::batch::Decoded;
use crate::batch::decode::{FILTERED, IsFiltered, REPEATED_KEY};
use crate::error::{Error, Kind, Result};
use crate::extract::cursor::{self, Go, Identity, Known, PageView, Position, Slice, Slices, Track, Verdict};
use crate::extract::{CursorValue, EndReason, Page, Walk, WalkSpec, request};
use crate::http;
use crate::plan::model::{Action, Incremental, WriteDisposition};
use crate::plan::template::Scope;
use crate::words::counted;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The rule by which a record is left out that a page shares with the one before it.
const OVERLAP: &str = "overlap";

/// The rule by which records are left out that came before their walk began again.
const RESTARTED: &str = "restarted";

/// How often a walk begins again at most.
const RESTARTS_MAX: u32 = 3;

/// Pages up to this size, bytes, are decoded where they came in: to hand them to another thread and back takes longer.
const DECODED_IN_PLACE_BYTES: usize = 16 << 10;

/// The records of a page.
struct PageRecords {
    decoded: Decoded,
    /// Those for which the filter of the resource is not true.
    filtered: Vec<usize>,
}

/// A walk of a unit in progress.
pub(super) struct UnitWalk<'a> {
    task: &'a Arc<Task>,
    unit: Arc<Unit>,
    walk: Walk,
    /// Columns that the request brings to every row.
    columns: Vec<(String, Value)>,
    /// What the filter of the resource sees beside a record; none: it has no filter.
    filter_scope: Option<Arc<Scope>>,
    track: Option<Track<'a>>,
    /// How often it has begun again.
    restart_count: u32,
    /// The answer that ended the walk, because the slice holds too much.
    too_much: Option<Error>,
}

impl<'a> UnitWalk<'a> {
    /// A walk before its first request; `None` when the range of the unit is complete or lies in the future.
    ///
    /// # Errors
    /// The values of the file and the stored cursor don't go together.
    pub(super) fn begin(task: &'a Arc<Task>, unit: Arc<Unit>) -> Result<Option<UnitWalk<'a>>> {
        let walk = UnitWalk::open(task, unit)?;
        let slice = walk.as_ref().and_then(|walk| walk.track.as_ref()).map(Track::slice);
        if let Some((slice, from)) = slice.and_then(|slice| Some((slice, slice.moved_up_from()?))) {
            task.tracker.note_moved_start(from.text(), &slice.start_text());
        }
        Ok(walk)
    }

    fn open(task: &'a Arc<Task>, unit: Arc<Unit>) -> Result<Option<UnitWalk<'a>>> {
        let (context, resource) = (&task.context, &task.resource);
        let mut scope = unit.scope.clone();
        let mut track = None;
        if let Some((incremental, bounds)) = task.cursor() {
            let slices = Slices::new(incremental, bounds).but(unit.covered.as_ref());
            let Some(slice) = slice_of(resource, &unit, &slices)? else { return Ok(None) };
            show_slice(&mut scope, &slice, incremental)?;
            let known = Known {
                stored: unit.stored.clone(),
                compares_all: unit.covered.is_some(),
                wants_values: unit.covered.is_some() && backfill::has_older_rows(resource),
                before: unit.position.clone(),
                received: unit.received.clone(),
                appends: resource.write == WriteDisposition::Append,
                may_split: resource.response_actions.iter().any(|entry| entry.action == Action::Split),
            };
            track = Some(Track::new(incremental, slice, known)?);
        }
        let mut columns = unit.parent_columns.clone();
        columns.extend(request::columns(&resource.add_columns, &scope)?);
        let filter_scope = resource.filter.is_some().then(|| Arc::new(scope.clone()));
        let mut walk = Walk::new(WalkSpec {
            resource: resource.clone(),
            client: context.client.clone(),
            scope,
            http: task.http.clone(),
            credentials: task.credentials.clone(),
            meter: task.tracker.meter.clone(),
            files: task.files.clone(),
        });
        if unit.stored.as_ref().is_some_and(|stored| stored.value.is_some()) {
            task.tracker.resumed.store(true, Ordering::Relaxed);
        }
        if let Some(link) = entry_link(&context.client, resource, &unit)? {
            walk.begin_at(link);
        }
        Ok(Some(UnitWalk { task, unit, walk, columns, filter_scope, track, restart_count: 0, too_much: None }))
    }

    /// Walks one page into the sink; whether there may be another.
    ///
    /// # Errors
    /// A request failed, a body or a record is not what it should be, paging can't go on, or the run was asked to end
    /// (`Kind::Interrupted`). Pages before that are in the sink.
    pub(super) async fn page(&mut self, sink: &mut Sink) -> Result<bool> {
        let asked_at = Instant::now();
        let page = self.walk.next_page().await;
        let took = asked_at.elapsed();
        self.task.tracker.stages.add(Stage::Waiting, took);
        let page = match page {
            Ok(Some(page)) => page,
            Ok(None) => return Ok(false),
            Err(error) if self.walk.asks_for_restart() => {
                self.begin_again(error, sink).await?;
                return Ok(true);
            }
            Err(error) if http::is_too_much(&error) => {
                self.too_much = Some(error);
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let decoded = match self.decode(&page).await {
            Ok(decoded) => decoded,
            Err(error) if error.kind() == Kind::Body => {
                self.walk.ask_again(page.source.explain(error)).await?;
                return Ok(true);
            }
            Err(error) => return Err(self.explain(&page, error)),
        };
        self.take_in(&page, decoded, took, sink).await?;
        if self.walk.end().is_none() && self.task.context.stop.requested().is_some() {
            return Err(Error::new(Kind::Interrupted, "the run was asked to end"));
        }
        Ok(true)
    }

    /// Begins again at the first page of the slice, as an answer asks for. What the walk brought is dropped, or is in the
    /// open load under keys by which it is recognised.
    async fn begin_again(&mut self, error: Error, sink: &mut Sink) -> Result<()> {
        let (task, restart_count) = (self.task, self.restart_count + 1);
        if restart_count > RESTARTS_MAX {
            let hint = "the list can't be read in one go; ask for less at a time, or try again later";
            return Err(error.with("begun again", counted(u64::from(RESTARTS_MAX), "time")).hint(hint));
        }
        let Some(dropped) = sink.begin_again(&task.resource) else {
            let hint = "with a `primary_key` and `merge` rows that come again are recognised, however many there are";
            return Err(error
                .with("not possible", "too much was loaded since the first page to be dropped")
                .hint(hint));
        };
        if dropped > 0 {
            task.tracker.discard(&BTreeMap::from([(RESTARTED, dropped)]));
        }
        tracing::warn!(resource = %task.resource.name, %error, restart_count, "reading the list again from its first page");
        // Whether the request itself may be tried again is of no matter here.
        task.http.back_off(restart_count, &task.tracker.meter).await?;
        let Some(fresh) = UnitWalk::open(task, self.unit.clone())? else {
            return Err(Error::new(Kind::Internal, "a slice that was begun is complete"));
        };
        *self = UnitWalk { restart_count, ..fresh };
        Ok(())
    }

    /// The walk itself, to be looked at.
    pub(super) fn walk(&self) -> &Walk {
        &self.walk
    }

    /// What the walk has come to, once there are no more pages.
    ///
    /// # Errors
    /// The values of the cursor can't be compared, or an answer says that the slice holds too much and it can't be halved.
    pub(super) fn end(self) -> Result<UnitEnd> {
        if self.too_much.is_some() {
            return self.split();
        }
        if let Some(selector) = self.walk.chosen_selector() {
            tracing::debug!(resource = %self.task.resource.name, %selector, "records found by themselves");
        }
        let mut end = UnitEnd {
            reason: self.walk.end().map(ToString::to_string).unwrap_or_default(),
            warnings: self.walk.warnings().iter().map(ToString::to_string).collect(),
            ..UnitEnd::default()
        };
        let (Some(track), Some((incremental, bounds))) = (self.track, self.task.cursor()) else { return Ok(end) };
        self.task.tracker.windows.fetch_add(1, Ordering::Relaxed);
        let mut next = self.unit.after(self.task, &track, &mut end)?;
        let slice = match next.parts.pop() {
            Some(part) => Some(part),
            None => Slices::new(incremental, bounds).but(next.covered.as_ref()).after(track.slice(), track.newest())?,
        };
        end.slice = Some(track.slice().clone());
        end.newest = track.newest().cloned();
        if let Some(slice) = slice {
            let mut received = track.into_received();
            if self.unit.parts.is_empty() {
                received.end_split();
            }
            end.next = Some(Box::new(Unit { slice: Some(slice), received, ..next }));
        }
        Ok(end)
    }

    /// Goes on with the halves of a slice that holds too much. What came of it is kept, and recognised when it comes again.
    fn split(self) -> Result<UnitEnd> {
        let UnitWalk { task, unit, track, too_much, .. } = self;
        let (Some(error), Some(track), Some((incremental, _))) = (too_much, track, task.cursor()) else {
            return Err(Error::new(Kind::Internal, "a walk was split that has no window"));
        };
        let Some([first, second]) = track.slice().halves(incremental)? else {
            let shown = |bound: Option<Value>| bound.map_or("-".to_owned(), |bound| bound.to_string());
            return Err(error
                .with("start", shown(track.slice().start_in_request(incremental)?))
                .with("end", shown(track.slice().end_in_request(incremental)?))
                .hint(
                    "the window can't be halved any more: it is one unit of `format`; can the request ask for less?",
                ));
        };
        tracing::info!(resource = %task.resource.name, start = first.start_text(), middle = second.start_text(),
            end = second.end_text(), "the window holds too much; its halves are asked for");
        let mut end = UnitEnd { was_split: true, slice: Some(track.slice().clone()), ..UnitEnd::default() };
        let mut next = unit.after_split(task, &track, &mut end)?;
        next.parts.push(second);
        end.newest = track.newest().cloned();
        let (received, slice) = (track.into_received_of_split(), Some(first));
        end.next = Some(Box::new(Unit { slice, received, ..next }));
        Ok(end)
    }

    /// The slice that is walked.
    pub(super) fn slice(&self) -> Option<&Slice> {
        self.track.as_ref().map(Track::slice)
    }

    /// What may be committed while the walk goes on; `None` when only its end justifies a cursor.
    ///
    /// # Errors
    /// The values of the cursor can't be compared.
    pub(super) fn so_far(&self) -> Result<Option<Position>> {
        self.track.as_ref().filter(|track| track.may_commit_midway()).map(Track::so_far).transpose()
    }

    /// What may be committed after an error in an ascending walk. If that is about the order, the rows may stay, and the cursor
    /// goes back to where the slice began: what was taken for complete is not.
    ///
    /// # Errors
    /// The values of the cursor can't be compared.
    pub(super) fn after(&self, error: &Error) -> Result<Option<Position>> {
        match self.track.as_ref().filter(|track| track.may_commit_midway()) {
            Some(track) if cursor::is_out_of_order(error) => track.held().map(Some),
            Some(track) => track.so_far().map(Some),
            None => Ok(None),
        }
    }

    /// A decoded page: counted, held against the cursor, sent to the children and to the sink.
    async fn take_in(&mut self, page: &Page, decoded: PageRecords, took: Duration, sink: &mut Sink) -> Result<()> {
        let PageRecords { decoded, filtered } = decoded;
        self.note_walked(page, &decoded)?;
        let tracker = &self.task.tracker;
        let record_count = decoded.record_count;
        tracker.discard(&decoded.discarded);
        tracker.keep_out(&decoded.kept_out);
        let mut verdict = self.hold_against_cursor(page, &decoded, took).map_err(|error| self.explain(page, error))?;
        let values = verdict.as_mut().map(|verdict| std::mem::take(&mut verdict.values)).unwrap_or_default();
        let go = verdict.as_ref().map_or(Go::On, |verdict| verdict.go);
        let rows = self.rows(decoded, verdict, values, &filtered)?;
        if let Some(root) = rows.chunks.first().filter(|chunk| chunk.table.is_empty()) {
            self.refuse_too_deep(root.row_count).map_err(|error| self.explain(page, error))?;
            for feed in &self.task.feeds {
                feed.send(root, &self.unit.line).await;
            }
        }
        if self.task.stored {
            sink.push(&self.task.resource.name, rows, page.body_bytes).await?;
        }
        match go {
            Go::On => self.go_on(record_count),
            Go::Stop => {
                self.walk.finish(EndReason::CursorBound);
                Ok(())
            }
        }
    }

    /// Ends a way down that does not come to its end by itself.
    fn refuse_too_deep(&self, row_count: usize) -> Result<()> {
        let is_own_parent = self.task.feeds.iter().any(Feed::is_own);
        let limit = self.task.resource.parent.as_ref().map_or(0, |parent| parent.max_depth);
        if !is_own_parent || row_count == 0 || self.unit.line.depth() <= limit {
            return Ok(());
        }
        Err(Error::new(Kind::Data, "rows are further down than `max_depth`")
            .with("max_depth", limit)
            .hint("raise `max_depth`; or does the API show rows below themselves, under new names each time?"))
    }

    /// Counts a page and its records, with those that the page shares with the one before it and those whose key came before.
    fn note_walked(&mut self, page: &Page, decoded: &Decoded) -> Result<()> {
        let tracker = &self.task.tracker;
        tracker.pages.fetch_add(1, Ordering::Relaxed);
        tracker.records.fetch_add(decoded.record_count + page.overlapping, Ordering::Relaxed);
        tracker.moved.fetch_add(page.moved, Ordering::Relaxed);
        if page.overlapping > 0 {
            tracker.discard(&BTreeMap::from([(OVERLAP, page.overlapping)]));
        }
        if let Some(root) = decoded.chunks.first().filter(|chunk| chunk.table.is_empty()) {
            let repeated_within = decoded.discarded.get(REPEATED_KEY).copied().unwrap_or(0);
            let repeated = self.walk.note_keys(&root.ids, repeated_within)?;
            tracker.repeated.fetch_add(repeated, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Has the walk decide what is next, unless that is a request with another start.
    fn go_on(&mut self, record_count: u64) -> Result<()> {
        self.walk.accept(record_count)?;
        // Of one list only: that of a window or of a parent is a part of what there is.
        let is_whole = self.unit.partition.is_empty()
            && self.task.resource.incremental.as_ref().is_none_or(|i| i.window.is_none());
        if let Some(announced) = self.walk.announced().filter(|_| is_whole) {
            self.task.tracker.announced.store(announced, Ordering::Relaxed);
        }
        let end = self.walk.end().cloned();
        match self.track.as_mut().map(|track| track.restart(end.as_ref())).transpose()?.flatten() {
            Some(start) => self.walk.restart(Some(start)),
            None => Ok(()),
        }
    }

    fn hold_against_cursor(&mut self, page: &Page, decoded: &Decoded, took: Duration) -> Result<Option<Verdict>> {
        let Some(track) = &mut self.track else { return Ok(None) };
        if let Some((envelope, headers)) = self.walk.answer() {
            track.answer(page.number, envelope, headers, took)?;
        }
        let token =
            |token: &Option<crate::batch::CursorToken>| token.as_ref().map(|t| &page.records[t.part][t.range.clone()]);
        let view = PageView {
            number: page.number,
            tokens: decoded.cursors.iter().map(token).collect(),
            identities: if track.needs_identities() { identities(decoded) } else { Vec::new() },
        };
        let verdict = track.page(&view)?;
        self.task.tracker.cursor_missing.fetch_add(verdict.missing_count, Ordering::Relaxed);
        Ok(Some(verdict))
    }

    /// The page's rows, without those that the verdict or the filter leaves out.
    fn rows(
        &self,
        decoded: Decoded,
        verdict: Option<Verdict>,
        values: Vec<Option<CursorValue>>,
        filtered: &[usize],
    ) -> Result<PageRows> {
        let Decoded { chunks, kept_out, .. } = decoded;
        let rank = self.unit.rank;
        if verdict.is_none() && filtered.is_empty() {
            return Ok(PageRows { chunks, suspects: Vec::new(), cursors: Vec::new(), kept_out, rank });
        }
        let (suspect_records, left_out_records) =
            verdict.map(|verdict| (verdict.suspects, verdict.left_out)).unwrap_or_default();
        let place = decoded.rows;
        let is_suspect = |record: usize| suspect_records.get(record).copied().unwrap_or(false);
        let suspects = if suspect_records.is_empty() {
            Vec::new()
        } else {
            place.iter().enumerate().filter(|(_, row)| row.is_some()).map(|(record, _)| is_suspect(record)).collect()
        };
        let with_row = values.into_iter().zip(&place).filter(|(_, row)| row.is_some());
        let cursors = with_row.map(|(value, _)| value).collect();
        let mut rows = PageRows { chunks, suspects, cursors, kept_out, rank };
        let mut left_out: BTreeMap<usize, &'static str> = BTreeMap::new();
        let by_cursor = left_out_records.iter().map(|(rule, records)| (*rule, records.as_slice()));
        for (rule, records) in by_cursor.chain([(FILTERED, filtered)]) {
            for row in records.iter().filter_map(|record| place.get(*record).copied().flatten()) {
                left_out.entry(row).or_insert(rule);
            }
        }
        let mut counts = BTreeMap::new();
        for rule in left_out.values() {
            *counts.entry(*rule).or_default() += 1;
        }
        leave_out(&mut rows, &left_out.into_keys().collect(), "", &mut BTreeMap::new())?;
        self.task.tracker.discard(&counts);
        Ok(rows)
    }

    async fn decode(&self, page: &Page) -> Result<PageRecords> {
        let filter_scope = self.filter_scope.clone();
        let (task, records, parent) = (self.task.clone(), page.records.clone(), self.columns.clone());
        let is_small = records.iter().map(|part| part.len()).sum::<usize>() <= DECODED_IN_PLACE_BYTES;
        let decode = move || -> Result<PageRecords> {
            let filter = task.resource.filter.as_ref().zip(filter_scope.as_deref());
            let leaves_out = filter.map(|(filter, scope)| move |record: &[u8]| is_filtered(filter, scope, record));
            let mut decoder = task.decoders.take();
            let is_filtered = leaves_out.as_ref().map(|f| f as IsFiltered<'_>);
            let decoded =
                task.tracker.stages.time(Stage::Decoding, || decoder.decode_but(&records, &parent, is_filtered));
            task.decoders.give_back(decoder);
            let decoded = decoded?;
            let filtered = match filter {
                Some((filter, scope)) => filtered(filter, scope, &records, &decoded.skipped)?,
                None => Vec::new(),
            };
            Ok(PageRecords { decoded, filtered })
        };
        if is_small {
            return decode();
        }
        tokio::task::spawn_blocking(decode)
            .await
            .map_err(|e| Error::new(Kind::Internal, "the decoder ended without an answer").source(e))?
    }

    fn explain(&self, page: &Page, error: Error) -> Error {
        let error = match self.task.resource.incremental.as_ref().map(Incremental::record_paths) {
            Some(paths @ [_, ..]) if error.context("one").is_some() => {
                error.with("cursor_path", paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
            }
            _ => error,
        };
        page.source.explain(error).with("resource", &self.task.resource.name)
    }
}

/// What tells the records of a page apart.
fn identities(decoded: &Decoded) -> Vec<Option<Identity>> {
    let ids =
        decoded.chunks.first().filter(|chunk| chunk.table.is_empty()).map(|chunk| super::rows::ids_of(&chunk.ids));
    let ids = ids.unwrap_or_default();
    let identity = |(record, row): (usize, &Option<usize>)| {
        let id = row.and_then(|row| ids.get(row).copied())?;
        Some((id, decoded.contents.get(record).copied().unwrap_or_default()))
    };
    decoded.rows.iter().enumerate().map(identity).collect()
}
