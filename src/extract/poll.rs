//! Whether an answer is ready: decided from one answer at a time.

use super::envelope::{Envelope, Fact};
use crate::error::{Error, Kind, Result};
use crate::plan::model::Poll;
use crate::words::counted;

/// What an answer says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// It is what was asked for.
    Ready,
    /// It is not yet; its state.
    Pending(String),
    /// It does not say, which an answer that is ready would.
    Silent,
}

/// Reads the state of an answer.
///
/// # Errors
/// It is one of `fail_on`: the answer will never be ready.
pub(super) fn state(poll: &Poll, envelope: &Envelope) -> Result<State> {
    let Some(fact) = envelope.fact(&poll.path)? else { return Ok(State::Silent) };
    let found = match fact {
        Fact::Text(text) | Fact::Number(text) => text,
        Fact::Boolean(flag) => flag.to_string(),
        Fact::Null => "null".to_owned(),
        Fact::Nested(shape) => shape.to_string(),
    };
    let is_among = |states: &[String]| states.iter().any(|state| is_same(state, &found));
    if is_among(&poll.fail_on) {
        return Err(Error::new(Kind::Data, format!("the answer will not be ready: `{}` is `{found}`", poll.path))
            .with("poll.fail_on", poll.fail_on.join(", ")));
    }
    Ok(if is_among(&poll.ready) { State::Ready } else { State::Pending(found) })
}

/// Whether a state is the one that the file names: the same text, or the same number otherwise written.
fn is_same(named: &str, found: &str) -> bool {
    let numbers = || named.parse::<f64>().ok().zip(found.parse::<f64>().ok());
    named == found || numbers().is_some_and(|(a, b)| a == b)
}

/// The error of an answer that was not ready in time.
pub(super) fn too_late(poll: &Poll, last_state: Option<&str>, request_count: u64) -> Error {
    let last = match last_state {
        Some(state) => format!("`{}` was `{state}`", poll.path),
        None => format!("no answer had `{}`", poll.path),
    };
    let hint = match last_state {
        Some(_) => "raise `poll.timeout`, or name the state in `poll.equals`, `poll.in` or `poll.fail_on`",
        None => "is `poll.path` right?",
    };
    Error::new(Kind::Data, "the answer was not ready within `poll.timeout`")
        .with("poll.timeout", format!("{} s", poll.timeout.as_secs_f64()))
        .with("asked", counted(request_count, "time"))
        .with("last", last)
        .hint(hint)
}

#[cfg(test)]
mod tests {
    use super::super::envelope::tests::{envelope, path};
    use super::*;
    use std::time::Duration;

    fn poll(ready: &[&str], fail_on: &[&str]) -> Poll {
        let texts = |states: &[&str]| states.iter().map(|s| (*s).to_owned()).collect();
        let (interval, timeout) = (Duration::from_secs(5), Duration::from_secs(90));
        Poll { path: path("job.status"), ready: texts(ready), fail_on: texts(fail_on), interval, timeout }
    }

    #[test]
    fn a_state_is_compared_as_text_or_number() {
        for (ready, body, expected) in [
            ("DONE", r#"{"job":{"status":"DONE"}}"#, State::Ready),
            ("DONE", r#"{"job":{"status":"done"}}"#, State::Pending("done".into())),
            ("true", r#"{"job":{"status":true}}"#, State::Ready),
            ("100", r#"{"job":{"status":100.0}}"#, State::Ready),
            ("100", r#"{"job":{"status":99}}"#, State::Pending("99".into())),
            ("DONE", r#"{"job":{"status":null}}"#, State::Pending("null".into())),
            ("DONE", r#"{"job":{"status":{}}}"#, State::Pending("an object".into())),
            ("DONE", r#"{"job":{}}"#, State::Silent),
            ("DONE", "[1]", State::Silent),
        ] {
            assert_eq!(state(&poll(&[ready], &[]), &envelope(body)).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn a_state_that_means_failure_is_named() {
        let error = state(&poll(&["A"], &["B", "C"]), &envelope(r#"{"job":{"status":"C"}}"#)).unwrap_err();
        assert_eq!(error.message(), "the answer will not be ready: `job.status` is `C`");
        assert_eq!(error.context("poll.fail_on"), Some("B, C"));
    }

    #[test]
    fn an_answer_that_comes_too_late_tells_the_last_state() {
        let error = too_late(&poll(&["A"], &[]), Some("running"), 1);
        assert_eq!(
            (error.context("asked"), error.context("last")),
            (Some("1 time"), Some("`job.status` was `running`"))
        );
        assert_eq!(too_late(&poll(&["A"], &[]), None, 2).context("last"), Some("no answer had `job.status`"));
    }
}
