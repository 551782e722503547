//! Locks between processes: one run at a time per pipeline, one writer at a time per Parquet folder.
//!
//! The lock is the operating system's advisory lock on an open file, so it ends with the process, however that ends. What
//! the file says is for people only: a file that nobody has locked is no obstacle.

use crate::error::{Error, Kind, Result};
use chrono::{SecondsFormat, Utc};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Time between two tries to get a lock that someone else holds.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A held lock. Dropping it releases it.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Who asks for a lock, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// What the lock protects, as people call it: `pipeline mindstamp`.
    pub subject: &'a str,
    /// The command that runs, for the person who finds the lock held.
    pub command: &'a str,
    /// How long to wait for another holder.
    pub wait: Duration,
}

/// Takes the lock of a pipeline, `STATE_DIR/PIPELINE.lock`. Blocks for up to `wait`.
///
/// # Errors
/// [`Kind::Locked`], naming the owner, when another run still holds it; [`Kind::State`] when the file can't be made.
pub fn lock_pipeline(state_dir: &Path, pipeline: &str, command: &str, wait: Duration) -> Result<Lock> {
    fs::create_dir_all(state_dir).map_err(|e| unusable(state_dir, e))?;
    let path = path_of(state_dir, pipeline);
    Lock::acquire(&path, Claim { subject: &format!("pipeline {pipeline}"), command, wait })
}

impl Lock {
    /// Takes the lock of a file, which is made if it isn't there; its folder must be. Blocks for up to `claim.wait`.
    ///
    /// # Errors
    /// [`Kind::Locked`], naming the owner, when someone else still holds it; [`Kind::State`] when the file is unusable.
    pub fn acquire(path: &Path, claim: Claim<'_>) -> Result<Lock> {
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
        let mut file = options.open(path).map_err(|e| unusable(path, e))?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if started.elapsed() >= claim.wait => {
                    return Err(held_by_another(path, claim, &mut file));
                }
                Err(TryLockError::WouldBlock) => {
                    std::thread::sleep(POLL_INTERVAL.min(claim.wait.saturating_sub(started.elapsed())));
                }
                Err(TryLockError::Error(e)) => return Err(unusable(path, e)),
            }
        }
        describe_owner(&mut file, claim.command).map_err(|e| unusable(path, e))?;
        Ok(Lock { file })
    }
}

/// Who holds a lock, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owner {
    /// Process number.
    pub pid: String,
    /// Its machine.
    pub host: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// The command that runs.
    pub command: String,
}

impl Owner {
    fn parse(text: &str) -> Owner {
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned();
        Owner { pid: value("pid: "), host: value("host: "), since: value("since: "), command: value("command: ") }
    }
}

/// Who runs a pipeline now, if somebody does.
///
/// # Errors
/// [`Kind::State`] when the lock file can't be read.
pub fn owner(state_dir: &Path, pipeline: &str) -> Result<Option<Owner>> {
    let path = path_of(state_dir, pipeline);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unusable(&path, e)),
    };
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|e| unusable(&path, e))?;
    // Who let go of the lock has emptied the file. What is written there may be of a killed run: only the lock itself says.
    if text.is_empty() {
        return Ok(None);
    }
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(Owner::parse(&text))),
        Err(TryLockError::Error(e)) => Err(unusable(&path, e)),
    }
}

fn path_of(state_dir: &Path, pipeline: &str) -> PathBuf {
    state_dir.join(format!("{pipeline}.lock"))
}

impl Drop for Lock {
    /// Empties the file, so that nobody reads of an owner that is gone. The lock itself goes with the file handle.
    fn drop(&mut self) {
        if let Err(e) = self.file.set_len(0) {
            tracing::debug!(error = %e, "the lock file could not be emptied");
        }
    }
}

fn describe_owner(file: &mut File, command: &str) -> std::io::Result<()> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let since = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let command = crate::secret::redact(command).replace('\n', " ");
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "pid: {}\nhost: {host}\nsince: {since}\ncommand: {command}\n", std::process::id())?;
    file.flush()
}

fn held_by_another(path: &Path, claim: Claim<'_>, file: &mut File) -> Error {
    let mut error = Error::new(Kind::Locked, format!("another run holds the lock of {}", claim.subject));
    let mut text = String::new();
    // The owner's description is a courtesy: without it the error says less, and is still right.
    if file.rewind().and_then(|()| file.read_to_string(&mut text)).is_ok() {
        let Owner { pid, host, since, command } = Owner::parse(&text);
        for (label, value) in [("pid", pid), ("host", host), ("since", since), ("command", command)] {
            if !value.is_empty() {
                error = error.with(label, value);
            }
        }
    }
    error
        .with("lock", path.display())
        .with("waited", format!("{:.1} s", claim.wait.as_secs_f64()))
        .hint("wait for that run to end, or give this one more time with `lock_wait` in config.toml")
}

fn unusable(path: &Path, cause: std::io::Error) -> Error {
    Error::new(Kind::State, "the lock file can't be used")
        .with("path", PathBuf::from(path).display())
        .source(cause)
        .hint("does the folder exist, may this user write there, and does the filesystem support locks?")
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Duration = Duration::ZERO;

    #[test]
    fn a_second_run_is_refused_and_told_who_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let _held = lock_pipeline(dir.path(), "shop", "pintail run shop", AT_ONCE).unwrap();
        let error = lock_pipeline(dir.path(), "shop", "pintail run shop", Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), Kind::Locked);
        assert_eq!(error.context("pid"), Some(std::process::id().to_string().as_str()));
        assert_eq!(error.context("command"), Some("pintail run shop"));
        assert!(error.context("since").is_some_and(|s| s.ends_with('Z')), "{error:?}");
        assert!(error.report().contains("hint: "));
    }

    #[test]
    fn an_owner_is_told_only_while_it_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(owner(dir.path(), "shop").unwrap(), None);
        let held = lock_pipeline(dir.path(), "shop", "pintail run shop", AT_ONCE).unwrap();
        let found = owner(dir.path(), "shop").unwrap().unwrap();
        assert_eq!((found.pid, found.command.as_str()), (std::process::id().to_string(), "pintail run shop"));
        drop(held);
        assert_eq!(owner(dir.path(), "shop").unwrap(), None);
        fs::write(dir.path().join("shop.lock"), "pid: 1\nhost: elsewhere\n").unwrap();
        assert_eq!(owner(dir.path(), "shop").unwrap(), None, "what a killed run left is no owner");
    }

    #[test]
    fn another_pipeline_is_not_concerned() {
        let dir = tempfile::tempdir().unwrap();
        let _held = lock_pipeline(dir.path(), "shop", "", AT_ONCE).unwrap();
        lock_pipeline(dir.path(), "crm", "", AT_ONCE).unwrap();
    }

    #[test]
    fn a_lock_that_is_released_while_waiting_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock_pipeline(dir.path(), "shop", "", AT_ONCE).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lock_pipeline(dir.path(), "shop", "", Duration::from_secs(20)));
            std::thread::sleep(Duration::from_millis(120));
            drop(held);
            waiting.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_file_left_behind_by_a_killed_run_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.lock");
        fs::write(
            &path,
            "pid: 1\nhost: elsewhere\nsince: long ago\ncommand: gone\n and more text than the next owner has",
        )
        .unwrap();
        let held = lock_pipeline(dir.path(), "shop", "pintail run shop", AT_ONCE).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with(&format!("pid: {}\n", std::process::id()))
                && text.ends_with("command: pintail run shop\n")
        );
        drop(held);
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_a_state_error_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let error = lock_pipeline(&dir.path().join("file/state"), "shop", "", AT_ONCE).unwrap_err();
        assert_eq!(error.kind(), Kind::State);
        assert!(error.context("path").is_some_and(|p| p.contains("file/state")));
    }

    #[test]
    fn a_secret_in_the_command_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let secret = crate::secret::Secret::new("very-secret-token-of-the-lock-test");
        let _held =
            lock_pipeline(dir.path(), "shop", &format!("pintail run shop --var t={}", secret.expose()), AT_ONCE)
                .unwrap();
        let text = fs::read_to_string(dir.path().join("shop.lock")).unwrap();
        assert!(text.contains("--var t=***") && !text.contains(secret.expose()), "{text}");
    }
}
