//! Errors about a request: what was asked, what came back, how it was tried, and what to do about it.

use super::Response;
use super::retry::{GiveUp, Outcome, Progress};
use super::transport::{TransportError, TransportErrorKind};
use crate::error::{Error, Kind};
use crate::plan::model::Retry;
use reqwest::StatusCode;
use std::time::Duration;
use url::Url;

/// Longest start of a body in an error, characters.
const EXCERPT_CHARS: usize = 300;

/// What of a body is looked at for an excerpt, bytes. More than is shown, so that no secret is cut in two at its end.
const EXCERPT_SOURCE_BYTES: usize = 4096;

/// Label of an error that the file calls one, whatever the status means otherwise.
pub const DECIDED_BY: &str = "decided by";

/// Context of an error, and its value: the action by which the answer holds too much.
const ACTION: &str = "action";
const TOO_MUCH: &str = "split";

/// Whether an error says that less is to be asked for at a time.
pub fn is_too_much(error: &Error) -> bool {
    error.context(ACTION) == Some(TOO_MUCH)
}

/// A request in words: `GET https://host/path?x=1`. Without user and password, secrets replaced.
pub fn describe(method: &str, url: &Url) -> String {
    format!("{method} {}", shown_url(url))
}

/// A URL without user and password, secrets replaced.
pub fn shown_url(url: &Url) -> String {
    let mut shown = url.clone();
    // Both fail only for URLs that can't have a user at all.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    crate::secret::redact(shown.as_str()).into_owned()
}

/// The start of a body for an error or a log: secrets replaced, control characters escaped.
pub fn excerpt(body: &[u8]) -> String {
    if body.is_empty() {
        return "(empty)".to_owned();
    }
    let start = String::from_utf8_lossy(&body[..body.len().min(EXCERPT_SOURCE_BYTES)]);
    let start = crate::secret::redact(&start);
    let mut text = String::new();
    for c in start.chars().take(EXCERPT_CHARS) {
        if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
    }
    if start.chars().nth(EXCERPT_CHARS).is_some() || body.len() > EXCERPT_SOURCE_BYTES {
        text.push('…');
    }
    text
}

/// A time as people read it: `350ms`, `2.5s`, `1h 5m`.
pub(super) fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{}ms", time.as_millis()),
        1..60 => format!("{}s", (time.as_secs_f64() * 10.0).round() / 10.0),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        _ => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// The error of a request that failed for good. `target` is its description, `message` what the file says of such answers.
pub(super) fn error(
    target: &str,
    outcome: &Outcome,
    give_up: &GiveUp,
    progress: &Progress,
    policy: &Retry,
    message: Option<&str>,
) -> Error {
    let error = match outcome {
        Outcome::Response(response) => of_status(target, response, give_up, policy, message),
        Outcome::Undecodable(response, complaint) => of_body(target, response, complaint),
        Outcome::Transport(error) => of_transport(target, error),
    };
    with_tries(error, give_up, progress, policy)
}

fn of_status(target: &str, response: &Response, give_up: &GiveUp, policy: &Retry, message: Option<&str>) -> Error {
    let status = status_text(response.status);
    let sentence = match give_up {
        GiveUp::Action => format!("the server answered {status}, which `response_actions` calls a failure"),
        GiveUp::TooMuch => format!("the server answered {status}, which `response_actions` calls too much at a time"),
        GiveUp::WaitTooLong(wait) => format!(
            "the server asks to wait {}, longer than `retry.max_wait` ({})",
            in_words(*wait),
            in_words(policy.max_wait)
        ),
        GiveUp::StillThrottled => "the server keeps saying that it is too busy".to_owned(),
        GiveUp::StillRefused => format!("the server answered {status}, also with new credentials"),
        GiveUp::Hopeless | GiveUp::Attempts | GiveUp::ActionAttempts | GiveUp::Elapsed => {
            format!("the server answered {status}")
        }
    };
    let error = Error::new(Kind::Status, sentence);
    let error = match message {
        Some(message) => error.with("message", crate::secret::redact(message)),
        None => error,
    };
    let error = error.with("request", target).with("status", status).with("body", excerpt(&response.body));
    let is_claimed = matches!(give_up, GiveUp::Action | GiveUp::ActionAttempts);
    let error = if is_claimed { error.with(DECIDED_BY, "response_actions") } else { error };
    let error = if *give_up == GiveUp::TooMuch { error.with(ACTION, TOO_MUCH) } else { error };
    match hint_of_status(response.status, give_up) {
        // The file knows better what to do than we do.
        Some(hint) if !(is_claimed && message.is_some()) => error.hint(hint),
        _ => error,
    }
}

fn hint_of_status(status: u16, give_up: &GiveUp) -> Option<&'static str> {
    let hint = match (give_up, status) {
        (GiveUp::WaitTooLong(_), _) => "run again later, or raise `retry.max_wait`",
        (GiveUp::StillThrottled, _) => {
            "`rate_limit` keeps requests below the server's limit; `retry.max_wait` bounds these waits"
        }
        (GiveUp::StillRefused, _) => "new credentials were obtained, and are refused too: do they have access to this?",
        (_, 401) => {
            "the server does not accept the credentials: are those that `[client].auth` names right and still valid?"
        }
        (_, 403) => {
            "the credentials do not reach this: do they have the permission, and is the resource's `path` right?"
        }
        (_, 404) => {
            "check `base_url` and the resource's `path`; where a missing item is normal: \
             response_actions = [{ status = 404, action = \"ignore\" }]"
        }
        (_, 300..=399) => "the server points elsewhere without a redirect that can be followed",
        _ => return None,
    };
    Some(hint)
}

fn of_body(target: &str, response: &Response, complaint: &str) -> Error {
    Error::new(Kind::Body, complaint)
        .with("request", target)
        .with("status", status_text(response.status))
        .with("content type", response.header("content-type").unwrap_or("(none)"))
        .with("body", excerpt(&response.body))
}

fn of_transport(target: &str, error: &TransportError) -> Error {
    let kind = match error.kind {
        TransportErrorKind::Connect | TransportErrorKind::Tls | TransportErrorKind::Timeout => Kind::Network,
        TransportErrorKind::Reset | TransportErrorKind::Unknown => Kind::Network,
        TransportErrorKind::Truncated | TransportErrorKind::Decode | TransportErrorKind::TooLarge => Kind::Body,
        TransportErrorKind::Storage => Kind::Destination,
        TransportErrorKind::Unsendable => Kind::Config,
        TransportErrorKind::NotOnTape | TransportErrorKind::TapeUnusable => Kind::State,
    };
    let mut shown = Error::new(kind, error.kind.sentence()).with("request", target);
    if let Some(received) = &error.received {
        shown = shown
            .with("status", status_text(received.status))
            .with("received", format!("{} bytes", received.bytes))
            .with("body", excerpt(&received.body_start));
    }
    let shown = shown.source(error.to_string());
    match hint_of_transport(error.kind) {
        Some(hint) => shown.hint(hint),
        None => shown,
    }
}

fn hint_of_transport(kind: TransportErrorKind) -> Option<&'static str> {
    match kind {
        TransportErrorKind::Connect => {
            Some("is `base_url` right, and can this machine reach it? `[client].proxy` names a proxy")
        }
        TransportErrorKind::Tls => Some("`[client].ca_certificate` takes the PEM file of an authority of your own"),
        TransportErrorKind::Timeout => {
            Some("`[client].timeout` says how long to wait; smaller pages are answered sooner")
        }
        TransportErrorKind::TooLarge => Some("ask for smaller pages, or raise `[client].max_response_bytes`"),
        TransportErrorKind::Reset | TransportErrorKind::Truncated | TransportErrorKind::Decode => None,
        TransportErrorKind::NotOnTape => Some(
            "a replay asks what the recorded run asked as long as both begin alike: with the same pipeline file and `--var`s, \
             and an empty warehouse or `--full-refresh`",
        ),
        TransportErrorKind::Storage | TransportErrorKind::Unsendable => None,
        TransportErrorKind::Unknown | TransportErrorKind::TapeUnusable => None,
    }
}

fn with_tries(error: Error, give_up: &GiveUp, progress: &Progress, policy: &Retry) -> Error {
    let error = match give_up {
        GiveUp::Attempts => {
            let tries = format!("{} in {} (`retry.max_attempts`)", progress.attempts, in_words(progress.elapsed));
            error.with("tries", tries)
        }
        GiveUp::ActionAttempts => {
            let tries = progress.claimed + 1;
            error.with("tries", format!("{tries} (`max_attempts` of the entry of `response_actions`)"))
        }
        GiveUp::Elapsed => error.with(
            "tries",
            format!(
                "{}; the next would start later than {} after the first (`retry.max_elapsed`)",
                progress.attempts,
                in_words(policy.max_elapsed)
            ),
        ),
        GiveUp::Hopeless | GiveUp::Action | GiveUp::TooMuch | GiveUp::StillRefused => error,
        GiveUp::WaitTooLong(_) | GiveUp::StillThrottled => error,
    };
    if progress.throttles == 0 {
        return error;
    }
    let waited = format!("{} times, {} in all, as the server asked", progress.throttles, in_words(progress.throttled));
    error.with("waited", waited)
}

/// A status with its name, as `404 Not Found`.
pub(super) fn status_text(status: u16) -> String {
    let reason = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason());
    match reason {
        Some(reason) => format!("{status} {reason}"),
        None => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_has_no_password_and_no_secret() {
        crate::secret::register("s3cr3t-param-value");
        let url = Url::parse("https://bob:hunter22@example.com/a%20b?x=1&key=s3cr3t-param-value").unwrap();
        assert_eq!(describe("GET", &url), "GET https://example.com/a%20b?x=1&key=***");
    }

    #[test]
    fn an_excerpt_is_short_escaped_and_redacted_before_it_is_cut() {
        assert_eq!(excerpt(b""), "(empty)");
        assert_eq!(excerpt(b"a\nb\x1b[31m\xff"), "a\\nb\\u{1b}[31m\u{fffd}");
        crate::secret::register("tok-0123456789-abcdef");
        let body = format!("{}tok-0123456789-abcdef and more", "x".repeat(290));
        let shown = excerpt(body.as_bytes());
        assert!(shown.ends_with("***…") || shown.contains("*** and"), "{shown}");
        assert!(!shown.contains("tok-"), "{shown}");
        assert_eq!(excerpt("é".repeat(301).as_bytes()).chars().count(), 301);
    }

    #[test]
    fn times_read_well() {
        let cases = [(350, "350ms"), (2_540, "2.5s"), (60_000, "1m 0s"), (3_900_000, "1h 5m")];
        for (ms, text) in cases {
            assert_eq!(in_words(Duration::from_millis(ms)), text);
        }
    }
}
