//! Where things are in a Parquet folder.
//!
//! ```text
//! DIR/DATASET/TABLE/*.parquet     the tables, and nothing else
//! DIR/DATASET/TABLE/.version-ID   an empty file: which version of the table the folder holds
//! DIR/.pintail/lock               who writes
//! DIR/.pintail/DATASET/           work in hand; what is left there by a killed run is rolled forward or removed
//!     journal                     the commit that is being put in place, if there is one
//!     load-N/TABLE/*.part         rows of an open load
//!     TABLE.ID.next/              a version that takes the place of the table, or has given it up
//! ```
//!
//! Row files of an open load don't end in `.parquet`, and a version folder never has its table's name, so that patterns like
//! `DIR/**/TABLE/*.parquet` find the live tables only. (`DIR/**/*.parquet` can meet a version folder in the instants
//! between its making and its removal; such a pattern mixes tables anyway.)

use super::files::{self, failed};
use crate::error::{Error, Kind, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Ending of the files of a table.
const ROWS_ENDING: &str = "parquet";
/// A folder that is made to see whether folders can be made.
const PROBE: &str = ".probe";
const VERSION_PREFIX: &str = ".version-";

/// Paths in a Parquet folder.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(super) fn new(root: &Path) -> Self {
        Layout { root: root.to_owned() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn hidden(&self) -> PathBuf {
        self.root.join(".pintail")
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.hidden().join("lock")
    }

    /// The paths of one dataset.
    pub(super) fn dataset(&self, dataset: &str) -> DatasetLayout {
        DatasetLayout { live: self.root.join(dataset), work: self.hidden().join(dataset) }
    }
}

/// Paths of one dataset.
#[derive(Debug, Clone)]
pub(super) struct DatasetLayout {
    /// Folder of the table folders.
    pub(super) live: PathBuf,
    /// Folder of work in hand.
    pub(super) work: PathBuf,
}

impl DatasetLayout {
    pub(super) fn table(&self, table: &str) -> PathBuf {
        self.live.join(table)
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.work.join("journal")
    }

    pub(super) fn load(&self, ticket: u64) -> PathBuf {
        self.work.join(format!("load-{ticket}"))
    }

    /// Where a version is made, and where the version that it replaces ends up.
    pub(super) fn next(&self, table: &str, version: &str) -> PathBuf {
        self.work.join(format!("{table}.{version}.next"))
    }

    /// Where a table goes that makes way without an exchange.
    pub(super) fn retired(&self, table: &str, version: &str) -> PathBuf {
        self.work.join(format!("{table}.{version}.old"))
    }

    /// Makes the folders that are not there.
    pub(super) fn create(&self) -> Result<()> {
        for folder in [&self.live, &self.work] {
            files::create_folder(folder)?;
        }
        Ok(())
    }

    /// Requires that versions can be made and put in place. Otherwise a run would notice only when it commits.
    pub(super) fn check_writable(&self) -> Result<()> {
        for folder in [&self.live, &self.work] {
            let probe = folder.join(PROBE);
            files::remove(&probe)?;
            fs::create_dir(&probe).map_err(|e| failed("make", &probe, e))?;
            files::remove(&probe)?;
        }
        Ok(())
    }

    /// The row files of a table in the order of their names; none if there is no such table.
    pub(super) fn row_files(&self, table: &str) -> Result<Vec<PathBuf>> {
        let folder = self.table(table);
        let mut found = Vec::new();
        for path in files::entries(&folder)? {
            if path.extension().is_some_and(|e| e == ROWS_ENDING) {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Which version the live folder of a table holds, if it says so.
    pub(super) fn live_version(&self, table: &str) -> Result<Option<String>> {
        let mut versions = files::entries(&self.table(table))?
            .into_iter()
            .filter_map(|path| Some(path.file_name()?.to_str()?.strip_prefix(VERSION_PREFIX)?.to_owned()));
        Ok(versions.next())
    }

    /// Refuses a folder that holds something where a new table has to go.
    pub(super) fn refuse_taken(&self, table: &str) -> Result<()> {
        let folder = self.table(table);
        if files::entries(&folder)?.is_empty() {
            return Ok(());
        }
        Err(Error::new(Kind::Destination, "the folder of a new table is not empty")
            .with("path", folder.display())
            .hint("it holds another resource's table, or files that Pintail did not write: choose another `dataset` or resource name, or move them away"))
    }
}

/// Whether a folder holds a version.
pub(super) fn holds_version(folder: &Path, version: &str) -> Result<bool> {
    match fs::symlink_metadata(folder.join(marker_name(version))) {
        Ok(_) => Ok(true),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(e) => Err(failed("read", folder, e)),
    }
}

/// Name of the empty file that says which version a folder holds.
pub(super) fn marker_name(version: &str) -> String {
    format!("{VERSION_PREFIX}{version}")
}

/// Name of a row file: sorts by load, and is never used for other content.
pub(super) fn row_file_name(load_id: &str, version: &str, number: usize) -> String {
    format!("{load_id}-{version}-{number:05}.{ROWS_ENDING}")
}

/// A name for a version that no other version has.
pub(super) fn new_version() -> String {
    format!("{:016x}", rand::random::<u64>())
}
