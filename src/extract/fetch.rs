//! One page fetched: the request built and sent, the body read.

use super::envelope::Envelope;
use super::format::{self, Place, file::Files};
use super::paginate::{EndReason, PageRequest};
use super::poll::{self, State};
use super::request;
use super::walk::WalkSpec;
use crate::error::{Error, Kind, Result};
use crate::http::{Answer, Request, Response, any_body};
use crate::plan::model::{BodyFormat, Poll, Preparation, ResponseAction};
use crate::plan::template::Scope;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What became of one request.
pub(super) enum Fetched {
    /// An answer, its body read.
    Page(Box<(Response, Envelope)>),
    /// An answer that ends the walk.
    End(EndReason),
    /// An answer after which the walk has to begin again.
    Restart(Box<Response>),
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

/// What is asked for.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    Page(&'a PageRequest, Place<'a>, Tries),
    /// What comes before the first page; expressions see this.
    Before(&'a Preparation, &'a Scope),
}

impl Wanted<'_> {
    /// Whether a later page may say nothing of being ready.
    fn may_be_silent(self) -> bool {
        matches!(self, Wanted::Page(page, ..) if !page.is_first)
    }
}

/// How the answer of a request is read.
struct Reading<'a> {
    format: &'a BodyFormat,
    place: Place<'a>,
    body: Body,
    tries: Tries,
    actions: &'a [ResponseAction],
}

/// Fetches a page, as often as it takes until it is ready if the file says when it is.
///
/// # Errors
/// The request failed, or the body is not what it should be; the answer will never be ready, or was not in time.
pub(super) async fn fetch(spec: &WalkSpec, page: &PageRequest, place: Place<'_>, tries: Tries) -> Result<Fetched> {
    let wanted = Wanted::Page(page, place, tries);
    match &spec.resource.poll {
        Some(poll) => fetch_ready(spec, wanted, poll).await,
        None => ask(spec, wanted, Body::Needed).await,
    }
}

/// Fetches the answer of a request that comes before a walk. It may have no body.
///
/// # Errors
/// As [`fetch`].
pub(super) async fn fetch_before(spec: &WalkSpec, preparation: &Preparation, scope: &Scope) -> Result<Fetched> {
    let wanted = Wanted::Before(preparation, scope);
    match &preparation.poll {
        Some(poll) => fetch_ready(spec, wanted, poll).await,
        None => ask(spec, wanted, Body::Optional).await,
    }
}

async fn ask(spec: &WalkSpec, wanted: Wanted<'_>, body: Body) -> Result<Fetched> {
    let WalkSpec { resource, client, files, .. } = spec;
    match wanted {
        Wanted::Page(page, place, tries) => {
            let request = request::build(client, resource, &spec.scope, page)?;
            match files {
                Some(files) => download(spec, files, request).await,
                None => {
                    let (format, actions) = (&resource.format, resource.response_actions.as_slice());
                    read_answer(spec, &request, Reading { format, place, body, tries, actions }).await
                }
            }
        }
        Wanted::Before(preparation, scope) => {
            let request = request::preparation(client, &preparation.request, scope)?;
            let (format, actions) = (&BodyFormat::default(), preparation.response_actions.as_slice());
            let place = Place { steps: &[], is_seen: false };
            read_answer(spec, &request, Reading { format, place, body, tries: Tries::All, actions }).await
        }
    }
}

async fn read_answer(spec: &WalkSpec, request: &Request, reading: Reading<'_>) -> Result<Fetched> {
    let WalkSpec { client, http, credentials, meter, .. } = spec;
    let Reading { format, place, body, tries, actions } = reading;
    let read = |response: &Response| {
        // As if the status said that there is no body (RFC 9110 section 15.3.5).
        let is_blank = body == Body::Optional && response.body.trim_ascii().is_empty();
        let status = if is_blank { 204 } else { response.status };
        let Response { headers, body, .. } = response;
        format::read(format, place, status, headers, body, client.max_response_bytes)
    };
    // The body is read once, where it can still be asked for again.
    let parsed = Mutex::new(None);
    let validate = |response: &Response| -> Result<(), String> {
        let envelope = read(response).map_err(complaint)?;
        *parsed.lock().unwrap_or_else(PoisonError::into_inner) = Some(envelope);
        Ok(())
    };
    let answer = match tries {
        Tries::All => http.send(request, credentials, actions, meter, &validate).await?,
        Tries::One => http.send_once(request, credentials, actions, meter, &validate).await?,
    };
    match answer {
        Answer::Page(response) => {
            let envelope = match parsed.into_inner().unwrap_or_else(PoisonError::into_inner) {
                Some(envelope) => envelope,
                None => read(&response)?,
            };
            Ok(Fetched::Page(Box::new((response, envelope))))
        }
        Answer::Ignored(claim) => Ok(Fetched::End(EndReason::Ignored(Box::new(claim)))),
        Answer::End(claim) => Ok(Fetched::End(EndReason::Ended(Box::new(claim)))),
        Answer::Restart(response) => Ok(Fetched::Restart(Box::new(response))),
    }
}

/// Fetches a body into a file.
async fn download(spec: &WalkSpec, files: &Arc<Files>, mut request: Request) -> Result<Fetched> {
    let WalkSpec { resource, http, credentials, meter, .. } = spec;
    let partial = blocking(files, Files::begin).await?;
    request.download = Some(partial.path.clone());
    match http.send(&request, credentials, &resource.response_actions, meter, &any_body).await? {
        Answer::Page(response) => file_row(spec, files, response).await,
        Answer::Ignored(claim) => Ok(Fetched::End(EndReason::Ignored(Box::new(claim)))),
        Answer::End(claim) => Ok(Fetched::End(EndReason::Ended(Box::new(claim)))),
        Answer::Restart(response) => Ok(Fetched::Restart(Box::new(response))),
    }
}

/// The one row of a body that went to a file, which gets its name here.
async fn file_row(spec: &WalkSpec, files: &Arc<Files>, response: Response) -> Result<Fetched> {
    if response.file.is_none() && !(200..300).contains(&response.status) {
        let message = format!("the server answered {}, whose body is no file", response.status);
        let hint = "`accept` can't make a file of such an answer; `ignore` passes over it";
        return Err(Error::new(Kind::Status, message).with("url", response.url).hint(hint));
    }
    let Some(downloaded) = response.file.clone() else {
        return Err(Error::new(Kind::Internal, "the body of a file is in no file"));
    };
    if downloaded.bytes == 0 && response.status == 204 {
        return Ok(Fetched::Page(Box::new((response, Envelope::nothing()))));
    }
    let (scope, of) = (spec.scope.clone(), response.clone());
    let row = blocking(files, move |files| files.keep(&downloaded, &of, &scope)).await?;
    let envelope = Envelope::of_json(row.to_string().into(), None)?;
    Ok(Fetched::Page(Box::new((response, envelope))))
}

/// Work on files, on a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(
    files: &Arc<Files>,
    work: impl FnOnce(&Files) -> Result<T> + Send + 'static,
) -> Result<T> {
    let files = files.clone();
    let done = tokio::task::spawn_blocking(move || work(&files));
    done.await
        .map_err(|cause| Error::new(Kind::Internal, "the work on a file ended without an answer").source(cause))?
}

/// Asks again and again until the answer is ready.
async fn fetch_ready(spec: &WalkSpec, wanted: Wanted<'_>, poll: &Poll) -> Result<Fetched> {
    let begun = Instant::now();
    // Where waits take no time, because a tape is played, they count as if they did.
    let mut rested = Duration::ZERO;
    let mut request_count = 0_u64;
    let mut last_state = None;
    loop {
        request_count += 1;
        let fetched = ask(spec, wanted, Body::Optional).await?;
        let Fetched::Page(answer) = &fetched else { return Ok(fetched) };
        match poll::state(poll, &answer.1)? {
            State::Ready => return Ok(fetched),
            State::Pending(state) => last_state = Some(state),
            // Pages behind the first one may be plain ones, whose list was made once for all.
            State::Silent if wanted.may_be_silent() && answer.1.root().is_some() => return Ok(fetched),
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
    let place = error.context("at").map(|at| format!(" ({at})")).unwrap_or_default();
    match StdError::source(&error) {
        Some(cause) => format!("{error}{place}: {cause}"),
        None => format!("{error}{place}"),
    }
}
