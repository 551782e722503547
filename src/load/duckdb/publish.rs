//! A copy of the warehouse for readers, who would otherwise keep a run from opening the file, and be kept from it.
//!
//! The copy appears under its name by one rename, so that whoever opens that name finds a complete database; whoever had the
//! copy before open keeps it as it was. It is read-only, because what someone wrote into it would be gone with the next one,
//! and a write-ahead log of theirs would lie beside it then.

use super::create::Draft;
use crate::error::{Error, Kind, Result};
use crate::failpoint::{Point, reach};
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io;
use std::path::Path;

/// Puts a copy of the warehouse in place, unless the one that is there is as new. Says whether it did.
///
/// The warehouse has to be whole in its file (`CHECKPOINT`), and nobody writes to it meanwhile. The copy has the warehouse's
/// time of change: that is how a copy is known to be as new, also if the process that should have made it was killed.
///
/// # Errors
/// The copy can't be made or put in place. The one that was there stays, and so does the warehouse.
pub(super) fn publish(warehouse: &Path, source: &File, target: &Path) -> Result<bool> {
    let failed = |cause: io::Error| {
        let hint = match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "the disk is full: make room for a second copy"
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "may this user write there?",
            _ => "is there a folder of that name, or is a disk missing?",
        };
        Error::new(Kind::Destination, "the copy for readers could not be published; what was loaded is in the warehouse, and the next run publishes it")
            .with("publish", target.display())
            .with("warehouse", warehouse.display())
            .source(cause)
            .hint(hint)
    };
    if is_as_new(source, target).map_err(failed)? {
        return Ok(false);
    }
    copy(source, target).map_err(failed)?;
    Ok(true)
}

fn is_as_new(source: &File, target: &Path) -> io::Result<bool> {
    let (source, target) = match fs::metadata(target) {
        Ok(target) => (source.metadata()?, target),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    Ok(target.is_file() && target.len() == source.len() && target.modified()? == source.modified()?)
}

fn copy(mut source: &File, target: &Path) -> io::Result<()> {
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    let draft = Draft::new(target);
    let mut file = OpenOptions::new().write(true).create_new(true).open(draft.path())?;
    reach(Point::CopyBegun);
    // On Linux this is `copy_file_range`, which shares the blocks where the filesystem can.
    io::copy(&mut source, &mut file)?;
    let of_source = source.metadata()?;
    file.set_times(FileTimes::new().set_modified(of_source.modified()?))?;
    let mut permissions = of_source.permissions();
    permissions.set_readonly(true);
    file.set_permissions(permissions)?;
    file.sync_all()?;
    reach(Point::CopyWritten);
    remove_log(target)?;
    fs::rename(draft.path(), target)?;
    reach(Point::CopyPlaced);
    match target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Removes the write-ahead log of someone who wrote into the copy. What they wrote goes with the copy; beside another one the
/// log would keep readers from opening it.
fn remove_log(target: &Path) -> io::Result<()> {
    let mut log = target.as_os_str().to_owned();
    log.push(".wal");
    match fs::remove_file(&log) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    fn publish_from(warehouse: &Path, target: &Path) -> Result<bool> {
        publish(warehouse, &File::open(warehouse).unwrap(), target)
    }

    #[test]
    fn a_copy_is_made_anew_only_if_the_warehouse_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (warehouse, target) = (folder.path().join("w.duckdb"), folder.path().join("readers/w.duckdb"));
        fs::write(&warehouse, "one").unwrap();
        assert!(publish_from(&warehouse, &target).unwrap());
        assert!(!publish_from(&warehouse, &target).unwrap());
        // Read at once, so that it can be seen which file a reader has.
        let mut held = File::open(&target).unwrap();
        fs::write(&warehouse, "two").unwrap();
        let later = SystemTime::now() + Duration::from_secs(5);
        File::options().write(true).open(&warehouse).unwrap().set_modified(later).unwrap();
        assert!(publish_from(&warehouse, &target).unwrap());
        assert_eq!(fs::read_to_string(&target).unwrap(), "two");
        assert_eq!(io::read_to_string(&mut held).unwrap(), "one", "who has the old copy keeps it");
        assert!(fs::metadata(&target).unwrap().permissions().readonly());
    }

    #[test]
    fn what_a_killed_process_left_is_cleared_and_nothing_else_is_beside_the_copy() {
        let folder = tempfile::tempdir().unwrap();
        let (warehouse, target) = (folder.path().join("w.duckdb"), folder.path().join("readers/w.duckdb"));
        fs::create_dir(folder.path().join("readers")).unwrap();
        // No process has this number, because it is above the kernel's limit.
        fs::write(folder.path().join("readers/.w.duckdb.new-2147483646"), "half").unwrap();
        fs::write(&warehouse, "one").unwrap();
        publish_from(&warehouse, &target).unwrap();
        let names: Vec<_> =
            fs::read_dir(folder.path().join("readers")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["w.duckdb"]);
    }

    #[test]
    fn a_target_that_is_a_folder_is_an_error_that_says_what_is_safe() {
        let folder = tempfile::tempdir().unwrap();
        let (warehouse, target) = (folder.path().join("w.duckdb"), folder.path().join("copy"));
        fs::write(&warehouse, "one").unwrap();
        fs::create_dir(&target).unwrap();
        let error = publish_from(&warehouse, &target).unwrap_err();
        assert!(error.message().contains("what was loaded is in the warehouse"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
