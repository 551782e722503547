//! Ending early: one flag that everything waits on together with its own work.

use crate::error::{Error, Kind, Result};
use crate::exit::Exit;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether the run has been asked to end, and by which signal. Clones share the flag.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<Option<Signal>>);

/// What asked the run to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// `kill`, or a service manager.
    Terminate,
}

impl Default for Stop {
    fn default() -> Self {
        Stop(watch::Sender::new(None))
    }
}

impl Stop {
    /// Asks everything to end. Returns whether this was the first request.
    pub fn request(&self, signal: Signal) -> bool {
        self.0.send_if_modified(|s| {
            let first = s.is_none();
            if first {
                *s = Some(signal);
            }
            first
        })
    }

    /// Which signal asked, if one did.
    pub fn requested(&self) -> Option<Signal> {
        *self.0.borrow()
    }

    /// Resolves when the run is asked to end.
    pub async fn wait(&self) {
        // The sender lives in `self`, so the channel can't close while this waits.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
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
