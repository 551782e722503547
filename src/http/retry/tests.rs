use super::*;
use crate::http::actions;
use crate::http::transport::TransportErrorKind;
use crate::plan::model::ResponseAction;
use bytes::Bytes;
use reqwest::header::{HeaderName, HeaderValue};
use url::Url;

type Headers<'a> = &'a [(&'a str, &'a str)];

/// 2026-03-01T12:00:00Z.
const NOW_SECONDS: u64 = 1_772_366_400;

fn policy() -> Retry {
    Retry {
        max_attempts: 6,
        base_delay: Duration::from_millis(500),
        max_delay: Duration::from_secs(60),
        max_elapsed: Duration::from_secs(900),
        max_wait: Duration::from_secs(3600),
        statuses: vec![408, 425, 429, 500, 502, 503, 504],
    }
}

fn answer(status: u16, headers: Headers<'_>, body: &str) -> Outcome {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
        .collect();
    let url = Url::parse("http://localhost/").unwrap();
    Outcome::Response(Response { status, headers, body: Bytes::copy_from_slice(body.as_bytes()), file: None, url })
}

fn broken(kind: TransportErrorKind) -> Outcome {
    Outcome::Transport(TransportError::new(kind, "cause"))
}

fn action(status: Option<u16>, body_contains: Option<&str>, action: Action) -> ResponseAction {
    ResponseAction { status, body_contains: body_contains.map(str::to_owned), header: None, path: None, action }
}

/// Decides by the policy of these tests.
fn decide_by(
    actions: &[ResponseAction],
    renewal: Renewal,
    progress: &Progress,
    outcome: &Outcome,
    jitter: f64,
) -> Decision {
    let action = match outcome {
        Outcome::Response(r) => actions::matching(actions, r.status, &r.headers, &r.body),
        Outcome::Undecodable(..) | Outcome::Transport(_) => None,
    };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_SECONDS);
    decide(Rules { policy: &policy(), action, renewal }, progress, outcome, jitter, now)
}

/// The decision after the first try, with a jitter of one half.
fn first(actions: &[ResponseAction], outcome: &Outcome) -> Decision {
    decide_by(actions, Renewal::None, &Progress::new(), outcome, 0.5)
}

#[test]
fn refused_credentials_are_renewed_once() {
    let go = |renewal, outcome: &Outcome| decide_by(&[], renewal, &Progress::new(), outcome, 0.5);
    let refused = answer(401, &[], "");
    assert_eq!(go(Renewal::Possible, &refused), Decision::Renew);
    assert_eq!(go(Renewal::Spent, &refused), Decision::Fail(GiveUp::StillRefused));
    assert_eq!(go(Renewal::None, &refused), Decision::Fail(GiveUp::Hopeless));
    // An exhausted quota is no matter of credentials, and an action comes before everything.
    let throttled = answer(403, &[("x-ratelimit-remaining", "0")], "");
    assert_eq!(go(Renewal::Possible, &throttled), unstated(500));
    let ignored = [action(Some(401), None, Action::Ignore)];
    assert_eq!(decide_by(&ignored, Renewal::Possible, &Progress::new(), &refused, 0.5), Decision::Ignore);
}

fn own(ms: u64) -> Decision {
    Decision::Retry(Pause { wait: Duration::from_millis(ms), asker: Asker::Policy })
}

fn stated(ms: u64) -> Decision {
    Decision::Retry(Pause { wait: Duration::from_millis(ms), asker: Asker::Server { stated: true } })
}

fn unstated(ms: u64) -> Decision {
    Decision::Retry(Pause { wait: Duration::from_millis(ms), asker: Asker::Server { stated: false } })
}

#[test]
fn statuses_mean_what_the_policy_says() {
    let hopeless = || Decision::Fail(GiveUp::Hopeless);
    let cases = [
        (200, Decision::Done),
        (204, Decision::Done),
        (500, own(250)),
        (503, own(250)),
        (408, own(250)),
        (429, unstated(500)),
        (304, hopeless()),
        (400, hopeless()),
        (401, hopeless()),
        (403, hopeless()),
        (404, hopeless()),
        (501, hopeless()),
    ];
    for (status, expected) in cases {
        assert_eq!(first(&[], &answer(status, &[], "")), expected, "{status}");
    }
}

#[test]
fn failures_of_the_transport_are_retried_where_another_try_may_help() {
    use TransportErrorKind::*;
    for kind in [Connect, Timeout, Reset, Truncated, Decode, Unknown] {
        assert_eq!(first(&[], &broken(kind)), own(250), "{kind:?}");
    }
    for kind in [Tls, TooLarge, Unsendable] {
        assert_eq!(first(&[], &broken(kind)), Decision::Fail(GiveUp::Hopeless), "{kind:?}");
    }
}

#[test]
fn a_body_that_cannot_be_decoded_is_retried() {
    let Outcome::Response(response) = answer(200, &[], "<html>") else { unreachable!() };
    assert_eq!(first(&[], &Outcome::Undecodable(response, "not JSON".to_owned())), own(250));
}

#[test]
fn the_wait_that_headers_ask_for() {
    let in_90_s = (NOW_SECONDS + 90).to_string();
    let in_90_s_ms = ((NOW_SECONDS + 90) * 1000).to_string();
    let past = (NOW_SECONDS - 90).to_string();
    let cases: &[(u16, Headers<'_>, Decision)] = &[
        (503, &[("retry-after", "7")], stated(7000)),
        (503, &[("retry-after", " 1.5 ")], stated(1500)),
        (503, &[("retry-after", "Sun, 01 Mar 2026 12:01:30 GMT")], stated(90_000)),
        // By the server's own clock, which is ten seconds behind ours.
        (
            503,
            &[("retry-after", "Sun, 01 Mar 2026 12:01:30 GMT"), ("date", "Sun, 01 Mar 2026 11:59:50 GMT")],
            stated(100_000),
        ),
        // Nothing usable: as without the header.
        (503, &[("retry-after", "soon")], own(250)),
        (503, &[("retry-after", "-5")], own(250)),
        // Zero or past: at least `base_delay`, and an attempt, because no wait was asked for.
        (503, &[("retry-after", "0")], own(500)),
        (503, &[("retry-after", "Sun, 01 Mar 2026 11:00:00 GMT")], own(500)),
        (429, &[("retry-after", "0")], unstated(500)),
        (429, &[("ratelimit-reset", "30")], stated(30_000)),
        (429, &[("x-ratelimit-reset", &in_90_s)], stated(90_000)),
        (429, &[("x-ratelimit-reset", &in_90_s_ms)], stated(90_000)),
        (429, &[("x-ratelimit-reset", &past)], unstated(500)),
        (429, &[("x-rate-limit-reset", &in_90_s)], stated(90_000)),
        (429, &[("retry-after", "3"), ("x-ratelimit-reset", &in_90_s)], stated(3000)),
        // Quota is left, so that the reset is not what the server waits for.
        (429, &[("x-ratelimit-remaining", "12"), ("x-ratelimit-reset", &in_90_s)], unstated(500)),
        (500, &[("x-ratelimit-reset", &in_90_s)], own(250)),
        (403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &in_90_s)], stated(90_000)),
        (403, &[("x-ratelimit-remaining", "0")], unstated(500)),
        (403, &[("ratelimit-remaining", "0"), ("ratelimit-reset", "9")], stated(9000)),
        (429, &[("x-ratelimit-reset", "Sun, 01 Mar 2026 12:01:30 GMT")], stated(90_000)),
        (429, &[("x-ratelimit-reset", "2026-03-01T12:01:30Z")], stated(90_000)),
        (429, &[("x-ratelimit-reset", "later")], unstated(500)),
        (403, &[("ratelimit", "limit=100, remaining=0, reset=7")], stated(7000)),
        (403, &[("ratelimit", "\"default\";r=0;t=7")], stated(7000)),
        (403, &[("ratelimit", "\"default\";r=5;t=7")], Decision::Fail(GiveUp::Hopeless)),
        (403, &[("x-ratelimit-remaining", "1")], Decision::Fail(GiveUp::Hopeless)),
    ];
    for (status, headers, expected) in cases {
        assert_eq!(&first(&[], &answer(*status, headers, "")), expected, "{status} {headers:?}");
    }
}

#[test]
fn a_wait_longer_than_max_wait_fails_at_once() {
    let cases: &[(&str, &str)] = &[("retry-after", "3601"), ("retry-after", "1e12"), ("retry-after", "86400")];
    for (name, value) in cases {
        let decision = first(&[], &answer(503, &[(name, value)], ""));
        assert!(matches!(decision, Decision::Fail(GiveUp::WaitTooLong(_))), "{value}: {decision:?}");
    }
    assert_eq!(first(&[], &answer(503, &[("retry-after", "3600")], "")), stated(3_600_000));
}

#[test]
fn actions_come_before_statuses_and_the_first_that_matches_wins() {
    use Action::*;
    let actions = [
        action(Some(503), Some("maintenance"), Fail),
        action(Some(503), None, Throttle),
        action(Some(404), None, Ignore),
        action(Some(400), Some("past the last page"), End),
        action(Some(418), None, Retry),
        action(None, Some("\"errors\""), Fail),
    ];
    let cases = [
        (503, "down for maintenance", Decision::Fail(GiveUp::Action)),
        (503, "", unstated(500)),
        (404, "", Decision::Ignore),
        (400, "page is past the last page", Decision::End),
        (400, "bad", Decision::Fail(GiveUp::Hopeless)),
        (418, "", own(250)),
        (200, "{\"errors\": []}", Decision::Fail(GiveUp::Action)),
        (200, "{\"data\": []}", Decision::Done),
        (500, "", own(250)),
    ];
    for (status, body, expected) in cases {
        assert_eq!(first(&actions, &answer(status, &[], body)), expected, "{status} {body}");
    }
    assert_eq!(first(&actions, &answer(503, &[("retry-after", "2")], "")), stated(2000));
}

#[test]
fn own_waits_double_with_full_jitter_up_to_max_delay() {
    let bounds_ms = [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000];
    for (doublings, bound_ms) in bounds_ms.into_iter().enumerate() {
        let wait = |jitter| backoff(&policy(), doublings as u32, jitter).as_millis() as u64;
        assert_eq!([wait(0.0), wait(0.5), wait(1.0)], [0, bound_ms / 2, bound_ms]);
    }
    assert_eq!(backoff(&policy(), 500, 1.0), Duration::from_secs(60));
}

/// Feeds the same answer until the decision is no retry, and gives that decision and how far it came.
fn exhaust(outcome: &Outcome, jitter: f64) -> (GiveUp, Progress) {
    let mut progress = Progress::new();
    for _ in 0..1_000_000 {
        match decide_by(&[], Renewal::None, &progress, outcome, jitter) {
            Decision::Retry(pause) => progress.advance(&pause),
            Decision::Fail(give_up) => return (give_up, progress),
            other => panic!("{other:?}"),
        }
    }
    panic!("it goes on for ever");
}

#[test]
fn failures_end_after_max_attempts() {
    let (give_up, progress) = exhaust(&answer(500, &[], ""), 0.5);
    assert_eq!((give_up, progress.attempts), (GiveUp::Attempts, 6));
    assert_eq!(progress.elapsed, Duration::from_millis(250 + 500 + 1000 + 2000 + 4000));
}

#[test]
fn no_try_starts_after_max_elapsed() {
    let progress = Progress { elapsed: Duration::from_secs(899), attempts: 3, ..Progress::new() };
    let decide = |jitter| decide_by(&[], Renewal::None, &progress, &broken(TransportErrorKind::Timeout), jitter);
    assert_eq!(decide(0.4), own(800));
    assert_eq!(decide(0.6), Decision::Fail(GiveUp::Elapsed));
}

#[test]
fn waits_of_the_server_count_neither_as_attempts_nor_as_elapsed() {
    let mut progress = Progress { attempts: 6, elapsed: Duration::from_secs(900), ..Progress::new() };
    let outcome = answer(503, &[("retry-after", "60")], "");
    let decision = decide_by(&[], Renewal::None, &progress, &outcome, 0.5);
    assert_eq!(decision, stated(60_000));
    let Decision::Retry(pause) = decision else { unreachable!() };
    progress.advance(&pause);
    assert_eq!((progress.attempts, progress.elapsed), (6, Duration::from_secs(900)));
    assert_eq!((progress.throttles, progress.throttled), (1, Duration::from_secs(60)));
}

#[test]
fn throttling_without_end_is_an_error_after_max_wait_in_all() {
    for jitter in [0.0, 0.5, 1.0] {
        let (give_up, progress) = exhaust(&answer(429, &[], ""), jitter);
        assert_eq!((give_up, progress.attempts), (GiveUp::StillThrottled, 1));
        assert!(progress.throttled <= policy().max_wait);
        // Waits of at least `base_delay`, never a hot loop.
        assert!(progress.throttles <= 7200, "{}", progress.throttles);
    }
    let (give_up, progress) = exhaust(&answer(503, &[("retry-after", "600")], ""), 0.5);
    assert_eq!((give_up, progress.throttles), (GiveUp::StillThrottled, 6));
}
