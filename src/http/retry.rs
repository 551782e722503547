//! Whether a request is tried again, and when: a pure decision. Together with [`super::limit`] this is where runs wait.

use super::auth::Renewal;
use super::transport::TransportError;
use super::{HeaderMap, Response};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{Action, Retry};
use crate::run::shutdown::Stop;
use std::time::{Duration, SystemTime};

/// What one try brought.
#[derive(Debug)]
pub enum Outcome {
    /// An answer, whole and acceptable as far as HTTP can tell.
    Response(Response),
    /// A 2xx answer whose body can't be decoded, with what is wrong about it.
    Undecodable(Response, String),
    /// No whole answer.
    Transport(TransportError),
}

/// How far the tries of one request have come.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Tries that count, the one just made included.
    pub attempts: u32,
    /// Time in requests and in waits of our own. Rate windows and waits that the server asked for are not in it.
    pub elapsed: Duration,
    /// Waits that the server asked for.
    pub throttles: u32,
    /// Their time.
    pub throttled: Duration,
    /// How often new credentials were obtained because the old ones were refused.
    pub renewals: u32,
}

impl Progress {
    /// The first try.
    pub fn new() -> Self {
        Progress { attempts: 1, elapsed: Duration::ZERO, throttles: 0, throttled: Duration::ZERO, renewals: 0 }
    }

    /// The next try, after a pause.
    pub fn advance(&mut self, pause: &Pause) {
        match pause.asker {
            Asker::Policy => {
                self.attempts += 1;
                self.elapsed += pause.wait;
            }
            Asker::Server { .. } => {
                self.throttles += 1;
                self.throttled += pause.wait;
            }
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Progress::new()
    }
}

/// What to do after a try.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The answer is the page.
    Done,
    /// An empty page that ends the paging of this request.
    Ignore,
    /// No more pages.
    End,
    /// Wait, then send the request again.
    Retry(Pause),
    /// Obtain new credentials, then send the request again.
    Renew,
    /// The request has failed.
    Fail(GiveUp),
}

/// A wait before the next try.
#[derive(Debug, Clone, PartialEq)]
pub struct Pause {
    /// How long.
    pub wait: Duration,
    /// Who asked for it.
    pub asker: Asker,
}

/// Who asked for a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// `retry`: it counts as an attempt and as elapsed time.
    Policy,
    /// The server says that it is too busy: it counts as neither.
    Server {
        /// Whether the server said for how long. Then all requests of the run hold until it is over.
        stated: bool,
    },
}

/// Why a request has failed for good.
#[derive(Debug, Clone, PartialEq)]
pub enum GiveUp {
    /// Another try would bring the same.
    Hopeless,
    /// A `response_actions` entry says `fail`.
    Action,
    /// The credentials are refused although they are new.
    StillRefused,
    /// `retry.max_attempts` tries were made.
    Attempts,
    /// The next try would start after `retry.max_elapsed`.
    Elapsed,
    /// The server asks for a wait that is longer than `retry.max_wait`.
    WaitTooLong(Duration),
    /// The server has asked to wait again and again, for longer than `retry.max_wait` in all.
    StillThrottled,
}

/// What decisions about a request go by.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// When and how often to try again.
    pub policy: &'a Retry,
    /// What `response_actions` say of the answer.
    pub action: Option<Action>,
    /// Whether new credentials may help against the answer.
    pub renewal: Renewal,
}

/// Decides what follows from a try. `jitter` is a random number in 0..1; `now` is the wall clock, for dates in headers.
///
/// Actions come first; then 403 and 429 with an exhausted quota; then refused credentials; then `retry.statuses`.
pub fn decide(rules: Rules<'_>, progress: &Progress, outcome: &Outcome, jitter: f64, now: SystemTime) -> Decision {
    let policy = rules.policy;
    let own = || own_pause(policy, progress, backoff(policy, progress.attempts.saturating_sub(1), jitter));
    match outcome {
        Outcome::Transport(error) if error.kind.is_retried() => own(),
        Outcome::Transport(_) => Decision::Fail(GiveUp::Hopeless),
        Outcome::Undecodable(..) => own(),
        Outcome::Response(response) => match meaning(rules, response) {
            Meaning::Page => Decision::Done,
            Meaning::Ignore => Decision::Ignore,
            Meaning::End => Decision::End,
            Meaning::Failure => Decision::Fail(GiveUp::Action),
            Meaning::Unexpected => Decision::Fail(GiveUp::Hopeless),
            Meaning::Refused if rules.renewal == Renewal::Possible => Decision::Renew,
            Meaning::Refused => Decision::Fail(GiveUp::StillRefused),
            Meaning::Retry => match retry_after(&response.headers, now) {
                Some(Duration::ZERO) => {
                    let wait = backoff(policy, progress.attempts.saturating_sub(1), jitter);
                    own_pause(policy, progress, wait.max(policy.base_delay))
                }
                Some(wait) => server_pause(policy, progress, wait, true),
                None => own(),
            },
            Meaning::Throttle => match stated_wait(&response.headers, now) {
                Some(wait) => server_pause(policy, progress, wait, true),
                // The server names no time. Never a hot loop, whatever the jitter.
                None => {
                    let wait = backoff(policy, progress.throttles, jitter).max(policy.base_delay);
                    server_pause(policy, progress, wait, false)
                }
            },
        },
    }
}

/// What an answer means, whatever was tried before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Page,
    Ignore,
    End,
    Failure,
    Retry,
    Throttle,
    Refused,
    Unexpected,
}

fn meaning(rules: Rules<'_>, response: &Response) -> Meaning {
    let policy = rules.policy;
    if let Some(action) = rules.action {
        return match action {
            Action::Ignore => Meaning::Ignore,
            Action::End => Meaning::End,
            Action::Fail => Meaning::Failure,
            Action::Retry => Meaning::Retry,
            Action::Throttle => Meaning::Throttle,
        };
    }
    match response.status {
        403 | 429 if remaining_quota(&response.headers) == Some(0) => Meaning::Throttle,
        _ if rules.renewal != Renewal::None => Meaning::Refused,
        200..=299 => Meaning::Page,
        429 if policy.statuses.contains(&429) => Meaning::Throttle,
        status if policy.statuses.contains(&status) => Meaning::Retry,
        _ => Meaning::Unexpected,
    }
}

/// The wait before a try: exponential, with full jitter (0 up to the bound), the bound doubling up to `max_delay`.
pub(super) fn backoff(policy: &Retry, doublings: u32, jitter: f64) -> Duration {
    let factor = 1u32.checked_shl(doublings).filter(|f| *f != 0).unwrap_or(u32::MAX);
    let bound = policy.base_delay.saturating_mul(factor).min(policy.max_delay);
    bound.mul_f64(jitter.clamp(0.0, 1.0))
}

fn own_pause(policy: &Retry, progress: &Progress, wait: Duration) -> Decision {
    if progress.attempts >= policy.max_attempts {
        return Decision::Fail(GiveUp::Attempts);
    }
    if progress.elapsed.saturating_add(wait) > policy.max_elapsed {
        return Decision::Fail(GiveUp::Elapsed);
    }
    Decision::Retry(Pause { wait, asker: Asker::Policy })
}

fn server_pause(policy: &Retry, progress: &Progress, wait: Duration, stated: bool) -> Decision {
    if stated && wait > policy.max_wait {
        return Decision::Fail(GiveUp::WaitTooLong(wait));
    }
    // Waits of the server count as nothing else, so that without this bound they could go on for ever.
    if progress.throttled.saturating_add(wait) > policy.max_wait {
        return Decision::Fail(GiveUp::StillThrottled);
    }
    Decision::Retry(Pause { wait, asker: Asker::Server { stated } })
}

/// How long a server that throttles wants us to wait: `Retry-After`, else the reset of its quota. `None` also for zero.
fn stated_wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    // With quota left, the reset is not what the server is waiting for.
    let reset = || (remaining_quota(headers).unwrap_or(0) == 0).then(|| quota_reset(headers, now)).flatten();
    retry_after(headers, now).or_else(reset).filter(|wait| !wait.is_zero())
}

/// `Retry-After`: seconds or a date (RFC 9110 section 10.2.3). A date in the past is zero.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = header(headers, "retry-after")?;
    seconds(text).or_else(|| Some(until(httpdate::parse_http_date(text).ok()?, headers, now)))
}

/// Numbers below this are seconds from now (three years), those above are seconds since 1970.
const EPOCH_SECONDS_MIN: f64 = 1e8;

/// Numbers from here on are milliseconds since 1970.
const EPOCH_MILLIS_MIN: f64 = 1e11;

/// When the quota is full again. Servers write seconds from now, or seconds or milliseconds since 1970, told apart by
/// size; or a date.
fn quota_reset(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = quota_header(headers, "reset").or_else(|| quota_parameter(headers, ["reset", "t"]))?;
    let Ok(number) = text.parse::<f64>() else {
        let rfc3339 = || chrono::DateTime::parse_from_rfc3339(text).ok().map(SystemTime::from);
        return Some(until(httpdate::parse_http_date(text).ok().or_else(rfc3339)?, headers, now));
    };
    let since_1970 = if number < EPOCH_SECONDS_MIN {
        return seconds(text);
    } else if number < EPOCH_MILLIS_MIN {
        Duration::try_from_secs_f64(number)
    } else {
        Duration::try_from_secs_f64(number / 1000.0)
    };
    Some(until(SystemTime::UNIX_EPOCH.checked_add(since_1970.ok()?)?, headers, now))
}

fn remaining_quota(headers: &HeaderMap) -> Option<u64> {
    quota_header(headers, "remaining").or_else(|| quota_parameter(headers, ["remaining", "r"]))?.parse().ok()
}

/// `RateLimit-X` (IETF draft), `X-RateLimit-X` (GitHub and most), `X-Rate-Limit-X` (Okta and others).
fn quota_header<'a>(headers: &'a HeaderMap, suffix: &str) -> Option<&'a str> {
    ["ratelimit-", "x-ratelimit-", "x-rate-limit-"].iter().find_map(|p| header(headers, &format!("{p}{suffix}")))
}

/// A parameter of the one header of newer drafts (draft-ietf-httpapi-ratelimit-headers): `RateLimit: limit=10, remaining=0,
/// reset=5`, later `RateLimit: "default";r=0;t=5`. Of several policies the first counts.
fn quota_parameter<'a>(headers: &'a HeaderMap, names: [&str; 2]) -> Option<&'a str> {
    let parts = header(headers, "ratelimit")?.split([',', ';']);
    let mut pairs = parts.filter_map(|part| part.split_once('='));
    pairs.find(|(name, _)| names.contains(&name.trim())).map(|(_, value)| value.trim())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim)
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

/// Time until a moment of the server, by its own clock if it tells it: ours may differ.
fn until(moment: SystemTime, headers: &HeaderMap, now: SystemTime) -> Duration {
    let server_now = header(headers, "date").and_then(|d| httpdate::parse_http_date(d).ok()).unwrap_or(now);
    moment.duration_since(server_now).unwrap_or_default()
}

/// Runs a future to its end, unless the run is asked to end first.
///
/// # Errors
/// [`Kind::Interrupted`].
pub(super) async fn unless_stopped<T>(stop: &Stop, work: impl Future<Output = T>) -> Result<T> {
    tokio::select! {
        biased;
        () = stop.wait() => Err(interrupted()),
        done = work => Ok(done),
    }
}

/// The error of a wait or a request that a signal ended.
pub(super) fn interrupted() -> Error {
    Error::new(Kind::Interrupted, "the run was asked to end")
}

/// Whether waits take their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// They do: a server wants them.
    #[default]
    RealTime,
    /// They are over at once: a tape is played.
    Instant,
}

impl Pace {
    /// How long a wait takes.
    pub fn of(self, wait: Duration) -> Duration {
        match self {
            Pace::RealTime => wait,
            Pace::Instant => Duration::ZERO,
        }
    }
}

/// Waits, unless the run is asked to end.
///
/// # Errors
/// [`Kind::Interrupted`].
pub(super) async fn pause(stop: &Stop, wait: Duration) -> Result<()> {
    unless_stopped(stop, tokio::time::sleep(wait)).await
}

#[cfg(test)]
mod tests;
