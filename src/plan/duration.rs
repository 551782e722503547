//! Lengths of time as people write them: `500ms`, `90s`, `1h30m`, `7d`, `1mo`.

use std::time::Duration;

/// A length of time with calendar months kept apart, because a month has no fixed length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Calendar months.
    pub months: u32,
    /// Everything shorter than a month.
    pub rest: Duration,
}

/// Units with their milliseconds. `mo` is handled apart.
const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

/// What a length of time may look like, for messages.
pub const FORMS: &str = "write a number and a unit, such as `500ms`, `90s`, `5m`, `2h` or `7d`";

/// Reads a length of time without months.
pub fn parse_duration(text: &str) -> Option<Duration> {
    parse_span(text).filter(|span| span.months == 0).map(|span| span.rest)
}

/// Reads a length of time: one or several whole numbers, each with its unit (`ms`, `s`, `m`, `h`, `d`, `w`, `mo`).
pub fn parse_span(text: &str) -> Option<Span> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut span = Span::default();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: u64 = rest[..digits].parse().ok()?;
        let after = rest[digits..].trim_start();
        let unit_len = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let unit = &after[..unit_len];
        if unit == "mo" {
            span.months = span.months.checked_add(u32::try_from(count).ok()?)?;
        } else {
            let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
            span.rest = span.rest.checked_add(Duration::from_millis(count.checked_mul(*millis)?))?;
        }
        rest = after[unit_len..].trim_start();
    }
    Some(span)
}

/// A length of time as it would be written: `1h30m`, `500ms`, `7d`.
pub fn text(length: Duration) -> String {
    let mut millis = length.as_millis();
    let mut out = String::new();
    for (unit, of_unit) in UNITS.iter().rev().filter(|(unit, _)| *unit != "w") {
        let count = millis / u128::from(*of_unit);
        millis %= u128::from(*of_unit);
        if count > 0 {
            out.push_str(&format!("{count}{unit}"));
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_they_are_read() {
        for written in ["500ms", "1s", "1h30m", "2d", "7d1h", "0s"] {
            assert_eq!(text(parse_duration(written).unwrap()), written);
        }
        assert_eq!(text(parse_duration("90m").unwrap()), "1h30m");
    }

    #[test]
    fn durations_are_numbers_with_units() {
        let cases = [
            ("500ms", Some(500)),
            ("90s", Some(90_000)),
            ("1h30m", Some(5_400_000)),
            ("2 h", Some(7_200_000)),
            ("7d", Some(604_800_000)),
            ("2w", Some(1_209_600_000)),
            ("0s", Some(0)),
            ("10", None),
            ("", None),
            ("ten seconds", None),
            ("1mo", None),
            ("-1s", None),
            ("1.5s", None),
            ("99999999999999999999s", None),
        ];
        for (text, millis) in cases {
            assert_eq!(parse_duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn months_are_kept_apart() {
        assert_eq!(parse_span("1mo2d"), Some(Span { months: 1, rest: Duration::from_secs(172_800) }));
    }
}
