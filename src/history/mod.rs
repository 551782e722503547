//! What the warehouse and the state folder tell of past runs: for `status` and `report`. Nothing here changes anything.

mod gather;
mod runs;

pub use gather::{gather, gather_from};

use crate::load::reading::{LastLoad, LoadEntry};
use crate::state::lock::Owner;
use chrono::{DateTime, Utc};
use std::path::PathBuf;

/// Why a killed run ended, as the next one notes it.
pub const KILLED: &str = "the run ended without saying why";

/// The past of a pipeline.
#[derive(Debug)]
pub struct History {
    /// Pipeline name.
    pub pipeline: String,
    /// Type and place of the warehouse.
    pub destination: String,
    /// DuckDB schema or Parquet folder.
    pub dataset: String,
    /// Who runs it now.
    pub running: Option<Owner>,
    /// Where this was read.
    pub source: Source,
    /// Its runs, the one that ended last first.
    pub runs: Vec<Run>,
    /// Its resources: those of the file in its order, then those that only the warehouse knows.
    pub resources: Vec<LastLoad>,
}

/// Where a past was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The warehouse itself.
    Warehouse,
    /// The copy for readers, because another process holds the warehouse.
    Copy(PathBuf),
    /// The reports in the state folder, because another process holds the warehouse.
    Reports,
    /// There is no warehouse yet, or nothing of the pipeline in it.
    Nothing,
}

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The load; none: the run did not begin.
    pub load_id: Option<String>,
    /// How it ended.
    pub ending: Ending,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended, or last committed.
    pub ended_at: DateTime<Utc>,
    /// What each resource came to.
    pub resources: Vec<LoadEntry>,
    /// What stopped it as a whole.
    pub error: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All of it was loaded.
    Completed,
    /// Something failed, or it could not begin.
    Failed,
    /// A signal ended it.
    Interrupted,
    /// It was killed, or the machine went down.
    Killed,
    /// It goes on.
    Running,
    /// A limit that was given to it ended it, or another ending with a word of its own.
    Other(String),
}

impl Ending {
    /// The word for people and machines.
    pub fn word(&self) -> &str {
        match self {
            Ending::Completed => "completed",
            Ending::Failed => "failed",
            Ending::Interrupted => "interrupted",
            Ending::Killed => "killed",
            Ending::Running => "running",
            Ending::Other(word) => word,
        }
    }

    /// Whether somebody should look.
    pub fn is_bad(&self) -> bool {
        matches!(self, Ending::Failed | Ending::Killed)
    }
}

impl Run {
    /// Rows that it loaded, over all tables.
    pub fn rows(&self) -> u64 {
        self.resources.iter().map(rows_of).sum()
    }

    /// Requests that it sent.
    pub fn requests(&self) -> u64 {
        self.resources.iter().map(|entry| entry.requests).sum()
    }

    /// What went wrong: of the whole, and of each resource.
    pub fn errors(&self) -> Vec<(Option<&str>, &str)> {
        let whole = self.error.iter().map(|error| (None, error.as_str()));
        let own =
            self.resources.iter().filter_map(|entry| Some((Some(entry.resource.as_str()), entry.error.as_deref()?)));
        whole.chain(own).collect()
    }
}

/// Rows that a load brought, over all tables of the resource.
pub fn rows_of(entry: &LoadEntry) -> u64 {
    entry.rows.iter().map(|(_, rows)| rows).sum()
}

impl History {
    /// The run that ended last.
    pub fn last_run(&self) -> Option<&Run> {
        self.runs.iter().find(|run| run.ending != Ending::Running)
    }

    /// Whether the last run of it needs somebody to look.
    pub fn is_bad(&self) -> bool {
        self.last_run().is_some_and(|run| run.ending.is_bad())
    }

    /// What each run came to for a resource, newest first; none where it had no part in the run.
    pub fn of_resource<'a>(&'a self, name: &str) -> impl Iterator<Item = Option<&'a LoadEntry>> {
        self.runs.iter().map(move |run| run.resources.iter().find(|entry| entry.resource == name))
    }

    /// How the last load of a resource ended.
    pub fn last_status<'a>(&'a self, name: &str) -> Option<&'a str> {
        self.of_resource(name).flatten().next().map(|entry| entry.status.as_str())
    }
}
