//! One resource from its first request to its last commit.

use super::backfill;
use super::budget;
use super::fanout::{self, Sources};
use super::progress::Tracker;
use super::report::{ResourceReport, Status};
use super::root;
use super::unit::Task;
use super::writer::{Checkpoint, NOT_COMMITTED, Written};
use crate::error::{Error, Kind, Result};
use crate::extract::cursor::Position;
use crate::load::bookkeeping::RUNNING;
use crate::load::{CursorRow, LoadRow};
use crate::plan::template::Scope;
use crate::words::counted;
use chrono::Utc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How a resource went, before its last commit.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) end: Option<String>,
    pub(super) cursors: Vec<CursorRow>,
    /// The cursor once this is committed, as people read it.
    pub(super) cursor_after: Option<String>,
    /// The cursor without it.
    pub(super) cursor_committed: Option<String>,
    /// A part of its past was loaded that was not before.
    pub(super) got_further: bool,
    /// Windows of its past that are left, if they are counted.
    pub(super) windows_left: Option<u64>,
    pub(super) warnings: Vec<String>,
    /// What went wrong.
    pub(super) error: Option<Error>,
    /// Rows since the last commit must not be committed.
    pub(super) spoiled: bool,
}

/// Runs a resource and reports. Never fails: what went wrong is in the report.
pub(super) async fn run(task: Arc<Task>, stored: Option<Position>, sources: Option<Sources>) -> ResourceReport {
    task.tracker.begun.store(true, Ordering::Relaxed);
    let cursor_before = stored.as_ref().and_then(|stored| stored.value.as_ref()).map(ToString::to_string);
    tracing::info!(resource = %task.resource.name, cursor = cursor_before.as_deref().unwrap_or("none"), "begun");
    let past = task.past();
    // Of a range there may rightly be few records, or none.
    task.tracker.resumed.fetch_or(past.is_some(), Ordering::Relaxed);
    let mut outcome = match (sources, past) {
        (Some(sources), _) => fanout::run(&task, sources, stored).await,
        (None, Some(past)) => backfill::run(&task, past, stored).await,
        (None, None) => root::run(&task, stored).await,
    };
    hold_against_expectation(&task, &mut outcome);
    budget::note_stop(&task, &mut outcome, cursor_before.as_deref());
    let written = finish(&task, &mut outcome).await;
    if status_of(&task, &outcome) == Status::Completed {
        task.came_through.store(true, Ordering::Release);
    }
    task.tracker.ended.store(true, Ordering::Relaxed);
    let report = report(&task, outcome, written, cursor_before);
    log_end(&report);
    report
}

/// Fails a resource that came to its end with fewer records than `expect` says. Nothing of it is committed: a server that
/// does not know us may answer with what anybody may see. A run that went on from a cursor may rightly bring nothing.
fn hold_against_expectation(task: &Task, outcome: &mut Outcome) {
    let fewest = task.resource.expect.as_ref().and_then(|expect| expect.min_records);
    let records = task.tracker.records.load(Ordering::Relaxed);
    let Some(fewest) = fewest.filter(|fewest| records < *fewest) else { return };
    if outcome.error.is_some() || task.tracker.resumed.load(Ordering::Relaxed) {
        return;
    }
    let error = Error::new(Kind::Data, format!("there are {records} records, fewer than `expect` says"))
        .with("resource", &task.resource.name)
        .with("min_records", fewest)
        .hint("some servers answer a bad credential with what anybody may see: is it still valid?");
    *outcome = Outcome {
        error: Some(error),
        spoiled: true,
        end: outcome.end.take(),
        cursor_after: outcome.cursor_committed.clone(),
        cursor_committed: outcome.cursor_committed.take(),
        warnings: std::mem::take(&mut outcome.warnings),
        ..Outcome::default()
    };
}

/// The last commit: rows, cursors and the record, or the record alone when rows must not be kept.
async fn finish(task: &Task, outcome: &mut Outcome) -> Written {
    if !task.stored {
        return Written::default();
    }
    let name = &task.resource.name;
    let warehouse = &task.context.warehouse;
    let record = task.record(status_of(task, outcome), outcome.end.clone(), outcome.error.as_ref());
    let checkpoint = Checkpoint {
        cursors: if outcome.spoiled { Vec::new() } else { std::mem::take(&mut outcome.cursors) },
        forget_cursors: task.forgets_cursors(),
        record: Some(record),
        forget_met: false,
    };
    let result = if outcome.spoiled {
        warehouse.record_only(name, checkpoint).await
    } else {
        warehouse.commit(name, checkpoint).await
    };
    match result {
        Ok(written) => written,
        Err(error) => {
            // The commit's failure is the news, unless something else had failed before it. A request to end is no failure.
            if outcome.error.as_ref().is_some_and(|e| e.kind() == Kind::Interrupted) {
                outcome.error = None;
            }
            outcome.cursor_after.clone_from(&outcome.cursor_committed);
            let error = outcome.error.get_or_insert(error);
            let record = Some(task.record(Status::Failed, None, Some(error)));
            let checkpoint = Checkpoint { record, ..Checkpoint::default() };
            match warehouse.record_only(name, checkpoint).await {
                Ok(before) => before,
                // A warehouse that takes no rows may take no record either. The report has the error.
                Err(_) => warehouse.abort(name).await.unwrap_or_default(),
            }
        }
    }
}

pub(super) fn status_of(task: &Task, outcome: &Outcome) -> Status {
    match &outcome.error {
        None => Status::Completed,
        Some(error) if error.kind() == Kind::Interrupted => {
            task.context.stop.requested().map_or(Status::Interrupted, Status::of_cause)
        }
        Some(_) => Status::Failed,
    }
}

fn report(task: &Task, outcome: Outcome, written: Written, cursor_before: Option<String>) -> ResourceReport {
    let count = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
    let tracker = &task.tracker;
    let status = status_of(task, &outcome);
    let mut discarded = tracker.discarded();
    for (rule, n) in &written.discarded {
        *discarded.entry((*rule).to_owned()).or_default() += n;
    }
    if task.stored && status != Status::Completed {
        let accounted = written.rows.get(&task.resource.table).copied().unwrap_or(0) + discarded.values().sum::<u64>();
        let lost = count(&tracker.records).saturating_sub(accounted);
        if lost > 0 {
            discarded.insert(NOT_COMMITTED.to_owned(), lost);
        }
    }
    let mut warnings = outcome.warnings;
    let missing = count(&tracker.cursor_missing);
    if missing > 0 {
        let verb = if missing == 1 { "has" } else { "have" };
        let records = counted(missing, "record");
        warnings.push(format!("{records} {verb} no cursor value: loaded, and asked for again each time"));
    }
    warnings.extend(moved_start_warning(tracker));
    warnings.extend(moved_warning(count(&tracker.moved)));
    warnings.extend(repeated_warning(count(&tracker.repeated)));
    let failed = outcome.error.filter(|e| e.kind() != Kind::Interrupted);
    let has_earliest = task.resource.incremental.as_ref().is_some_and(|incremental| incremental.earliest.is_some());
    let has_window = task.resource.incremental.as_ref().is_some_and(|incremental| incremental.window.is_some());
    let is_windowed = has_window || task.past().is_some();
    ResourceReport {
        status,
        requests: count(&tracker.meter.requests),
        retries: count(&tracker.meter.retries),
        throttled_ms: count(&tracker.meter.throttled_ms),
        pages: count(&tracker.pages),
        records: count(&tracker.records),
        bytes: count(&tracker.meter.bytes),
        rows: written.rows,
        discarded,
        discarded_parts: tracker.kept_out(),
        moved: count(&tracker.moved),
        repeated: count(&tracker.repeated),
        end: outcome.end,
        parents: task.resource.parent.as_ref().map(|_| count(&tracker.parents)),
        parents_skipped: task.resource.parent.as_ref().map(|_| count(&tracker.parents_skipped)),
        starts_moved: has_earliest.then(|| count(&tracker.starts_moved)),
        windows: is_windowed.then(|| count(&tracker.windows)),
        windows_left: outcome.windows_left,
        cursor_after: outcome.cursor_after,
        cursor_before,
        spent: tracker.stages.spent(),
        warnings,
        error: failed.map(|e| e.report()),
        ..ResourceReport::new(&task.resource.name, task.stored)
    }
}

fn moved_start_warning(tracker: &Tracker) -> Option<String> {
    let (from, to) = tracker.first_start_moved()?;
    let count = tracker.starts_moved.load(Ordering::Relaxed);
    let starts = if count == 1 { "the start was".to_owned() } else { format!("{} were", counted(count, "start")) };
    let which = if count == 1 { "" } else { "one of them " };
    Some(format!(
        "{starts} moved up to `earliest`, {which}from {from} to {to}: what the API had between is gone there and was not loaded"
    ))
}

fn moved_warning(count: u64) -> Option<String> {
    let rows = counted(count, "row");
    (count > 0).then(|| format!("the list moved by {rows} while it was read; `overlap` found what had moved away"))
}

fn repeated_warning(count: u64) -> Option<String> {
    let records = counted(count, "record");
    (count > 0).then(|| {
        format!(
            "{records} came again in one walk: the server's order has no tiebreaker, so that others may be missing; have it \
             sort by something that differs in every record"
        )
    })
}

fn log_end(report: &ResourceReport) {
    let (rows, end) = (report.rows.values().sum::<u64>(), report.end.as_deref().unwrap_or("-"));
    let (resource, status) = (&report.name, report.status.word());
    match report.status {
        Status::Completed | Status::Stopped => {
            tracing::info!(%resource, records = report.records, rows, requests = report.requests, end, "{status}");
        }
        Status::Failed => tracing::error!(%resource, records = report.records, rows, "{status}"),
        Status::Interrupted | Status::Skipped => tracing::warn!(%resource, records = report.records, rows, "{status}"),
    }
}

impl Task {
    /// The record of the load as it stands now.
    pub(super) fn record(&self, status: Status, end: Option<String>, error: Option<&Error>) -> LoadRow {
        let count = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
        LoadRow {
            status: status.word().to_owned(),
            started_at: self.context.started_at,
            committed_at: Utc::now(),
            requests: count(&self.tracker.meter.requests),
            pages: count(&self.tracker.pages),
            records: count(&self.tracker.records),
            bytes: count(&self.tracker.meter.bytes),
            rows: Vec::new(),
            discarded: self.tracker.discarded().into_iter().collect(),
            end: match (end, self.past()) {
                (Some(end), Some(past)) => Some(format!("{}: {end}", past.name)),
                (end, _) => end,
            },
            error: error.map(ToString::to_string),
        }
    }

    /// Whether the next commit is the one that forgets the resource's cursors: the first of a full refresh.
    pub(super) fn forgets_cursors(&self) -> bool {
        self.context.full_refresh && !self.tracker.committed.swap(true, Ordering::Relaxed)
    }
}

/// Commits what complete units have brought, in the middle of a resource.
///
/// `is_window_done`: the records since the last commit are all of a window, so that none like them is met again.
pub(super) async fn checkpoint(task: &Task, cursors: Vec<CursorRow>, is_window_done: bool) -> Result<Written> {
    let mut record = task.record(Status::Completed, None, None);
    record.status = RUNNING.to_owned();
    let checkpoint = Checkpoint {
        cursors,
        forget_cursors: task.forgets_cursors(),
        record: Some(record),
        forget_met: is_window_done,
    };
    task.context.warehouse.commit(&task.resource.name, checkpoint).await
}

impl super::engine::Context {
    /// What expressions see in every request of the run.
    pub(super) fn scope(&self) -> Scope {
        Scope { vars: self.vars.clone(), run_started_at: self.started_at, ..Scope::default() }
    }
}
