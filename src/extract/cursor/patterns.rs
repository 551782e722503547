//! Times in strftime patterns, and in the form of e-mail headers, which one of a few such patterns writes.

use super::time::{Moment, Pattern, Unit};
use chrono::format::{Fixed, Item, Parsed, StrftimeItems};
use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Weekday};
use std::sync::Arc;

/// The forms of RFC 2822 section 3.3 that are written back as they came. Others become the first of them.
const RFC_2822_FORMS: [&str; 8] = [
    "%a, %d %b %Y %H:%M:%S %z",
    "%a, %d %b %Y %H:%M:%S GMT",
    "%a, %d %b %Y %H:%M:%S UT",
    "%a, %-d %b %Y %H:%M:%S %z",
    "%a, %-d %b %Y %H:%M:%S GMT",
    "%d %b %Y %H:%M:%S %z",
    "%-d %b %Y %H:%M:%S %z",
    "%d %b %Y %H:%M:%S GMT",
];

/// The shortest time of RFC 2822: `1 Jan 70 0:00 Z`.
const RFC_2822_LEN_MIN: usize = 15;

/// Reads a time of RFC 2822: `Thu, 30 Jul 2015 20:00:00 +0000`.
pub(super) fn parse_rfc2822(text: &str) -> Option<(Moment, Pattern)> {
    // Nearly every other text is told by its first or its fifth character.
    let begins = text.starts_with(|c: char| c.is_ascii_digit()) || text.as_bytes().get(3) == Some(&b',');
    if !begins || text.len() < RFC_2822_LEN_MIN || !text.contains(' ') {
        return None;
    }
    let at = DateTime::parse_from_rfc2822(text).ok()?;
    let (wall, offset) = (at.naive_local(), *at.offset());
    let as_it_came = RFC_2822_FORMS.iter().find(|form| strftime(wall, offset, form).as_deref() == Some(text));
    let form = as_it_came.unwrap_or(&RFC_2822_FORMS[0]);
    let east_s = i64::from(offset.local_minus_utc());
    Some((Moment::of(wall, east_s), Pattern::Strftime { pattern: Arc::from(*form), east_s: Some(east_s) }))
}

/// What a text in a strftime pattern says: a time, or a date alone. What the pattern leaves out is the first that there is:
/// day 1, minute 0.
pub(super) fn parse_strftime(text: &str, pattern: &str) -> Option<(NaiveDateTime, Option<i64>, bool)> {
    let mut parsed = Parsed::new();
    chrono::format::parse(&mut parsed, text, StrftimeItems::new(pattern).map(of_any_length)).ok()?;
    if parsed.timestamp().is_some() {
        return Some((parsed.to_naive_datetime_with_offset(0).ok()?, Some(0), false));
    }
    let date = date_of(&mut parsed)?;
    if parsed.hour_mod_12().is_none() {
        return Some((date.and_time(NaiveTime::MIN), None, true));
    }
    if parsed.minute().is_none() {
        parsed.set_minute(0).ok()?;
    }
    let east_s = parsed.offset().map(i64::from);
    Some((date.and_time(parsed.to_naive_time().ok()?), east_s, false))
}

/// How many digits a fraction has when it is written says nothing of how many are read.
fn of_any_length(item: Item<'_>) -> Item<'_> {
    match item {
        Item::Fixed(Fixed::Nanosecond3 | Fixed::Nanosecond6 | Fixed::Nanosecond9) => Item::Fixed(Fixed::Nanosecond),
        item => item,
    }
}

/// The date that was read. A month or a year alone is its first day, and so is a week alone, unless that lies in the year before.
fn date_of(parsed: &mut Parsed) -> Option<NaiveDate> {
    let is_whole = parsed.day().is_some() || parsed.ordinal().is_some() || parsed.weekday().is_some();
    if is_whole {
        return parsed.to_naive_date().ok();
    }
    let first_day_of_week = if parsed.week_from_sun().is_some() { Weekday::Sun } else { Weekday::Mon };
    let has_week = parsed.week_from_sun().is_some() || parsed.week_from_mon().is_some() || parsed.isoweek().is_some();
    if has_week && parsed.month().is_none() {
        let year = parsed.year();
        parsed.set_weekday(first_day_of_week).ok()?;
        let first_of_year = || NaiveDate::from_ymd_opt(year?, 1, 1);
        return parsed.to_naive_date().ok().or_else(first_of_year);
    }
    if parsed.month().is_none() {
        parsed.set_month(1).ok()?;
    }
    parsed.set_day(1).ok()?;
    parsed.to_naive_date().ok()
}

/// Whether a date can be read by a strftime pattern.
pub fn is_readable(pattern: &str) -> bool {
    let written = FixedOffset::east_opt(0).and_then(|utc| strftime(NaiveDateTime::default(), utc, pattern));
    written.is_some_and(|text| parse_strftime(&text, pattern).is_some())
}

/// Writes a wall clock in a strftime pattern; `None` if it is none. It is checked first, because writing an invalid one panics.
pub(super) fn strftime(wall: NaiveDateTime, offset: FixedOffset, pattern: &str) -> Option<String> {
    let items: Vec<_> = StrftimeItems::new(pattern).collect();
    if items.iter().any(|item| matches!(item, Item::Error)) {
        return None;
    }
    let time = wall.and_local_timezone(offset).single()?;
    Some(time.format_with_items(items.into_iter()).to_string())
}

/// The smallest step that a strftime pattern shows.
pub(super) fn unit_of(pattern: &str) -> Unit {
    // Two walls are told apart by the patterns that show the step between them.
    const STEPS: [(i64, Unit); 6] = [
        (1, Unit::Digits(9)),
        (1_000, Unit::Digits(6)),
        (1_000_000, Unit::Digits(3)),
        (1_000_000_000, Unit::Seconds(1)),
        (60_000_000_000, Unit::Seconds(60)),
        (3_600_000_000_000, Unit::Seconds(3_600)),
    ];
    let write = |nanos: i64| {
        let wall = DateTime::from_timestamp_nanos(nanos).naive_utc();
        strftime(wall, FixedOffset::east_opt(0)?, pattern)
    };
    let base = write(0);
    if let Some((_, unit)) = STEPS.iter().find(|(nanos, _)| write(*nanos) != base) {
        return *unit;
    }
    let day = 86_400_000_000_000;
    // 1970 began on a Thursday: the fifth day after it begins a week, whichever day weeks begin on.
    let is_by_week = write(4 * day) != base && write(11 * day) != write(4 * day);
    match (write(day) != base, is_by_week, write(31 * day) != base) {
        (true, ..) => Unit::Seconds(86_400),
        (_, true, _) => Unit::Seconds(7 * 86_400),
        (_, _, true) => Unit::Months(1),
        _ => Unit::Months(12),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_of_the_file_is_read_and_its_smallest_step_found() {
        for (pattern, text, wall, unit) in [
            ("%d/%m/%Y", "02/01/2026", "2026-01-02T00:00:00", Unit::Seconds(86_400)),
            ("%d.%m.%y %H:%M", "02.01.26 03:04", "2026-01-02T03:04:00", Unit::Seconds(60)),
            ("%Y%m%d%H", "2026010203", "2026-01-02T03:00:00", Unit::Seconds(3_600)),
            ("%Y-%m", "2026-02", "2026-02-01T00:00:00", Unit::Months(1)),
            ("%a, %d %b %Y %H:%M:%S GMT", "Fri, 02 Jan 2026 03:04:05 GMT", "2026-01-02T03:04:05", Unit::Seconds(1)),
            ("%Y-%m-%d %H:%M:%S%.3f", "2026-01-02 03:04:05.250", "2026-01-02T03:04:05.250", Unit::Digits(3)),
            ("%s", "1767323045", "2026-01-02T03:04:05", Unit::Seconds(1)),
        ] {
            let (found, east_s, is_date) = parse_strftime(text, pattern).unwrap();
            assert_eq!(found, wall.parse().unwrap(), "{pattern}");
            assert_eq!(unit_of(pattern), unit, "{pattern}");
            assert_eq!(is_date, unit == Unit::Seconds(86_400) || unit == Unit::Months(1), "{pattern}");
            let offset = FixedOffset::east_opt(east_s.unwrap_or(0) as i32).unwrap();
            assert_eq!(strftime(found, offset, pattern).as_deref(), Some(text));
        }
        assert_eq!(parse_strftime("13/13/2026", "%d/%m/%Y"), None);
        assert_eq!(strftime(NaiveDateTime::default(), FixedOffset::east_opt(0).unwrap(), "%Q"), None);
    }

    #[test]
    fn a_week_or_a_year_alone_is_its_first_day() {
        for (pattern, text, date, unit) in [
            ("%Y%W", "202605", "2026-02-02", Unit::Seconds(7 * 86_400)),
            ("%Y%U", "202605", "2026-02-01", Unit::Seconds(7 * 86_400)),
            ("%G-W%V", "2026-W05", "2026-01-26", Unit::Seconds(7 * 86_400)),
            ("%Y%W", "202600", "2026-01-01", Unit::Seconds(7 * 86_400)),
            ("%Y", "2026", "2026-01-01", Unit::Months(12)),
            ("%Y%j", "2026032", "2026-02-01", Unit::Seconds(86_400)),
        ] {
            let (wall, east_s, is_date) = parse_strftime(text, pattern).unwrap();
            assert_eq!((wall.date(), east_s, is_date), (date.parse().unwrap(), None, true), "{pattern}");
            assert_eq!(unit_of(pattern), unit, "{pattern}");
        }
    }

    #[test]
    fn a_time_of_an_e_mail_header_is_read_and_written_as_it_came() {
        for text in [
            "Thu, 30 Jul 2015 20:00:00 +0000",
            "Thu, 30 Jul 2015 22:00:00 +0200",
            "Thu, 30 Jul 2015 20:00:00 GMT",
            "Wed, 1 Jul 2015 20:00:00 -0530",
            "30 Jul 2015 20:00:00 +0000",
        ] {
            let (moment, pattern) = parse_rfc2822(text).unwrap();
            assert_eq!(super::super::time::write(&moment, &pattern).as_deref(), Some(text));
        }
        let (moment, pattern) = parse_rfc2822("Thu, 30 Jul 2015 20:00 EST").unwrap();
        let written = super::super::time::write(&moment, &pattern);
        assert_eq!(written.as_deref(), Some("Thu, 30 Jul 2015 20:00:00 -0500"));
        for other in ["", "2015-07-30T20:00:00Z", "Thu, 31 Feb 2015 20:00:00 +0000", "abc, def ghi jkl", "Élan, 30 Jul"]
        {
            assert_eq!(parse_rfc2822(other), None, "{other}");
        }
    }
}
