//! Tokens that are asked for: one request at a time for the whole run, however many requests wait for its answer.

use super::Grant;
use super::jwt::Signer;
use super::oauth2::OAuthClient;
use super::proof::Proof;
use super::session::SessionClient;
use crate::error::{Error, Kind, Result};
use crate::http::{Http, Meter, Response, retry};
use crate::plan::model::{FieldPath, Place};
use crate::secret::Secret;
use chrono::{DateTime, NaiveDateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// A token is renewed this long before it ends, or a tenth of its life if that is shorter.
const EARLY_MAX: Duration = Duration::from_secs(60);

/// How long the end of a run waits for a token request in flight.
const SETTLE_WAIT: Duration = Duration::from_secs(5);

/// Where tokens come from, and the one in hand.
pub(super) struct TokenSource {
    obtain: Obtain,
    place: Place,
    renew_on: Vec<u16>,
    state: Arc<Mutex<State>>,
}

/// How a token is obtained.
pub(super) enum Obtain {
    OAuth2(OAuthClient),
    Jwt(Signer),
    Session(SessionClient),
}

/// A token as it was obtained.
pub(super) struct Fresh {
    pub(super) token: Secret,
    /// How long it lives; none: until it is refused.
    pub(super) lifetime: Option<Duration>,
}

#[derive(Default)]
struct State {
    /// How many tokens there were.
    generation: u64,
    held: Option<Held>,
    /// Why there can't be one: whoever waits would only meet it again.
    failure: Option<Error>,
}

struct Held {
    proof: Proof,
    renew_at: Option<Instant>,
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").field("place", &self.place).finish_non_exhaustive()
    }
}

impl State {
    /// The token in hand, unless it is the refused one or about to end.
    fn usable(&self, refused: Option<u64>, now: Instant) -> Option<Grant> {
        let held = self.held.as_ref()?;
        let is_over = held.renew_at.is_some_and(|at| at <= now) || refused == Some(self.generation);
        (!is_over).then(|| Grant { proof: held.proof.clone(), generation: self.generation })
    }
}

impl TokenSource {
    pub(super) fn new(obtain: Obtain, place: Place, renew_on: Vec<u16>) -> Self {
        TokenSource { obtain, place, renew_on, state: Arc::default() }
    }

    /// Whether an answer of this status says that the token is over.
    pub(super) fn renews_on(&self, status: u16) -> bool {
        self.renew_on.contains(&status)
    }

    /// The token in hand, or a new one. Whoever was refused with an older one than is in hand gets that.
    ///
    /// The request for a new one is a task of its own: a caller that is dropped while it waits does not lose a refresh
    /// token that the server has exchanged.
    pub(super) async fn grant(self: &Arc<Self>, http: &Http, meter: &Meter, refused: Option<u64>) -> Result<Grant> {
        let state = retry::unless_stopped(http.stop(), Arc::clone(&self.state).lock_owned()).await?;
        if let Some(grant) = state.usable(refused, Instant::now()) {
            return Ok(grant);
        }
        if let Some(failure) = &state.failure {
            return Err(failure.again());
        }
        let renewal = tokio::spawn(renew(Arc::clone(self), http.clone(), state));
        let (result, spent) = renewal
            .await
            .map_err(|e| Error::new(Kind::Internal, "the task of a token request ended without an answer").source(e))?;
        meter.absorb(&spent);
        result
    }

    /// Waits for a request in flight.
    pub(super) async fn settle(&self) {
        // Only the wait matters: a lock that was not had in time means that the request hangs.
        let _ = tokio::time::timeout(SETTLE_WAIT, self.state.lock()).await;
    }

    async fn obtain(&self, http: &Http, meter: &Meter) -> Result<Fresh> {
        match &self.obtain {
            Obtain::OAuth2(client) => client.obtain(http, meter).await,
            Obtain::Jwt(signer) => signer.obtain(),
            Obtain::Session(client) => client.obtain(http, meter).await,
        }
    }
}

/// Obtains a token and puts it in hand. Boxed, because sending a request leads here, and from here a request is sent.
fn renew(
    source: Arc<TokenSource>,
    http: Http,
    mut state: OwnedMutexGuard<State>,
) -> BoxFuture<'static, (Result<Grant>, Meter)> {
    Box::pin(async move {
        let meter = Meter::default();
        let obtained = source.obtain(&http, &meter).await;
        let result = obtained.and_then(|fresh| {
            let proof = Proof::of_token(&fresh.token, &source.place)
                .map_err(|e| Error::new(Kind::Auth, "the token that the server handed out can't be sent").source(e))?;
            Ok(Held { proof, renew_at: fresh.lifetime.map(|lifetime| Instant::now() + lifetime - early(lifetime)) })
        });
        match result {
            Ok(held) => {
                state.generation += 1;
                let grant = Grant { proof: held.proof.clone(), generation: state.generation };
                state.held = Some(held);
                (Ok(grant), meter)
            }
            Err(error) => {
                state.held = None;
                state.failure = (error.kind() != Kind::Interrupted).then(|| error.again());
                (Err(error), meter)
            }
        }
    })
}

fn early(lifetime: Duration) -> Duration {
    (lifetime / 10).min(EARLY_MAX)
}

/// The error of a token request or login.
pub(super) fn failed(what: &str, error: Error, hint: &str) -> Error {
    match error.kind() {
        Kind::Interrupted | Kind::Internal => error,
        _ => {
            let message = format!("{what} failed: {}", error.message());
            let is_refusal = error.context("status").is_some();
            let error = error.recast(Kind::Auth, message);
            if is_refusal { error.hint(hint) } else { error }
        }
    }
}

/// The JSON of an answer that should hold a token.
///
/// # Errors
/// [`Kind::Auth`]: it is not JSON. The body is not shown: it may hold a token.
pub(super) fn json(response: &Response) -> Result<Value> {
    serde_json::from_slice(&response.body).map_err(|_| Error::new(Kind::Auth, "the answer is not JSON"))
}

/// Looks at an answer that should hold a token, so that one that was cut short is asked for again.
///
/// # Errors
/// What is wrong with it.
pub(super) fn is_json(response: &Response) -> Result<(), String> {
    json(response).map(|_| ()).map_err(|e| e.message().to_owned())
}

/// The value at a path.
pub(super) fn at<'v>(value: &'v Value, path: &FieldPath) -> Option<&'v Value> {
    let step = |value: &'v Value, step: &String| match (value, FieldPath::index_of(step)) {
        (Value::Array(elements), Some(index)) => elements.get(index),
        _ => value.get(step),
    };
    path.0.iter().try_fold(value, step).filter(|value| !value.is_null())
}

/// A token: a text or a number that is not empty.
pub(super) fn token_at(answer: &Value, path: &FieldPath) -> Option<Secret> {
    let text = match at(answer, path)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.trim().is_empty()).then(|| Secret::new(text))
}

/// What an answer without a token says: the names in it, and the error that some servers send with 200. Other values may
/// be tokens under other names.
pub(super) fn without_token(what: &str, answer: &Value, path: &FieldPath) -> Error {
    let names: Vec<&str> = answer.as_object().into_iter().flat_map(|o| o.keys()).map(String::as_str).collect();
    let names = if names.is_empty() { "(nothing)".to_owned() } else { names.join(", ") };
    let mut error =
        Error::new(Kind::Auth, format!("{what} brought no token at `{path}`")).with("the answer has", names);
    for name in ["error", "error_description", "message"] {
        if let Some(text) = answer.get(name).and_then(Value::as_str) {
            error = error.with("it says", crate::http::excerpt(text.as_bytes()));
        }
    }
    error.hint("`token_path` says where the token is")
}

/// Numbers from here on are seconds since 1970, not a length of time.
const EPOCH_SECONDS_MIN: f64 = 1e8;

/// Numbers from here on are milliseconds since 1970.
const EPOCH_MILLIS_MIN: f64 = 1e11;

/// How long a token lives, from what a server says: seconds, or when it ends, as a date or since 1970. `None` for what
/// says nothing, and for zero, by which servers mean that it has no end.
pub(super) fn lifetime(value: &Value, now: SystemTime) -> Option<Duration> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.trim().parse() {
            Ok(number) => Some(number),
            Err(_) => return moment(text.trim())?.duration_since(now).ok().filter(|left| !left.is_zero()),
        },
        _ => None,
    }?;
    let end = match number {
        n if n.is_nan() || n <= 0.0 => return None,
        n if n < EPOCH_SECONDS_MIN => return Duration::try_from_secs_f64(n).ok(),
        n if n < EPOCH_MILLIS_MIN => Duration::try_from_secs_f64(n).ok()?,
        n => Duration::try_from_secs_f64(n / 1000.0).ok()?,
    };
    // One that has ended is renewed at once, and then counts as it is.
    SystemTime::UNIX_EPOCH.checked_add(end)?.duration_since(now).ok().filter(|left| !left.is_zero())
}

fn moment(text: &str) -> Option<SystemTime> {
    let zoned = DateTime::parse_from_rfc3339(text).map(|t| t.with_timezone(&Utc));
    let local = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").map(|t| t.and_utc());
    let spaced = || NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").map(|t| t.and_utc());
    zoned.or_else(|_| local()).or_else(|_| spaced()).ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn how_long_a_token_lives_by_what_servers_write() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_772_366_400);
        let cases = [
            (json!(3600), Some(3600)),
            (json!("3600"), Some(3600)),
            (json!(1.5e3), Some(1500)),
            (json!(1_772_366_490), Some(90)),
            (json!(1_772_366_490_000_u64), Some(90)),
            (json!("2026-03-01T12:01:30Z"), Some(90)),
            (json!("2026-03-01T14:01:30+02:00"), Some(90)),
            (json!("2026-03-01 12:01:30"), Some(90)),
            (json!(0), None),
            (json!(-1), None),
            (json!("2020-01-01T00:00:00Z"), None),
            (json!("soon"), None),
            (json!(null), None),
            (json!([3600]), None),
        ];
        for (value, seconds) in cases {
            assert_eq!(lifetime(&value, now), seconds.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn tokens_are_renewed_a_minute_or_a_tenth_of_their_life_early() {
        assert_eq!(early(Duration::from_secs(3600)), Duration::from_secs(60));
        assert_eq!(early(Duration::from_secs(20)), Duration::from_secs(2));
    }

    #[test]
    fn an_answer_without_a_token_is_told_by_its_names_alone() {
        let answer = json!({ "accessToken": "tok-under-another-name", "error": "invalid_client" });
        let report = without_token("the token request", &answer, &FieldPath(vec!["access_token".into()])).report();
        assert!(report.contains("the answer has: accessToken, error"), "{report}");
        assert!(report.contains("it says: invalid_client"), "{report}");
        assert!(!report.contains("tok-under"), "{report}");
    }
}
