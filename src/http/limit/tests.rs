use super::*;
use crate::run::shutdown::Signal;
use proptest::prelude::*;
use std::sync::Arc;

fn limit(count: u32, per_ms: u64) -> RateLimit {
    RateLimit { count, per: Duration::from_millis(per_ms) }
}

/// Sends whenever the windows allow it, with work always at hand, and gives the times.
fn send_greedily(limits: &[RateLimit], until_us: u64) -> Vec<u64> {
    send_as_windows_allow(&limits.iter().map(Window::from).collect::<Vec<_>>(), until_us)
}

fn send_as_windows_allow(windows: &[Window], until_us: u64) -> Vec<u64> {
    let (mut sent, mut now_us) = (VecDeque::new(), 0);
    while now_us < until_us {
        match wait_us(windows, &sent, now_us) {
            0 => sent.push_back(now_us),
            wait => now_us += wait,
        }
    }
    sent.into()
}

/// The most requests that arrive in any stretch of a length.
fn most_in_any(arrived_us: &[u64], per: Duration) -> usize {
    let mut arrived_us = arrived_us.to_vec();
    arrived_us.sort_unstable();
    let end_of = |start: u64| arrived_us.partition_point(|t| *t < start + micros(per));
    arrived_us.iter().enumerate().map(|(i, t)| end_of(*t) - i).max().unwrap_or(0)
}

proptest! {
    #[test]
    fn no_window_is_ever_exceeded_and_nine_tenths_are_used(
        limits in prop::collection::vec((1u32..40, prop::sample::select(vec![1_000u64, 5_000, 60_000])), 1..4),
        delays in prop::collection::vec(0u64..50_000, 997),
    ) {
        let limits: Vec<RateLimit> = limits.into_iter().map(|(count, per_ms)| limit(count, per_ms)).collect();
        let length = Duration::from_secs(600);
        let sent = send_greedily(&limits, micros(length));
        // The way to the server takes up to 50 ms, differently each time.
        let arrived: Vec<u64> = sent.iter().zip(delays.iter().cycle()).map(|(t, delay)| t + delay).collect();
        for limit in &limits {
            prop_assert!(most_in_any(&arrived, limit.per) <= limit.count as usize, "{limit:?}");
        }
        // What several windows allow together is less than the slowest rate: it is what they allow without a margin.
        let exact = |l: &RateLimit| Window { count: l.count as usize, span_us: micros(l.per) };
        let allowed = send_as_windows_allow(&limits.iter().map(exact).collect::<Vec<_>>(), micros(length)).len();
        prop_assert!(sent.len() * 10 >= allowed * 9, "{} of {allowed}", sent.len());
    }
}

#[test]
fn a_window_opens_when_its_oldest_request_has_left_it() {
    let windows = [Window::from(&limit(2, 1000)), Window::from(&limit(3, 60_000))];
    let ms = |list: &[u64]| list.iter().map(|ms| ms * 1000).collect::<VecDeque<u64>>();
    let cases: &[(&[u64], u64, u64)] = &[
        (&[], 0, 0),
        (&[0], 10, 0),
        (&[0, 10], 10, 1040),
        (&[0, 10], 1050, 0),
        (&[0, 10, 1050], 1100, 59_900),
        (&[0, 10, 1050], 61_000, 0),
        (&[0, 10, 1050, 61_000], 61_000, 10),
    ];
    for (sent, now, wait) in cases {
        assert_eq!(wait_us(&windows, &ms(sent), now * 1000), wait * 1000, "{sent:?} at {now}");
    }
}

#[tokio::test]
async fn turns_come_in_the_order_of_the_queue() {
    let limiter = Arc::new(Limiter::open(None, &[limit(1, 20)]).unwrap());
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for i in 0..5 {
        let (limiter, order) = (Arc::clone(&limiter), Arc::clone(&order));
        tasks.push(tokio::spawn(async move {
            limiter.turn(&Stop::default()).await.unwrap().take();
            order.lock().unwrap().push(i);
        }));
        tokio::task::yield_now().await;
    }
    let begun = Instant::now();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
    assert!(begun.elapsed() >= Duration::from_millis(79), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_turn_that_is_dropped_counts_as_nothing() {
    let (limiter, stop) = (Limiter::open(None, &[limit(1, 60_000)]).unwrap(), Stop::default());
    drop(limiter.turn(&stop).await.unwrap());
    limiter.turn(&stop).await.unwrap().take();
    // The next one waits; giving up while waiting leaves the queue open for others.
    let wait = tokio::time::timeout(Duration::from_millis(20), limiter.turn(&stop)).await;
    assert!(wait.is_err());
    assert!(limiter.ledger.try_lock().is_ok());
}

#[tokio::test]
async fn a_wait_ends_when_the_run_is_asked_to_end() {
    let (limiter, stop) = (Limiter::open(None, &[limit(1, 3_600_000)]).unwrap(), Stop::default());
    limiter.turn(&stop).await.unwrap().take();
    let other = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        other.request(Signal::Interrupt)
    });
    let begun = Instant::now();
    assert_eq!(limiter.turn(&stop).await.unwrap_err().kind(), Kind::Interrupted);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_hold_delays_everybody() {
    let (limiter, stop) = (Limiter::open(None, &[]).unwrap(), Stop::default());
    limiter.hold(Duration::from_millis(50));
    let begun = Instant::now();
    limiter.turn(&stop).await.unwrap().take();
    assert!(begun.elapsed() >= Duration::from_millis(49), "{:?}", begun.elapsed());
}

async fn take(limiter: &Limiter, count: usize) {
    for _ in 0..count {
        limiter.turn(&Stop::default()).await.unwrap().take();
    }
}

async fn has_a_turn(limiter: &Limiter) -> bool {
    tokio::time::timeout(Duration::from_millis(20), limiter.turn(&Stop::default())).await.is_ok()
}

#[tokio::test]
async fn a_second_run_knows_the_requests_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state").join("p.limits");
    let limits = [limit(1000, 1000), limit(3, 3_600_000)];
    take(&Limiter::open(Some(path.clone()), &limits).unwrap(), 2).await;
    let second = Limiter::open(Some(path.clone()), &limits).unwrap();
    take(&second, 1).await;
    assert!(!has_a_turn(&second).await);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 3 * 8);
}

#[tokio::test]
async fn short_windows_need_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.limits");
    take(&Limiter::open(Some(path.clone()), &[limit(5, 1000)]).unwrap(), 1).await;
    assert!(!path.exists());
}

#[tokio::test]
async fn what_the_file_may_hold() {
    let now_ms = Clock::start().now_us() / 1000;
    let hour = 3_600_000;
    let bytes = |ms: &[u64]| ms.iter().flat_map(|t| t.to_le_bytes()).collect::<Vec<u8>>();
    let mut torn = bytes(&[now_ms - 5, now_ms - 4]);
    torn.extend([1, 2, 3]);
    let cases: &[(&str, Vec<u8>, usize)] = &[
        ("empty", Vec::new(), 0),
        ("two that count", bytes(&[now_ms - 5, now_ms - 4]), 2),
        ("one too old", bytes(&[now_ms - 2 * hour, now_ms - 4]), 1),
        ("the last one cut short", torn, 2),
        ("written before the clock was set back", bytes(&[now_ms - 5, now_ms + hour]), 2),
        ("out of order", bytes(&[now_ms, now_ms - 5]), 0),
        ("no times", b"this is not a file of times, is it".to_vec(), 0),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, content, expected) in cases {
        let path = folder.path().join("p.limits");
        std::fs::write(&path, content).unwrap();
        let limiter = Limiter::open(Some(path.clone()), &[limit(100, hour)]).unwrap();
        assert_eq!(limiter.ledger.lock().await.sent_us.len(), *expected, "{name}");
        assert_eq!(std::fs::metadata(&path).unwrap().len() as usize, expected * 8, "{name}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_named_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = Limiter::open(Some(folder.path().to_owned()), &[limit(1, 60_000)]).unwrap_err();
    assert_eq!(error.kind(), Kind::State);
    assert!(error.report().contains(&folder.path().display().to_string()));
}
