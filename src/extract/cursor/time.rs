//! Times as APIs write them (ISO 8601, RFC 3339, SQL style), exact to any number of digits, with the pattern in which
//! each was written so that a computed time can be written in the same one.

use super::patterns::{strftime, unit_of};
use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, Timelike};
use std::sync::Arc;

/// A point on a time line: UTC for instants, the unknown local clock for others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    /// Seconds since 1970-01-01T00:00:00.
    pub(super) seconds: i64,
    /// Digits of the fraction of a second without zeros at the end: they order as the fraction does.
    pub(super) fraction: String,
}

impl Moment {
    /// The moment at which a clock so many seconds east of UTC shows a time.
    pub(super) fn of(wall: NaiveDateTime, east_s: i64) -> Moment {
        let at = wall.and_utc();
        let fraction = format!("{:09}", at.timestamp_subsec_nanos());
        Moment { seconds: at.timestamp() - east_s, fraction: fraction.trim_end_matches('0').to_owned() }
    }

    /// What a clock in UTC shows; digits beyond nanoseconds are left out.
    pub(super) fn wall(&self) -> Option<NaiveDateTime> {
        DateTime::from_timestamp(self.seconds, nanos(&self.fraction)).map(|at| at.naive_utc())
    }
}

/// How a time was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// ISO 8601 or close to it.
    Iso(IsoPattern),
    /// A pattern of the file, or one that stands for another known form.
    Strftime {
        /// The pattern.
        pattern: Arc<str>,
        /// Seconds east of UTC, where the pattern has a zone.
        east_s: Option<i64>,
    },
}

/// The parts of an ISO time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IsoPattern {
    separator: char,
    has_seconds: bool,
    /// The mark and the number of digits of a fraction.
    fraction: Option<(char, usize)>,
    /// The zone as it stands at the end; empty: none.
    zone: String,
    /// Its seconds east of UTC.
    east_s: i64,
}

/// What the smallest step of a written time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// So many months.
    Months(u32),
    /// So many seconds.
    Seconds(i64),
    /// A second has so many decimal digits.
    Digits(usize),
}

impl Pattern {
    /// Whether the time is an instant.
    pub(super) fn has_zone(&self) -> bool {
        match self {
            Pattern::Iso(iso) => !iso.zone.is_empty(),
            Pattern::Strftime { east_s, .. } => east_s.is_some(),
        }
    }

    /// Bytes at the end of the text that are the zone; `None` where texts don't order as times do.
    pub(super) fn zone_len(&self) -> Option<usize> {
        match self {
            Pattern::Iso(iso) => Some(iso.zone.len()),
            Pattern::Strftime { .. } => None,
        }
    }

    /// Seconds east of UTC; 0 without a zone.
    pub(super) fn east_s(&self) -> i64 {
        match self {
            Pattern::Iso(iso) => iso.east_s,
            Pattern::Strftime { east_s, .. } => east_s.unwrap_or(0),
        }
    }

    /// The smallest step that it can show.
    pub(super) fn unit(&self) -> Unit {
        match self {
            Pattern::Iso(IsoPattern { fraction: Some((_, digits)), .. }) => Unit::Digits(*digits),
            Pattern::Iso(iso) => Unit::Seconds(if iso.has_seconds { 1 } else { 60 }),
            Pattern::Strftime { pattern, .. } => unit_of(pattern),
        }
    }

    /// The pattern of the file, if it is one.
    pub(super) fn strftime(&self) -> Option<&Arc<str>> {
        match self {
            Pattern::Iso(_) => None,
            Pattern::Strftime { pattern, .. } => Some(pattern),
        }
    }
}

/// Reads a date: `2026-01-02`.
pub(super) fn parse_date(text: &str) -> Option<NaiveDate> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let (year, month, day) = (digits(&bytes[..4])?, digits(&bytes[5..7])?, digits(&bytes[8..])?);
    NaiveDate::from_ymd_opt(year as i32, month, day)
}

/// Reads a time: a date, `T` or a space, hours and minutes, perhaps seconds with a fraction, perhaps a zone.
pub(super) fn parse(text: &str) -> Option<(Moment, Pattern)> {
    let date = parse_date(text.get(..10)?)?;
    let separator = text.as_bytes().get(10).copied().filter(|c| matches!(c, b'T' | b't' | b' '))?;
    let mut rest = text.get(11..)?;
    let hour = take_two(&mut rest, None)?;
    let minute = take_two(&mut rest, Some(':'))?;
    let second = if rest.starts_with(':') { Some(take_two(&mut rest, Some(':'))?) } else { None };
    let mut fraction = None;
    if let Some(mark) = rest.chars().next().filter(|c| matches!(c, '.' | ',') && second.is_some()) {
        let len = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
        fraction = Some((mark, &rest[1..=len]));
        rest = &rest[len + 1..];
    }
    // A second of 60 is a leap second (RFC 3339 section 5.6): it counts as the first of the next minute.
    if hour > 23 || minute > 59 || second.is_some_and(|s| s > 60) || fraction.is_some_and(|(_, f)| f.is_empty()) {
        return None;
    }
    let east_s = zone_east_s(rest)?;
    let days = i64::from(date.num_days_from_ce()) - days_to_1970();
    let local_s = days * 86_400 + i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second.unwrap_or(0));
    let moment = Moment {
        seconds: local_s - east_s,
        fraction: fraction.map_or("", |(_, digits)| digits.trim_end_matches('0')).to_owned(),
    };
    let pattern = IsoPattern {
        separator: char::from(separator),
        has_seconds: second.is_some(),
        fraction: fraction.map(|(mark, digits)| (mark, digits.len())),
        zone: rest.to_owned(),
        east_s,
    };
    Some((moment, Pattern::Iso(pattern)))
}

/// Writes a moment in a pattern. `None` when its year has no four digits.
pub(super) fn write(moment: &Moment, pattern: &Pattern) -> Option<String> {
    let local = DateTime::from_timestamp(moment.seconds.checked_add(pattern.east_s())?, 0)?.naive_utc();
    if !(0..=9999).contains(&local.year()) {
        return None;
    }
    let pattern = match pattern {
        Pattern::Iso(iso) => iso,
        Pattern::Strftime { pattern, east_s } => {
            let nanos = nanos(&moment.fraction);
            return strftime(
                local.with_nanosecond(nanos)?,
                FixedOffset::east_opt((*east_s).unwrap_or(0) as i32)?,
                pattern,
            );
        }
    };
    let mut out = format!(
        "{:04}-{:02}-{:02}{}{:02}:{:02}",
        local.year(),
        local.month(),
        local.day(),
        pattern.separator,
        local.hour(),
        local.minute()
    );
    if pattern.has_seconds {
        out.push_str(&format!(":{:02}", local.second()));
    }
    if let Some((mark, len)) = pattern.fraction {
        out.push(mark);
        let shown = moment.fraction.get(..len).unwrap_or(&moment.fraction);
        out.push_str(&format!("{shown:0<len$}"));
    }
    out.push_str(&pattern.zone);
    Some(out)
}

/// The first nine digits of a fraction.
pub(super) fn nanos(fraction: &str) -> u32 {
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    digits.parse().unwrap_or(0)
}

/// Days from the first day of year 1 to 1970-01-01, both as `chrono` counts them.
fn days_to_1970() -> i64 {
    i64::from(NaiveDate::default().num_days_from_ce())
}

fn take_two(rest: &mut &str, before: Option<char>) -> Option<u32> {
    let text = match before {
        Some(before) => rest.strip_prefix(before)?,
        None => rest,
    };
    let value = digits(text.as_bytes().get(..2)?)?;
    *rest = &text[2..];
    Some(value)
}

fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |value, c| c.is_ascii_digit().then(|| value * 10 + u32::from(c - b'0')))
}

/// Seconds east of UTC that a zone says; 0 for none at all.
fn zone_east_s(text: &str) -> Option<i64> {
    let zone = text.strip_prefix(' ').unwrap_or(text);
    if text.is_empty() || matches!(zone, "Z" | "z" | "UTC" | "GMT") {
        return Some(0);
    }
    let (sign, zone) = match zone.strip_prefix('+') {
        Some(zone) => (1, zone),
        None => (-1, zone.strip_prefix('-')?),
    };
    let zone = zone.as_bytes();
    let (hours, minutes) = match zone.len() {
        2 => (zone, b"00".as_slice()),
        4 => zone.split_at(2),
        5 if zone[2] == b':' => (&zone[..2], &zone[3..]),
        _ => return None,
    };
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    (hours < 24 && minutes < 60).then(|| sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_time_is_written_in_the_pattern_it_came_in() {
        for text in [
            "2026-01-02T03:04:05Z",
            "2026-01-02 03:04:05.123Z",
            "2026-01-02T03:04:05.100000+02:00",
            "2026-01-02T03:04:05,5-0330",
            "2026-01-02t03:04z",
            "2026-01-02 03:04:05.1234567 +02",
            "2026-01-02 03:04:05 UTC",
            "0001-01-01T00:00:00",
        ] {
            let (moment, pattern) = parse(text).unwrap();
            assert_eq!(write(&moment, &pattern).unwrap(), text);
        }
    }

    #[test]
    fn what_is_not_a_complete_time_is_none() {
        for text in [
            "2026-01-02",
            "2026-01-02T",
            "2026-01-02T03",
            "2026-01-02T25:00:00Z",
            "2026-02-30T03:04:05Z",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:05 CEST",
            "2026-01-02T03:04:05+1",
            "2026-01-02é03:04",
            "Fri, 02 Jan 2026 03:04:05 GMT",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,30}") {
            let _ = (parse(&text), parse_date(&text));
        }

        #[test]
        fn texts_like_times_are_read_without_panic(text in "[0-9]{4}-[01][0-9]-[0-3][0-9][T é][0-9:.,+Z-]{0,20}") {
            if let Some((moment, pattern)) = parse(&text) {
                let _ = write(&moment, &pattern);
            }
        }
    }
}
