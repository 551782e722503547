use super::*;
use std::time::Duration;

#[test]
fn so_many_days_ago_is_a_date_and_less_than_a_day_a_time_to_the_minute() {
    let now = DateTime::from_timestamp(1_773_577_845, 0).unwrap(); // 2026-03-15T12:30:45Z
    let ago = |months: u32, seconds: u64| Edge::Ago(Span { months, rest: Duration::from_secs(seconds) });
    for (edge, expected) in [
        (ago(0, 0), "2026-03-15"),
        (ago(0, 30 * 86_400), "2026-02-13"),
        (ago(1, 0), "2026-02-15"),
        (ago(1, 86_400), "2026-02-14"),
        (ago(0, 6 * 3600), "2026-03-15T06:30:00Z"),
        (Edge::Value("2024-01-01".to_owned()), "2024-01-01"),
    ] {
        assert_eq!(edge.text(now).unwrap(), expected, "{edge:?}");
    }
    assert_eq!(ago(u32::MAX, 0).text(now).unwrap_err().kind(), Kind::Config);
}
