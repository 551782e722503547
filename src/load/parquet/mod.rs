//! A folder of Parquet files as a warehouse.
//!
//! Rows of a load go to files that no reader looks at. A commit makes, beside each table that changes, a folder with its
//! next version: files that stay as they are under a second name (a hard link), and new ones. When all of that is on disk
//! the journal is written, which is the commit; then each folder is exchanged with the table's, in one step each. So a
//! reader that lists a table finds the version before the commit or the one after it. (A query that listed its files just
//! before an exchange may find one of them gone: it fails and can be repeated. It never reads a mix, because a file name is
//! never used twice for different rows.) See [`layout`] for the paths and [`journal`] for what happens after a crash.
//!
//! Every file of a table has the same columns, those of the catalog, so that a plain `DIR/DATASET/TABLE/*.parquet` is
//! enough to read it.

mod book;
mod cursors;
mod fate;
mod files;
mod history;
mod ids;
mod journal;
mod layout;
mod load;
mod merge;
mod parents;
mod records;
mod rows;
mod settle;
mod shape;
mod steps;
mod version;
mod views;

#[cfg(test)]
mod tests;

use super::bookkeeping::META;
use super::duckdb::lists::Lists;
use super::duckdb::session::Session;
use super::merge::Settled;
use super::{
    Commit, Destination, List, ListQuery, LoadSpec, ParentPage, ParentQuery, RowId, StateChange, Stored, Ticket,
};
use crate::batch::contract::Discarded;
use crate::error::{Error, Kind, Result};
use crate::failpoint::Point;
use crate::plan::model::WriteDisposition;
use crate::schema::catalog::{Catalog, Fitted};
use crate::state::lock::{Claim, Lock};
use chrono::{DateTime, Utc};
use journal::{Entry, Journal};
use layout::{DatasetLayout, Layout};
use load::Load;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use steps::Steps;
use version::Versions;

/// Memory for rows that wait for their row group to be complete, over all open loads.
const WRITE_BUFFER_BYTES_MAX: usize = 64 << 20;
/// How long a replaced version stays: a reader that has opened the folder but not yet listed it still finds all its files.
const GRACE: Duration = Duration::from_millis(50);

/// How files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Compression of column chunks.
    pub compression: Compression,
    /// Rows of a row group at most.
    pub row_group_rows: usize,
    /// Rows of a file at most.
    pub file_rows: usize,
}

/// Compression of column chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Zstandard: small.
    Zstd,
    /// Snappy: fast.
    Snappy,
    /// None.
    None,
}

impl Default for Options {
    fn default() -> Self {
        Options { compression: Compression::Zstd, row_group_rows: 122_880, file_rows: 5_000_000 }
    }
}

/// A connection that sees the folder's tables as they are now, for reading queries; `None` where there is no such folder.
///
/// # Errors
/// The folder can't be read.
pub(super) fn reading(folder: &Path) -> Result<Option<Session>> {
    let layout = Layout::new(folder);
    if layout.hidden().is_dir() { views::session(&layout).map(Some) } else { Ok(None) }
}

/// A Parquet folder that this process may write. Only one process may at a time; readers need no permission.
pub struct ParquetFolder {
    layout: Layout,
    options: Options,
    opened: HashSet<String>,
    loads: HashMap<u64, Load>,
    tickets: u64,
    walks: parents::Walks,
    lists: Lists,
    /// Folders that gave up their place, and when.
    retired: Vec<(Instant, PathBuf)>,
    steps: Steps,
    /// Held for as long as this lives; none: the folder is only read.
    lock: Option<Lock>,
}

impl ParquetFolder {
    /// Takes a folder, which is made if it isn't there. Blocks for up to `lock_wait` while another process writes to it.
    /// `command`: what the other process is told if it has to wait for this one.
    ///
    /// # Errors
    /// [`Kind::Locked`], naming the owner, when another process still writes; [`Kind::Destination`] or [`Kind::State`]
    /// when the folder can't be made or written.
    pub fn connect(folder: &Path, options: Options, command: &str, lock_wait: Duration) -> Result<Self> {
        let layout = Layout::new(folder);
        files::create_folder(&layout.hidden())?;
        let subject = format!("the Parquet folder {}", folder.display());
        let lock = Lock::acquire(&layout.lock(), Claim { subject: &subject, command, wait: lock_wait })?;
        Ok(ParquetFolder::over(layout, options, Some(lock)))
    }

    /// A folder for reading. It need not be there.
    pub fn reading(folder: &Path) -> Self {
        ParquetFolder::over(Layout::new(folder), Options::default(), None)
    }

    fn over(layout: Layout, options: Options, lock: Option<Lock>) -> Self {
        ParquetFolder {
            layout,
            options,
            opened: HashSet::new(),
            loads: HashMap::new(),
            tickets: 0,
            walks: parents::Walks::default(),
            lists: Lists::default(),
            retired: Vec::new(),
            steps: Steps::default(),
            lock,
        }
    }

    /// Ends what a killed process left: a commit is rolled forward, anything else is removed.
    fn recover(&mut self, place: &DatasetLayout) -> Result<()> {
        self.finish_commit(place)?;
        let held: HashSet<&PathBuf> = self.retired.iter().map(|(_, path)| path).collect();
        for left in files::entries(&place.work)? {
            if !held.contains(&left) {
                files::remove_listed(&left)?;
            }
        }
        Ok(())
    }

    /// Puts a commit in place that was certain, and did not get further.
    fn finish_commit(&mut self, place: &DatasetLayout) -> Result<()> {
        match Journal::read(place)? {
            Some(journal) => self.put_in_place(&journal, place),
            None => Ok(()),
        }
    }

    /// Makes versions visible: all of them, whatever happens.
    fn publish(&mut self, entries: Vec<Entry>, place: &DatasetLayout) -> Result<()> {
        let journal = Journal { entries };
        self.steps.reach(Point::VersionsMade);
        journal.write(place, &mut self.steps)?;
        self.put_in_place(&journal, place).map_err(|e| {
            e.hint("the load is safe: the next run puts the remaining tables in place before it does anything else")
        })
    }

    fn put_in_place(&mut self, journal: &Journal, place: &DatasetLayout) -> Result<()> {
        let retired = journal.roll_forward(place, &mut self.steps)?;
        let now = Instant::now();
        self.retired.extend(retired.into_iter().map(|path| (now, path)));
        Ok(())
    }

    /// Removes replaced versions that no reader can be listing any more. One that can't be removed costs space only.
    fn sweep(&mut self) {
        let due = self.retired.extract_if(.., |(since, _)| since.elapsed() >= GRACE);
        for (_, path) in due {
            if let Err(e) = files::remove_listed(&path) {
                tracing::warn!(error = %e, "a replaced version of a table could not be removed; the next run tries again");
            }
        }
    }

    /// Makes the bookkeeping tables that are not there, as a commit of its own.
    fn make_missing_tables(&mut self, place: &DatasetLayout) -> Result<()> {
        let missing = book::missing_tables(place)?;
        if missing.is_empty() {
            return Ok(());
        }
        // No load has this number.
        let scratch = place.load(0);
        let mut versions = Versions::new(place, "0", &self.options, scratch.clone())?;
        book::add_tables(&mut versions, &missing)?;
        self.publish(versions.into_entries(), place)?;
        files::remove(&scratch)
    }

    /// Loads that a killed run left as running are over: a commit of its own.
    fn end_killed_loads(&mut self, place: &DatasetLayout, pipeline: &str) -> Result<()> {
        let killed = book::killed_loads(place, pipeline)?;
        if killed.is_empty() {
            return Ok(());
        }
        let scratch = place.load(0);
        let mut versions = Versions::new(place, "0", &self.options, scratch.clone())?;
        book::replace_loads(&mut versions, place, killed)?;
        self.publish(versions.into_entries(), place)?;
        files::remove(&scratch)
    }

    fn load(&self, ticket: &Ticket) -> Result<&Load> {
        self.loads.get(&ticket.0).ok_or_else(unknown_ticket)
    }

    fn take_load(&mut self, ticket: &Ticket) -> Result<Load> {
        self.loads.remove(&ticket.0).ok_or_else(unknown_ticket)
    }

    /// Ends row groups early while the open loads hold more memory than they may.
    fn bound_memory(&mut self) -> Result<()> {
        loop {
            let mut total = 0;
            let mut largest: Option<&mut load::LoadTable> = None;
            for load in self.loads.values_mut() {
                let (bytes, table) = load.memory();
                total += bytes;
                let best = largest.as_ref().map_or(0, |t| t.memory_bytes());
                largest = table.filter(|t| t.memory_bytes() > best).or(largest);
            }
            match largest {
                Some(table) if total > WRITE_BUFFER_BYTES_MAX => table.flush()?,
                _ => return Ok(()),
            }
        }
    }

    fn make_versions(&mut self, load: &mut Load, commit: &Commit, place: &DatasetLayout) -> Result<Vec<Entry>> {
        if load.settled.is_none() {
            settle::settle(load, place, &commit.catalog)?;
        }
        self.steps.reach(Point::LoadSettled);
        let tables = load.settled.take().unwrap_or_default();
        let discarded = load.take_discarded()?;
        let mut versions = Versions::new(place, &load.spec.load_id, &self.options, load.folder.join("rewritten"))?;
        let made = versions
            .add_load(load, tables, &commit.catalog, &mut self.steps)
            .and_then(|()| book::add_discarded(&mut versions, place, discarded))
            .and_then(|()| book::add_commit(&mut versions, place, &load.spec, commit));
        match made {
            Ok(()) => Ok(versions.into_entries()),
            Err(e) => {
                versions.discard();
                Err(e)
            }
        }
    }
}

impl Destination for ParquetFolder {
    fn location(&self) -> String {
        format!("parquet:{}", self.layout.root().display())
    }

    fn open(&mut self, pipeline: &str, dataset: &str) -> Result<Stored> {
        let place = self.layout.dataset(dataset);
        if !self.opened.contains(dataset) {
            book::check_format(&place)?;
            self.recover(&place)?;
            place.create()?;
            place.check_writable()?;
            self.make_missing_tables(&place)?;
            self.steps.reach(Point::BooksMade);
            self.opened.insert(dataset.to_owned());
        }
        self.end_killed_loads(&place, pipeline)?;
        book::stored(&place, pipeline)
    }

    fn peek(&mut self, pipeline: &str, dataset: &str) -> Result<Option<Stored>> {
        let place = self.layout.dataset(dataset);
        if place.row_files(META.name)?.is_empty() {
            return Ok(None);
        }
        book::check_format(&place)?;
        book::stored(&place, pipeline).map(Some)
    }

    fn row_count(&mut self, dataset: &str, table: &str) -> Result<u64> {
        views::row_count(&self.layout, dataset, table)
    }

    fn cursors(
        &mut self,
        pipeline: &str,
        dataset: &str,
        resource: &str,
        partitions: &[String],
    ) -> Result<HashMap<String, String>> {
        cursors::find(&self.layout.dataset(dataset), pipeline, resource, partitions)
    }

    fn begin(&mut self, spec: LoadSpec) -> Result<Ticket> {
        if self.lock.is_none() {
            return Err(Error::new(Kind::Internal, "a load was begun in a folder that is only read"));
        }
        self.tickets += 1;
        let place = self.layout.dataset(&spec.dataset);
        let folder = place.load(self.tickets);
        self.loads.insert(self.tickets, Load::new(spec, folder)?);
        Ok(Ticket(self.tickets))
    }

    fn stored(&mut self, ticket: &Ticket, table: &str, ids: &[RowId]) -> Result<HashMap<RowId, u64>> {
        let spec = &self.load(ticket)?.spec;
        if spec.fresh || spec.write == WriteDisposition::Replace || ids.is_empty() {
            return Ok(HashMap::new());
        }
        let counts = version::count_ids(&self.layout.dataset(&spec.dataset), table, ids)?;
        Ok(counts.into_iter().collect())
    }

    fn values(
        &mut self,
        ticket: &Ticket,
        table: &str,
        ids: &[RowId],
        columns: &[String],
    ) -> Result<HashMap<RowId, Vec<serde_json::Value>>> {
        let spec = &self.load(ticket)?.spec;
        if spec.fresh || ids.is_empty() {
            return Ok(HashMap::new());
        }
        parents::values_by_id(&self.layout.dataset(&spec.dataset), table, ids, columns)
    }

    fn write(&mut self, ticket: &Ticket, fitted: Vec<Fitted>) -> Result<Vec<u64>> {
        let load = self.loads.get_mut(&ticket.0).ok_or_else(unknown_ticket)?;
        let place = self.layout.dataset(&load.spec.dataset);
        let taken = load.write(fitted, &place, &self.options)?;
        self.bound_memory()?;
        Ok(taken)
    }

    fn keep_discarded(&mut self, ticket: &Ticket, discarded: &[Discarded], at: DateTime<Utc>) -> Result<()> {
        let load = self.loads.get_mut(&ticket.0).ok_or_else(unknown_ticket)?;
        load.keep_discarded(discarded, at, &self.options)
    }

    fn settle(&mut self, ticket: &Ticket, catalog: &Catalog) -> Result<Settled> {
        let place = self.layout.dataset(&self.load(ticket)?.spec.dataset);
        self.finish_commit(&place)?;
        let load = self.loads.get_mut(&ticket.0).ok_or_else(unknown_ticket)?;
        settle::settle(load, &place, catalog)
    }

    fn commit(&mut self, ticket: Ticket, commit: Commit) -> Result<()> {
        let mut load = self.take_load(&ticket)?;
        let place = self.layout.dataset(&load.spec.dataset);
        self.sweep();
        self.finish_commit(&place)?;
        let made = self.make_versions(&mut load, &commit, &place);
        let published = made.and_then(|entries| self.publish(entries, &place));
        // Whatever came of it, the load's own folder is of no more use; that it stays would not undo a commit.
        if let Err(e) = files::remove(&load.folder) {
            tracing::warn!(error = %e, "the folder of a load could not be removed; the next run tries again");
        }
        published
    }

    fn abort(&mut self, ticket: Ticket) -> Result<()> {
        let load = self.take_load(&ticket)?;
        files::remove(&load.folder)
    }

    fn parents(&mut self, query: &ParentQuery) -> Result<ParentPage> {
        self.walks.page(&self.layout.dataset(&query.dataset), query)
    }

    fn open_list(&mut self, query: &ListQuery) -> Result<List> {
        let session = views::session(&self.layout)?;
        self.lists.open(session, &views::schema(&query.dataset), query)
    }

    fn list_page(&mut self, list: usize, after: u64, limit: u64) -> Result<Vec<Vec<serde_json::Value>>> {
        self.lists.page(list, after, limit)
    }

    fn change_state(&mut self, change: &StateChange<'_>) -> Result<u64> {
        let place = self.layout.dataset(change.dataset);
        self.finish_commit(&place)?;
        // No load has this number.
        let scratch = place.load(0);
        let mut versions = Versions::new(&place, "0", &self.options, scratch.clone())?;
        let changed = match cursors::add_change(&mut versions, &place, change) {
            Ok(changed) => changed,
            Err(e) => {
                versions.discard();
                return Err(e);
            }
        };
        self.publish(versions.into_entries(), &place)?;
        files::remove(&scratch)?;
        Ok(changed)
    }

    fn close(mut self: Box<Self>) -> Result<()> {
        for load in self.loads.values() {
            files::remove(&load.folder)?;
        }
        if let Some(latest) = self.retired.iter().map(|(since, _)| *since).max() {
            std::thread::sleep(GRACE.saturating_sub(latest.elapsed()));
        }
        self.sweep();
        Ok(())
    }
}

fn unknown_ticket() -> Error {
    Error::new(Kind::Internal, "a load was used that is not open")
}
