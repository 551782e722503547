use super::*;
use crate::run::shutdown::Signal;
use std::sync::Arc;

fn fastest() -> &'static Fastest {
    static UNKNOWN: std::sync::OnceLock<Fastest> = std::sync::OnceLock::new();
    UNKNOWN.get_or_init(Fastest::default)
}

fn limit(count: u32, per_ms: u64) -> RateLimit {
    RateLimit { count, per: Duration::from_millis(per_ms) }
}

#[tokio::test]
async fn turns_come_in_the_order_of_the_queue() {
    let limiter = Arc::new(Limiter::open(None, &[limit(1, 20)]).unwrap());
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for i in 0..5 {
        let (limiter, order) = (Arc::clone(&limiter), Arc::clone(&order));
        tasks.push(tokio::spawn(async move {
            limiter.turn(&Stop::default()).await.unwrap().take(fastest());
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
    limiter.turn(&stop).await.unwrap().take(fastest());
    // The next one waits; giving up while waiting leaves the queue open for others.
    let wait = tokio::time::timeout(Duration::from_millis(20), limiter.turn(&stop)).await;
    assert!(wait.is_err());
    assert!(limiter.queue.try_lock().is_ok());
}

#[tokio::test]
async fn a_wait_ends_when_the_run_is_asked_to_end() {
    let (limiter, stop) = (Limiter::open(None, &[limit(1, 3_600_000)]).unwrap(), Stop::default());
    limiter.turn(&stop).await.unwrap().take(fastest());
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
    limiter.turn(&stop).await.unwrap().take(fastest());
    assert!(begun.elapsed() >= Duration::from_millis(49), "{:?}", begun.elapsed());
}

async fn take(limiter: &Limiter, count: usize) {
    for _ in 0..count {
        limiter.turn(&Stop::default()).await.unwrap().take(fastest());
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
        assert_eq!(limiter.book().ledger.arrived().len(), *expected, "{name}");
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
