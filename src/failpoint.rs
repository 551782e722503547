//! Points at which a test can have the process die, as `kill -9` or a power failure would have it.
//!
//! For the tests of the commit protocol, and internal: the environment variable [`VARIABLE`] names a point, `POINT` or
//! `POINT#N` for the N-th time that it is reached. The points stand at cold places, a few per commit, none per page or row;
//! without the variable each costs the look at a flag.

use crate::error::{Error, Kind, Result};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The environment variable that names the point.
pub const VARIABLE: &str = "PINTAIL_DIE_AT";

/// Where the process can die. Named by what was just done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// DuckDB: a new file is complete under its name for the time being.
    FileDrafted,
    /// The bookkeeping tables are there, and nothing else.
    BooksMade,
    /// DuckDB: a table has changed for rows that are not there yet.
    TableChanged,
    /// Some rows of a load were written.
    RowsWritten,
    /// A load was settled.
    LoadSettled,
    /// DuckDB has everything but the `COMMIT`.
    BooksKept,
    /// Parquet: a table has its next version.
    VersionMade,
    /// Parquet: all tables have, and the journal is not written yet.
    VersionsMade,
    /// Parquet: the journal is complete under its name for the time being.
    JournalDrafted,
    /// Parquet: the journal is written.
    JournalWritten,
    /// Parquet: a version is in its place.
    VersionPlaced,
    /// Parquet: all versions are, and the journal is still there.
    VersionsPlaced,
    /// Parquet: the journal is gone, and what was replaced is still there.
    JournalRemoved,
    /// A commit is done, and the readable copy of the state does not know it.
    Committed,
    /// The readable copy of the state knows it too.
    StateWritten,
    /// All resources have ended, and the warehouse is still open.
    ResourcesEnded,
    /// DuckDB's write-ahead log is in the file.
    Checkpointed,
    /// The copy for readers is begun.
    CopyBegun,
    /// The copy for readers is complete under its name for the time being.
    CopyWritten,
    /// The copy for readers is in its place.
    CopyPlaced,
}

/// All points by their names.
pub const POINTS: [(&str, Point); 20] = [
    ("file_drafted", Point::FileDrafted),
    ("books_made", Point::BooksMade),
    ("table_changed", Point::TableChanged),
    ("rows_written", Point::RowsWritten),
    ("load_settled", Point::LoadSettled),
    ("books_kept", Point::BooksKept),
    ("version_made", Point::VersionMade),
    ("versions_made", Point::VersionsMade),
    ("journal_drafted", Point::JournalDrafted),
    ("journal_written", Point::JournalWritten),
    ("version_placed", Point::VersionPlaced),
    ("versions_placed", Point::VersionsPlaced),
    ("journal_removed", Point::JournalRemoved),
    ("committed", Point::Committed),
    ("state_written", Point::StateWritten),
    ("resources_ended", Point::ResourcesEnded),
    ("checkpointed", Point::Checkpointed),
    ("copy_begun", Point::CopyBegun),
    ("copy_written", Point::CopyWritten),
    ("copy_placed", Point::CopyPlaced),
];

struct Plan {
    point: Point,
    /// Times that it is still passed.
    left: AtomicU32,
}

static PLAN: OnceLock<Option<Plan>> = OnceLock::new();

/// Reads the variable, once. Without it nothing ever dies.
///
/// # Errors
/// It names no point; the error lists all of them.
pub fn arm() -> Result<()> {
    let plan = match std::env::var(VARIABLE) {
        Ok(text) => Some(parse(&text)?),
        Err(_) => None,
    };
    // A second call changes nothing.
    let _ = PLAN.set(plan);
    Ok(())
}

fn parse(text: &str) -> Result<Plan> {
    let (name, count) = text.split_once('#').unwrap_or((text, "1"));
    let point = POINTS.iter().find(|(own, _)| *own == name).map(|(_, point)| *point);
    match (point, count.parse::<u32>()) {
        (Some(point), Ok(count)) if count > 0 => Ok(Plan { point, left: AtomicU32::new(count - 1) }),
        _ => {
            let names = POINTS.map(|(name, _)| name).join(" ");
            Err(Error::new(Kind::Config, format!("{VARIABLE} names no point to die at")).with("points", names))
        }
    }
}

/// Stands at a point. Ends the process at once, without any clean-up, if that is the one to die at.
pub fn reach(point: Point) {
    let Some(Some(plan)) = PLAN.get() else { return };
    if plan.point == point
        && plan.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_err()
    {
        use rustix::process::{Signal, getpid, kill_process};
        let _ = kill_process(getpid(), Signal::KILL);
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_named_with_how_often_it_is_passed_before() {
        for (text, expected) in [("committed", Some(0)), ("committed#3", Some(2)), ("committed#0", None), ("x", None)] {
            let found = parse(text).ok().map(|plan| plan.left.into_inner());
            assert_eq!(found, expected, "{text}");
        }
    }
}
