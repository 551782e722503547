//! One resource from its first request to its last commit.

use super::fanout::{self, Sources};
use super::feed::Feed;
use super::report::{ResourceReport, Status};
use super::unit::{Sink, Task, Unit};
use super::writer::{Checkpoint, Written};
use crate::error::{Error, Kind, Result};
use crate::extract::CursorValue;
use crate::load::{CursorRow, LoadRow};
use crate::plan::model::WriteDisposition;
use crate::plan::template::Scope;
use chrono::Utc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The rule by which records are left out of a resource that failed: they can't be kept without the rest, because the next run
/// gets them again.
const NOT_COMMITTED: &str = "not_committed";

/// How a resource went, before its last commit.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) end: Option<String>,
    pub(super) cursors: Vec<CursorRow>,
    pub(super) cursor_after: Option<String>,
    pub(super) warnings: Vec<String>,
    /// What went wrong.
    pub(super) error: Option<Error>,
    /// Rows since the last commit must not be committed.
    pub(super) spoiled: bool,
}

/// Runs a resource and reports. Never fails: what went wrong is in the report.
pub(super) async fn run(task: Arc<Task>, cursor: Option<CursorValue>, sources: Option<Sources>) -> ResourceReport {
    task.tracker.begun.store(true, Ordering::Relaxed);
    let cursor_before = cursor.as_ref().map(ToString::to_string);
    tracing::info!(resource = %task.resource.name, cursor = cursor_before.as_deref().unwrap_or("none"), "begun");
    let mut outcome = match sources {
        Some(sources) => fanout::run(&task, sources).await,
        None => run_root(&task, cursor).await,
    };
    let written = finish(&task, &mut outcome).await;
    if status_of(&outcome) == Status::Completed {
        task.feeds.iter().for_each(Feed::come_through);
    }
    task.tracker.ended.store(true, Ordering::Relaxed);
    let report = report(&task, outcome, written, cursor_before);
    log_end(&report);
    report
}

async fn run_root(task: &Arc<Task>, cursor: Option<CursorValue>) -> Outcome {
    let unit = Unit { scope: task.context.scope(), parent_columns: Vec::new(), partition: String::new(), cursor };
    let mut sink = Sink::Direct(task.context.warehouse.clone());
    match task.walk(&unit, &mut sink).await {
        Ok(end) => Outcome {
            end: Some(end.reason),
            cursor_after: end.cursor_text.or_else(|| unit.cursor.as_ref().map(ToString::to_string)),
            cursors: end.cursor.into_iter().collect(),
            warnings: end.warnings,
            ..Outcome::default()
        },
        Err(error) => Outcome {
            cursor_after: unit.cursor.as_ref().map(ToString::to_string),
            spoiled: !keeps_partial(task, &error),
            error: Some(error),
            ..Outcome::default()
        },
    }
}

/// Whether the rows of a walk that did not reach its end are kept; the cursor stays in any case. Merged rows may come again
/// without harm. Appended ones would come twice, unless `max_pages`, a limit of the file's own, ends each run alike.
fn keeps_partial(task: &Task, error: &Error) -> bool {
    match task.resource.write {
        WriteDisposition::Merge => true,
        WriteDisposition::Append => task.resource.incremental.is_none() && error.context("max_pages").is_some(),
        WriteDisposition::Replace => false,
    }
}

/// The last commit: rows, cursors and the record, or the record alone when rows must not be kept.
async fn finish(task: &Task, outcome: &mut Outcome) -> Written {
    if !task.stored {
        return Written::default();
    }
    let name = &task.resource.name;
    let warehouse = &task.context.warehouse;
    let record = task.record(status_of(outcome), outcome.end.clone(), outcome.error.as_ref());
    let checkpoint = Checkpoint {
        cursors: if outcome.spoiled { Vec::new() } else { std::mem::take(&mut outcome.cursors) },
        forget_cursors: task.forgets_cursors(),
        record: Some(record),
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

pub(super) fn status_of(outcome: &Outcome) -> Status {
    match &outcome.error {
        None => Status::Completed,
        Some(error) if error.kind() == Kind::Interrupted => Status::Interrupted,
        Some(_) => Status::Failed,
    }
}

fn report(task: &Task, outcome: Outcome, written: Written, cursor_before: Option<String>) -> ResourceReport {
    let count = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
    let tracker = &task.tracker;
    let status = status_of(&outcome);
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
        warnings.push(format!("{missing} records have no cursor value; they were loaded and come again each time"));
    }
    let failed = outcome.error.filter(|e| e.kind() != Kind::Interrupted);
    let moved = status == Status::Completed || task.resource.parent.is_some() || task.resource.partitions.is_some();
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
        end: outcome.end,
        parents: task.resource.parent.as_ref().map(|_| count(&tracker.parents)),
        cursor_after: if moved { outcome.cursor_after } else { cursor_before.clone() },
        cursor_before,
        warnings,
        error: failed.map(|e| e.report()),
        ..ResourceReport::new(&task.resource.name, task.stored)
    }
}

fn log_end(report: &ResourceReport) {
    let (rows, end) = (report.rows.values().sum::<u64>(), report.end.as_deref().unwrap_or("-"));
    let (resource, status) = (&report.name, report.status.word());
    match report.status {
        Status::Completed => {
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
            end,
            error: error.map(ToString::to_string),
        }
    }

    /// Whether the next commit is the one that forgets the resource's cursors: the first of a full refresh.
    pub(super) fn forgets_cursors(&self) -> bool {
        self.context.full_refresh && !self.tracker.committed.swap(true, Ordering::Relaxed)
    }
}

/// Commits what complete units have brought, in the middle of a resource.
pub(super) async fn checkpoint(task: &Task, cursors: Vec<CursorRow>) -> Result<Written> {
    let mut record = task.record(Status::Completed, None, None);
    record.status = "running".to_owned();
    let checkpoint = Checkpoint { cursors, forget_cursors: task.forgets_cursors(), record: Some(record) };
    task.context.warehouse.commit(&task.resource.name, checkpoint).await
}

impl super::engine::Context {
    /// What expressions see in every request of the run.
    pub(super) fn scope(&self) -> Scope {
        Scope { vars: self.vars.clone(), run_started_at: self.started_at, ..Scope::default() }
    }
}
