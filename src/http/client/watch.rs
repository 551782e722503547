//! What is counted and logged of the requests on their way.

use super::Reading;
use crate::http::retry::{Asker, Outcome, Pause, Progress};
use crate::http::transport::{TransportError, WireResponse};
use crate::http::{HeaderMap, Meter, failure};
use reqwest::header::{HeaderValue, SET_COOKIE};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Counts a request as waiting from its start to its end, however it ends, and adds the time to the meter.
pub(super) struct Waiting<'a> {
    meter: &'a Meter,
    begun: Instant,
}

impl<'a> Waiting<'a> {
    pub(super) fn begin(meter: &'a Meter) -> Self {
        meter.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting { meter, begun: Instant::now() }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.meter.waiting.fetch_sub(1, Ordering::Relaxed);
        self.meter.add_throttled(self.begun.elapsed());
    }
}

/// Logs and counts what one request brought.
pub(super) fn record(
    target: &str,
    result: &Result<WireResponse, TransportError>,
    took: Duration,
    reading: Reading,
    meter: &Meter,
) {
    let ms = took.as_millis() as u64;
    match result {
        Ok(response) => {
            let bytes = response.file.as_ref().map_or(response.body.len() as u64, |file| file.bytes);
            meter.bytes.fetch_add(bytes, Ordering::Relaxed);
            tracing::debug!(request = target, status = response.status, ms, bytes, "answer");
            if reading == Reading::Page {
                tracing::trace!(headers = shown(&response.headers), "answer");
            }
        }
        Err(error) => tracing::debug!(request = target, kind = ?error.kind, ms, cause = %error, "no answer"),
    }
}

/// Headers of an answer for the log. Cookies that it sets are credentials, whether we keep them or not.
fn shown(headers: &HeaderMap) -> String {
    let mut headers = headers.clone();
    if headers.contains_key(SET_COOKIE) {
        headers.insert(SET_COOKIE, HeaderValue::from_static(crate::secret::MASK));
    }
    crate::secret::redact(&format!("{headers:?}")).into_owned()
}

/// Logs that a request is tried again, and why.
pub(super) fn report_retry(target: &str, outcome: &Outcome, pause: &Pause, progress: &Progress) {
    let reason = match outcome {
        Outcome::Response(response) => failure::status_text(response.status),
        Outcome::Undecodable(_, complaint) => complaint.clone(),
        Outcome::Transport(error) => format!("{}: {error}", error.kind.sentence()),
    };
    let (reason, wait) = (crate::secret::redact(&reason).into_owned(), failure::in_words(pause.wait));
    match pause.asker {
        Asker::Policy => tracing::warn!(request = target, reason, wait, attempt = progress.attempts, "trying again"),
        Asker::Server { .. } => tracing::info!(request = target, reason, wait, "the server is too busy; waiting"),
    }
}
