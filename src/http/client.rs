//! The send loop: one request from its first try to its answer.

mod judge;
mod watch;

use super::auth::{self, Credentials, Proof, Renewal};
use super::limit::{Fastest, Limiter};
use super::origin::{Origins, Reach};
use super::redirect::{self, Hop, REDIRECTS_MAX};
use super::retry::{self, Asker, Bound, Decision, Outcome, Pace, Pause, Progress, Rules};
use super::transport::{Transport, TransportError, WireRequest, WireResponse};
use super::{Answer, Meter, Request, Response, actions, failure};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{AllowedHost, Client, ResponseAction, Retry};
use crate::run::shutdown::Stop;
use judge::{Tried, claim, judge};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Semaphore, SemaphorePermit};
use watch::{Waiting, record, report_retry};

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

/// Sends the requests of one run, or of one resource of it. Clones share everything.
#[derive(Clone)]
pub struct Http {
    shared: Arc<Shared>,
    own: Arc<Own>,
}

/// What a resource has for itself.
struct Own {
    policy: Retry,
    /// Windows that hold beside those of the run.
    limiter: Option<Limiter>,
    fastest: Fastest,
}

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
    /// Windows beside those of the run.
    limiter: Option<&'a Limiter>,
    fastest: &'a Fastest,
    /// Whether a failure is final.
    is_once: bool,
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
        let shared = Shared {
            policy: client.retry.clone(),
            allowed_hosts: client.allowed_hosts.clone(),
            body_bytes_max: client.max_response_bytes,
            transport,
            limiter,
            stop,
            pace,
            permits: Semaphore::new(client.concurrency.max(1)),
            global_permits,
        };
        let own = Own { policy: client.retry.clone(), limiter: None, fastest: Fastest::default() };
        Http { shared: Arc::new(shared), own: Arc::new(own) }
    }

    /// A sender for one resource: it tries again as the resource says, and keeps the resource's rate windows beside those
    /// of the run, which it shares like everything else.
    #[must_use]
    pub fn of_resource(&self, policy: &Retry, limiter: Option<Limiter>) -> Http {
        let own = Own { policy: policy.clone(), limiter, fastest: Fastest::default() };
        Http { shared: Arc::clone(&self.shared), own: Arc::new(own) }
    }

    fn job<'a>(
        &'a self,
        request: &'a Request,
        credentials: &'a Credentials,
        actions: &'a [ResponseAction],
        meter: &'a Meter,
    ) -> Job<'a> {
        let Own { policy, limiter, fastest } = self.own.as_ref();
        let (limiter, reading) = (limiter.as_ref(), Reading::Page);
        Job { request, credentials, actions, meter, policy, limiter, fastest, is_once: false, reading }
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
        self.run(&self.job(request, credentials, actions, meter), validate).await
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
        let job = Job { is_once: true, ..self.job(request, credentials, actions, meter) };
        self.run(&job, validate).await
    }

    /// Sends a request for a token. It goes to its own origin alone, and nothing of a good answer is shown. A token serves
    /// all resources, so it is asked for as the client says.
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
        let job =
            Job { policy: &self.shared.policy, limiter: None, reading, ..self.job(request, &credentials, &[], meter) };
        match self.run(&job, validate).await? {
            Answer::Page(response) => Ok(response),
            Answer::Ignored(_) | Answer::End(_) | Answer::Restart(_) => {
                Err(Error::new(Kind::Internal, "an answer with a token was taken for the end of a list"))
            }
        }
    }

    /// What ends all waits.
    pub(super) fn stop(&self) -> &Stop {
        &self.shared.stop
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
                    return Ok(Answer::Ignored(claim(&target, &response, rules)));
                }
                (Decision::End, Outcome::Response(response)) => {
                    return Ok(Answer::End(claim(&target, &response, rules)));
                }
                (Decision::Restart, Outcome::Response(response)) => return Ok(Answer::Restart(response)),
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
                    let message = rules.action.and_then(|entry| entry.message.as_deref());
                    return Err(failure::error(&target, &outcome, &give_up, &progress, job.policy, message));
                }
                (Decision::Done | Decision::Ignore | Decision::End | Decision::Restart | Decision::Renew, _) => {
                    return Err(Error::new(Kind::Internal, "a request without an answer was taken for done"));
                }
            }
        }
    }

    /// What the decision about a try goes by. Only the API itself may refuse credentials.
    fn rules<'a>(job: &Job<'a>, tried: &Tried<'a>, progress: &Progress) -> Rules<'a> {
        let renewal = match &tried.result {
            Ok(response) if tried.is_trusted => {
                job.credentials.renewal(response.status, &response.headers, progress.renewals)
            }
            Ok(_) | Err(_) => Renewal::None,
        };
        Rules { policy: job.policy, action: tried.action, is_once: job.is_once, renewal }
    }

    /// Waits as before another try, after an answer that turned out to be undecodable only when it was read. `attempts` is
    /// how many such answers there were. Returns whether another try is allowed.
    ///
    /// # Errors
    /// [`Kind::Interrupted`]: the run was asked to end.
    pub async fn back_off(&self, attempts: u32, meter: &Meter) -> Result<bool> {
        let policy = &self.own.policy;
        if attempts >= policy.max_attempts {
            return Ok(false);
        }
        let wait = retry::backoff(policy, attempts.saturating_sub(1), rand::random());
        self.wait(&Pause { wait, asker: Asker::Policy, bound: Bound::Policy }, meter).await?;
        Ok(true)
    }

    /// Waits between two requests of which the second asks for the same.
    ///
    /// # Errors
    /// [`Kind::Interrupted`]: the run was asked to end.
    pub async fn rest(&self, wait: Duration) -> Result<()> {
        retry::pause(&self.shared.stop, self.shared.pace.of(wait)).await
    }

    /// One try: the request, and those that its redirects lead to. An error is final.
    async fn exchange<'a>(&self, job: &Job<'a>, proof: &Proof, progress: &mut Progress) -> Result<Tried<'a>> {
        let Job { request, credentials, .. } = job;
        let origins = match job.reading {
            Reading::Page => Origins::new(&request.base_url, &self.shared.allowed_hosts),
            Reading::Token | Reading::Cookies => Origins::alone(&request.url),
        };
        let first = auth::strip(&request.url, request, credentials.param());
        let mut hop = Hop { method: request.method.clone(), url: first, carries_body: true };
        for _ in 0..=REDIRECTS_MAX {
            let reach = origins.reach(&hop.url)?;
            let is_trusted = reach == Reach::Trusted;
            let wire = auth::dress(request, proof, &hop, reach, self.shared.body_bytes_max)?;
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
        let (shared, meter) = (&self.shared, job.meter);
        // First, so that requests that wait for the windows of their resource hold no permit that others could use.
        let own_turn = match job.limiter {
            Some(limiter) => {
                let _waiting = Waiting::begin(meter);
                Some(limiter.turn(&shared.stop).await?)
            }
            None => None,
        };
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
        if !shared.stop.may_send(!job.is_once) {
            return Err(retry::interrupted());
        }
        let had_connection = job.fastest.begin();
        let counted = (turn.take(job.fastest), own_turn.map(|turn| turn.take(job.fastest)));
        meter.requests.fetch_add(1, Ordering::Relaxed);
        let target = failure::describe(&hop.method, &hop.url);
        tracing::trace!(request = target, headers = %crate::secret::redact(&format!("{:?}", wire.headers)), "request");
        let sent = Instant::now();
        let result = tokio::select! {
            result = shared.transport.call(wire) => result,
            () = end_of_grace(&shared.stop) => return Err(retry::interrupted()),
        };
        let is_typical = result.is_ok() && had_connection && job.reading == Reading::Page;
        job.fastest.end(is_typical.then(|| sent.elapsed()));
        drop(counted);
        progress.elapsed += sent.elapsed();
        record(&target, &result, sent.elapsed(), job.reading, meter);
        Ok(result)
    }

    async fn permit<'a>(&self, permits: &'a Semaphore) -> Result<SemaphorePermit<'a>> {
        let acquired = retry::unless_stopped(&self.shared.stop, permits.acquire()).await?;
        acquired.map_err(|e| Error::new(Kind::Internal, "the permits for requests are gone").source(e))
    }

    /// Waits before the next try. When the server said for how long, no other request of the run is sent meanwhile.
    async fn wait(&self, pause: &Pause, meter: &Meter) -> Result<()> {
        meter.retries.fetch_add(1, Ordering::Relaxed);
        let wait = self.shared.pace.of(pause.wait);
        let _waiting = match pause.asker {
            Asker::Policy => None,
            Asker::Server { stated } => {
                if stated {
                    self.shared.limiter.hold(wait);
                }
                Some(Waiting::begin(meter))
            }
        };
        retry::pause(&self.shared.stop, wait).await
    }
}

/// Resolves when the run has been asked to end and the time for requests in flight is over. Where only the budget of requests
/// is spent they have all the time they need: they were counted, and what they bring is wanted.
async fn end_of_grace(stop: &Stop) {
    stop.wait_for_urgency().await;
    tokio::time::sleep(GRACE).await;
}

#[cfg(test)]
pub(super) mod tests;
