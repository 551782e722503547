//! The log file: lines are appended, also by several processes at once. A file that has grown to its size makes way for a new one,
//! `pintail.log` to `pintail.log.1` and so on; one that somebody else moved away (logrotate) is made anew.

use crate::config::settings::LogTarget;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A log file, opened with its first line.
pub(super) struct LogFile {
    target: LogTarget,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<File>,
    /// That it can't be written was told.
    told: bool,
}

impl LogFile {
    pub(super) fn new(target: LogTarget) -> LogFile {
        LogFile { target, state: Mutex::default() }
    }

    /// Appends a line. That it can't is told once, on stderr: a log is no reason to fail.
    pub(super) fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.try_append(&mut state.open, line);
        if let Err(cause) = &done
            && !state.told
        {
            state.told = true;
            let path = self.target.path.display();
            // Nowhere is left to say that stderr is gone.
            let _ = writeln!(io::stderr(), "warning: the log file can't be written: {path}: {cause}");
        }
        done
    }

    fn try_append(&self, open: &mut Option<File>, line: &[u8]) -> io::Result<()> {
        let mut file = match open.take() {
            Some(file) if is_at(&file, &self.target.path)? => file,
            _ => open_at(&self.target.path)?,
        };
        let size = file.metadata()?.len();
        if size > 0 && size + line.len() as u64 > self.target.size_bytes {
            file = self.make_way(file)?;
        }
        file.write_all(line)?;
        *open = Some(file);
        Ok(())
    }

    /// Moves a full file away, unless another process has done so by now. The new one.
    fn make_way(&self, full: File) -> io::Result<File> {
        let path = &self.target.path;
        full.lock()?;
        if is_at(&full, path)? {
            let kept = self.target.count - 1;
            for number in (1..kept).rev() {
                rename_if_there(&numbered(path, number), &numbered(path, number + 1))?;
            }
            if kept > 0 {
                rename_if_there(path, &numbered(path, 1))?;
            } else {
                fs::remove_file(path)?;
            }
        }
        open_at(path)
    }
}

fn open_at(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// Whether a file is the one that a path leads to.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let same = |one: &Metadata, other: &Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
    match fs::metadata(path) {
        Ok(there) => Ok(same(&file.metadata()?, &there)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(path: PathBuf, size_bytes: u64, count: usize) -> LogFile {
        LogFile::new(LogTarget { path, size_bytes, count })
    }

    fn texts(folder: &Path) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()))
            .collect();
        found.sort();
        found
    }

    fn named(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn a_full_file_makes_way_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let file = log(dir.path().join("made/p.log"), 10, 3);
        for line in ["1111\n", "2222\n", "3333\n", "a line of more than ten\n", "5555\n", "6666\n"] {
            file.append(line.as_bytes()).unwrap();
        }
        let expected = [("p.log", "5555\n6666\n"), ("p.log.1", "a line of more than ten\n"), ("p.log.2", "3333\n")];
        assert_eq!(texts(&dir.path().join("made")), named(&expected));
        let alone = log(dir.path().join("alone/p.log"), 10, 1);
        ["1111\n", "2222\n", "3333\n"].iter().for_each(|line| alone.append(line.as_bytes()).unwrap());
        assert_eq!(texts(&dir.path().join("alone")), named(&[("p.log", "3333\n")]));
    }

    #[test]
    fn a_file_that_was_moved_or_removed_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.log");
        let file = log(path.clone(), 1000, 5);
        file.append(b"1\n").unwrap();
        fs::rename(&path, dir.path().join("moved")).unwrap();
        file.append(b"2\n").unwrap();
        fs::remove_file(&path).unwrap();
        file.append(b"3\n").unwrap();
        assert_eq!(texts(dir.path()), named(&[("moved", "1\n"), ("p.log", "3\n")]));
    }

    #[test]
    fn several_writers_lose_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.log");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let file = log(path.clone(), 400, 1000);
                scope.spawn(move || {
                    for number in 0..100 {
                        file.append(format!("{writer} {number:03}\n").as_bytes()).unwrap();
                    }
                });
            }
        });
        let files = texts(dir.path());
        let lines: usize = files.iter().map(|(_, text)| text.lines().filter(|line| line.len() == 5).count()).sum();
        assert_eq!(lines, 400, "{files:?}");
        assert!(files.len() > 3);
    }
}
