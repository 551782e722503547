//! Whether a request is tried again, and when: a pure decision. Together with [`super::limit`] this is where runs wait.

mod wait;

use super::auth::Renewal;
use super::transport::TransportError;
use super::{HeaderMap, Response};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{Action, Again, ResponseAction, Retry};
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
    /// Waits that an entry of `response_actions` with a number of tries of its own asked for. They count as nothing else.
    pub claimed: u32,
}

impl Progress {
    /// The first try.
    pub fn new() -> Self {
        Progress {
            attempts: 1,
            elapsed: Duration::ZERO,
            throttles: 0,
            throttled: Duration::ZERO,
            renewals: 0,
            claimed: 0,
        }
    }

    /// The next try, after a pause.
    pub fn advance(&mut self, pause: &Pause) {
        match (pause.bound, pause.asker) {
            (Bound::Entry, _) => self.claimed += 1,
            (Bound::Policy, Asker::Policy) => {
                self.attempts += 1;
                self.elapsed += pause.wait;
            }
            (Bound::Policy, Asker::Server { .. }) => {
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
    /// The walk has to begin again.
    Restart,
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
    /// What it is counted by.
    pub bound: Bound,
}

/// What says how often such a wait may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// `retry`.
    Policy,
    /// The `max_attempts` of the entry of `response_actions` that is about the answer, and nothing else.
    Entry,
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
    /// A `response_actions` entry says `split`: less is to be asked for at a time.
    TooMuch,
    /// The credentials are refused although they are new.
    StillRefused,
    /// `retry.max_attempts` tries were made.
    Attempts,
    /// As many tries were made as the `response_actions` entry allows.
    ActionAttempts,
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
    /// The entry of `response_actions` that is about the answer.
    pub action: Option<&'a ResponseAction>,
    /// Whether a failure is final, whatever else says how often to try.
    pub is_once: bool,
    /// Whether new credentials may help against the answer.
    pub renewal: Renewal,
}

impl<'a> Rules<'a> {
    /// What the entry about the answer says of another try.
    fn again(&self) -> Option<&'a Again> {
        self.action.map(|entry| &entry.again)
    }
}

/// Decides what follows from a try. `jitter` is a random number in 0..1; `now` is the wall clock, for dates in headers.
///
/// Actions come first; then 403 and 429 with an exhausted quota; then refused credentials; then `retry.statuses`.
pub fn decide(rules: Rules<'_>, progress: &Progress, outcome: &Outcome, jitter: f64, now: SystemTime) -> Decision {
    let own = || {
        let wait = backoff(rules.policy, progress.attempts.saturating_sub(1), jitter);
        own_pause(rules, progress, wait)
    };
    match outcome {
        Outcome::Transport(error) if error.kind.is_retried() => own(),
        Outcome::Transport(_) => Decision::Fail(GiveUp::Hopeless),
        Outcome::Undecodable(..) => own(),
        Outcome::Response(response) => match meaning(rules, response) {
            Meaning::Page => Decision::Done,
            Meaning::Ignore => Decision::Ignore,
            Meaning::End => Decision::End,
            Meaning::Restart => Decision::Restart,
            Meaning::Failure => Decision::Fail(GiveUp::Action),
            Meaning::TooMuch => Decision::Fail(GiveUp::TooMuch),
            Meaning::Unexpected => Decision::Fail(GiveUp::Hopeless),
            Meaning::Refused if rules.renewal == Renewal::Possible => Decision::Renew,
            Meaning::Refused => Decision::Fail(GiveUp::StillRefused),
            Meaning::Retry => again(rules, progress, retry_pause(rules, progress, &response.headers, jitter, now)),
            Meaning::Throttle => {
                again(rules, progress, throttle_pause(rules, progress, &response.headers, jitter, now))
            }
        },
    }
}

/// The wait before another try of a request that may succeed later.
fn retry_pause(rules: Rules<'_>, progress: &Progress, headers: &HeaderMap, jitter: f64, now: SystemTime) -> Asked {
    let entry = rules.again();
    let named = wait::named(entry, headers, now).or_else(|| wait::retry_after(headers, now));
    let backoff = || backoff(rules.policy, progress.attempts.saturating_sub(1) + progress.claimed, jitter);
    match (named, entry.and_then(|again| again.wait)) {
        (Some(wait), _) if !wait.is_zero() => Asked::ByServer(wait),
        (_, Some(wait)) => Asked::ByFile(wait, Asker::Policy),
        // The server has a try at once in mind.
        (Some(_), None) => Asked::ByFile(backoff().max(rules.policy.base_delay), Asker::Policy),
        (None, None) => Asked::ByFile(backoff(), Asker::Policy),
    }
}

/// The wait before another try of a request that came too early.
fn throttle_pause(rules: Rules<'_>, progress: &Progress, headers: &HeaderMap, jitter: f64, now: SystemTime) -> Asked {
    let entry = rules.again();
    let named = wait::named(entry, headers, now).filter(|wait| !wait.is_zero());
    match (named.or_else(|| wait::stated(headers, now)), entry.and_then(|again| again.wait)) {
        (Some(wait), _) => Asked::ByServer(wait),
        (None, Some(wait)) => Asked::ByFile(wait, Asker::Server { stated: true }),
        // Nobody names a time. Never a hot loop, whatever the jitter.
        (None, None) => {
            let wait =
                backoff(rules.policy, progress.throttles + progress.claimed, jitter).max(rules.policy.base_delay);
            Asked::ByFile(wait, Asker::Server { stated: false })
        }
    }
}

/// A wait, before it is known whether another try is allowed.
#[derive(Debug, Clone, Copy)]
enum Asked {
    /// The answer names it.
    ByServer(Duration),
    /// The file names it, or `retry` does; how it counts.
    ByFile(Duration, Asker),
}

/// Another try after a wait, if what bounds it allows it: the number of the entry, where it has one, else `retry`.
fn again(rules: Rules<'_>, progress: &Progress, asked: Asked) -> Decision {
    let (wait, asker) = match asked {
        Asked::ByServer(wait) if wait > rules.policy.max_wait => return Decision::Fail(GiveUp::WaitTooLong(wait)),
        Asked::ByServer(wait) => (wait, Asker::Server { stated: true }),
        Asked::ByFile(wait, asker) => (wait, asker),
    };
    match (rules.again().and_then(|again| again.max_attempts), asker) {
        (Some(max), _) if progress.claimed + 1 >= max => Decision::Fail(GiveUp::ActionAttempts),
        (Some(_), Asker::Policy) if rules.is_once => Decision::Fail(GiveUp::ActionAttempts),
        (Some(_), _) => Decision::Retry(Pause { wait, asker, bound: Bound::Entry }),
        (None, Asker::Policy) => own_pause(rules, progress, wait),
        (None, Asker::Server { .. }) => server_pause(rules.policy, progress, wait, asker),
    }
}

/// What an answer means, whatever was tried before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Page,
    Ignore,
    End,
    Restart,
    Failure,
    TooMuch,
    Retry,
    Throttle,
    Refused,
    Unexpected,
}

fn meaning(rules: Rules<'_>, response: &Response) -> Meaning {
    let policy = rules.policy;
    if let Some(entry) = rules.action {
        return match entry.action {
            Action::Accept => Meaning::Page,
            Action::Ignore => Meaning::Ignore,
            Action::End => Meaning::End,
            Action::Restart => Meaning::Restart,
            Action::Fail => Meaning::Failure,
            Action::Retry => Meaning::Retry,
            Action::Throttle => Meaning::Throttle,
            Action::Split => Meaning::TooMuch,
        };
    }
    match response.status {
        403 | 429 if wait::remaining_quota(&response.headers) == Some(0) => Meaning::Throttle,
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

fn own_pause(rules: Rules<'_>, progress: &Progress, wait: Duration) -> Decision {
    if rules.is_once || progress.attempts >= rules.policy.max_attempts {
        return Decision::Fail(GiveUp::Attempts);
    }
    if progress.elapsed.saturating_add(wait) > rules.policy.max_elapsed {
        return Decision::Fail(GiveUp::Elapsed);
    }
    Decision::Retry(Pause { wait, asker: Asker::Policy, bound: Bound::Policy })
}

fn server_pause(policy: &Retry, progress: &Progress, wait: Duration, asker: Asker) -> Decision {
    // Waits of the server count as nothing else, so that without this bound they could go on for ever.
    if progress.throttled.saturating_add(wait) > policy.max_wait {
        return Decision::Fail(GiveUp::StillThrottled);
    }
    Decision::Retry(Pause { wait, asker, bound: Bound::Policy })
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
