use super::super::{Fastest, micros};
use super::*;
use proptest::prelude::*;

fn window(count: usize, per_ms: u64) -> Window {
    Window::from(&RateLimit { count: count as u32, per: Duration::from_millis(per_ms) })
}

/// What one request meets on its way, microseconds.
#[derive(Debug, Clone, Copy)]
struct Way {
    /// Until there is a connection, if one has to be made.
    connect_us: u64,
    /// From then until the server takes it in.
    there_us: u64,
    /// From then until its answer is here.
    back_us: u64,
}

/// Sends whenever the windows allow it, with work always at hand, and gives the times of arrival.
fn arrivals(windows: &[Window], ways: &[Way], until_us: u64) -> Vec<u64> {
    let (mut ledger, mut now_us, fastest) = (Ledger::new(windows.to_vec()), 0, Fastest::default());
    let mut ways = ways.iter().cycle();
    let mut arrived = Vec::new();
    let mut under_way: Vec<(u64, u64, u64, bool)> = Vec::new();
    while now_us < until_us {
        under_way.sort_unstable();
        while under_way.first().is_some_and(|(answer_us, ..)| *answer_us <= now_us) {
            let (answer_us, sent_us, id, had_connection) = under_way.remove(0);
            fastest.end(had_connection.then(|| Duration::from_micros(answer_us - sent_us)));
            ledger.end(id, answer_us, fastest.us());
        }
        let next_us = under_way.first().map_or(u64::MAX, |(answer_us, ..)| *answer_us);
        match ledger.wait_us(now_us) {
            0 => {
                let (way, had_connection) = (ways.next().unwrap(), fastest.begin());
                let arrived_us = now_us + way.there_us + if had_connection { 0 } else { way.connect_us };
                arrived.push(arrived_us);
                let id = ledger.begin(now_us, fastest.us());
                under_way.push((arrived_us + way.back_us, now_us, id, had_connection));
            }
            wait_us => now_us = (now_us + wait_us).min(next_us.max(now_us + 1)),
        }
    }
    arrived
}

/// The most requests that arrive in any stretch of a length.
fn most_in_any(arrived_us: &[u64], per_ms: u64) -> usize {
    let mut arrived_us = arrived_us.to_vec();
    arrived_us.sort_unstable();
    let end_of = |start: u64| arrived_us.partition_point(|t| *t < start + per_ms * 1000);
    arrived_us.iter().enumerate().map(|(i, t)| end_of(*t) - i).max().unwrap_or(0)
}

/// How many requests windows of exactly these lengths allow.
fn allowed(limits: &[(usize, u64)], until_us: u64) -> usize {
    let windows: Vec<Window> =
        limits.iter().map(|(count, per_ms)| Window { count: *count, span_us: per_ms * 1000 }).collect();
    arrivals(&windows, &[Way { connect_us: 0, there_us: 0, back_us: 0 }], until_us).len()
}

fn windows(limits: &[(usize, u64)]) -> Vec<Window> {
    limits.iter().map(|(count, per_ms)| window(*count, *per_ms)).collect()
}

fn some_limits() -> impl Strategy<Value = Vec<(usize, u64)>> {
    prop::collection::vec((5usize..40, prop::sample::select(vec![1_000u64, 5_000, 60_000])), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_window_is_exceeded_as_the_server_sees_it_and_nine_tenths_are_used(
        limits in some_limits(),
        answer_us in 1_000u64..300_000,
        late in prop::collection::vec(prop::option::weighted(0.1, 0u64..300_000), 499),
        connect_us in 0u64..400_000,
    ) {
        let until_us = micros(Duration::from_secs(300));
        let way = |late: &Option<u64>| Way { connect_us, there_us: 10_000 + late.unwrap_or(0), back_us: answer_us };
        let ways: Vec<Way> = late.iter().map(way).collect();
        let arrived = arrivals(&windows(&limits), &ways, until_us);
        for (count, per_ms) in &limits {
            prop_assert!(most_in_any(&arrived, *per_ms) <= *count, "{count} in {per_ms} ms");
        }
        let allowed = allowed(&limits, until_us);
        prop_assert!(arrived.len() * 10 >= allowed * 9, "{} of {allowed}", arrived.len());
    }

    #[test]
    fn answers_that_take_differently_long_cost_no_more_than_a_tenth(
        limits in some_limits(),
        answers_us in prop::collection::vec(1_000u64..3_000_000, 499),
    ) {
        let until_us = micros(Duration::from_secs(300));
        let ways: Vec<Way> = answers_us.iter().map(|us| Way { connect_us: 0, there_us: 0, back_us: *us }).collect();
        let (arrived, allowed) = (arrivals(&windows(&limits), &ways, until_us), allowed(&limits, until_us));
        for (count, per_ms) in &limits {
            prop_assert!(most_in_any(&arrived, *per_ms) <= *count, "{count} in {per_ms} ms");
        }
        prop_assert!(arrived.len() * 10 >= allowed * 9, "{} of {allowed}", arrived.len());
    }

    #[test]
    fn the_nth_latest_is_that_of_all_times_together(
        mut many in prop::collection::vec(0u64..50, 0..12),
        mut few in prop::collection::vec(0u64..50, 0..6),
        n in 1usize..20,
    ) {
        many.sort_unstable();
        few.sort_unstable_by(|a, b| b.cmp(a));
        let mut all: Vec<u64> = many.iter().chain(&few).copied().collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        prop_assert_eq!(nth_latest(&many.into(), &few, n), all.get(n - 1).copied());
    }
}

#[test]
fn a_window_opens_when_its_oldest_request_has_left_it() {
    let cases: &[(&[u64], u64, u64)] = &[
        (&[], 0, 0),
        (&[0], 10, 0),
        (&[0, 10], 10, 1010),
        (&[0, 10], 1020, 0),
        (&[0, 10, 1020], 1100, 59_900),
        (&[0, 10, 1020], 61_000, 0),
        (&[0, 10, 1020, 61_000], 61_000, 10),
    ];
    for (sent, now, wait) in cases {
        let mut ledger = Ledger::new(vec![window(2, 1000), window(3, 60_000)]);
        sent.iter().for_each(|ms| ledger.push(ms * 1000));
        assert_eq!(ledger.wait_us(now * 1000), wait * 1000, "{sent:?} at {now}");
    }
}

#[test]
fn a_request_counts_when_its_answer_shows_that_it_arrived() {
    let mut ledger = Ledger::new(vec![window(1, 1000)]);
    let id = ledger.begin(0, 0);
    assert_eq!(ledger.wait_us(100_000), 1_020_000, "it may only now arrive");
    ledger.end(id, 300_000, 100_000);
    assert_eq!(ledger.wait_us(300_000), 920_000, "no answer takes less than 100 ms, so it arrived at 200 ms");
}
