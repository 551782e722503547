//! A resource without a parent: its slices one after the other, each committed when it is done. In an ascending walk rows and
//! cursor are also committed midway, because everything up to the newest value has come.

use super::fanout::{CHECKPOINT_INTERVAL, CHECKPOINT_RECORDS};
use super::resource::{Outcome, checkpoint};
use super::unit::{Sink, Task, Unit, UnitEnd};
use super::unit_walk::UnitWalk;
use crate::error::{Error, Kind, Result};
use crate::extract::cursor::Position;
use crate::plan::model::{RowOrder, WriteDisposition};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Time that slices without records wait for a commit: thousands of them may follow each other.
pub(super) const EMPTY_SLICES_INTERVAL: Duration = Duration::from_secs(1);

/// The state of the resource.
struct Root<'a> {
    task: &'a Arc<Task>,
    stored: Option<Position>,
    /// What the rows so far justify.
    reached: Option<Position>,
    /// What is committed.
    committed: Option<Position>,
    slices_done: u64,
    end: Option<String>,
    warnings: Vec<String>,
    /// A commit failed.
    fatal: bool,
    last_commit: Instant,
    records_committed: u64,
}

pub(super) async fn run(task: &Arc<Task>, stored: Option<Position>) -> Outcome {
    let mut root = Root {
        task,
        reached: stored.clone(),
        committed: stored.clone(),
        stored,
        slices_done: 0,
        end: None,
        warnings: Vec::new(),
        fatal: false,
        last_commit: Instant::now(),
        records_committed: 0,
    };
    let result = root.drive().await;
    root.outcome(result)
}

impl Root<'_> {
    async fn drive(&mut self) -> Result<()> {
        let scope = self.task.context.scope();
        let mut unit = Arc::new(Unit::new(scope, Vec::new(), String::new(), self.stored.clone()));
        loop {
            let end = self.slice(&unit).await?;
            self.reached = end.position.or(self.reached.take());
            if !end.was_split {
                self.slices_done += 1;
                self.end =
                    Some(if self.slices_done == 1 { end.reason } else { format!("{} windows", self.slices_done) });
            }
            for warning in end.warnings {
                if !self.warnings.contains(&warning) {
                    self.warnings.push(warning);
                }
            }
            let Some(next) = end.next else { return Ok(()) };
            unit = Arc::from(next);
            if self.records_open() > 0 || self.last_commit.elapsed() >= EMPTY_SLICES_INTERVAL {
                self.commit().await?;
            }
            if self.task.context.stop.requested().is_some() {
                return Err(Error::new(Kind::Interrupted, "the run was asked to end"));
            }
        }
    }

    async fn slice(&mut self, unit: &Arc<Unit>) -> Result<UnitEnd> {
        let resource = &self.task.resource;
        let mut sink = Sink::for_slice(resource, self.task.context.warehouse.clone());
        let Some(mut walk) = UnitWalk::begin(self.task, unit.clone())? else { return Ok(UnitEnd::nothing_to_ask()) };
        loop {
            match walk.page(&mut sink).await {
                Ok(true) => {}
                Ok(false) => {
                    sink.release(&resource.name).await?;
                    return walk.end();
                }
                Err(error) => {
                    // What is kept of a walk that failed is decided for all that it brought.
                    sink.release(&resource.name).await?;
                    self.reached = walk.after(&error)?.or(self.reached.take());
                    return Err(error);
                }
            }
            // A cursor must not be ahead of rows that wait.
            if !sink.holds_back()
                && self.commit_due()
                && let Some(position) = walk.so_far()?
            {
                self.reached = Some(position);
                self.commit().await?;
            }
        }
    }

    fn records_open(&self) -> u64 {
        self.task.tracker.records.load(Ordering::Relaxed) - self.records_committed
    }

    fn commit_due(&self) -> bool {
        let records = self.records_open();
        records >= CHECKPOINT_RECORDS || (records > 0 && self.last_commit.elapsed() >= CHECKPOINT_INTERVAL)
    }

    /// Whether something may be visible before the end: tables that are made anew are exchanged as a whole.
    fn may_commit(&self) -> bool {
        let Task { context, resource, stored, .. } = &**self.task;
        *stored && !context.full_refresh && !resource.parts().show_at_end
    }

    async fn commit(&mut self) -> Result<()> {
        if !self.may_commit() {
            return Ok(());
        }
        let moved = self.reached.iter().filter(|reached| self.committed.as_ref() != Some(reached));
        let cursors = moved.map(|reached| self.task.cursor_row("", reached)).collect();
        if let Err(error) = checkpoint(self.task, cursors, false).await {
            self.fatal = true;
            return Err(error);
        }
        self.committed.clone_from(&self.reached);
        self.last_commit = Instant::now();
        self.records_committed = self.task.tracker.records.load(Ordering::Relaxed);
        Ok(())
    }

    fn outcome(self, result: Result<()>) -> Outcome {
        let spoiled = match &result {
            Ok(()) => false,
            Err(error) => self.fatal || !keeps_partial(self.task, error),
        };
        let text = |position: Option<&Position>| position.and_then(|p| p.value.as_ref()).map(ToString::to_string);
        let moved = self.reached.iter().filter(|reached| self.committed.as_ref() != Some(reached));
        Outcome {
            cursors: moved.map(|reached| self.task.cursor_row("", reached)).collect(),
            cursor_after: text(if spoiled { self.committed.as_ref() } else { self.reached.as_ref() }),
            cursor_committed: text(self.committed.as_ref()),
            got_further: false,
            windows_left: None,
            end: self.end.filter(|_| result.is_ok()),
            warnings: self.warnings,
            error: result.err(),
            spoiled,
        }
    }
}

/// Whether the rows of a walk that did not reach its end are kept. Merged rows may come again without harm. Appended ones would
/// come twice, unless they came in the order of the cursor, which then says how far they reach, or `max_pages`, a limit of
/// the file's own, ends each run alike. Tables that are made anew are exchanged as a whole or not at all, and a contract that
/// forbids a change has nothing of the load stored.
pub(super) fn keeps_partial(task: &Task, error: &Error) -> bool {
    let resource = &task.resource;
    let is_ascending =
        resource.incremental.as_ref().is_some_and(|incremental| incremental.row_order == Some(RowOrder::Ascending));
    let is_frozen = error.context("schema_contract").is_some();
    let ends_alike = resource.incremental.is_none() && error.context("max_pages").is_some();
    let appends = resource.write == WriteDisposition::Append;
    !is_frozen
        && !task.context.full_refresh
        && (resource.parts().of_walk_stay || (appends && (is_ascending || ends_alike)))
}
