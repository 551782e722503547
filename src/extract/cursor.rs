//! The value of an incremental cursor: typed, ordered by what it is and never as text, written back as it was seen.

mod answer;
mod arithmetic;
mod max;
mod position;
mod received;
mod slices;
mod start;
mod time;
mod track;

pub use answer::is_address;
pub use max::{Extent, max_of};
pub use position::Position;
pub use received::{Identity, Received};
pub use slices::{Slice, Slices};
pub use start::start;
pub use track::{Go, PageView, Track, Verdict, is_out_of_order};

use crate::error::{Error, Kind, Result};
use crate::plan::model::{CursorFormat, Notation};
use crate::schema::number::Decimal;
use chrono::NaiveDate;
use serde_json::{Map, Value as Json, json};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;
use time::{Moment, Pattern};

/// Digits of a text that is taken as a number. Longer runs of digits are identifiers.
const NUMERIC_TEXT_DIGITS_MAX: usize = 20;

/// Bytes of a value in a message.
const SHOWN_BYTES: usize = 80;

/// A cursor value with its text as the API (or the file) wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct CursorValue {
    value: Value,
    text: String,
    /// Whether it is a JSON string, and not a number.
    quoted: bool,
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
    /// A date, with the strftime pattern in which it was written if that isn't ISO 8601.
    Date(NaiveDate, Option<Arc<str>>),
    Number(Decimal),
    Text,
}

impl CursorValue {
    /// Reads the raw JSON token of a record's field. Null and an empty text are no value.
    ///
    /// # Errors
    /// A boolean, a list or an object is no cursor.
    pub fn parse_json(token: &[u8], notation: &Notation) -> Result<Option<CursorValue>> {
        let token = token.trim_ascii();
        match token.first() {
            Some(b'n') if token == b"null" => Ok(None),
            Some(b'"') => {
                let text: String = serde_json::from_slice(token)
                    .map_err(|cause| Error::new(Kind::Body, "the cursor value is not a JSON text").source(cause))?;
                let value = (!text.is_empty()).then(|| CursorValue::parse_text(&text, notation));
                Ok(value.map(|value| CursorValue { quoted: true, ..value }))
            }
            Some(b'-' | b'0'..=b'9') => {
                let number = Decimal::parse(token).ok_or_else(|| not_a_cursor("a malformed number", token))?;
                let text = String::from_utf8_lossy(token).into_owned();
                let value = in_pattern(&text, notation).unwrap_or(Value::Number(number));
                Ok(Some(CursorValue { value, text, quoted: false }))
            }
            Some(b'{') => Err(not_a_cursor("an object", token)),
            Some(b'[') => Err(not_a_cursor("a list", token)),
            Some(b't' | b'f') => Err(not_a_cursor("a boolean", token)),
            _ => Err(not_a_cursor("not JSON", token)),
        }
    }

    /// Reads the text of a JSON string or of the file: a time, a date, a number in digits, or just text. A strftime pattern of
    /// `format` is tried where the text is no ISO 8601.
    pub fn parse_text(text: &str, notation: &Notation) -> CursorValue {
        let value = match time::parse(text) {
            Some((moment, pattern)) if pattern.has_zone() => Value::Instant(moment, pattern),
            Some((moment, pattern)) => Value::Local(moment, pattern),
            None => match time::parse_date(text) {
                Some(date) => Value::Date(date, None),
                None => {
                    in_pattern(text, notation).or_else(|| numeric_text(text).map(Value::Number)).unwrap_or(Value::Text)
                }
            },
        };
        let quoted = !matches!(value, Value::Number(_));
        CursorValue { value, text: text.to_owned(), quoted }
    }

    /// What it is.
    pub fn kind(&self) -> CursorKind {
        match &self.value {
            Value::Instant(..) => CursorKind::Instant,
            Value::Local(..) => CursorKind::Timestamp,
            Value::Date(..) => CursorKind::Date,
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
            (Value::Date(a, _), Value::Date(b, _)) => Ok(a.cmp(b)),
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

    /// Order across kinds, for values that the file or a computation gave: people write `2020-01-01` for an API that shows
    /// instants or epoch times.
    ///
    /// # Errors
    /// As [`CursorValue::compare`], unless both have a place on the time line.
    pub fn order(&self, other: &CursorValue, notation: &Notation) -> Result<Ordering> {
        match (self.compare(other), self.moment(notation), other.moment(notation)) {
            (Ok(order), ..) => Ok(order),
            (Err(_), Some(one), Some(other)) => Ok(one.cmp(&other)),
            (Err(error), ..) => Err(error),
        }
    }

    /// The state row's JSON: `{"type": "instant", "value": "2026-01-02T03:04:05Z"}`. What else is needed to read it back is
    /// beside it: a pattern of the file, and whether a number was a text.
    pub(super) fn to_json(&self) -> Map<String, Json> {
        let mut state = Map::new();
        state.insert("type".to_owned(), json!(self.kind().to_string()));
        state.insert("value".to_owned(), json!(self.text));
        if let Some(pattern) = self.pattern() {
            state.insert("pattern".to_owned(), json!(&**pattern));
        }
        if self.quoted == matches!(self.value, Value::Number(_)) {
            state.insert("quoted".to_owned(), json!(self.quoted));
        }
        state
    }

    /// Reads what [`CursorValue::to_json`] wrote.
    pub(super) fn from_json(state: &Map<String, Json>) -> Option<CursorValue> {
        let text_of = |name: &str| state.get(name).and_then(Json::as_str);
        let (kind, text) = (text_of("type")?, text_of("value")?);
        let format = text_of("pattern").map(|pattern| CursorFormat::Strftime(pattern.to_owned()));
        let value = match kind {
            "text" => CursorValue { value: Value::Text, text: text.to_owned(), quoted: true },
            "integer" | "decimal" => {
                let number = Decimal::parse(text.as_bytes())?;
                CursorValue { value: Value::Number(number), text: text.to_owned(), quoted: false }
            }
            _ => CursorValue::parse_text(text, &Notation { format, timezone: None }),
        };
        let quoted = state.get("quoted").and_then(Json::as_bool).unwrap_or(value.quoted);
        (value.kind().to_string() == kind).then_some(CursorValue { quoted, ..value })
    }

    /// The pattern of the file in which it was written.
    fn pattern(&self) -> Option<&Arc<str>> {
        match &self.value {
            Value::Instant(_, pattern) | Value::Local(_, pattern) => pattern.strftime(),
            Value::Date(_, pattern) => pattern.as_ref(),
            Value::Number(_) | Value::Text => None,
        }
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

fn not_a_cursor(what: &str, token: &[u8]) -> Error {
    Error::new(Kind::Data, format!("the cursor value is {what}, not a time, a number or a text"))
        .with("value", String::from_utf8_lossy(&token[..token.len().min(SHOWN_BYTES)]))
        .hint("`cursor_path` must lead to one field of the record")
}

/// A text in the strftime pattern of the file.
fn in_pattern(text: &str, notation: &Notation) -> Option<Value> {
    let Some(CursorFormat::Strftime(pattern)) = &notation.format else { return None };
    let (wall, east_s, is_date) = time::parse_strftime(text, pattern)?;
    let pattern: Arc<str> = Arc::from(pattern.as_str());
    if is_date {
        return Some(Value::Date(wall.date(), Some(pattern)));
    }
    let moment = Moment::of(wall, east_s.unwrap_or(0));
    let pattern = Pattern::Strftime { pattern, east_s };
    Some(if east_s.is_some() { Value::Instant(moment, pattern) } else { Value::Local(moment, pattern) })
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
        CursorValue::parse_text(text, &Notation::default())
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
            let value = CursorValue::parse_json(token.as_bytes(), &Notation::default()).unwrap();
            assert_eq!(value.map(|v| v.kind().to_string()).as_deref(), kind, "{token}");
        }
        for token in ["true", "{}", "[1]", "nan", "-"] {
            assert!(CursorValue::parse_json(token.as_bytes(), &Notation::default()).is_err(), "{token}");
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
    fn a_text_in_the_pattern_of_the_file_is_compared_as_a_date() {
        let notation = Notation { format: Some(CursorFormat::Strftime("%d/%m/%Y".to_owned())), timezone: None };
        let read = |text: &str| CursorValue::parse_text(text, &notation);
        let (earlier, later) = (read("31/01/2026"), read("01/02/2026"));
        assert_eq!(earlier.compare(&later).unwrap(), Ordering::Less);
        assert_eq!((later.kind(), later.text()), (CursorKind::Date, "01/02/2026"));
        assert_eq!(CursorValue::from_json(&later.to_json()), Some(later));
    }

    #[test]
    fn a_value_of_the_file_is_compared_across_kinds() {
        let plain = Notation::default();
        assert_eq!(of("2026-01-02").order(&of("1767312000999"), &plain).unwrap(), Ordering::Less);
        assert_eq!(of("2026-01-02").order(&of("2026-01-02T00:00:00Z"), &plain).unwrap(), Ordering::Equal);
        assert!(of("2026-01-02").order(&of("12"), &plain).is_err(), "a small number is no time");
        let zone = Notation { format: None, timezone: "Europe/Berlin".parse().ok() };
        let (local, instant) = (of("2026-07-02T02:00:00"), of("2026-07-02T00:00:00Z"));
        assert_eq!(local.order(&instant, &zone).unwrap(), Ordering::Equal);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(token in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = CursorValue::parse_json(&token, &Notation::default());
        }

        #[test]
        fn integers_order_as_integers(a: i128, b: i128) {
            let value = |n: i128| CursorValue::parse_json(n.to_string().as_bytes(), &Notation::default()).unwrap().unwrap();
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
