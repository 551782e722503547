//! `STATE_DIR/PIPELINE.json`: a readable copy of what the warehouse knows.
//!
//! The warehouse is the truth. The copy is written after each commit, for people and for scripts that watch freshness; it is
//! compared with the warehouse at the start of a run, so that a surprise is told, and then written anew from it. Nothing is
//! ever read from it to decide what to ask for. It holds cursors, names and times, no credential.

use crate::error::{Error, Kind, Result};
use crate::load::{Commit, CursorRow, Stored, is_partition};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Version of the file's format. A file of a newer one is not read.
const FORMAT_VERSION: u32 = 1;

/// The copy.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateCopy {
    /// Format of the file.
    format_version: u32,
    /// Pipeline name.
    pub pipeline: String,
    /// Where the truth is.
    pub warehouse: WarehouseName,
    /// The newest committed load.
    pub last_load_id: Option<String>,
    /// Cursors by resource.
    pub resources: BTreeMap<String, ResourceState>,
    /// Time of the commit that it tells of.
    pub updated_at: DateTime<Utc>,
}

/// Which warehouse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarehouseName {
    /// Made when the warehouse was made.
    pub id: String,
    /// Type and place, as people know it.
    pub location: String,
}

/// What is remembered of one resource.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceState {
    /// Its cursor, as JSON.
    pub cursor: Option<Box<RawValue>>,
    /// How many cursors of partitions its last load moved; the cursors themselves are in the warehouse only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<PartitionCount>,
}

/// How many partitions of a resource moved in a load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionCount {
    /// The load.
    pub load_id: String,
    /// Partition cursors that it wrote.
    pub moved: u64,
}

/// How a copy compares with its warehouse. The warehouse is right in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// It tells what the warehouse tells.
    Fresh,
    /// There is none.
    Missing,
    /// The warehouse went on without it: another machine's run, or a run killed between commit and copy.
    Older,
    /// The warehouse is behind it: restored from a backup, perhaps.
    Newer,
    /// It tells of another warehouse.
    OtherWarehouse,
}

impl StateCopy {
    /// The copy of what a warehouse knows.
    pub fn of(pipeline: &str, location: &str, stored: &Stored, updated_at: DateTime<Utc>) -> Self {
        let mut copy = StateCopy {
            format_version: FORMAT_VERSION,
            pipeline: pipeline.to_owned(),
            warehouse: WarehouseName { id: stored.warehouse_id.clone(), location: location.to_owned() },
            last_load_id: stored.last_load_id.clone(),
            resources: BTreeMap::new(),
            updated_at,
        };
        for row in stored.cursors.iter().filter(|row| row.partition.is_empty()) {
            copy.resources.entry(row.resource.clone()).or_default().cursor = Some(json_value(&row.value));
        }
        copy
    }

    /// Notes that a load is on record, whatever became of its rows.
    pub fn note_load(&mut self, load_id: &str, committed_at: DateTime<Utc>) {
        self.last_load_id = Some(load_id.to_owned());
        self.updated_at = committed_at;
    }

    /// Takes over what a commit of one resource made visible.
    pub fn record(&mut self, resource: &str, load_id: &str, commit: &Commit) {
        self.note_load(load_id, commit.record.committed_at);
        for other in &commit.forget_cursors_of {
            self.resources.remove(other);
        }
        let state = self.resources.entry(resource.to_owned()).or_default();
        if commit.forget_cursors {
            *state = ResourceState::default();
        }
        let partitions: Vec<&CursorRow> = commit.cursors.iter().filter(|c| is_partition(&c.partition)).collect();
        if let Some(row) = commit.cursors.iter().rfind(|c| c.partition.is_empty()) {
            state.cursor = Some(json_value(&row.value));
        }
        if !partitions.is_empty() {
            let before = state.partitions.take().filter(|p| p.load_id == load_id).map_or(0, |p| p.moved);
            let moved = before + partitions.len() as u64;
            state.partitions = Some(PartitionCount { load_id: load_id.to_owned(), moved });
        }
    }

    /// Reads a pipeline's copy, if there is one.
    ///
    /// # Errors
    /// [`Kind::State`] when it can't be read or understood. That is worth a warning and no more: the caller goes on from
    /// the warehouse and writes it anew.
    pub fn read(state_dir: &Path, pipeline: &str) -> Result<Option<StateCopy>> {
        let path = path_of(state_dir, pipeline);
        let unreadable = |message: &str| Error::new(Kind::State, message).with("path", path.display());
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(unreadable("the state file can't be read").source(e)),
        };
        let copy: StateCopy = serde_json::from_str(&text)
            .map_err(|e| unreadable("the state file is not what Pintail wrote").source(e))?;
        if copy.format_version > FORMAT_VERSION {
            return Err(unreadable("the state file was written by a newer version of Pintail")
                .with("format", format!("{}, this version knows {FORMAT_VERSION}", copy.format_version)));
        }
        Ok(Some(copy))
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// [`Kind::State`] when the folder or the file can't be written.
    pub fn write(&self, state_dir: &Path) -> Result<()> {
        let path = path_of(state_dir, &self.pipeline);
        self.replace_file(state_dir, &path).map_err(|e| {
            Error::new(Kind::State, "the state file can't be written")
                .with("path", path.display())
                .source(e)
                .hint("what was loaded is safe: the warehouse holds the state, this file is a copy")
        })
    }

    /// Nothing waits for the disk: after a power failure the file may be an old one, or none that can be read. It is written
    /// anew by the next run, and on slow disks two flushes a commit are what a run without news spends its time on.
    fn replace_file(&self, state_dir: &Path, path: &Path) -> std::io::Result<()> {
        fs::create_dir_all(state_dir)?;
        let draft = path.with_extension("json.tmp");
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        fs::write(&draft, text)?;
        fs::rename(&draft, path)
    }

    /// How it compares with the warehouse.
    fn compare(&self, stored: &Stored) -> Finding {
        if self.warehouse.id != stored.warehouse_id {
            return Finding::OtherWarehouse;
        }
        if self.last_load_id > stored.last_load_id {
            return Finding::Newer;
        }
        let own: BTreeMap<&str, &str> =
            self.resources.iter().filter_map(|(name, s)| Some((name.as_str(), s.cursor.as_ref()?.get()))).collect();
        let theirs: BTreeMap<&str, Box<RawValue>> = stored
            .cursors
            .iter()
            .filter(|row| row.partition.is_empty())
            .map(|row| (row.resource.as_str(), json_value(&row.value)))
            .collect();
        let same = own.len() == theirs.len()
            && theirs.iter().all(|(name, value)| own.get(name).is_some_and(|v| *v == value.get()));
        if same && self.last_load_id == stored.last_load_id { Finding::Fresh } else { Finding::Older }
    }
}

impl Finding {
    /// The word for machines.
    pub fn word(self) -> &'static str {
        match self {
            Finding::Fresh => "same",
            Finding::Missing => "missing",
            Finding::Older => "older",
            Finding::Newer => "newer",
            Finding::OtherWarehouse => "other_warehouse",
        }
    }

    /// What is to be said of it, where there is something.
    pub fn sentence(self) -> Option<&'static str> {
        match self {
            Finding::Fresh => None,
            Finding::Missing => Some("there is no state file; the next run writes it anew from the warehouse"),
            Finding::Older => Some("the state file is older than the warehouse, which counts"),
            Finding::Newer => {
                Some("the state file is newer than the warehouse, which counts all the same: was it restored?")
            }
            Finding::OtherWarehouse => Some("the state file tells of another warehouse; this one counts"),
        }
    }
}

/// How a pipeline's copy, if there is one, compares with the warehouse.
pub fn compare(copy: Option<&StateCopy>, stored: &Stored) -> Finding {
    copy.map_or(Finding::Missing, |copy| copy.compare(stored))
}

/// Where the copy of a pipeline is.
pub fn path_of(state_dir: &Path, pipeline: &str) -> PathBuf {
    state_dir.join(format!("{pipeline}.json"))
}

/// The JSON that a cursor's text is, compact as a reader of the file gives it back; text that is no JSON becomes a string.
fn json_value(text: &str) -> Box<RawValue> {
    let parsed = RawValue::from_string(text.trim().to_owned());
    parsed.or_else(|_| serde_json::value::to_raw_value(text)).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::LoadRow;
    use crate::schema::catalog::Catalog;

    fn time(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
    }

    fn cursor(resource: &str, partition: &str, value: &str) -> CursorRow {
        CursorRow { resource: resource.into(), partition: partition.into(), value: value.into() }
    }

    fn stored() -> Stored {
        Stored {
            cursors: vec![cursor("videos", "", r#"{"instant":"2024-01-01T00:00:00Z"}"#)],
            last_load_id: Some("0002".into()),
            warehouse_id: "w1".into(),
            ..Stored::default()
        }
    }

    fn commit(cursors: Vec<CursorRow>, forget_cursors: bool) -> Commit {
        let record = LoadRow {
            status: "completed".into(),
            started_at: time(0),
            committed_at: time(9),
            requests: 1,
            pages: 1,
            records: 1,
            bytes: 1,
            rows: vec![],
            discarded: vec![],
            end: None,
            error: None,
        };
        Commit {
            cursors,
            forget_cursors,
            forget_cursors_of: vec![],
            record,
            changes: vec![],
            catalog: Catalog::default(),
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_is_fresh() {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = dir.path().join("made/when/needed");
        StateCopy::of("shop", "duckdb:w.duckdb", &stored(), time(1)).write(&state_dir).unwrap();
        let copy = StateCopy::read(&state_dir, "shop").unwrap();
        assert_eq!(compare(copy.as_ref(), &stored()), Finding::Fresh);
        let text = fs::read_to_string(state_dir.join("shop.json")).unwrap();
        assert!(text.contains("\"cursor\": {\"instant\":\"2024-01-01T00:00:00Z\"}"), "{text}");
        assert_eq!(fs::read_dir(&state_dir).unwrap().count(), 1, "no draft stays");
    }

    #[test]
    fn every_difference_from_the_warehouse_has_its_name() {
        let copy = StateCopy::of("shop", "duckdb:w.duckdb", &stored(), time(1));
        let moved = Stored { cursors: vec![cursor("videos", "", "7")], ..stored() };
        let behind = Stored { last_load_id: Some("0001".into()), ..stored() };
        let ahead = Stored { last_load_id: Some("0003".into()), ..stored() };
        let reset = Stored { cursors: vec![], ..stored() };
        let other = Stored { warehouse_id: "w2".into(), ..stored() };
        assert_eq!(compare(None, &stored()), Finding::Missing);
        for (warehouse, finding) in [
            (stored(), Finding::Fresh),
            (moved, Finding::Older),
            (ahead, Finding::Older),
            (reset, Finding::Older),
            (behind, Finding::Newer),
            (other, Finding::OtherWarehouse),
        ] {
            assert_eq!(compare(Some(&copy), &warehouse), finding, "{warehouse:?}");
        }
    }

    #[test]
    fn a_commit_moves_its_resource_and_counts_partitions_by_load() {
        let mut copy = StateCopy::of("shop", "duckdb:w.duckdb", &stored(), time(1));
        copy.record("videos", "0003", &commit(vec![cursor("videos", "", "8")], false));
        copy.record("views", "0003", &commit(vec![cursor("views", "[1]", "1"), cursor("views", "[2]", "1")], false));
        copy.record("views", "0003", &commit(vec![cursor("views", "[3]", "1")], false));
        assert_eq!(copy.last_load_id.as_deref(), Some("0003"));
        assert_eq!(copy.updated_at, time(9));
        assert_eq!(copy.resources["videos"].cursor.as_ref().unwrap().get(), "8");
        assert_eq!(copy.resources["views"].partitions, Some(PartitionCount { load_id: "0003".into(), moved: 3 }));
        copy.record("views", "0004", &commit(vec![cursor("views", "[3]", "1")], false));
        assert_eq!(copy.resources["views"].partitions, Some(PartitionCount { load_id: "0004".into(), moved: 1 }));
        copy.record("videos", "0004", &commit(vec![], true));
        assert!(copy.resources["videos"].cursor.is_none());
    }

    #[test]
    fn a_file_that_is_not_ours_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        assert!(StateCopy::read(dir.path(), "shop").unwrap().is_none());
        let newer = serde_json::to_string(&StateCopy::of("shop", "x", &stored(), time(1))).unwrap();
        for text in ["", "{", "{}", "[]", "\u{0}", &newer.replace("\"format_version\":1", "\"format_version\":9")] {
            fs::write(dir.path().join("shop.json"), text).unwrap();
            let error = StateCopy::read(dir.path(), "shop").unwrap_err();
            assert_eq!(error.kind(), Kind::State);
            assert!(error.context("path").is_some_and(|p| p.ends_with("shop.json")), "{text:?}");
        }
    }
}
