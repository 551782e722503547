//! File operations that are on disk when they return, and their errors.

use crate::error::{Error, Kind, Result};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The error of a failed file operation. `verb`: what was tried.
pub(super) fn failed(verb: &str, path: &Path, cause: io::Error) -> Error {
    let error = Error::new(Kind::Destination, format!("the Parquet folder: could not {verb} a file or folder"))
        .with("path", path.display());
    let hint = match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Some("the disk is full; the tables are as they were before")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Some("may this user write there?"),
        _ => None,
    };
    match hint {
        Some(hint) => error.source(cause).hint(hint),
        None => error.source(cause),
    }
}

/// The error of a row file that can't be written or read.
pub(super) fn broken_rows(
    verb: &str,
    path: &Path,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    let cause: Box<dyn std::error::Error + Send + Sync> = cause.into();
    // The Parquet writer wraps what the disk said; a full disk should read the same wherever it is met.
    match cause.downcast::<parquet::errors::ParquetError>().map(|e| *e) {
        Ok(parquet::errors::ParquetError::External(inner)) => match inner.downcast::<io::Error>() {
            Ok(io) => failed(verb, path, *io),
            Err(inner) => rows_error(verb, path, inner),
        },
        Ok(other) => rows_error(verb, path, Box::new(other)),
        Err(cause) => rows_error(verb, path, cause),
    }
}

fn rows_error(verb: &str, path: &Path, cause: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::new(Kind::Destination, format!("could not {verb} a Parquet file")).with("path", path.display()).source(cause)
}

/// Syncs a folder's entries.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| failed("sync", folder, e))
}

/// Makes a folder and those above it, each with its entry on disk.
pub(super) fn create_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|p| !p.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_folder(parent)?;
    }
    match fs::create_dir(folder) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(failed("make", folder, e)),
        _ => {}
    }
    sync_folder(parent.unwrap_or(Path::new(".")))
}

/// What is in a folder; nothing, if there is no such folder.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let reader = match fs::read_dir(folder) {
        Ok(reader) => reader,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed("list", folder, e)),
    };
    let paths: io::Result<Vec<PathBuf>> = reader.map(|entry| Ok(entry?.path())).collect();
    paths.map_err(|e| failed("list", folder, e))
}

/// Writes a file.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|e| failed("write", path, e))
}

/// Renames; what has to be synced is up to the caller.
pub(super) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|e| failed("rename", from, e).with("to", to.display()))
}

/// Gives a file a second name, or copies it where the filesystem knows no hard links.
pub(super) fn link(from: &Path, to: &Path) -> Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(e)
            if matches!(e.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied | ErrorKind::TooManyLinks) =>
        {
            let copied = fs::copy(from, to).and_then(|_| File::open(to)?.sync_all());
            copied.map_err(|e| failed("copy", from, e).with("to", to.display()))
        }
        Err(e) => Err(failed("link", from, e).with("to", to.display())),
    }
}

/// Removes a file or a folder with all that is in it; it need not be there.
pub(super) fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    match removed {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(failed("remove", path, e)),
        _ => Ok(()),
    }
}

/// A row file of a folder that is being removed. It is nowhere else.
const REMOVED: &str = "removed.parquet";

/// Removes a folder that may have been a table's until now. A reader that opened it then, and lists it only when some of its
/// files are gone, must not take the others for the table: it also finds a file that isn't where the table is, and fails.
pub(super) fn remove_listed(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        let mark = folder.join(REMOVED);
        // Where there is no room for it, making room matters more.
        let _ = File::create(&mark);
        entries(folder)?.iter().filter(|path| **path != mark).try_for_each(|path| remove(path))?;
    }
    remove(folder)
}

/// Exchanges two folders in one step. False: this system or filesystem can't.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(super) fn exchange(a: &Path, b: &Path) -> Result<bool> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Ok(false),
        Err(e) => Err(failed("exchange", a, e.into()).with("with", b.display())),
    }
}

/// Exchanges two folders in one step. False: this system can't.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(super) fn exchange(_a: &Path, _b: &Path) -> Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_listed_while_it_is_removed_never_looks_like_a_smaller_table() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("videos");
        fs::create_dir(&folder).unwrap();
        for name in ["a.parquet", "b.parquet", "c.parquet"] {
            fs::write(folder.join(name), "").unwrap();
        }
        let names = |folder: &Path| -> Vec<String> {
            let names = entries(folder).unwrap().into_iter();
            names.map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        let before = names(&folder);
        std::thread::scope(|scope| {
            let remover = scope.spawn(|| remove_listed(&folder).unwrap());
            while folder.is_dir() {
                let seen = names(&folder);
                let whole = before.iter().all(|name| seen.contains(name));
                assert!(whole || seen.is_empty() || seen.contains(&REMOVED.to_owned()), "{seen:?}");
            }
            remover.join().unwrap();
        });
        remove_listed(&folder).unwrap();
    }
}
