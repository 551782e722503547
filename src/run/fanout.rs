//! A child resource: one unit per parent, several at a time.
//!
//! Parents come first from this run, as their pages arrive, then from the warehouse, page by page. Only hashes of those
//! already asked for are kept. Cursors and rows of complete units commit together, when no unit is half-way.
//!
//! With `parents = "changed"` the warehouse still gives those that were loaded since the child last came through all of
//! them: a parent's commit moves its cursor, and what its children missed when a run was killed or a request failed would
//! not be asked for again. Which load that was is committed with the child's rows, as a cursor of its own.

use super::cursors_ahead::CursorsAhead;
use super::feed::ParentRow;
use super::global::GlobalCursor;
use super::report::group_digits;
use super::resource::{Outcome, checkpoint};
use super::unit::{Sink, Task, Unit, UnitEnd};
use crate::error::{Error, Kind, Result};
use crate::extract::cursor::Position;
use crate::load::{CursorRow, PARENTS_ASKED, RowId};
use crate::plan::model::{FieldPath, OnMissingParentField, Parent, ParentScope, Resource};
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use xxhash_rust::xxh3::xxh3_64;

/// Parents asked for from the warehouse at a time.
const PARENTS_PAGE: usize = 1000;

/// The same where most of them are expected to be left out again.
const CHANGED_PAGE: usize = 16_000;

/// Time after which complete units are committed although the resource goes on.
pub(super) const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(30);

/// Records after which they are.
pub(super) const CHECKPOINT_RECORDS: u64 = 500_000;

/// Parents in a row that fail before the rest are given up: it is not about them then.
const FAILURES_IN_A_ROW_MAX: u64 = 20;

/// The rule by which records of a parent are left out that turned out to be gone while it was read.
const PARENT_GONE: &str = "parent_gone";

/// Where a child's parents come from.
pub(super) struct Parents {
    pub(super) spec: Parent,
    /// Fields of a parent row's values, in order.
    pub(super) fields: Vec<FieldPath>,
    /// Rows of this run; none when the parent is not part of it.
    pub(super) live: Option<mpsc::Receiver<Vec<ParentRow>>>,
}

/// The fields that a child needs of its parent: those of its request, those it keeps, and the key that tells which row it is.
pub(super) fn fields_of(spec: &Parent, parent: Option<&Resource>) -> Vec<FieldPath> {
    let mut fields = spec.fields.clone();
    let key = parent.map(|p| p.primary_key.as_slice()).unwrap_or_default();
    for field in spec.include.iter().map(|(_, field)| field).chain(key) {
        if !fields.contains(field) {
            fields.push(field.clone());
        }
    }
    fields
}

/// The state of a fan-out.
struct Fanout<'a> {
    task: &'a Arc<Task>,
    parents: Parents,
    waiting: VecDeque<ParentRow>,
    /// Units with a slice that follows the one they have walked.
    continued: VecDeque<Continued>,
    /// The one cursor of all units, if there is one.
    global: Option<GlobalCursor>,
    after: Option<RowId>,
    known_done: bool,
    /// Only parents of later loads than this one are taken from the warehouse.
    asked_until: Option<String>,
    asked: HashSet<u64>,
    /// Cursors of complete units that are not committed yet.
    cursors: Vec<CursorRow>,
    /// Stored cursors of parents that wait.
    cursors_ahead: CursorsAhead,
    counts: Counts,
    warnings: Vec<String>,
    first_error: Option<Error>,
    spoiled: bool,
    last_commit: Instant,
    records_committed: u64,
}

#[derive(Default)]
struct Counts {
    done: u64,
    failed: u64,
    failed_in_a_row: u64,
    gone: u64,
    skipped: u64,
}

/// What became of one parent.
struct Done {
    result: Result<UnitEnd>,
    from_warehouse: bool,
    spilled: bool,
    /// Records of a failed unit that no load was given.
    held_back_records: u64,
}

/// A unit that goes on with its next slice.
struct Continued {
    unit: Unit,
    from_warehouse: bool,
}

pub(super) async fn run(task: &Arc<Task>, parents: Parents, stored: Option<Position>) -> Outcome {
    let mut fanout = Fanout {
        task,
        parents,
        waiting: VecDeque::new(),
        continued: VecDeque::new(),
        global: GlobalCursor::of(task, stored),
        after: None,
        known_done: false,
        asked_until: None,
        asked: HashSet::new(),
        cursors: Vec::new(),
        cursors_ahead: CursorsAhead::default(),
        counts: Counts::default(),
        warnings: Vec::new(),
        first_error: None,
        spoiled: false,
        last_commit: Instant::now(),
        records_committed: 0,
    };
    let result = fanout.drive().await;
    fanout.outcome(result)
}

impl Fanout<'_> {
    async fn drive(&mut self) -> Result<()> {
        self.asked_until = self.stored_asked_until().await?;
        let concurrency = self.task.context.client.concurrency.max(1);
        let mut running = FuturesUnordered::new();
        let mut exhausted = false;
        loop {
            let commit_due = self.commit_due();
            if running.is_empty() && ((exhausted && self.continued.is_empty()) || self.gives_up()) {
                return Ok(());
            }
            if running.is_empty() && commit_due {
                self.commit().await?;
            }
            // What was due is committed by now, unless units are half-way.
            let is_held_up = commit_due && !running.is_empty();
            let has_room = !self.gives_up() && !is_held_up && running.len() < concurrency;
            if let Some(Continued { unit, from_warehouse }) = self.continued.pop_front_if(|_| has_room) {
                running.push(run_unit(self.task.clone(), unit, from_warehouse));
                continue;
            }
            let may_start = !exhausted && has_room;
            tokio::select! {
                // Ended units first, so that a failure is seen before another one starts.
                biased;
                Some(done) = running.next(), if !running.is_empty() => self.settle(done)?,
                next = self.next(), if may_start => match next? {
                    Some(parent) => {
                        if let Some(unit) = self.unit(&parent).await? {
                            running.push(run_unit(self.task.clone(), unit, parent.from_warehouse));
                        }
                    }
                    None => exhausted = true,
                },
            }
        }
    }

    /// Whether no further parent is begun.
    fn gives_up(&self) -> bool {
        self.spoiled
            || self.counts.failed_in_a_row >= FAILURES_IN_A_ROW_MAX
            || self.task.context.stop.requested().is_some()
            || self.first_error.as_ref().is_some_and(concerns_all)
    }

    fn commit_due(&self) -> bool {
        let records = self.task.tracker.records.load(Ordering::Relaxed) - self.records_committed;
        let due = self.last_commit.elapsed() >= CHECKPOINT_INTERVAL || records >= CHECKPOINT_RECORDS;
        due && records > 0 && self.task.stored && !self.task.resource.parts().show_at_end
    }

    async fn commit(&mut self) -> Result<()> {
        let mut cursors = std::mem::take(&mut self.cursors);
        cursors.extend(self.global.as_ref().and_then(|global| global.row(self.task, false)));
        checkpoint(self.task, last_of_each(cursors)).await?;
        self.last_commit = Instant::now();
        self.records_committed = self.task.tracker.records.load(Ordering::Relaxed);
        Ok(())
    }

    /// The next parent. Cancelling it loses nothing.
    async fn next(&mut self) -> Result<Option<ParentRow>> {
        loop {
            if let Some(parent) = self.waiting.pop_front() {
                return Ok(Some(parent));
            }
            if let Some(live) = &mut self.parents.live {
                match live.recv().await {
                    Some(rows) => self.waiting.extend(rows),
                    None => self.parents.live = None,
                }
                continue;
            }
            if self.known_done {
                return Ok(None);
            }
            let (resource, fields) = (&self.parents.spec.resource, self.parents.fields.clone());
            let limit = if self.asked_until.is_some() { CHANGED_PAGE } else { PARENTS_PAGE };
            let (warehouse, since) = (&self.task.context.warehouse, self.asked_until.clone());
            let known = warehouse.parents(resource, fields, since, self.after, limit).await?;
            self.known_done = known.next.is_none();
            self.after = known.next;
            self.waiting.extend(known.rows.into_iter().map(|values| ParentRow { values, from_warehouse: true }));
        }
    }

    /// The fields that tell a parent's partition from others.
    fn partition_of(&self, parent: &ParentRow) -> Map<String, Value> {
        let value = |field: &FieldPath| {
            let at = self.parents.fields.iter().position(|f| f == field);
            at.and_then(|at| parent.values.get(at)).cloned().unwrap_or_default()
        };
        self.parents.spec.fields.iter().map(|field| (field.to_string(), value(field))).collect()
    }

    /// The unit of a parent, unless it was asked for before or has to be skipped.
    async fn unit(&mut self, parent: &ParentRow) -> Result<Option<Unit>> {
        let spec = &self.parents.spec;
        let value = |field: &FieldPath| {
            let at = self.parents.fields.iter().position(|f| f == field);
            at.and_then(|at| parent.values.get(at)).cloned().unwrap_or_default()
        };
        let missing = spec.required.iter().find(|field| value(field).is_null()).map(ToString::to_string);
        let partition = partition_name(&self.partition_of(parent));
        // Rows that lack a field may lack it alike, and are rows of their own all the same.
        let identity =
            if missing.is_some() { Value::from(parent.values.clone()).to_string() } else { partition.clone() };
        if !self.asked.insert(xxh3_64(identity.as_bytes())) {
            return Ok(None);
        }
        if let Some(field) = missing {
            return self.without_field(&field, parent).map(|()| None);
        }
        let mut scope = self.task.context.scope();
        scope.parent = spec.fields.iter().map(|f| (f.clone(), value(f))).collect();
        let parent_columns = spec.include.iter().map(|(column, f)| (column.clone(), value(f))).collect();
        let cursor = self.stored_cursor(&partition).await?;
        self.task.tracker.parents.fetch_add(1, Ordering::Relaxed);
        Ok(Some(Unit::new(scope, parent_columns, partition, cursor)))
    }

    /// A parent without a field that the request needs.
    fn without_field(&mut self, field: &str, parent: &ParentRow) -> Result<()> {
        let spec = &self.parents.spec;
        match spec.on_missing_field {
            OnMissingParentField::Skip => {
                self.counts.skipped += 1;
                Ok(())
            }
            OnMissingParentField::Raise => {
                let known: Vec<String> = self
                    .parents
                    .fields
                    .iter()
                    .zip(&parent.values)
                    .filter(|(_, v)| !v.is_null())
                    .map(|(f, v)| format!("{f} = {v}"))
                    .collect();
                let error = Error::new(Kind::Data, format!("a row of `{}` has no `{field}`", spec.resource))
                    .with(
                        "parent row",
                        if known.is_empty() { "no other field known".to_owned() } else { known.join(", ") },
                    )
                    .hint("`on_missing_parent_field = \"skip\"` leaves such rows out, and counts them");
                self.fail(error);
                Ok(())
            }
        }
    }

    /// The load up to which the children of all parents are there; none if all parents are to be asked for.
    async fn stored_asked_until(&self) -> Result<Option<String>> {
        let Task { context, resource, .. } = &**self.task;
        if self.parents.spec.scope == ParentScope::All || context.full_refresh {
            return Ok(None);
        }
        let stored = context.warehouse.cursors(&resource.name, vec![PARENTS_ASKED.to_owned()]).await?;
        let stored = stored.get(PARENTS_ASKED);
        stored.map(|text| serde_json::from_str(text)).transpose().map_err(|cause| {
            Error::new(Kind::State, "the state of a child resource is not what Pintail wrote")
                .with("resource", &resource.name)
                .source(cause)
        })
    }

    /// Says that the children of all parents are there, this run's included.
    fn asked_all(&self) -> Option<CursorRow> {
        let Task { context, resource, .. } = &**self.task;
        (self.parents.spec.scope == ParentScope::Changed).then(|| CursorRow {
            resource: resource.name.clone(),
            partition: PARENTS_ASKED.to_owned(),
            value: Value::from(context.load_id.as_str()).to_string(),
        })
    }

    /// Where a parent's unit starts. Cursors of parents that wait behind it are looked up together with its own.
    async fn stored_cursor(&mut self, partition: &str) -> Result<Option<Position>> {
        if let Some(global) = &self.global {
            return Ok(global.start());
        }
        if self.task.resource.incremental.is_none() || self.task.context.full_refresh {
            return Ok(None);
        }
        if !self.cursors_ahead.knows(partition) {
            let waiting = self.waiting.iter().take(PARENTS_PAGE);
            let waiting = waiting.map(|parent| partition_name(&self.partition_of(parent))).collect();
            self.cursors_ahead.look_up(self.task, partition, waiting).await?;
        }
        self.cursors_ahead.take(partition)
    }

    fn settle(&mut self, done: Done) -> Result<()> {
        match done.result {
            Ok(end) => {
                self.counts.failed_in_a_row = 0;
                self.cursors.extend(end.cursor);
                let from_warehouse = done.from_warehouse;
                match end.next {
                    Some(unit) => self.continued.push_back(Continued { unit: *unit, from_warehouse }),
                    None => {
                        self.counts.done += 1;
                        self.global.as_mut().map_or(Ok(()), |global| global.note(self.task, end.position))?;
                    }
                }
                // One word of each kind is enough for a million parents.
                self.warnings
                    .extend(end.warnings.into_iter().filter(|w| !self.warnings.contains(w)).collect::<Vec<_>>());
                Ok(())
            }
            Err(error) if done.from_warehouse && is_gone(&error) => {
                self.counts.gone += 1;
                self.spoiled |= done.spilled;
                self.task.tracker.discard(&BTreeMap::from([(PARENT_GONE, done.held_back_records)]));
                Ok(())
            }
            Err(error) => {
                self.spoiled |= done.spilled;
                self.fail(error);
                Ok(())
            }
        }
    }

    fn fail(&mut self, error: Error) {
        self.counts.failed += 1;
        self.counts.failed_in_a_row += 1;
        // An interruption is the reason only if nothing else is.
        match &self.first_error {
            Some(first) if first.kind() != Kind::Interrupted => {}
            _ => self.first_error = Some(error),
        }
    }

    fn outcome(mut self, result: Result<()>) -> Outcome {
        let fatal = result.is_err();
        let mut error = result.err().or_else(|| self.first_error.take());
        if error.is_none() && self.task.context.stop.requested().is_some() {
            error = Some(Error::new(Kind::Interrupted, "the run was asked to end"));
        }
        let counts = &self.counts;
        if counts.failed > 1 {
            error = error.map(|e| e.with("parents that failed", group_digits(counts.failed)));
        }
        for (count, what) in [
            (counts.gone, "parents are known here and gone from the API (404 or 410); they were passed over"),
            (counts.skipped, "parents lack a field that the request needs; they were passed over"),
        ] {
            if count > 0 {
                self.warnings.push(format!("{} {what}", group_digits(count)));
            }
        }
        if error.is_none() {
            self.cursors.extend(self.asked_all());
        }
        let global = self.global.as_ref();
        self.cursors.extend(global.and_then(|global| global.row(self.task, error.is_none())));
        let cursor_after = global.and_then(|global| global.text(error.is_none()));
        let cursor_committed = global.and_then(|global| global.text(false));
        let all_or_none = !self.task.resource.parts().of_parents_stay;
        Outcome {
            end: Some(format!("{} parents", group_digits(counts.done))),
            cursors: last_of_each(self.cursors),
            cursor_after,
            cursor_committed,
            warnings: self.warnings,
            spoiled: self.spoiled || fatal || (all_or_none && error.is_some()),
            error,
        }
    }
}

/// A partition's name in the state.
fn partition_name(partition: &Map<String, Value>) -> String {
    Value::from(partition.clone()).to_string()
}

/// The last cursor of each partition: slices of one unit may be committed together.
fn last_of_each(cursors: Vec<CursorRow>) -> Vec<CursorRow> {
    let last: HashMap<String, CursorRow> =
        cursors.into_iter().map(|cursor| (cursor.partition.clone(), cursor)).collect();
    last.into_values().collect()
}

async fn run_unit(task: Arc<Task>, unit: Unit, from_warehouse: bool) -> Done {
    let mut sink = Sink::for_partition(&task.resource, task.context.warehouse.clone());
    let mut result = task.walk(&unit, &mut sink).await;
    if result.is_ok()
        && let Err(error) = sink.release(&task.resource.name).await
    {
        result = Err(error);
    }
    let spilled = result.is_err() && sink.has_spilled();
    let held_back_records = sink.held_back_records();
    Done { result: result.map_err(|e| e.with("parent", &unit.partition)), from_warehouse, spilled, held_back_records }
}

/// Whether a failure says that the parent is no more.
fn is_gone(error: &Error) -> bool {
    error.kind() == Kind::Status
        && error.context("status").is_some_and(|s| s.starts_with("404") || s.starts_with("410"))
}

/// Whether a failure would meet every other parent too.
fn concerns_all(error: &Error) -> bool {
    match error.kind() {
        Kind::Status => error.context("status").is_some_and(|s| s.starts_with("401") || s.starts_with("403")),
        Kind::Auth
        | Kind::Config
        | Kind::Destination
        | Kind::State
        | Kind::Locked
        | Kind::Interrupted
        | Kind::Internal => true,
        Kind::Network | Kind::Body | Kind::Paging | Kind::Data => false,
    }
}
