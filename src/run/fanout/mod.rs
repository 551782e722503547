//! A resource that runs for rows of its parent or of lists: one unit for each, several at a time.
//!
//! Parents come first from this run, as their pages arrive, then from the warehouse, page by page. Only hashes of those
//! already asked for are kept. Cursors and rows of complete units commit together, when no unit is half-way.
//!
//! With `parents = "changed"` the warehouse still gives those that were loaded since the child last came through all of
//! them: a parent's commit moves its cursor, and what its children missed when a run was killed or a request failed would
//! not be asked for again. Which load that was is committed with the child's rows, as a cursor of its own.

mod batch;
mod changed;
mod connect;
mod first;
mod job;
mod list_file;
mod lists;
mod member;
mod outcome;
mod own;
mod parents;
mod source;

pub(super) use connect::Connections;
pub(super) use first::FirstUnits;
pub(super) use lists::check_files;
pub(super) use own::OwnRows;
pub(super) use parents::{Live, Parents, Progress, fields_of};

use super::backfill::Past;
use super::cursors_ahead::CursorsAhead;
use super::engine::ended_all;
use super::global::GlobalCursor;
use super::resource::{Outcome, checkpoint};
use super::unit::{Task, Unit};
use super::unit_end::last_of_each;
use crate::error::{Error, Kind, Result};
use crate::extract::cursor::{Covered, Position};
use crate::load::CursorRow;
use crate::plan::model::{OnMissingField, Partitions};
use batch::Batch;
use changed::stored_asked_until;
use first::unit_of;
use job::{Done, Job, run_unit};
use lists::Lists;
use member::{Member, NoMember, Relation};
use outcome::{Counts, concerns_all, is_gone};
use parents::{CameThrough, ParentPages};
use serde_json::Value;
use source::{Candidate, Candidates};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use xxhash_rust::xxh3::xxh3_64;

/// Time after which complete units are committed although the resource goes on.
pub(super) const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(30);

/// Records after which they are.
pub(super) const CHECKPOINT_RECORDS: u64 = 500_000;

/// Units in a row that fail before the rest are given up: it is not about them then.
const FAILURES_IN_A_ROW_MAX: u64 = 20;

/// The rule by which records of a parent are left out that turned out to be gone while it was read.
const PARENT_GONE: &str = "parent_gone";

/// Candidates whose stored cursors are looked up together.
const CURSORS_AHEAD: usize = 1000;

/// What a resource runs for.
pub(super) struct Sources {
    pub(super) parents: Option<Parents>,
    /// Its own rows, if it is its own parent.
    pub(super) own: OwnRows,
    pub(super) partitions: Option<Partitions>,
    /// Resources that have to end before queries run: their channels close then.
    pub(super) after: Vec<watch::Receiver<()>>,
}

/// The state of a fan-out.
struct Fanout<'a> {
    task: &'a Arc<Task>,
    relation: Relation,
    /// Whether the parents were loaded without a failure.
    came_through: CameThrough,
    batch: Option<Batch>,
    /// Rows of its own that it goes on from.
    own: OwnRows,
    asked: HashSet<u64>,
    /// Units with a slice that follows the one they have walked.
    continued: VecDeque<Job>,
    /// The one cursor of all units, if there is one.
    global: Option<GlobalCursor>,
    /// Cursors of complete units that are not committed yet.
    cursors: Vec<CursorRow>,
    /// Stored cursors of candidates that wait.
    cursors_ahead: CursorsAhead,
    /// What is loaded of their past, if that is asked for.
    progress_ahead: CursorsAhead,
    counts: Counts,
    warnings: Vec<String>,
    first_error: Option<Error>,
    spoiled: bool,
    last_commit: Instant,
    records_committed: u64,
}

pub(super) async fn run(task: &Arc<Task>, sources: Sources, stored: Option<Position>) -> Outcome {
    let mut sources = sources;
    let relation = Relation::of(&sources);
    let batch = Batch::of(&task.resource);
    let came_through = sources.parents.as_ref().map(|p| p.came_through.clone()).unwrap_or_default();
    let own = std::mem::take(&mut sources.own);
    let mut fanout = Fanout {
        task,
        relation,
        came_through,
        batch,
        own,
        asked: HashSet::new(),
        continued: VecDeque::new(),
        global: GlobalCursor::of(task, stored),
        cursors: Vec::new(),
        cursors_ahead: CursorsAhead::default(),
        progress_ahead: CursorsAhead::default(),
        counts: Counts::default(),
        warnings: Vec::new(),
        first_error: None,
        spoiled: false,
        last_commit: Instant::now(),
        records_committed: 0,
    };
    let result = match fanout.open(sources).await {
        Ok(candidates) => fanout.drive(candidates).await,
        Err(error) => Err(error),
    };
    fanout.outcome(result)
}

fn broken_off(cause: JoinError) -> Error {
    Error::new(Kind::Internal, "a unit ended without a result").source(cause)
}

impl Fanout<'_> {
    /// Opens lists and finds out which parents are asked for.
    async fn open(&self, sources: Sources) -> Result<Candidates> {
        let warehouse = &self.task.context.warehouse;
        ended_all(sources.after).await;
        let lists = match &sources.partitions {
            Some(partitions) => Some(Lists::open(partitions, warehouse).await?),
            None => None,
        };
        let anew = self.task.context.full_refresh;
        let since = if anew { None } else { stored_asked_until(warehouse, &self.task.resource).await? };
        let parents = sources.parents.map(|parents| ParentPages::new(parents, since, anew, warehouse.clone()));
        Ok(Candidates::start(parents, lists))
    }

    async fn drive(&mut self, mut candidates: Candidates) -> Result<()> {
        let concurrency = self.task.context.client.concurrency.max(1);
        // Tasks of their own: one that waits for its turn at the warehouse has to take it when it comes, also while this one
        // waits there itself.
        let mut running = JoinSet::new();
        let mut exhausted = false;
        loop {
            let commit_due = self.commit_due();
            self.own.take_in();
            let is_done = exhausted && self.continued.is_empty() && self.own.is_empty();
            if running.is_empty() && (is_done || self.gives_up()) {
                return Ok(());
            }
            if running.is_empty() && commit_due {
                self.commit().await?;
            }
            // What was due is committed by now, unless units are half-way.
            let is_held_up = commit_due && !running.is_empty();
            let has_room = !self.gives_up() && !is_held_up && running.len() < concurrency;
            if let Some(job) = self.continued.pop_front_if(|_| has_room) {
                running.spawn(run_unit(self.task.clone(), job));
                continue;
            }
            if has_room && let Some(row) = self.own.next() {
                let candidate = Candidate { parent: Some(row), partition: None };
                if let Some(job) = self.take(candidate, &candidates).await? {
                    running.spawn(run_unit(self.task.clone(), job));
                }
                continue;
            }
            let may_start = !exhausted && has_room;
            tokio::select! {
                // Ended units first, so that a failure is seen before another one starts.
                biased;
                Some(done) = running.join_next(), if !running.is_empty() => self.settle(done.map_err(broken_off)?)?,
                () = self.own.arrive(), if !running.is_empty() => {}
                next = candidates.next(), if may_start => {
                    let job = match next {
                        Ok(Some(candidate)) => self.take(candidate, &candidates).await?,
                        Ok(None) => {
                            exhausted = true;
                            let rest = self.batch.as_mut().map(Batch::take).unwrap_or_default();
                            self.job(rest, &candidates).await?
                        }
                        Err(error) if concerns_all(&error) && error.kind() != Kind::Config => return Err(error),
                        Err(error) => {
                            exhausted = true;
                            self.fail(error, 0);
                            None
                        }
                    };
                    if let Some(job) = job {
                        running.spawn(run_unit(self.task.clone(), job));
                    }
                }
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
        checkpoint(self.task, last_of_each(cursors), false).await?;
        self.last_commit = Instant::now();
        self.records_committed = self.task.tracker.records.load(Ordering::Relaxed);
        Ok(())
    }

    /// What to do for a candidate: nothing if it was asked for before, has to be skipped, or waits for others.
    async fn take(&mut self, candidate: Candidate, behind: &Candidates) -> Result<Option<Job>> {
        let has_parent = candidate.parent.is_some();
        let line = candidate.parent.as_ref().map(|row| row.line.clone()).unwrap_or_default();
        let filter = self.relation.parent.as_ref().and_then(|(spec, _)| spec.filter.as_ref());
        let filter = filter.map(|filter| (filter, self.task.context.scope()));
        let member = match self.relation.member(candidate, filter) {
            Ok(member) => member,
            Err(reason) => {
                self.pass_over(*reason);
                return Ok(None);
            }
        };
        let identity = identity_hash(&member.identity);
        if !self.asked.insert(identity) {
            self.counts.repeated += u64::from(!has_parent);
            self.counts.circles += u64::from(line.has(identity));
            return Ok(None);
        }
        let members = match &mut self.batch {
            None => vec![member],
            Some(batch) => match batch.add(member) {
                Ok(members) => members.unwrap_or_default(),
                Err(error) => {
                    self.fail(error, 1);
                    Vec::new()
                }
            },
        };
        self.job(members, behind).await
    }

    /// The unit of a member, or of a batch of them; none of none.
    async fn job(&mut self, members: Vec<Member>, behind: &Candidates) -> Result<Option<Job>> {
        let member_count = members.len() as u64;
        let from_warehouse = self.batch.is_none() && members.first().is_some_and(|member| member.from_warehouse);
        let Some(unit) = unit_of(members, self.batch.as_ref(), self.task.context.scope()) else { return Ok(None) };
        let stored = self.stored_cursor(&unit.partition, behind).await?;
        self.task.tracker.parents.fetch_add(member_count, Ordering::Relaxed);
        let unit = Unit { rank: Some(self.counts.begun), ..unit.starting_at(stored) };
        self.counts.begun += 1;
        let unit = match self.task.past() {
            None => unit,
            Some(past) => {
                let covered = self.progress_ahead(past, &unit.partition, behind).await?;
                unit.in_past(covered)
            }
        };
        Ok(Some(Job { unit: Arc::new(unit), member_count, from_warehouse }))
    }

    /// A candidate that nothing is asked for.
    fn pass_over(&mut self, reason: NoMember) {
        // Rows that lack a value may lack it alike, and are rows of their own all the same.
        if !self.asked.insert(xxh3_64(reason.identity().as_bytes())) {
            return;
        }
        match reason {
            NoMember::Missing { policy: OnMissingField::Skip, .. } => {
                self.counts.skipped += 1;
                self.task.tracker.parents_skipped.fetch_add(1, Ordering::Relaxed);
            }
            NoMember::Filtered { .. } => {
                self.counts.filtered += 1;
                self.task.tracker.parents_skipped.fetch_add(1, Ordering::Relaxed);
            }
            NoMember::Missing { error, .. } | NoMember::Unclear { error, .. } => self.fail(error, 1),
        }
    }

    /// Where a unit starts. Cursors of candidates that wait behind it are looked up together with its own.
    async fn stored_cursor(&mut self, partition: &str, behind: &Candidates) -> Result<Option<Position>> {
        if let Some(global) = &self.global {
            return Ok(global.start());
        }
        if self.task.resource.incremental.is_none() || self.task.context.full_refresh {
            return Ok(None);
        }
        if !self.cursors_ahead.knows(partition) {
            let names = self.names_of_waiting(behind);
            self.cursors_ahead.look_up(self.task, partition, names).await?;
        }
        self.cursors_ahead.take(partition).as_deref().map(Position::from_state).transpose()
    }

    /// How much of its past is loaded, likewise.
    async fn progress_ahead(&mut self, past: &Past, partition: &str, behind: &Candidates) -> Result<Covered> {
        if past.again {
            return Ok(Covered::default());
        }
        let name = past.partition(partition);
        if !self.progress_ahead.knows(&name) {
            let names = self.names_of_waiting(behind).iter().map(|name| past.partition(name)).collect();
            self.progress_ahead.look_up(self.task, &name, names).await?;
        }
        self.progress_ahead.take(&name).as_deref().map_or(Ok(Covered::default()), Covered::from_state)
    }

    /// The partitions of candidates that wait.
    fn names_of_waiting(&self, behind: &Candidates) -> Vec<String> {
        let waiting = behind.waiting().take(CURSORS_AHEAD).cloned();
        let members = waiting.filter_map(|candidate| self.relation.member(candidate, None).ok());
        members.map(|member| member.identity.to_string()).collect()
    }

    fn settle(&mut self, done: Done) -> Result<()> {
        match done.result {
            Ok(end) => {
                self.counts.failed_in_a_row = 0;
                self.cursors.extend(end.cursors);
                match end.next {
                    Some(unit) => {
                        let position = end.position.as_ref();
                        self.global.as_mut().map_or(Ok(()), |global| global.note_rows(self.task, position))?;
                        self.continued.push_back(Job {
                            unit: Arc::from(unit),
                            member_count: done.member_count,
                            from_warehouse: done.from_warehouse,
                        });
                    }
                    None => {
                        self.counts.done += done.member_count;
                        self.global.as_mut().map_or(Ok(()), |global| global.note(self.task, end.position))?;
                    }
                }
                // One word of each kind is enough for a million parents.
                let new: Vec<String> = end.warnings.into_iter().filter(|w| !self.warnings.contains(w)).collect();
                self.warnings.extend(new);
            }
            Err(error) if done.from_warehouse && is_gone(&error) => {
                self.counts.gone += 1;
                self.spoiled |= done.spilled;
                self.task.tracker.discard(&BTreeMap::from([(PARENT_GONE, done.held_back_records)]));
            }
            Err(error) => {
                self.spoiled |= done.spilled;
                self.fail(error, done.member_count);
            }
        }
        Ok(())
    }

    /// Takes note of a failure, which concerns so many parents or partitions.
    fn fail(&mut self, error: Error, member_count: u64) {
        self.counts.failed += member_count;
        self.counts.failed_in_a_row += 1;
        // An interruption is the reason only if nothing else is.
        match &self.first_error {
            Some(first) if first.kind() != Kind::Interrupted => {}
            _ => self.first_error = Some(error),
        }
    }
}

/// What is kept of those that were asked for.
fn identity_hash(identity: &Value) -> u64 {
    xxh3_64(identity.to_string().as_bytes())
}
