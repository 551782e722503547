//! A new DuckDB file appears under its name only when DuckDB can open it: a process that is killed while DuckDB writes the
//! file's first pages would leave one that nothing can open any more, this program included.

use crate::error::{Error, Kind, Result};
use crate::failpoint::{Point, reach};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Makes the file if there is none, or an empty one: `make` has DuckDB write a database under the name that it is given. The
/// file's folder exists.
///
/// Another process may do the same at the same time: whoever is first wins, and the other one's file is dropped.
///
/// # Errors
/// The folder can't be written to, or DuckDB can't make a database there.
pub(super) fn create_if_missing(path: &Path, make: impl FnOnce(&Path) -> ::duckdb::Result<()>) -> Result<()> {
    let is_empty = match fs::metadata(path) {
        Ok(found) => found.is_file() && found.len() == 0,
        Err(e) if e.kind() == ErrorKind::NotFound => false,
        // What is wrong with it shows when it is opened.
        Err(_) => return Ok(()),
    };
    if path.exists() && !is_empty {
        return Ok(());
    }
    let draft = Draft::new(path);
    make(&draft.path).map_err(|cause| failed("the warehouse could not be made", path).source(cause))?;
    reach(Point::FileDrafted);
    let placed = if is_empty { fs::rename(&draft.path, path) } else { link_or_rename(&draft.path, path) };
    placed.map_err(|cause| failed("the warehouse could not be put in its place", path).source(cause))?;
    // Without this a power failure could forget the name. A system that can't flush a folder does so by itself.
    let folder = path.parent().and_then(|folder| fs::File::open(folder).ok());
    folder.map_or(Ok(()), |folder| folder.sync_all()).or(Ok(()))
}

/// Requires that files can be made beside the warehouse, as DuckDB does for its write-ahead log. Otherwise a run would notice
/// only when it commits.
///
/// # Errors
/// They can't.
pub(super) fn check_folder(path: &Path) -> Result<()> {
    let draft = Draft::new(path);
    let made = fs::File::create_new(draft.path()).map_err(|cause| {
        failed("the warehouse's folder can't be written to", path)
            .source(cause)
            .hint("DuckDB keeps its write-ahead log beside the file; may this user make files there?")
    });
    made.map(|_| ())
}

/// Gives the file its name, unless the name is taken by now.
fn link_or_rename(draft: &Path, path: &Path) -> std::io::Result<()> {
    match fs::hard_link(draft, path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        // Not every filesystem has hard links.
        Err(_) if !path.exists() => fs::rename(draft, path),
        done => done,
    }
}

/// The file under its name for the time being. Gone in the end.
pub(super) struct Draft {
    path: PathBuf,
}

impl Draft {
    /// A name beside a file's own, for this process. What killed processes left under such names is removed.
    pub(super) fn new(path: &Path) -> Self {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let prefix = format!(".{name}.new-");
        if let Some(folder) = path.parent() {
            remove_abandoned(folder, &prefix);
        }
        let draft = Draft { path: path.with_file_name(format!("{prefix}{}", std::process::id())) };
        // Processes of another machine or container have the same numbers.
        let _ = fs::remove_file(&draft.path);
        draft
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // It was linked or renamed by now, or is of no use.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes what killed processes left. Failing to do so harms nobody.
fn remove_abandoned(folder: &Path, prefix: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(prefix)).and_then(|pid| pid.parse().ok());
        if pid.is_some_and(|pid| !is_running(pid)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether a process of this number runs. Another one's processes count too.
fn is_running(pid: i32) -> bool {
    use rustix::process::{Pid, test_kill_process};
    Pid::from_raw(pid).is_some_and(|pid| !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH)))
}

fn failed(message: &str, path: &Path) -> Error {
    Error::new(Kind::Destination, message).with("file", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::duckdb::Connection;

    fn make(path: &Path) -> ::duckdb::Result<()> {
        Connection::open(path)?.close().map_err(|(_, cause)| cause)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_file_appears_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.duckdb");
        // What a killed process left: no process has this number, because it is above the kernel's limit.
        fs::write(folder.path().join(".w.duckdb.new-2147483646"), "half").unwrap();
        create_if_missing(&path, make).unwrap();
        assert_eq!(names(folder.path()), ["w.duckdb"]);
        assert!(Connection::open(&path).is_ok());
    }

    #[test]
    fn an_empty_file_becomes_a_database_and_any_other_file_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (empty, other) = (folder.path().join("empty.duckdb"), folder.path().join("other.duckdb"));
        fs::write(&empty, "").unwrap();
        fs::write(&other, "id,title").unwrap();
        create_if_missing(&empty, make).unwrap();
        create_if_missing(&other, make).unwrap();
        assert!(Connection::open(&empty).is_ok());
        assert_eq!(fs::read_to_string(&other).unwrap(), "id,title");
    }

    #[test]
    fn of_two_that_make_it_the_first_wins() {
        let folder = tempfile::tempdir().unwrap();
        let (path, draft) = (folder.path().join("w.duckdb"), folder.path().join("draft"));
        fs::write(&path, "first").unwrap();
        fs::write(&draft, "second").unwrap();
        link_or_rename(&draft, &path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
    }
}
