//! Ending early: one flag that everything waits on together with its own work, and what may set it.

use crate::error::{Error, Kind, Result};
use crate::exit::Exit;
use crate::plan::duration;
use crate::words::counted;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether the run has been asked to end, and by what; and how many requests it may send. Clones share both.
#[derive(Debug, Clone)]
pub struct Stop {
    cause: watch::Sender<Option<Cause>>,
    requests: Option<Arc<Requests>>,
}

/// Why a run ends before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A signal asked for it.
    Signal(Signal),
    /// It has taken as long as it may.
    Duration(Duration),
    /// It has sent as many requests as it may.
    Requests(u64),
}

/// What asked the run to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// `kill`, or a service manager.
    Terminate,
}

/// The requests that a command may send, over all of its pipelines.
#[derive(Debug)]
struct Requests {
    max: u64,
    left: AtomicU64,
}

impl From<Signal> for Cause {
    fn from(signal: Signal) -> Cause {
        Cause::Signal(signal)
    }
}

impl Cause {
    /// Whether a budget is spent: nothing is wrong then.
    pub fn is_budget(self) -> bool {
        matches!(self, Cause::Duration(_) | Cause::Requests(_))
    }

    /// Whether somebody waits for the end. Requests in flight that were counted may come to theirs otherwise.
    fn is_urgent(self) -> bool {
        matches!(self, Cause::Signal(_) | Cause::Duration(_))
    }
}

impl fmt::Display for Cause {
    /// `stopped after 2h`, as reports have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Signal(Signal::Interrupt) => f.write_str("interrupted"),
            Cause::Signal(Signal::Terminate) => f.write_str("terminated"),
            Cause::Duration(length) => write!(f, "stopped after {}", duration::text(*length)),
            Cause::Requests(count) => write!(f, "stopped after {}", counted(*count, "request")),
        }
    }
}

impl Default for Stop {
    fn default() -> Self {
        Stop::after_requests(None)
    }
}

impl Stop {
    /// A flag that is set when more than so many requests are to be sent.
    pub fn after_requests(max: Option<u64>) -> Self {
        let requests = max.map(|max| Arc::new(Requests { max, left: AtomicU64::new(max) }));
        Stop { cause: watch::Sender::new(None), requests }
    }

    /// Asks everything to end. Returns whether this was the first request, or the first signal: one that comes after a budget
    /// was spent is what counts.
    pub fn request(&self, cause: impl Into<Cause>) -> bool {
        let cause = cause.into();
        self.cause.send_if_modified(|now| {
            let counts = now.is_none_or(|now| now.is_budget() && !cause.is_budget());
            if counts {
                *now = Some(cause);
            }
            counts
        })
    }

    /// What asked for the end, if something did.
    pub fn requested(&self) -> Option<Cause> {
        *self.cause.borrow()
    }

    /// Whether one more request may be sent, which is counted here. If not, everything is asked to end; unless the request
    /// may turn out not to be needed.
    pub fn may_send(&self, is_needed: bool) -> bool {
        let Some(requests) = &self.requests else { return true };
        let taken = requests.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if taken.is_err() && is_needed && self.request(Cause::Requests(requests.max)) {
            tracing::info!("{} were sent, as many as the budget has; ending", counted(requests.max, "request"));
        }
        taken.is_ok()
    }

    /// Has everything end after a while. To be called on the runtime.
    pub fn end_after(&self, length: Duration) {
        let stop = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(length).await;
            if stop.request(Cause::Duration(length)) {
                tracing::info!("the time budget of {} is spent; ending after the page in hand", duration::text(length));
            }
        });
    }

    /// Resolves when the run is asked to end.
    pub async fn wait(&self) {
        // The sender lives in `self`, so the channel can't close while this waits.
        let _ = self.cause.subscribe().wait_for(Option::is_some).await;
    }

    /// Resolves when the run is asked to end, and requests in flight are to end too.
    pub async fn wait_for_urgency(&self) {
        // As above.
        let _ = self.cause.subscribe().wait_for(|cause| cause.is_some_and(Cause::is_urgent)).await;
    }
}

/// Turns SIGINT and SIGTERM into a request to end; the second one ends the process at once. To be called on the runtime.
///
/// # Errors
/// The signals can't be listened to.
pub fn listen(stop: Stop) -> Result<()> {
    let failed = |e| Error::new(Kind::Internal, "signals can't be listened to").source(e);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    tokio::spawn(async move {
        loop {
            let (received, exit) = tokio::select! {
                Some(()) = interrupt.recv() => (Signal::Interrupt, Exit::Interrupted),
                Some(()) = terminate.recv() => (Signal::Terminate, Exit::Terminated),
                else => return,
            };
            if stop.request(received) {
                tracing::warn!("ending after the page in hand; a second signal ends at once");
            } else {
                // Commits are whole or not at all, so this harms nothing.
                std::process::exit(exit.code());
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cause_counts_but_a_signal_beats_a_budget() {
        let stop = Stop::default();
        assert!(stop.request(Cause::Requests(3)));
        assert!(!stop.request(Cause::Duration(Duration::from_secs(1))));
        assert_eq!(stop.requested(), Some(Cause::Requests(3)));
        assert!(stop.request(Signal::Terminate), "the first signal");
        assert!(!stop.request(Signal::Interrupt), "the second one");
        assert_eq!(stop.requested(), Some(Cause::Signal(Signal::Terminate)));
    }

    #[test]
    fn requests_are_counted_over_clones_and_one_too_many_ends_the_run() {
        let stop = Stop::after_requests(Some(2));
        assert!(stop.may_send(true) && stop.clone().may_send(false));
        assert!(!stop.may_send(false));
        assert_eq!(stop.requested(), None, "a guess ends nothing");
        assert!(!stop.may_send(true));
        assert_eq!(stop.requested().map(|cause| cause.to_string()).as_deref(), Some("stopped after 2 requests"));
        assert!((0..100).all(|_| Stop::default().may_send(true)), "without a budget there is no end");
    }

    #[test]
    fn causes_read_as_reports_have_them() {
        assert_eq!(Cause::Duration(Duration::from_secs(5400)).to_string(), "stopped after 1h30m");
        assert_eq!(Cause::Requests(1).to_string(), "stopped after 1 request");
    }
}
