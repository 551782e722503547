//! The send loop: one request from its first try to its answer.

use super::auth::{self, Credentials};
use super::limit::Limiter;
use super::origin::Origins;
use super::redirect::{self, Hop, REDIRECTS_MAX};
use super::retry::{self, Asker, Decision, Outcome, Pace, Pause, Progress};
use super::transport::{Transport, TransportError, WireRequest, WireResponse};
use super::{Answer, Meter, Request, Response, failure};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{Client, ResponseAction, Retry};
use crate::run::shutdown::Stop;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Semaphore, SemaphorePermit};

/// How long a request in flight may go on after the run was asked to end.
const GRACE: Duration = Duration::from_secs(5);

/// Looks at a 2xx answer: whether its body can be decoded. What it complains of is tried again like a truncated body,
/// and in the end is the sentence of the error.
pub type Validate<'a> = &'a (dyn Fn(&Response) -> Result<(), String> + Sync);

/// Accepts every body.
///
/// # Errors
/// None.
pub fn any_body(_: &Response) -> Result<(), String> {
    Ok(())
}

/// Sends the requests of one run. Clones share everything.
#[derive(Clone)]
pub struct Http(Arc<Shared>);

struct Shared {
    policy: Retry,
    origins: Origins,
    body_bytes_max: u64,
    transport: Arc<dyn Transport>,
    limiter: Limiter,
    stop: Stop,
    pace: Pace,
    permits: Semaphore,
    global_permits: Option<Arc<Semaphore>>,
}

/// What belongs to one request for all its tries.
struct Job<'a> {
    request: &'a Request,
    credentials: &'a Credentials,
    actions: &'a [ResponseAction],
    meter: &'a Meter,
}

impl Http {
    /// A sender with the limits of a pipeline. `global_permits` bounds the requests in flight of several pipelines
    /// together.
    pub fn new(
        client: &Client,
        transport: Arc<dyn Transport>,
        limiter: Limiter,
        stop: Stop,
        pace: Pace,
        global_permits: Option<Arc<Semaphore>>,
    ) -> Self {
        Http(Arc::new(Shared {
            policy: client.retry.clone(),
            origins: Origins::new(client),
            body_bytes_max: client.max_response_bytes,
            transport,
            limiter,
            stop,
            pace,
            permits: Semaphore::new(client.concurrency.max(1)),
            global_permits,
        }))
    }

    /// Sends a request until it has an answer.
    ///
    /// # Errors
    /// [`Kind::Status`], [`Kind::Network`], [`Kind::Body`]: it failed for good, as [`retry::decide`] says.
    /// [`Kind::Config`]: it can't be built. [`Kind::Interrupted`]: the run was asked to end.
    pub async fn send(
        &self,
        request: &Request,
        credentials: &Credentials,
        actions: &[ResponseAction],
        meter: &Meter,
        validate: Validate<'_>,
    ) -> Result<Answer> {
        self.send_under(&self.0.policy, request, credentials, actions, meter, validate).await
    }

    /// As [`Http::send`], without a second try after a failure: for a request that may turn out not to be needed. What the
    /// server asks to wait is waited.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub async fn send_once(
        &self,
        request: &Request,
        credentials: &Credentials,
        actions: &[ResponseAction],
        meter: &Meter,
        validate: Validate<'_>,
    ) -> Result<Answer> {
        let policy = Retry { max_attempts: 1, ..self.0.policy.clone() };
        self.send_under(&policy, request, credentials, actions, meter, validate).await
    }

    async fn send_under(
        &self,
        policy: &Retry,
        request: &Request,
        credentials: &Credentials,
        actions: &[ResponseAction],
        meter: &Meter,
        validate: Validate<'_>,
    ) -> Result<Answer> {
        let job = Job { request, credentials, actions, meter };
        let target = failure::describe(&request.method, &auth::strip(&request.url, request, credentials));
        let mut progress = Progress::new();
        loop {
            let result = self.exchange(&job, &mut progress).await.map_err(|e| e.with("request", &target))?;
            let outcome = judge(result, actions, validate);
            let decision = retry::decide(policy, actions, &progress, &outcome, rand::random(), SystemTime::now());
            match (decision, outcome) {
                (Decision::Done, Outcome::Response(response)) => return Ok(Answer::Page(response)),
                (Decision::Ignore, Outcome::Response(response)) => {
                    return Ok(Answer::Ignored { status: response.status });
                }
                (Decision::End, Outcome::Response(response)) => return Ok(Answer::End { status: response.status }),
                (Decision::Retry(pause), outcome) => {
                    report_retry(&target, &outcome, &pause, &progress);
                    self.wait(&pause, meter).await.map_err(|e| e.with("request", &target))?;
                    progress.advance(&pause);
                }
                (Decision::Fail(give_up), outcome) => {
                    return Err(failure::error(&target, &outcome, &give_up, &progress, policy));
                }
                (Decision::Done | Decision::Ignore | Decision::End, _) => {
                    return Err(Error::new(Kind::Internal, "a request without an answer was taken for done"));
                }
            }
        }
    }

    /// Waits as before another try, after an answer that turned out to be undecodable only when it was read. `attempts` is
    /// how many such answers there were. Returns whether another try is allowed.
    ///
    /// # Errors
    /// [`Kind::Interrupted`]: the run was asked to end.
    pub async fn back_off(&self, attempts: u32, meter: &Meter) -> Result<bool> {
        let policy = &self.0.policy;
        if attempts >= policy.max_attempts {
            return Ok(false);
        }
        let wait = retry::backoff(policy, attempts.saturating_sub(1), rand::random());
        self.wait(&Pause { wait, asker: Asker::Policy }, meter).await?;
        Ok(true)
    }

    /// Waits between two requests of which the second asks for the same.
    ///
    /// # Errors
    /// [`Kind::Interrupted`]: the run was asked to end.
    pub async fn rest(&self, wait: Duration) -> Result<()> {
        retry::pause(&self.0.stop, self.0.pace.of(wait)).await
    }

    /// One try: the request, and those that its redirects lead to. An error is final.
    async fn exchange(&self, job: &Job<'_>, progress: &mut Progress) -> Result<Result<Response, TransportError>> {
        let Job { request, credentials, .. } = job;
        let first = auth::strip(&request.url, request, credentials);
        let mut hop = Hop { method: request.method.clone(), url: first, carries_body: true };
        for _ in 0..=REDIRECTS_MAX {
            let reach = self.0.origins.reach(&hop.url)?;
            let wire = auth::dress(request, credentials, &hop, reach, self.0.body_bytes_max)?;
            let answer = match self.call(wire, &hop, job.meter, progress).await? {
                Ok(answer) => answer,
                Err(error) => return Ok(Err(error)),
            };
            let is_claimed = retry::matching_action(job.actions, answer.status, &answer.body).is_some();
            let next = if is_claimed { None } else { redirect::next(&hop, &answer)? };
            let Some(next) = next else {
                let WireResponse { status, headers, body } = answer;
                return Ok(Ok(Response { status, headers, body, url: hop.url }));
            };
            hop = Hop { url: auth::strip(&next.url, request, credentials), ..next };
        }
        Err(Error::new(Kind::Status, format!("the server redirects more than {REDIRECTS_MAX} times"))
            .with("last redirect", failure::describe(&hop.method, &hop.url)))
    }

    /// Puts one request on the wire when its turn has come. The outer error is that the run was asked to end.
    async fn call(
        &self,
        wire: WireRequest,
        hop: &Hop,
        meter: &Meter,
        progress: &mut Progress,
    ) -> Result<Result<WireResponse, TransportError>> {
        let shared = &self.0;
        let _permit = self.permit(&shared.permits).await?;
        let turn = {
            let _waiting = Waiting::begin(meter);
            shared.limiter.turn(&shared.stop).await?
        };
        // Taken after the wait for the windows, so that one pipeline's windows don't hold up another pipeline, and
        // before the turn is counted, so that the request is counted when it is sent.
        let _global_permit = match &shared.global_permits {
            Some(permits) => Some(self.permit(permits).await?),
            None => None,
        };
        turn.take();
        meter.requests.fetch_add(1, Ordering::Relaxed);
        let target = failure::describe(&hop.method, &hop.url);
        tracing::trace!(request = target, headers = %crate::secret::redact(&format!("{:?}", wire.headers)), "request");
        let sent = Instant::now();
        let result = tokio::select! {
            result = shared.transport.call(wire) => result,
            () = end_of_grace(&shared.stop) => return Err(retry::interrupted()),
        };
        progress.elapsed += sent.elapsed();
        record(&target, &result, sent.elapsed(), meter);
        Ok(result)
    }

    async fn permit<'a>(&self, permits: &'a Semaphore) -> Result<SemaphorePermit<'a>> {
        let acquired = retry::unless_stopped(&self.0.stop, permits.acquire()).await?;
        acquired.map_err(|e| Error::new(Kind::Internal, "the permits for requests are gone").source(e))
    }

    /// Waits before the next try. When the server said for how long, no other request of the run is sent meanwhile.
    async fn wait(&self, pause: &Pause, meter: &Meter) -> Result<()> {
        meter.retries.fetch_add(1, Ordering::Relaxed);
        let wait = self.0.pace.of(pause.wait);
        let _waiting = match pause.asker {
            Asker::Policy => None,
            Asker::Server { stated } => {
                if stated {
                    self.0.limiter.hold(wait);
                }
                Some(Waiting::begin(meter))
            }
        };
        retry::pause(&self.0.stop, wait).await
    }
}

/// Has the body of a page looked at. Answers that an action claims are not pages.
fn judge(result: Result<Response, TransportError>, actions: &[ResponseAction], validate: Validate<'_>) -> Outcome {
    let response = match result {
        Ok(response) => response,
        Err(error) => return Outcome::Transport(error),
    };
    let is_page = (200..300).contains(&response.status)
        && retry::matching_action(actions, response.status, &response.body).is_none();
    match if is_page { validate(&response) } else { Ok(()) } {
        Ok(()) => Outcome::Response(response),
        Err(complaint) => Outcome::Undecodable(response, complaint),
    }
}

/// Resolves when the run has been asked to end and the time for requests in flight is over.
async fn end_of_grace(stop: &Stop) {
    stop.wait().await;
    tokio::time::sleep(GRACE).await;
}

/// Counts a request as waiting from its start to its end, however it ends, and adds the time to the meter.
struct Waiting<'a> {
    meter: &'a Meter,
    begun: Instant,
}

impl<'a> Waiting<'a> {
    fn begin(meter: &'a Meter) -> Self {
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
fn record(target: &str, result: &Result<WireResponse, TransportError>, took: Duration, meter: &Meter) {
    let ms = took.as_millis() as u64;
    match result {
        Ok(response) => {
            let bytes = response.body.len() as u64;
            meter.bytes.fetch_add(bytes, Ordering::Relaxed);
            tracing::debug!(request = target, status = response.status, ms, bytes, "answer");
            tracing::trace!(headers = %crate::secret::redact(&format!("{:?}", response.headers)), "answer");
        }
        Err(error) => tracing::debug!(request = target, kind = ?error.kind, ms, cause = %error, "no answer"),
    }
}

fn report_retry(target: &str, outcome: &Outcome, pause: &Pause, progress: &Progress) {
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

#[cfg(test)]
mod tests;
