//! The value of an incremental cursor: typed, ordered by what it is and never as text, written back as it was seen.

mod arithmetic;
mod max;
mod start;
mod time;

pub use max::{Extent, max_of};
pub use start::{start, start_text};

use crate::error::{Error, Kind, Result};
use crate::schema::number::Decimal;
use chrono::NaiveDate;
use serde_json::{Value as Json, json};
use std::cmp::Ordering;
use std::fmt;
use time::{Moment, Pattern};

/// Digits of a text that is taken as a number. Longer runs of digits are identifiers.
const NUMERIC_TEXT_DIGITS_MAX: usize = 20;

/// A cursor value with its text as the API (or the file) wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct CursorValue {
    value: Value,
    text: String,
}

/// What a cursor value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CursorKind {
    /// A time with a UTC offset.
    Instant,
    /// A time without one.
    Timestamp,
    /// A calendar date.
    Date,
    /// A whole number, of any size.
    Integer,
    /// A number with a fraction or an exponent.
    Decimal,
    /// Anything else: ordered by its bytes.
    Text,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Instant(Moment, Pattern),
    Local(Moment, Pattern),
    Date(NaiveDate),
    Number(Decimal),
    Text,
}

impl CursorValue {
    /// Reads the raw JSON token of a record's field. Null and an empty text are no value.
    ///
    /// # Errors
    /// A boolean, a list or an object is no cursor.
    pub fn parse_json(token: &[u8]) -> Result<Option<CursorValue>> {
        let token = token.trim_ascii();
        match token.first() {
            Some(b'n') if token == b"null" => Ok(None),
            Some(b'"') => {
                let text: String = serde_json::from_slice(token)
                    .map_err(|cause| Error::new(Kind::Body, "the cursor value is not a JSON text").source(cause))?;
                Ok((!text.is_empty()).then(|| CursorValue::parse_text(&text)))
            }
            Some(b'-' | b'0'..=b'9') => {
                let number = Decimal::parse(token).ok_or_else(|| not_a_cursor("a malformed number"))?;
                let text = String::from_utf8_lossy(token).into_owned();
                Ok(Some(CursorValue { value: Value::Number(number), text }))
            }
            Some(b'{') => Err(not_a_cursor("an object")),
            Some(b'[') => Err(not_a_cursor("a list")),
            Some(b't' | b'f') => Err(not_a_cursor("a boolean")),
            _ => Err(not_a_cursor("not JSON")),
        }
    }

    /// Reads the text of a JSON string or of the file: a time, a date, a number in digits, or just text.
    pub fn parse_text(text: &str) -> CursorValue {
        let value = match time::parse(text) {
            Some((moment, pattern)) if pattern.has_zone() => Value::Instant(moment, pattern),
            Some((moment, pattern)) => Value::Local(moment, pattern),
            None => match time::parse_date(text) {
                Some(date) => Value::Date(date),
                None => numeric_text(text).map_or(Value::Text, Value::Number),
            },
        };
        CursorValue { value, text: text.to_owned() }
    }

    /// What it is.
    pub fn kind(&self) -> CursorKind {
        match &self.value {
            Value::Instant(..) => CursorKind::Instant,
            Value::Local(..) => CursorKind::Timestamp,
            Value::Date(_) => CursorKind::Date,
            Value::Number(_) if self.text.contains(['.', 'e', 'E']) => CursorKind::Decimal,
            Value::Number(_) => CursorKind::Integer,
            Value::Text => CursorKind::Text,
        }
    }

    /// The text as it was seen.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Order by value: instants across offsets and fractions, numbers of any size, texts by their bytes.
    ///
    /// # Errors
    /// The two are of different kinds. Whole and fractional numbers are of one kind here.
    pub fn compare(&self, other: &CursorValue) -> Result<Ordering> {
        match (&self.value, &other.value) {
            (Value::Instant(a, _), Value::Instant(b, _)) | (Value::Local(a, _), Value::Local(b, _)) => Ok(a.cmp(b)),
            (Value::Date(a), Value::Date(b)) => Ok(a.cmp(b)),
            (Value::Number(a), Value::Number(b)) => Ok(a.cmp(b)),
            (Value::Text, Value::Text) => Ok(self.text.as_bytes().cmp(other.text.as_bytes())),
            _ => Err(self.incomparable(other)),
        }
    }

    /// The larger of two.
    ///
    /// # Errors
    /// As [`CursorValue::compare`].
    pub fn max(self, other: CursorValue) -> Result<CursorValue> {
        Ok(if other.compare(&self)?.is_gt() { other } else { self })
    }

    /// The state row's JSON: `{"type": "instant", "value": "2026-01-02T03:04:05Z"}`.
    pub fn to_state(&self) -> String {
        json!({ "type": self.kind().to_string(), "value": self.text }).to_string()
    }

    /// Reads what [`CursorValue::to_state`] wrote.
    ///
    /// # Errors
    /// It is something else.
    pub fn from_state(state: &str) -> Result<CursorValue> {
        let broken = || Error::new(Kind::State, "a stored cursor can't be read").with("stored", state);
        let state: Json = serde_json::from_str(state).map_err(|cause| broken().source(cause))?;
        let (Some(kind), Some(text)) = (state["type"].as_str(), state["value"].as_str()) else { return Err(broken()) };
        let value = match kind {
            "text" => CursorValue { value: Value::Text, text: text.to_owned() },
            "integer" | "decimal" => match Decimal::parse(text.as_bytes()) {
                Some(number) => CursorValue { value: Value::Number(number), text: text.to_owned() },
                None => return Err(broken()),
            },
            _ => CursorValue::parse_text(text),
        };
        if value.kind().to_string() == kind { Ok(value) } else { Err(broken()) }
    }

    fn incomparable(&self, other: &CursorValue) -> Error {
        Error::new(Kind::Data, "cursor values of different kinds can't be compared")
            .with("one", self.describe())
            .with("other", other.describe())
            .hint("`cursor_path` must lead to a field that is always of one kind")
    }

    fn describe(&self) -> String {
        format!("{} `{}`", self.kind(), self.text)
    }
}

impl fmt::Display for CursorValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for CursorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CursorKind::Instant => "instant",
            CursorKind::Timestamp => "timestamp",
            CursorKind::Date => "date",
            CursorKind::Integer => "integer",
            CursorKind::Decimal => "decimal",
            CursorKind::Text => "text",
        })
    }
}

fn not_a_cursor(what: &str) -> Error {
    Error::new(Kind::Data, format!("the cursor value is {what}, not a time, a number or a text"))
        .hint("`cursor_path` must lead to one field of the record")
}

/// A text of digits as a number: APIs write large integers and epoch times as text. Exponents are not read here, or
/// identifiers like `12e4` would be numbers.
fn numeric_text(text: &str) -> Option<Decimal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    let is_number = all_digits(whole) && whole.len() <= NUMERIC_TEXT_DIGITS_MAX && fraction.is_none_or(all_digits);
    is_number.then(|| Decimal::parse(text.as_bytes())).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> CursorValue {
        CursorValue::parse_text(text)
    }

    #[test]
    fn tokens_are_read_as_what_they_are() {
        for (token, kind) in [
            (r#""2026-01-02T03:04:05Z""#, Some("instant")),
            (r#""2026-01-02 03:04:05.123456789+02""#, Some("instant")),
            (r#""2026-01-02 03:04:05.123 UTC""#, Some("instant")),
            (r#""2026-01-02T03:04:05""#, Some("timestamp")),
            (r#""2026-01-02T03:04""#, Some("timestamp")),
            (r#""2026-01-02""#, Some("date")),
            ("12", Some("integer")),
            (r#""12""#, Some("integer")),
            ("-170141183460469231731687303715884105729", Some("integer")),
            ("1.50", Some("decimal")),
            (r#""1512085950.000216""#, Some("decimal")),
            (r#""12e4""#, Some("text")),
            (r#""640123456789012345678901""#, Some("text")),
            (r#""2026-13-01""#, Some("text")),
            (r#""""#, None),
            ("null", None),
        ] {
            let value = CursorValue::parse_json(token.as_bytes()).unwrap();
            assert_eq!(value.map(|v| v.kind().to_string()).as_deref(), kind, "{token}");
        }
        for token in ["true", "{}", "[1]", "nan", "-"] {
            assert!(CursorValue::parse_json(token.as_bytes()).is_err(), "{token}");
        }
    }

    #[test]
    fn order_is_by_value_and_never_by_text() {
        for (smaller, larger) in [
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.500Z"),
            ("2026-01-02T03:04:05.5Z", "2026-01-02T03:04:05.51Z"),
            ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.12345679Z"),
            ("2026-01-02T04:04:05+02:00", "2026-01-02T03:04:05+00:00"),
            ("2026-01-01T23:30:00-01:00", "2026-01-02T02:00:00+01:00"),
            ("9", "10"),
            ("9007199254740992", "9007199254740993"),
            ("18446744073709551615", "18446744073709551616"),
            ("-10", "-9"),
            ("9.5", "10"),
            ("0.1", "0.1000000000000000055"),
            ("2026-01-02", "2026-01-10"),
            ("B", "a"),
        ] {
            assert_eq!(of(smaller).compare(&of(larger)).unwrap(), Ordering::Less, "{smaller} < {larger}");
            assert_eq!(of(larger).compare(&of(smaller)).unwrap(), Ordering::Greater, "{larger} > {smaller}");
        }
        for (one, other) in [
            ("2026-01-02T03:04:05Z", "2026-01-02 05:04:05.000+0200"),
            ("1.0", "1"),
            ("2026-01-02T03:04", "2026-01-02T03:04:00.0"),
        ] {
            assert_eq!(of(one).compare(&of(other)).unwrap(), Ordering::Equal);
        }
    }

    #[test]
    fn different_kinds_are_an_error_that_shows_both() {
        let error = of("2026-01-02").compare(&of("12")).unwrap_err();
        assert_eq!(error.context("one"), Some("date `2026-01-02`"));
        assert_eq!(error.context("other"), Some("integer `12`"));
        assert!(of("2026-01-02T03:04:05").compare(&of("2026-01-02T03:04:05Z")).is_err());
    }

    #[test]
    fn the_state_gives_back_what_was_stored() {
        for token in [r#""2026-01-02T03:04:05.120+02:00""#, r#""2026-01-02""#, "12", "1e3", r#""x\"y""#, r#""007""#] {
            let value = CursorValue::parse_json(token.as_bytes()).unwrap().unwrap();
            assert_eq!(CursorValue::from_state(&value.to_state()).unwrap(), value, "{token}");
        }
        assert_eq!(of("2026-01-02").to_state(), r#"{"type":"date","value":"2026-01-02"}"#);
        for broken in ["", "{}", r#"{"type":"date","value":"12"}"#, r#"{"type":"integer","value":"x"}"#, "7"] {
            assert_eq!(CursorValue::from_state(broken).unwrap_err().kind(), Kind::State, "{broken}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(token in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = CursorValue::parse_json(&token);
        }

        #[test]
        fn integers_order_as_integers(a: i128, b: i128) {
            let value = |n: i128| CursorValue::parse_json(n.to_string().as_bytes()).unwrap().unwrap();
            prop_assert_eq!(value(a).compare(&value(b)).unwrap(), a.cmp(&b));
        }

        #[test]
        fn instants_order_as_instants(a in 0i64..4_000_000_000, b in 0i64..4_000_000_000, east in -720i32..840, ms in 0u32..1000) {
            let write = |seconds: i64, east: i32, ms: u32| {
                let zone = chrono::FixedOffset::east_opt(east * 60).unwrap();
                let at = chrono::DateTime::from_timestamp(seconds, ms * 1_000_000).unwrap().with_timezone(&zone);
                of(&at.to_rfc3339())
            };
            let order = write(a, east, ms).compare(&write(b, 0, 0)).unwrap();
            prop_assert_eq!(order, (a, ms).cmp(&(b, 0)));
        }
    }
}
