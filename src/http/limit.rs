//! Rate windows: at most so many requests in any stretch of time, all windows at once, over all resources of a run.
//!
//! Windows slide. A request is counted at the moment it is sent; the server counts when it arrives, and the way there is
//! not always equally long. Each window is therefore made longer by a margin of a twentieth, at most a second: requests
//! may then arrive closer together by that much before the server sees one too many, and 95 % of the rate is still used.

use super::retry::{pause, unless_stopped};
use crate::error::{Error, Kind, Result};
use crate::plan::model::RateLimit;
use crate::run::shutdown::Stop;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Mutex, MutexGuard};

/// Longest margin.
const MARGIN_MAX: Duration = Duration::from_secs(1);

/// Windows up to this length are over before another run could start, so they are not kept in a file.
const FORGOTTEN_WINDOW_MAX: Duration = Duration::from_secs(1);

/// Waits from this length on are told in the log.
const LOGGED_WAIT_MIN: Duration = Duration::from_secs(5);

/// Times that lie further ahead than this come from no clock: the file is corrupt.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(86_400);

/// A window as it is kept: at most `count` requests within `span_us`, margin included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    count: usize,
    span_us: u64,
}

impl From<&RateLimit> for Window {
    fn from(limit: &RateLimit) -> Self {
        let margin = (limit.per / 20).min(MARGIN_MAX);
        Window { count: limit.count.max(1) as usize, span_us: micros(limit.per + margin) }
    }
}

/// How long to wait until one more request fits into every window, microseconds. `sent_us` is ascending.
pub fn wait_us(windows: &[Window], sent_us: &VecDeque<u64>, now_us: u64) -> u64 {
    let wait_of = |window: &Window| {
        let earliest = sent_us.len().checked_sub(window.count).and_then(|i| sent_us.get(i));
        earliest.map_or(0, |sent| (sent + window.span_us).saturating_sub(now_us))
    };
    windows.iter().map(wait_of).max().unwrap_or(0)
}

/// Hands out turns, first come first served. One per run, because a window covers all resources.
#[derive(Debug)]
pub struct Limiter {
    windows: Vec<Window>,
    clock: Clock,
    /// Until when nothing is sent at all, because the server said so. Microseconds since 1970.
    held_until_us: AtomicU64,
    /// tokio's mutex serves in the order of arrival, and whoever is dropped while waiting leaves the queue.
    ledger: Mutex<Ledger>,
}

impl Limiter {
    /// A limiter that goes on where an earlier run stopped, if its windows are long enough to matter. The file holds the
    /// time of each request, milliseconds since 1970 as little-endian 64-bit integers; it is compacted here, and
    /// appended to with each request.
    ///
    /// # Errors
    /// [`Kind::State`]: the file can't be read or written. A corrupt one is a warning, and counts as empty.
    pub fn open(path: Option<PathBuf>, limits: &[RateLimit]) -> Result<Limiter> {
        let clock = Clock::start();
        let windows: Vec<Window> = limits.iter().map(Window::from).collect();
        let mut ledger =
            Ledger { sent_us: VecDeque::new(), kept: windows.iter().map(|w| w.count).max().unwrap_or(0), file: None };
        if let Some(path) = path.filter(|_| limits.iter().any(|limit| limit.per > FORGOTTEN_WINDOW_MAX)) {
            let span_us = windows.iter().map(|w| w.span_us).max().unwrap_or(0);
            let fault = |e| {
                let error = Error::new(Kind::State, "the file of the rate windows can't be used");
                error.with("file", path.display()).source(e)
            };
            for sent_us in read_sent(&path, clock.now_us(), span_us).map_err(fault)? {
                ledger.push(sent_us);
            }
            ledger.file = Some(compact(&path, &ledger.sent_us).map_err(fault)?);
        }
        Ok(Limiter { windows, clock, held_until_us: AtomicU64::new(0), ledger: Mutex::new(ledger) })
    }

    /// Waits until a request may be sent. The turn is used up by [`Turn::take`]; dropped, it counts as nothing, and the
    /// next in the queue gets it.
    ///
    /// # Errors
    /// [`Kind::Interrupted`]: the run was asked to end.
    pub async fn turn(&self, stop: &Stop) -> Result<Turn<'_>> {
        let ledger = unless_stopped(stop, self.ledger.lock()).await?;
        loop {
            let now_us = self.clock.now_us();
            let held_us = self.held_until_us.load(Ordering::Relaxed).saturating_sub(now_us);
            let wait = Duration::from_micros(wait_us(&self.windows, &ledger.sent_us, now_us).max(held_us));
            if wait.is_zero() {
                return Ok(Turn { ledger, clock: &self.clock });
            }
            if wait >= LOGGED_WAIT_MIN {
                tracing::info!(wait_ms = wait.as_millis() as u64, "waiting for a rate window");
            }
            pause(stop, wait).await?;
        }
    }

    /// Sends nothing for a time, because the server asked for it.
    pub fn hold(&self, wait: Duration) {
        self.held_until_us.fetch_max(self.clock.now_us().saturating_add(micros(wait)), Ordering::Relaxed);
    }
}

/// The right to send one request now. Nobody else gets one before it is taken or dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    ledger: MutexGuard<'a, Ledger>,
    clock: &'a Clock,
}

impl Turn<'_> {
    /// Counts the request. Call it right before sending.
    pub fn take(mut self) {
        let sent_us = self.clock.now_us();
        self.ledger.record(sent_us);
    }
}

/// Wall time at the start, and how long ago that was by the monotonic clock: steps of the wall clock don't disturb it.
#[derive(Debug)]
struct Clock {
    started: Instant,
    started_us: u64,
}

impl Clock {
    fn start() -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Clock { started: Instant::now(), started_us: micros(since_1970) }
    }

    fn now_us(&self) -> u64 {
        self.started_us + micros(self.started.elapsed())
    }
}

/// When requests were sent, as many as the largest window needs.
#[derive(Debug)]
struct Ledger {
    sent_us: VecDeque<u64>,
    kept: usize,
    file: Option<File>,
}

impl Ledger {
    fn push(&mut self, sent_us: u64) {
        self.sent_us.push_back(sent_us);
        if self.sent_us.len() > self.kept {
            self.sent_us.pop_front();
        }
    }

    /// Counts a request. The write goes to the page cache and takes microseconds.
    fn record(&mut self, sent_us: u64) {
        self.push(sent_us);
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(&entry(sent_us))
        {
            tracing::warn!(%error, "the rate windows can't be kept; the next run will not know of these requests");
            self.file = None;
        }
    }
}

/// Rounded up, so that a window never ends early.
fn entry(sent_us: u64) -> [u8; 8] {
    sent_us.div_ceil(1000).to_le_bytes()
}

/// The requests of earlier runs that still count, oldest first.
fn read_sent(path: &Path, now_us: u64, span_us: u64) -> std::io::Result<Vec<u64>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    // A last entry that a crash cut short is dropped: `as_chunks` leaves the rest aside.
    let sent_us: Vec<u64> = bytes.as_chunks().0.iter().map(|e| u64::from_le_bytes(*e).saturating_mul(1000)).collect();
    let latest_us = now_us + micros(CLOCK_SKEW_MAX);
    if !sent_us.is_sorted() || sent_us.last().is_some_and(|sent| *sent > latest_us) {
        tracing::warn!(file = %path.display(), "the file of the rate windows is corrupt; starting with empty windows");
        return Ok(Vec::new());
    }
    // Times ahead of us were written before the clock was set back.
    Ok(sent_us.into_iter().filter(|sent| sent + span_us > now_us).map(|sent| sent.min(now_us)).collect())
}

/// Replaces the file by one with these entries alone, and opens it for more.
fn compact(path: &Path, sent_us: &VecDeque<u64>) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    std::fs::write(&fresh, sent_us.iter().flat_map(|sent| entry(*sent)).collect::<Vec<u8>>())?;
    std::fs::rename(&fresh, path)?;
    OpenOptions::new().append(true).open(path)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests;
