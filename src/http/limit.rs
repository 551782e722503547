//! Rate windows: at most so many requests in any stretch of time, all windows at once, over all resources of a run.
//!
//! Windows slide, and are kept as the server sees them: `ledger` says when a request counts. `file` has them outlast a run.

mod file;
mod ledger;

use super::retry::{pause, unless_stopped};
use crate::error::{Error, Kind, Result};
use crate::plan::model::RateLimit;
use crate::run::shutdown::Stop;
use ledger::{Ledger, Window};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Windows up to this length are over before another run could start, so they are not kept in a file.
const FORGOTTEN_WINDOW_MAX: Duration = Duration::from_secs(1);

/// Waits from this length on are told in the log.
const LOGGED_WAIT_MIN: Duration = Duration::from_secs(5);

/// Hands out turns, first come first served. One per run, because a window covers all resources.
#[derive(Debug)]
pub struct Limiter {
    clock: Clock,
    /// Until when nothing is sent at all, because the server said so. Microseconds since 1970.
    held_until_us: AtomicU64,
    /// tokio's mutex serves in the order of arrival, and whoever is dropped while waiting leaves the queue.
    queue: tokio::sync::Mutex<()>,
    book: Mutex<Book>,
}

/// What is known of the requests so far, here and on the disk.
#[derive(Debug)]
struct Book {
    ledger: Ledger,
    file: Option<File>,
}

impl Limiter {
    /// A limiter that goes on where an earlier run stopped, if its windows are long enough to matter. The file is compacted
    /// here, and appended to with each request.
    ///
    /// # Errors
    /// [`Kind::State`]: the file can't be read or written. A corrupt one is a warning, and counts as empty.
    pub fn open(path: Option<PathBuf>, limits: &[RateLimit]) -> Result<Limiter> {
        let clock = Clock::start();
        let mut ledger = Ledger::new(limits.iter().map(Window::from).collect());
        let mut kept = None;
        if let Some(path) = path.filter(|_| limits.iter().any(|limit| limit.per > FORGOTTEN_WINDOW_MAX)) {
            let fault = |e| {
                let error = Error::new(Kind::State, "the file of the rate windows can't be used");
                error.with("file", path.display()).source(e)
            };
            for sent_us in file::read_sent(&path, clock.now_us(), ledger.span_us()).map_err(fault)? {
                ledger.push(sent_us);
            }
            kept = Some(file::compact(&path, ledger.arrived()).map_err(fault)?);
        }
        let book = Mutex::new(Book { ledger, file: kept });
        Ok(Limiter { clock, held_until_us: AtomicU64::new(0), queue: tokio::sync::Mutex::new(()), book })
    }

    /// Waits until a request may be sent. The turn is used up by [`Turn::take`]; dropped, it counts as nothing, and the
    /// next in the queue gets it.
    ///
    /// # Errors
    /// [`Kind::Interrupted`]: the run was asked to end.
    pub async fn turn(&self, stop: &Stop) -> Result<Turn<'_>> {
        let place = unless_stopped(stop, self.queue.lock()).await?;
        loop {
            let now_us = self.clock.now_us();
            let held_us = self.held_until_us.load(Ordering::Relaxed).saturating_sub(now_us);
            let wait_us = self.book().ledger.wait_us(now_us);
            let wait = Duration::from_micros(wait_us.max(held_us));
            if wait.is_zero() {
                return Ok(Turn { _place: place, limiter: self });
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

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to send one request now. Nobody else gets one before it is taken or dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    _place: tokio::sync::MutexGuard<'a, ()>,
    limiter: &'a Limiter,
}

impl<'a> Turn<'a> {
    /// Counts the request. Call it right before sending. What is returned is dropped when the answer is there.
    pub fn take(self, fastest: &'a Fastest) -> Sent<'a> {
        let now_us = self.limiter.clock.now_us();
        let mut book = self.limiter.book();
        let id = book.ledger.begin(now_us, fastest.us());
        book.keep(now_us);
        Sent { limiter: self.limiter, id, fastest }
    }
}

/// A request under way.
#[derive(Debug)]
pub struct Sent<'a> {
    limiter: &'a Limiter,
    id: u64,
    fastest: &'a Fastest,
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        let now_us = self.limiter.clock.now_us();
        self.limiter.book().ledger.end(self.id, now_us, self.fastest.us());
    }
}

/// How long the fastest answer of a kind took, of requests that found a connection.
#[derive(Debug)]
pub struct Fastest {
    /// [`u64::MAX`] while it is unknown.
    us: AtomicU64,
    under_way: AtomicUsize,
    /// The most that were under way at once: so many connections were made.
    connections: AtomicUsize,
}

impl Default for Fastest {
    fn default() -> Self {
        Fastest { us: AtomicU64::new(u64::MAX), under_way: AtomicUsize::new(0), connections: AtomicUsize::new(0) }
    }
}

impl Fastest {
    /// A request is sent: whether there is a connection for it.
    pub fn begin(&self) -> bool {
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        self.connections.fetch_max(before + 1, Ordering::Relaxed) > before
    }

    /// A request is over. `took` is how long its answer took, if there was one and a connection before it.
    pub fn end(&self, took: Option<Duration>) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        if let Some(took) = took {
            self.us.fetch_min(micros(took), Ordering::Relaxed);
        }
    }

    /// Microseconds; 0 while it is unknown.
    fn us(&self) -> u64 {
        match self.us.load(Ordering::Relaxed) {
            u64::MAX => 0,
            known => known,
        }
    }
}

impl Book {
    /// The write goes to the page cache and takes microseconds.
    fn keep(&mut self, sent_us: u64) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(&file::entry(sent_us))
        {
            tracing::warn!(%error, "the rate windows can't be kept; the next run will not know of these requests");
            self.file = None;
        }
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

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests;
