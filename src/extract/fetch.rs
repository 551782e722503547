//! One page fetched: the request built and sent, the body read.

use super::envelope::Envelope;
use super::paginate::{EndReason, PageRequest};
use super::poll::{self, State};
use super::request;
use super::walk::WalkSpec;
use crate::error::{Error, Result};
use crate::http::{Answer, Response};
use crate::plan::model::Poll;
use std::error::Error as StdError;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What became of one request.
pub(super) enum Fetched {
    /// An answer, its body read.
    Page(Box<(Response, Envelope)>),
    /// An answer that ends the walk.
    End(EndReason),
}

/// How a request is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tries {
    /// As `retry` says.
    All,
    /// Once: it may not be needed.
    One,
}

/// Whether an answer may have no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Needed,
    /// An answer that is not ready may have nothing to say.
    Optional,
}

/// Fetches a page.
///
/// # Errors
/// The request failed, or the body is not what it should be.
pub(super) async fn fetch(spec: &WalkSpec, page: &PageRequest, tries: Tries) -> Result<Fetched> {
    ask(spec, page, tries, Body::Needed).await
}

async fn ask(spec: &WalkSpec, page: &PageRequest, tries: Tries, body: Body) -> Result<Fetched> {
    let WalkSpec { resource, client, scope, http, credentials, meter } = spec;
    let request = request::build(client, resource, scope, page)?;
    // The body is read once, where it can still be asked for again.
    let parsed = Mutex::new(None);
    let validate = |response: &Response| -> Result<(), String> {
        let envelope = read(response, body).map_err(complaint)?;
        *parsed.lock().unwrap_or_else(PoisonError::into_inner) = Some(envelope);
        Ok(())
    };
    let actions = &resource.response_actions;
    let answer = match tries {
        Tries::All => http.send(&request, credentials, actions, meter, &validate).await?,
        Tries::One => http.send_once(&request, credentials, actions, meter, &validate).await?,
    };
    match answer {
        Answer::Page(response) => {
            let envelope = match parsed.into_inner().unwrap_or_else(PoisonError::into_inner) {
                Some(envelope) => envelope,
                None => read(&response, body)?,
            };
            Ok(Fetched::Page(Box::new((response, envelope))))
        }
        Answer::Ignored { status } => Ok(Fetched::End(EndReason::Ignored(status))),
        Answer::End { status } => Ok(Fetched::End(EndReason::Ended(status))),
    }
}

fn read(response: &Response, body: Body) -> Result<Envelope> {
    // As if the status said that there is no body (RFC 9110 section 15.3.5).
    let is_blank = body == Body::Optional && response.body.trim_ascii().is_empty();
    let status = if is_blank { 204 } else { response.status };
    Envelope::parse(status, &response.headers, &response.body)
}

/// Fetches a page again and again until its answer is ready.
///
/// # Errors
/// As [`fetch`]; the answer will never be ready, or was not in time.
pub(super) async fn fetch_ready(spec: &WalkSpec, page: &PageRequest, poll: &Poll) -> Result<Fetched> {
    let begun = Instant::now();
    // Where waits take no time, because a tape is played, they count as if they did.
    let mut rested = Duration::ZERO;
    let mut request_count = 0_u64;
    let mut last_state = None;
    loop {
        request_count += 1;
        let fetched = ask(spec, page, Tries::All, Body::Optional).await?;
        let Fetched::Page(answer) = &fetched else { return Ok(fetched) };
        match poll::state(poll, &answer.1)? {
            State::Ready => return Ok(fetched),
            State::Pending(state) => last_state = Some(state),
            State::Silent => {}
        }
        if begun.elapsed().max(rested) + poll.interval > poll.timeout {
            return Err(poll::too_late(poll, last_state.as_deref(), request_count));
        }
        tracing::debug!(resource = %spec.resource.name, state = last_state.as_deref(), "not ready");
        spec.http.rest(poll.interval).await?;
        rested += poll.interval;
    }
}

/// What is wrong with a body, in one sentence.
fn complaint(error: Error) -> String {
    match StdError::source(&error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
