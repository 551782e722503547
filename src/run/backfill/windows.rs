//! The past of a resource without a parent, window by window. Each is committed when it is done, with the progress. Where rows
//! have keys, several are walked at a time: in which order they come does not matter then.

use super::Past;
use crate::error::{Error, Kind, Result};
use crate::extract::CursorValue;
use crate::extract::cursor::{Covered, Position, Received, Slice, Slices, is_out_of_order};
use crate::load::CursorRow;
use crate::plan::model::Incremental;
use crate::run::fanout::CHECKPOINT_INTERVAL;
use crate::run::resource::{Outcome, checkpoint};
use crate::run::root::{EMPTY_SLICES_INTERVAL, keeps_partial};
use crate::run::unit::{Sink, Task, Unit, UnitEnd};
use crate::run::unit_walk::UnitWalk;
use crate::words::counted;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Records after which a window's rows are committed before its end, where they may be: what is known of them is in memory.
const CHECKPOINT_RECORDS: u64 = 100_000;

/// Windows that are counted ahead, for the display and the report.
const COUNTED_MAX: usize = 100_000;

/// The state of the resource.
struct Windows<'a> {
    task: &'a Arc<Task>,
    past: &'a Past,
    /// What was loaded when this run began: the windows are those around it.
    before: Covered,
    covered: Covered,
    committed: Covered,
    /// The cursor, with what is noted beside it.
    cursor: Option<Position>,
    cursor_committed: Option<Position>,
    /// The last window that was begun.
    last: Option<Slice>,
    /// How far windows have come that are under way, by their number: from where, to where.
    under_way: HashMap<u64, (CursorValue, CursorValue)>,
    begun_count: u64,
    done_count: u64,
    /// What the window before brought that may come again, where they are walked in their order.
    received: Received,
    newest: Option<CursorValue>,
    warnings: Vec<String>,
    error: Option<Error>,
    /// A commit failed.
    fatal: bool,
    last_commit: Instant,
    records_committed: u64,
}

/// A window under way.
struct Window<'a> {
    number: u64,
    walk: UnitWalk<'a>,
    unit: Arc<Unit>,
    sink: Sink,
}

pub(in crate::run) async fn run(task: &Arc<Task>, past: &Past, cursor: Option<Position>) -> Outcome {
    let (before, error) = match task.stored_progress(past, "").await {
        Ok(covered) => (covered, None),
        Err(error) => (Covered::default(), Some(error)),
    };
    let mut windows = Windows {
        task,
        past,
        covered: before.clone(),
        committed: before.clone(),
        before,
        cursor_committed: cursor.clone(),
        cursor,
        last: None,
        under_way: HashMap::new(),
        begun_count: 0,
        done_count: 0,
        received: Received::default(),
        newest: None,
        warnings: Vec::new(),
        fatal: error.is_some(),
        error,
        last_commit: Instant::now(),
        records_committed: 0,
    };
    if windows.error.is_none() {
        let result = windows.drive().await;
        windows.error = windows.error.take().or(result.err());
    }
    windows.outcome()
}

/// Walks one more page of a window.
async fn step(mut window: Box<Window<'_>>) -> (Box<Window<'_>>, Result<bool>) {
    let result = window.walk.page(&mut window.sink).await;
    (window, result)
}

impl<'a> Windows<'a> {
    fn incremental(&self) -> Result<&'a Incremental> {
        let incremental = self.task.resource.incremental.as_ref();
        incremental.ok_or_else(|| Error::new(Kind::Internal, "a past without a cursor"))
    }

    /// How many windows are walked at a time. Rows without a key must come in the order of their windows: of those that two
    /// windows share, the second one leaves out what the first one brought.
    fn concurrency(&self) -> usize {
        if self.task.resource.parts().of_walk_stay { self.task.context.client.concurrency.max(1) } else { 1 }
    }

    async fn drive(&mut self) -> Result<()> {
        let left = self.count_left()?;
        self.task.tracker.windows_left.store(left.unwrap_or(0), Ordering::Relaxed);
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < self.concurrency() && self.may_begin() {
                let Some(window) = self.next_window()? else { break };
                running.push(step(Box::new(window)));
            }
            let Some((window, result)) = running.next().await else { break };
            running.extend(self.settle(window, result).await?.map(|window| step(Box::new(window))));
        }
        if self.error.is_none() && self.task.context.stop.requested().is_some() && self.count_left()? != Some(0) {
            return Err(Error::new(Kind::Interrupted, "the run was asked to end"));
        }
        Ok(())
    }

    fn may_begin(&self) -> bool {
        self.error.is_none() && self.task.context.stop.requested().is_none()
    }

    /// The slices of what was left when this run began.
    fn slices<'b>(&'b self) -> Result<Slices<'b>> {
        let (incremental, bounds) =
            self.task.cursor().ok_or_else(|| Error::new(Kind::Internal, "a past without bounds"))?;
        Ok(Slices::new(incremental, bounds).but(Some(&self.before)))
    }

    fn next_window(&mut self) -> Result<Option<Window<'a>>> {
        let slice = match &self.last {
            None => self.slices()?.first(None)?,
            Some(last) => self.slices()?.after(last, self.newest.as_ref())?,
        };
        let Some(slice) = slice else { return Ok(None) };
        self.last = Some(slice.clone());
        self.begun_count += 1;
        let scope = self.task.context.scope();
        let unit = Unit::new(scope, Vec::new(), String::new(), self.cursor.clone()).in_past(Covered::default());
        let received = std::mem::take(&mut self.received);
        self.open(self.begun_count, Unit { slice: Some(slice), received, ..unit })
    }

    fn open(&self, number: u64, unit: Unit) -> Result<Option<Window<'a>>> {
        let unit = Arc::new(unit);
        let sink = Sink::for_slice(&self.task.resource, self.task.context.warehouse.clone());
        let walk = UnitWalk::begin(self.task, unit.clone())?;
        Ok(walk.map(|walk| Window { number, walk, unit, sink }))
    }

    /// Takes note of a page, or of the end of a window; the window that goes on.
    async fn settle(&mut self, mut window: Box<Window<'a>>, result: Result<bool>) -> Result<Option<Window<'a>>> {
        let name = &self.task.resource.name;
        match result {
            Ok(true) => {
                self.commit_midway(&window).await?;
                Ok(Some(*window))
            }
            Ok(false) => {
                window.sink.release(name).await?;
                let Window { number, walk, unit, .. } = *window;
                self.under_way.remove(&number);
                let end = walk.end()?;
                self.end_window(number, &unit, end).await
            }
            Err(error) => {
                window.sink.release(name).await?;
                self.fail(&window, error)?;
                Ok(None)
            }
        }
    }

    /// Commits what came of windows that are not done: of an ascending walk with how far it has come; rows with a key in any case,
    /// when there are many.
    async fn commit_midway(&mut self, window: &Window<'a>) -> Result<()> {
        let parts = self.task.resource.parts();
        if window.sink.holds_back() || parts.show_at_end {
            return Ok(());
        }
        let start = window.walk.slice().and_then(|slice| slice.start.clone());
        let reached = window.walk.so_far()?.and_then(|position| position.value);
        let is_in_order = reached.is_some();
        if let (Some(start), Some(reached)) = (start, reached) {
            self.note_seen(window.walk.slice(), Some(&reached))?;
            self.under_way.insert(window.number, (start, reached));
        }
        let records = self.records_open();
        let is_due =
            records >= CHECKPOINT_RECORDS || (records > 0 && self.last_commit.elapsed() >= CHECKPOINT_INTERVAL);
        if is_due && (is_in_order || parts.of_walk_stay) { self.commit(false).await } else { Ok(()) }
    }

    /// Takes note of a window that was walked to its end, and says what follows in its place: its halves, if it held too much.
    async fn end_window(&mut self, number: u64, unit: &Unit, end: UnitEnd) -> Result<Option<Window<'a>>> {
        for warning in end.warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        self.note_seen(end.slice.as_ref(), end.newest.as_ref())?;
        self.newest = end.newest.or(self.newest.take());
        if let Some((start, end)) = end.slice.filter(|_| !end.was_split).and_then(|slice| slice.start.zip(slice.end)) {
            self.covered.add(&start, &end, &self.incremental()?.notation)?;
        }
        if end.was_split || !unit.parts.is_empty() {
            let part = end.next.ok_or_else(|| Error::new(Kind::Internal, "a window that was split has no parts"))?;
            return self.open(number, *part);
        }
        self.done_count += 1;
        self.task
            .tracker
            .windows_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .ok();
        self.received = end.next.map(|next| next.received).unwrap_or_default();
        if self.records_open() > 0 || self.last_commit.elapsed() >= EMPTY_SLICES_INTERVAL {
            self.commit(true).await?;
        }
        Ok(None)
    }

    /// Takes note of a window that failed. In an ascending walk everything up to the newest value has come; unless the order
    /// turned out to be another one, and what was taken for complete is not.
    fn fail(&mut self, window: &Window<'a>, error: Error) -> Result<()> {
        self.under_way.remove(&window.number);
        let reached = window.walk.after(&error)?.and_then(|position| position.value);
        let start = window.walk.slice().and_then(|slice| slice.start.clone());
        if let (Some(start), Some(reached), false) = (start, reached, is_out_of_order(&error)) {
            self.note_seen(window.walk.slice(), Some(&reached))?;
            self.under_way.insert(window.number, (start, reached));
        }
        // An interruption is the reason only if nothing else is.
        if self.error.as_ref().is_none_or(|first| first.kind() == Kind::Interrupted) {
            self.error = Some(error);
        }
        Ok(())
    }

    /// Notes beside the cursor that rows are stored up to a value.
    fn note_seen(&mut self, slice: Option<&Slice>, newest: Option<&CursorValue>) -> Result<()> {
        let Some(slice) = slice else { return Ok(()) };
        self.cursor = self.task.seen_beside(self.cursor.as_ref(), slice, newest)?.or(self.cursor.take());
        Ok(())
    }

    fn records_open(&self) -> u64 {
        self.task.tracker.records.load(Ordering::Relaxed) - self.records_committed
    }

    /// What is loaded, with what windows under way have come to.
    fn progress(&self) -> Result<Covered> {
        let mut covered = self.covered.clone();
        let notation = &self.incremental()?.notation;
        self.under_way.values().try_for_each(|(start, reached)| covered.add(start, reached, notation))?;
        Ok(covered)
    }

    /// The rows of the state that differ from what is committed.
    fn rows(&self, progress: &Covered) -> Vec<CursorRow> {
        let moved = (*progress != self.committed).then(|| self.task.progress_row(self.past, "", progress));
        let seen = self.cursor.as_ref().filter(|cursor| self.cursor_committed.as_ref() != Some(*cursor));
        moved.into_iter().chain(seen.map(|cursor| self.task.cursor_row("", cursor))).collect()
    }

    async fn commit(&mut self, is_window_done: bool) -> Result<()> {
        if !self.task.stored {
            return Ok(());
        }
        let progress = self.progress()?;
        if let Err(error) = checkpoint(self.task, self.rows(&progress), is_window_done).await {
            self.fatal = true;
            return Err(error);
        }
        self.committed = progress;
        self.cursor_committed.clone_from(&self.cursor);
        self.last_commit = Instant::now();
        self.records_committed = self.task.tracker.records.load(Ordering::Relaxed);
        Ok(())
    }

    /// How many windows are left of what is loaded now; `None`: too many to count.
    fn count_left(&self) -> Result<Option<u64>> {
        self.count_but(&self.covered)
    }

    fn count_but(&self, covered: &Covered) -> Result<Option<u64>> {
        let (incremental, bounds) =
            self.task.cursor().ok_or_else(|| Error::new(Kind::Internal, "a past without bounds"))?;
        let mut count = 0;
        for slice in Slices::new(incremental, bounds).but(Some(covered)).all(None).take(COUNTED_MAX) {
            slice?;
            count += 1;
        }
        Ok((count < COUNTED_MAX).then_some(count as u64))
    }

    fn outcome(self) -> Outcome {
        let is_spoiled = self.error.as_ref().is_some_and(|error| self.fatal || !keeps_partial(self.task, error));
        let progress = self.progress().unwrap_or_else(|_| self.covered.clone());
        let kept = if is_spoiled { &self.committed } else { &progress };
        let left = self.count_but(kept).ok().flatten();
        let was_loaded = self.error.is_none() && self.begun_count == 0;
        let end = if was_loaded { "loaded already".to_owned() } else { counted(self.done_count, "window") };
        let text = |position: Option<&Position>| position.and_then(|p| p.value.as_ref()).map(ToString::to_string);
        let cursor = text(self.cursor_committed.as_ref());
        let mut warnings = self.warnings.clone();
        if was_loaded {
            warnings.push("the range was loaded by an earlier backfill; `--again` loads it again".to_owned());
        }
        Outcome {
            cursors: self.rows(&progress),
            cursor_after: cursor.clone(),
            cursor_committed: cursor,
            got_further: *kept != self.before,
            windows_left: left,
            end: Some(end),
            warnings,
            error: self.error,
            spoiled: is_spoiled,
        }
    }
}
