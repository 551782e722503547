//! Dates and times in JSON strings: which texts are one, and how a value is written back.
//!
//! Only complete ISO 8601 forms count (RFC 3339, also with a space for the `T` and without a zone): `2026-01-02`,
//! `2026-01-02T03:04:05`, `2026-01-02T03:04:05.123456+02:00`. More than six digits of a second, a second of 60, an hour
//! of 24 or a missing second stay text, because a column of microseconds could not give them back.

use std::fmt::Write;

/// How a time was written, so that it can be written the same way again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Form {
    /// A space between date and time, rather than `T`.
    pub space: bool,
    /// Digits of the fraction of a second, 0 to 6.
    pub fraction_digits: u8,
    /// How the zone was written.
    pub zone: Zone,
}

/// How a zone was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Zone {
    /// Not at all.
    None,
    /// `Z`.
    Z,
    /// `+02:00`, minutes east.
    Colon(i16),
    /// `+0200`, minutes east.
    Plain(i16),
    /// `+02`, minutes east.
    Hours(i16),
}

/// A text that is a date or a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporal {
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01T00:00:00 on an unknown clock.
    Local(i64, Form),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Zoned(i64, Form),
}

const DAY_US: i64 = 86_400_000_000;

/// Reads a text that is a complete date or time. `None`: it is just text.
#[inline]
pub fn parse(text: &[u8]) -> Option<Temporal> {
    if text.len() < 10 || !text[0].is_ascii_digit() || text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let year = two(text, 0)? * 100 + two(text, 2)?;
    let days = days_from_civil(year, two(text, 5)?, two(text, 8)?)?;
    if text.len() == 10 {
        return Some(Temporal::Date(days));
    }
    if text.len() < 19 || !matches!(text[10], b'T' | b' ') || text[13] != b':' || text[16] != b':' {
        return None;
    }
    let (hour, minute, second) = (two(text, 11)?, two(text, 14)?, two(text, 17)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction_us, fraction_digits, rest) = fraction(&text[19..])?;
    let zone = zone(rest)?;
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    let local = i64::from(days) * DAY_US + seconds * 1_000_000 + fraction_us;
    let form = Form { space: text[10] == b' ', fraction_digits, zone };
    Some(match zone {
        Zone::None => Temporal::Local(local, form),
        Zone::Z => Temporal::Zoned(local, form),
        Zone::Colon(m) | Zone::Plain(m) | Zone::Hours(m) => Temporal::Zoned(local - i64::from(m) * 60_000_000, form),
    })
}

/// Writes a date: `2026-01-02`.
pub fn format_date(days: i32) -> String {
    let mut out = String::with_capacity(10);
    push_date(&mut out, i64::from(days));
    out
}

/// Writes a time the way it was written: for a zoned one, `micros` is the instant.
pub fn format_form(micros: i64, form: Form) -> String {
    let east = match form.zone {
        Zone::None | Zone::Z => 0,
        Zone::Colon(m) | Zone::Plain(m) | Zone::Hours(m) => i64::from(m),
    };
    let local = micros + east * 60_000_000;
    let mut out = String::with_capacity(32);
    push_date(&mut out, local.div_euclid(DAY_US));
    out.push(if form.space { ' ' } else { 'T' });
    let time = local.rem_euclid(DAY_US);
    let seconds = time / 1_000_000;
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if form.fraction_digits > 0 {
        let fraction = format!("{:06}", time % 1_000_000);
        out.push('.');
        out.push_str(&fraction[..usize::from(form.fraction_digits.min(6))]);
    }
    let sign = if east < 0 { '-' } else { '+' };
    let (hours, minutes) = (east.abs() / 60, east.abs() % 60);
    let _ = match form.zone {
        Zone::None => Ok(()),
        Zone::Z => write!(out, "Z"),
        Zone::Colon(_) => write!(out, "{sign}{hours:02}:{minutes:02}"),
        Zone::Plain(_) => write!(out, "{sign}{hours:02}{minutes:02}"),
        Zone::Hours(_) => write!(out, "{sign}{hours:02}"),
    };
    out
}

/// The canonical text of a local time: with a `T`, without zeros at the end of the fraction; midnight as its date.
pub fn canonical_local(micros: i64) -> String {
    if micros.rem_euclid(DAY_US) == 0 {
        return format_date(micros.div_euclid(DAY_US) as i32);
    }
    format_form(micros, Form { space: false, fraction_digits: needed_digits(micros), zone: Zone::None })
}

/// The canonical text of an instant: UTC, with `T` and `Z`, without zeros at the end of the fraction.
pub fn canonical_zoned(micros: i64) -> String {
    format_form(micros, Form { space: false, fraction_digits: needed_digits(micros), zone: Zone::Z })
}

/// The canonical text of a date or time.
pub fn canonical(value: Temporal) -> String {
    match value {
        Temporal::Date(days) => format_date(days),
        Temporal::Local(micros, _) => canonical_local(micros),
        Temporal::Zoned(micros, _) => canonical_zoned(micros),
    }
}

fn needed_digits(micros: i64) -> u8 {
    let mut fraction = micros.rem_euclid(1_000_000);
    let mut digits = 6;
    while digits > 0 && fraction % 10 == 0 {
        fraction /= 10;
        digits -= 1;
    }
    digits
}

fn push_date(out: &mut String, days: i64) {
    let (year, month, day) = civil_from_days(days);
    let _ = write!(out, "{year:04}-{month:02}-{day:02}");
}

#[inline]
fn two(text: &[u8], at: usize) -> Option<i32> {
    let (a, b) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
    (a < 10 && b < 10).then(|| i32::from(a) * 10 + i32::from(b))
}

/// Microseconds, number of digits, and what follows.
#[inline]
fn fraction(text: &[u8]) -> Option<(i64, u8, &[u8])> {
    if text.first() != Some(&b'.') {
        return Some((0, 0, text));
    }
    let digits = text[1..].iter().take_while(|c| c.is_ascii_digit()).count();
    if digits == 0 || digits > 6 {
        return None;
    }
    let value = text[1..=digits].iter().fold(0i64, |v, c| v * 10 + i64::from(c - b'0'));
    Some((value * 10i64.pow(6 - digits as u32), digits as u8, &text[digits + 1..]))
}

#[inline]
fn zone(text: &[u8]) -> Option<Zone> {
    let sign = match text.first() {
        None => return Some(Zone::None),
        Some(b'Z') if text.len() == 1 => return Some(Zone::Z),
        Some(b'+') => 1,
        Some(b'-') => -1,
        Some(_) => return None,
    };
    let (hours, minutes) = match text.len() {
        3 => (two(text, 1)?, 0),
        5 => (two(text, 1)?, two(text, 3)?),
        6 if text[3] == b':' => (two(text, 1)?, two(text, 4)?),
        _ => return None,
    };
    // -00:00 says "offset unknown" (RFC 3339 section 4.3) and could not be written back from its value.
    if hours > 18 || minutes > 59 || (sign < 0 && hours == 0 && minutes == 0) {
        return None;
    }
    let east = (sign * (hours * 60 + minutes)) as i16;
    Some(match text.len() {
        3 => Zone::Hours(east),
        5 => Zone::Plain(east),
        _ => Zone::Colon(east),
    })
}

/// Days since 1970-01-01 of a proleptic Gregorian date, after Howard Hinnant's `days_from_civil`. `None`: no such day.
#[inline]
fn days_from_civil(year: i32, month: i32, day: i32) -> Option<i32> {
    const LENGTHS: [i32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let length = *LENGTHS.get(usize::try_from(month - 1).ok()?)? + i32::from(leap && month == 2);
    if year == 0 || day < 1 || day > length {
        return None;
    }
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468)
}

/// Year, month and day, after Howard Hinnant's `civil_from_days`.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn complete_forms_are_read_and_written_back_as_they_were() {
        for text in [
            "1970-01-01",
            "2024-02-29",
            "0001-01-01",
            "9999-12-31",
            "2026-01-02T03:04:05",
            "2026-01-02 03:04:05.120",
            "2026-01-02T03:04:05Z",
            "2026-01-02T03:04:05.000Z",
            "2026-01-02T03:04:05.123456+05:30",
            "1969-12-31T23:59:59.9-0800",
            "2026-01-02 03:04:05+00",
        ] {
            let back = match parse(text.as_bytes()) {
                Some(Temporal::Date(days)) => format_date(days),
                Some(Temporal::Local(us, form) | Temporal::Zoned(us, form)) => format_form(us, form),
                None => panic!("{text} is a date or time"),
            };
            assert_eq!(back, text);
        }
    }

    #[test]
    fn anything_else_is_text() {
        for text in [
            "",
            "2024",
            "2024-02-30",
            "2023-02-29",
            "2024-13-01",
            "0000-01-01",
            "2024-1-1",
            "20240101",
            "2024-01-01T",
            "2024-01-01T10:00",
            "2024-01-01T24:00:00",
            "2024-01-01T10:00:60",
            "2024-01-01T10:00:00.1234567Z",
            "2024-01-01T10:00:00.Z",
            "2024-01-01T10:00:00z",
            "2024-01-01T10:00:00+1",
            "2024-01-01T10:00:00-00:00",
            "2024-01-01x",
            "2024-01-01T10:00:00Z ",
            "2024-W01-1",
            "２024-01-01",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn instants_are_the_same_across_offsets() {
        let at = |t: &str| match parse(t.as_bytes()) {
            Some(Temporal::Zoned(us, _)) => us,
            other => panic!("{t}: {other:?}"),
        };
        assert_eq!(at("1970-01-01T00:00:00Z"), 0);
        assert_eq!(at("2026-01-01T02:00:00+02:00"), at("2026-01-01T00:00:00.000Z"));
        assert_eq!(canonical_zoned(at("2026-01-01T02:00:00.1200+02:00")), "2026-01-01T00:00:00.12Z");
    }

    #[test]
    fn midnight_is_written_as_its_date() {
        let Some(Temporal::Local(us, _)) = parse(b"2026-01-02T00:00:00") else { panic!("a local time") };
        assert_eq!(canonical_local(us), "2026-01-02");
    }

    proptest! {
        #[test]
        fn every_day_survives(days in -719_162i32..2_932_896) {
            prop_assert_eq!(parse(format_date(days).as_bytes()), Some(Temporal::Date(days)));
        }

        #[test]
        fn canonical_instants_read_back(us in -62_135_596_800_000_000i64..253_402_300_799_999_999) {
            let text = canonical_zoned(us);
            prop_assert!(matches!(parse(text.as_bytes()), Some(Temporal::Zoned(back, _)) if back == us));
        }
    }
}
