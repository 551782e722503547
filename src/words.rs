//! Numbers and times in sentences.

use chrono::{DateTime, TimeDelta, Utc};

/// `1234567` as `1,234,567`.
pub fn group_digits(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of things: `1 record`, `2,000 records`. The noun has a plural in -s.
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", group_digits(number))
}

/// Names in a sentence: `a`, `a and b`, `a, b and c`.
pub fn and(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A text, if there is one: not the empty text.
pub fn written(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// A paragraph as lines of so many characters at most, broken between words. A word that is longer has a line of its own.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A time to the minute, in UTC: `2026-01-02 03:04`.
pub fn minute(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}

/// A length of time in one unit, or two where one would say little: `340 ms`, `12.3 s`, `4 min 5 s`, `3 h 20 min`, `12 d`.
pub fn length(time: TimeDelta) -> String {
    let ms = time.num_milliseconds().max(0);
    let two = |whole: i64, unit: &str, rest: i64, small: &str| match rest {
        0 => format!("{whole} {unit}"),
        _ => format!("{whole} {unit} {rest} {small}"),
    };
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{:.1} s", ms as f64 / 1000.0),
        60_000..3_600_000 => two(ms / 60_000, "min", ms / 1000 % 60, "s"),
        3_600_000..86_400_000 => two(ms / 3_600_000, "h", ms / 60_000 % 60, "min"),
        _ => format!("{} d", ms / 86_400_000),
    }
}

/// How long ago something was, in one unit: `now`, `5 min`, `3 h`, `12 d`.
pub fn age(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match (now - at).num_minutes() {
        ..1 => "now".to_owned(),
        minutes @ 1..60 => format!("{minutes} min"),
        minutes @ 60..2880 => format!("{} h", minutes / 60),
        minutes => format!("{} d", minutes / 1440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("a bc def", 4), ["a bc", "def"]);
        assert_eq!(wrapped("abcdef a b", 3), ["abcdef", "a b"]);
        assert_eq!(wrapped("", 3), [""]);
    }

    #[test]
    fn names_are_joined_as_in_a_sentence() {
        let names = |names: &[&str]| and(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        assert_eq!([names(&[]), names(&["a"]), names(&["a", "b"])], ["", "a", "a and b"]);
        assert_eq!(names(&["a", "b", "c"]), "a, b and c");
    }

    #[test]
    fn digits_are_grouped_by_three() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(group_digits(n), text);
        }
    }

    #[test]
    fn lengths_and_ages_have_the_unit_that_says_most() {
        for (ms, text) in [
            (-5, "0 ms"),
            (340, "340 ms"),
            (12_345, "12.3 s"),
            (245_000, "4 min 5 s"),
            (3_600_000, "1 h"),
            (12_000_000, "3 h 20 min"),
            (200_000_000, "2 d"),
        ] {
            assert_eq!(length(TimeDelta::milliseconds(ms)), text);
        }
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        for (seconds, text) in
            [(-9, "now"), (59, "now"), (60, "1 min"), (7200, "2 h"), (172_799, "47 h"), (172_800, "2 d")]
        {
            assert_eq!(age(now - TimeDelta::seconds(seconds), now), text);
        }
    }

    #[test]
    fn one_thing_has_no_plural() {
        for (n, text) in [(0, "0 records"), (1, "1 record"), (2, "2 records"), (1000, "1,000 records")] {
            assert_eq!(counted(n, "record"), text);
        }
    }
}
