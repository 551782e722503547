//! The send loop: one request from its first try to its answer.

use super::auth::{self, Credentials, Proof, Renewal};
use super::limit::Limiter;
use super::origin::{Origins, Reach};
use super::redirect::{self, Hop, REDIRECTS_MAX};
use super::retry::{self, Asker, Decision, Outcome, Pace, Pause, Progress, Rules};
use super::transport::{Transport, TransportError, WireRequest, WireResponse};
use super::{Answer, HeaderMap, Meter, Request, Response, actions, failure};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{Action, AllowedHost, Client, ResponseAction, Retry};
use crate::run::shutdown::Stop;
use bytes::Bytes;
use reqwest::header::{HeaderValue, SET_COOKIE};
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
    allowed_hosts: Vec<AllowedHost>,
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
    policy: &'a Retry,
    reading: Reading,
}

/// What an answer is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Records.
    Page,
    /// A token: nothing of a good answer is ever shown.
    Token,
    /// Cookies, which a redirect sets too.
    Cookies,
}

/// What one try brought, and what is known of it.
struct Tried {
    result: Result<Response, TransportError>,
    /// The `response_actions` entry that is about it.
    action: Option<Action>,
    /// Whether it came from where credentials may go.
    is_trusted: bool,
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
            allowed_hosts: client.allowed_hosts.clone(),
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
        let job = Job { request, credentials, actions, meter, policy: &self.0.policy, reading: Reading::Page };
        self.run(&job, validate).await
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
        let job = Job { request, credentials, actions, meter, policy: &policy, reading: Reading::Page };
        self.run(&job, validate).await
    }

    /// Sends a request for a token. It goes to its own origin alone, and nothing of a good answer is shown.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub(super) async fn send_for_token(
        &self,
        request: &Request,
        meter: &Meter,
        reading: Reading,
        validate: Validate<'_>,
    ) -> Result<Response> {
        let credentials = Credentials::none();
        let job = Job { request, credentials: &credentials, actions: &[], meter, policy: &self.0.policy, reading };
        match self.run(&job, validate).await? {
            Answer::Page(response) => Ok(response),
            Answer::Ignored { .. } | Answer::End { .. } => {
                Err(Error::new(Kind::Internal, "an answer with a token was taken for the end of a list"))
            }
        }
    }

    /// What ends all waits.
    pub(super) fn stop(&self) -> &Stop {
        &self.0.stop
    }

    async fn run(&self, job: &Job<'_>, validate: Validate<'_>) -> Result<Answer> {
        let Job { request, credentials, meter, .. } = job;
        let target = failure::describe(&request.method, &auth::strip(&request.url, request, credentials.param()));
        let (mut progress, mut refused) = (Progress::new(), None);
        loop {
            let grant = credentials.grant(self, meter, refused).await?;
            let tried =
                self.exchange(job, &grant.proof, &mut progress).await.map_err(|e| e.with("request", &target))?;
            let rules = Self::rules(job, &tried, &progress);
            let outcome = judge(tried, rules, job.reading, validate);
            match (retry::decide(rules, &progress, &outcome, rand::random(), SystemTime::now()), outcome) {
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
                (Decision::Renew, Outcome::Response(response)) => {
                    tracing::debug!(request = target, status = response.status, "the credentials are renewed");
                    credentials.learn(&response.headers).map_err(|e| e.with("request", &target))?;
                    meter.retries.fetch_add(1, Ordering::Relaxed);
                    progress.renewals += 1;
                    refused = Some(grant.generation);
                }
                (Decision::Fail(give_up), outcome) => {
                    return Err(failure::error(&target, &outcome, &give_up, &progress, job.policy));
                }
                (Decision::Done | Decision::Ignore | Decision::End | Decision::Renew, _) => {
                    return Err(Error::new(Kind::Internal, "a request without an answer was taken for done"));
                }
            }
        }
    }

    /// What the decision about a try goes by. Only the API itself may refuse credentials.
    fn rules<'a>(job: &Job<'a>, tried: &Tried, progress: &Progress) -> Rules<'a> {
        let renewal = match &tried.result {
            Ok(response) if tried.is_trusted => {
                job.credentials.renewal(response.status, &response.headers, progress.renewals)
            }
            Ok(_) | Err(_) => Renewal::None,
        };
        Rules { policy: job.policy, action: tried.action, renewal }
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
    async fn exchange(&self, job: &Job<'_>, proof: &Proof, progress: &mut Progress) -> Result<Tried> {
        let Job { request, credentials, .. } = job;
        let origins = match job.reading {
            Reading::Page => Origins::new(&request.base_url, &self.0.allowed_hosts),
            Reading::Token | Reading::Cookies => Origins::alone(&request.url),
        };
        let first = auth::strip(&request.url, request, credentials.param());
        let mut hop = Hop { method: request.method.clone(), url: first, carries_body: true };
        for _ in 0..=REDIRECTS_MAX {
            let reach = origins.reach(&hop.url)?;
            let is_trusted = reach == Reach::Trusted;
            let wire = auth::dress(request, proof, &hop, reach, self.0.body_bytes_max)?;
            let wire = WireRequest { is_login: job.reading != Reading::Page, ..wire };
            let answer = match self.call(wire, &hop, job, progress).await? {
                Ok(answer) => answer,
                Err(error) => return Ok(Tried { result: Err(error), action: None, is_trusted }),
            };
            let action = actions::matching(job.actions, answer.status, &answer.headers, &answer.body);
            let is_claimed = action.is_some()
                || job.reading == Reading::Cookies
                || (is_trusted && credentials.renewal(answer.status, &answer.headers, 0) != Renewal::None);
            let next = if is_claimed { None } else { redirect::next(&hop, &answer)? };
            let Some(next) = next else {
                let WireResponse { status, headers, body, file } = answer;
                let response = Response { status, headers, body, file, url: hop.url };
                return Ok(Tried { result: Ok(response), action, is_trusted });
            };
            hop = Hop { url: auth::strip(&next.url, request, credentials.param()), ..next };
        }
        Err(Error::new(Kind::Status, format!("the server redirects more than {REDIRECTS_MAX} times"))
            .with("last redirect", failure::describe(&hop.method, &hop.url)))
    }

    /// Puts one request on the wire when its turn has come. The outer error is that the run was asked to end.
    async fn call(
        &self,
        wire: WireRequest,
        hop: &Hop,
        job: &Job<'_>,
        progress: &mut Progress,
    ) -> Result<Result<WireResponse, TransportError>> {
        let (shared, meter) = (&self.0, job.meter);
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
        record(&target, &result, sent.elapsed(), job);
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

/// Has the body of a page looked at. Answers that an action claims, or that refuse the credentials, are not pages.
fn judge(tried: Tried, rules: Rules<'_>, reading: Reading, validate: Validate<'_>) -> Outcome {
    let response = match tried.result {
        Ok(response) => response,
        Err(error) => return Outcome::Transport(if reading == Reading::Page { error } else { error.without_body() }),
    };
    let is_redirect = reading == Reading::Cookies && (300..400).contains(&response.status);
    if is_redirect {
        // As good as a 2xx: the cookies came with it.
        return Outcome::Response(Response { status: 200, ..response });
    }
    let is_page = (200..300).contains(&response.status) && rules.action.is_none() && rules.renewal == Renewal::None;
    match if is_page { validate(&response) } else { Ok(()) } {
        Ok(()) => Outcome::Response(response),
        Err(complaint) if reading == Reading::Page => Outcome::Undecodable(response, complaint),
        Err(complaint) => {
            let body = Bytes::from_static(b"(not shown: it may hold a token)");
            Outcome::Undecodable(Response { body, ..response }, complaint)
        }
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
fn record(target: &str, result: &Result<WireResponse, TransportError>, took: Duration, job: &Job<'_>) {
    let ms = took.as_millis() as u64;
    match result {
        Ok(response) => {
            let bytes = response.file.as_ref().map_or(response.body.len() as u64, |file| file.bytes);
            job.meter.bytes.fetch_add(bytes, Ordering::Relaxed);
            tracing::debug!(request = target, status = response.status, ms, bytes, "answer");
            if job.reading == Reading::Page {
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
pub(super) mod tests;
