use super::*;
use crate::http::actions;
use crate::http::transport::TransportErrorKind;
use crate::plan::model::{ResponseAction, StatusSet};
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
    let statuses = status.map(StatusSet::One).into_iter().collect();
    ResponseAction { statuses, body_contains: body_contains.map(str::to_owned), ..ResponseAction::new(action) }
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
    decide(Rules { policy: &policy(), action, is_once: false, renewal }, progress, outcome, jitter, now)
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

fn entry(action: Action, again: Again) -> [ResponseAction; 1] {
    [ResponseAction { again, ..ResponseAction::new(action) }]
}

#[test]
fn an_entry_says_how_long_to_wait() {
    let again =
        Again { wait: Some(Duration::from_secs(60)), wait_header: Some("x-wait".to_owned()), max_attempts: None };
    let (retry, throttle) = (entry(Action::Retry, again.clone()), entry(Action::Throttle, again));
    let at = (NOW_SECONDS + 90).to_string();
    let cases: &[(Headers<'_>, Decision, Decision)] = &[
        (&[], own(60_000), stated(60_000)),
        (&[("x-wait", "7"), ("retry-after", "9")], stated(7_000), stated(7_000)),
        (&[("retry-after", "9")], stated(9_000), stated(9_000)),
        (&[("x-wait", &at)], stated(90_000), stated(90_000)),
        (&[("x-wait", "Sun, 01 Mar 2026 12:01:30 GMT")], stated(90_000), stated(90_000)),
        // Zero and nonsense name no wait.
        (&[("x-wait", "0")], own(60_000), stated(60_000)),
        (&[("x-wait", "soon")], own(60_000), stated(60_000)),
        (&[("ratelimit-reset", "30")], own(60_000), stated(30_000)),
    ];
    for (headers, retried, throttled) in cases {
        let answer = answer(400, headers, "");
        assert_eq!((&first(&retry, &answer), &first(&throttle, &answer)), (retried, throttled), "{headers:?}");
    }
    let too_long = answer(400, &[("x-wait", "3601")], "");
    assert!(matches!(first(&retry, &too_long), Decision::Fail(GiveUp::WaitTooLong(_))));
}

#[test]
fn the_number_of_an_entry_bounds_its_tries_and_nothing_else_does() {
    let wait = Some(Duration::from_secs(1000));
    for action in [Action::Retry, Action::Throttle] {
        let again = Again { wait, max_attempts: Some(8), wait_header: None };
        let entries = entry(action, again);
        // Whatever `retry` allows is used up.
        let mut progress = Progress {
            attempts: 6,
            elapsed: Duration::from_secs(900),
            throttles: 9,
            throttled: Duration::from_secs(3600),
            ..Progress::new()
        };
        let used = progress.clone();
        for _ in 0..7 {
            match decide_by(&entries, Renewal::None, &progress, &answer(400, &[], ""), 0.5) {
                Decision::Retry(pause) => {
                    assert_eq!((Some(pause.wait), pause.bound), (wait, Bound::Entry));
                    progress.advance(&pause);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(progress, Progress { claimed: 7, ..used });
        let last = decide_by(&entries, Renewal::None, &progress, &answer(400, &[], ""), 0.5);
        assert_eq!(last, Decision::Fail(GiveUp::ActionAttempts));
    }
}

#[test]
fn a_request_that_is_tried_once_is_not_tried_again_by_an_entry() {
    let entries = entry(Action::Retry, Again { max_attempts: Some(8), ..Again::default() });
    let rules = Rules { policy: &policy(), action: entries.first(), is_once: true, renewal: Renewal::None };
    let go = |headers| decide(rules, &Progress::new(), &answer(400, headers, ""), 0.5, SystemTime::UNIX_EPOCH);
    assert_eq!(go(&[]), Decision::Fail(GiveUp::ActionAttempts));
    // What the server asks to wait is waited all the same.
    assert!(matches!(go(&[("retry-after", "3")]), Decision::Retry(_)));
}

#[test]
fn an_accepted_answer_is_a_page_whatever_its_status() {
    for status in [200, 401, 404, 500] {
        let accepted = [action(None, None, Action::Accept)];
        let answered = decide_by(&accepted, Renewal::Possible, &Progress::new(), &answer(status, &[], "[]"), 0.5);
        assert_eq!(answered, Decision::Done, "{status}");
    }
    let retried = [action(Some(401), None, Action::Retry)];
    assert_eq!(decide_by(&retried, Renewal::Possible, &Progress::new(), &answer(401, &[], ""), 0.5), own(250));
}

fn own(ms: u64) -> Decision {
    Decision::Retry(Pause { wait: Duration::from_millis(ms), asker: Asker::Policy, bound: Bound::Policy })
}

fn stated(ms: u64) -> Decision {
    Decision::Retry(Pause {
        wait: Duration::from_millis(ms),
        asker: Asker::Server { stated: true },
        bound: Bound::Policy,
    })
}

fn unstated(ms: u64) -> Decision {
    Decision::Retry(Pause {
        wait: Duration::from_millis(ms),
        asker: Asker::Server { stated: false },
        bound: Bound::Policy,
    })
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
