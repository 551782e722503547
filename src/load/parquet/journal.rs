//! The journal: a commit from the instant at which it can't fail any more until all its tables are in place.
//!
//! The file is the commit point. Before it is there, nothing of a load can be seen, and what the load left is removed. Once
//! it is there, its steps are done, by this process or by the next one; each step can be done again, so that it doesn't
//! matter where the last attempt stopped.

use super::files::{self, failed};
use super::layout::{self, DatasetLayout};
use super::steps::Steps;
use crate::error::{Error, Kind, Result};
use crate::failpoint::Point;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

/// First line of a journal that this version writes and understands.
const HEADING: &str = "pintail journal 1";
const LAST_LINE: &str = "end";

/// What happens to one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// A version takes the place of what is there.
    Publish {
        /// Table.
        table: String,
        /// Version.
        version: String,
    },
    /// The table goes away.
    Drop {
        /// Table.
        table: String,
        /// Names the folder that it goes to.
        version: String,
    },
}

/// A commit that is being put in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Journal {
    pub(super) entries: Vec<Entry>,
}

impl Journal {
    /// Reads the journal of a dataset, if there is one. A newer version's is refused.
    pub(super) fn read(place: &DatasetLayout) -> Result<Option<Journal>> {
        let path = place.journal();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed("read", &path, e)),
        };
        let journal = Self::parse(&text).ok_or_else(|| {
            Error::new(Kind::Destination, "the journal of the Parquet folder can't be understood")
                .with("path", path.display())
                .hint("was it written by a newer version of Pintail? Use that version, nothing was changed")
        })?;
        Ok(Some(journal))
    }

    /// Makes the commit certain.
    pub(super) fn write(&self, place: &DatasetLayout, steps: &mut Steps) -> Result<()> {
        let path = place.journal();
        let draft = path.with_extension("tmp");
        files::write(&draft, self.to_text().as_bytes())?;
        steps.reach(Point::JournalDrafted);
        files::rename(&draft, &path)?;
        files::sync_folder(&place.work)?;
        steps.reach(Point::JournalWritten);
        Ok(())
    }

    /// Puts every table in place, and ends the journal. Returns the folders that can go, after a while.
    pub(super) fn roll_forward(&self, place: &DatasetLayout, steps: &mut Steps) -> Result<Vec<PathBuf>> {
        let mut retired = Vec::new();
        for entry in &self.entries {
            match entry {
                Entry::Publish { table, version } => {
                    publish(place, table, version, steps)?;
                    retired.extend([place.next(table, version), place.retired(table, version)]);
                }
                Entry::Drop { table, version } => {
                    let (live, gone) = (place.table(table), place.retired(table, version));
                    if live.is_dir() {
                        files::rename(&live, &gone)?;
                    }
                    retired.push(gone);
                }
            }
            steps.reach(Point::VersionPlaced);
        }
        // The exchanges have to be on disk before the journal is gone.
        files::sync_folder(&place.live)?;
        files::sync_folder(&place.work)?;
        steps.reach(Point::VersionsPlaced);
        files::remove(&place.journal())?;
        files::sync_folder(&place.work)?;
        steps.reach(Point::JournalRemoved);
        Ok(retired)
    }

    fn to_text(&self) -> String {
        let mut text = format!("{HEADING}\n");
        for entry in &self.entries {
            let (verb, table, version) = match entry {
                Entry::Publish { table, version } => ("publish", table, version),
                Entry::Drop { table, version } => ("drop", table, version),
            };
            text.push_str(&format!("{verb}\t{version}\t{table}\n"));
        }
        text + LAST_LINE + "\n"
    }

    fn parse(text: &str) -> Option<Journal> {
        let mut lines = text.lines();
        if lines.next() != Some(HEADING) || lines.next_back() != Some(LAST_LINE) {
            return None;
        }
        let entries = lines.map(|line| {
            let mut words = line.splitn(3, '\t').map(str::to_owned);
            let (verb, version, table) = (words.next()?, words.next()?, words.next()?);
            match verb.as_str() {
                "publish" => Some(Entry::Publish { table, version }),
                "drop" => Some(Entry::Drop { table, version }),
                _ => None,
            }
        });
        Some(Journal { entries: entries.collect::<Option<_>>()? })
    }
}

/// Puts a version where its table is. Where folders can't be exchanged, there is an instant without the table between two
/// renames: a reader then finds nothing, and never a part.
fn publish(place: &DatasetLayout, table: &str, version: &str, steps: &mut Steps) -> Result<()> {
    let (live, next) = (place.table(table), place.next(table, version));
    if layout::holds_version(&live, version)? {
        return Ok(());
    }
    if !layout::holds_version(&next, version)? {
        return Err(Error::new(Kind::Destination, "the Parquet folder's journal names a version that is not there")
            .with("table", table)
            .with("path", next.display())
            .hint("did something remove files below `.pintail`? The table itself is as it was before the last load"));
    }
    if !live.exists() {
        return files::rename(&next, &live);
    }
    if files::exchange(&next, &live)? {
        return Ok(());
    }
    exchange_by_renames(place, table, version, steps)
}

fn exchange_by_renames(place: &DatasetLayout, table: &str, version: &str, steps: &mut Steps) -> Result<()> {
    let (live, next) = (place.table(table), place.next(table, version));
    files::rename(&live, &place.retired(table, version))?;
    steps.reach(Point::VersionPlaced);
    files::rename(&next, &live)
}

#[cfg(test)]
mod tests {
    use super::super::steps::survives;
    use super::*;

    fn journal() -> Journal {
        Journal {
            entries: vec![
                Entry::Publish { table: "videos".into(), version: "a1".into() },
                Entry::Drop { table: "videos__tags".into(), version: "b2".into() },
            ],
        }
    }

    #[test]
    fn a_journal_is_read_back_as_it_was_written() {
        assert_eq!(Journal::parse(&journal().to_text()), Some(journal()));
    }

    #[test]
    fn a_cut_off_or_newer_journal_is_refused() {
        let whole = journal().to_text();
        for cut in 0..whole.len() - 1 {
            assert_eq!(Journal::parse(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(Journal::parse(&whole.replace("journal 1", "journal 2")), None);
        assert_eq!(Journal::parse(&whole.replace("publish", "unheard-of")), None);
    }

    #[test]
    fn rolling_forward_can_be_repeated_from_any_half_done_state() {
        for had_live in [false, true] {
            for stop_at in 0.. {
                let dir = tempfile::tempdir().unwrap();
                let place = ready(dir.path(), had_live);
                let finished =
                    survives(|| journal().roll_forward(&place, &mut Steps::dying_at(stop_at)).unwrap()).is_some();
                if let Some(left) = Journal::read(&place).unwrap() {
                    assert!(!finished);
                    left.roll_forward(&place, &mut Steps::default()).unwrap();
                }
                assert_eq!(place.live_version("videos").unwrap().as_deref(), Some("a1"), "{had_live} {stop_at}");
                assert!(!place.table("videos__tags").exists() && !place.journal().exists());
                if finished {
                    break;
                }
            }
        }
    }

    /// A dataset with a version to publish, a table to drop and a journal that says so.
    fn ready(dir: &std::path::Path, had_live: bool) -> DatasetLayout {
        let place = layout::Layout::new(dir).dataset("d");
        place.create().unwrap();
        let folders = [("old", had_live.then(|| place.table("videos"))), ("a1", Some(place.next("videos", "a1")))];
        for (version, folder) in folders.into_iter().filter_map(|(version, folder)| Some((version, folder?))) {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(layout::marker_name(version)), "").unwrap();
        }
        fs::create_dir_all(place.table("videos__tags")).unwrap();
        journal().write(&place, &mut Steps::default()).unwrap();
        place
    }

    #[test]
    fn without_an_exchange_two_renames_do_and_may_be_interrupted() {
        for stop_at in [0, 1] {
            let dir = tempfile::tempdir().unwrap();
            let place = ready(dir.path(), true);
            let renamed =
                survives(|| exchange_by_renames(&place, "videos", "a1", &mut Steps::dying_at(stop_at)).unwrap());
            assert_eq!(renamed.is_some(), stop_at > 0);
            journal().roll_forward(&place, &mut Steps::default()).unwrap();
            assert_eq!(place.live_version("videos").unwrap().as_deref(), Some("a1"));
        }
    }

    #[test]
    fn a_version_that_was_taken_away_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let place = layout::Layout::new(dir.path()).dataset("d");
        place.create().unwrap();
        let error = journal().roll_forward(&place, &mut Steps::default()).unwrap_err();
        assert_eq!((error.kind(), error.context("table")), (Kind::Destination, Some("videos")));
    }
}
