//! The value of an incremental cursor: typed, ordered by what it is and never as text, written back as it was seen.

mod align;
mod answer;
mod arithmetic;
mod bounds;
mod by_hand;
mod covered;
mod halve;
mod max;
mod patterns;
mod position;
mod read;
mod received;
mod request;
mod slices;
mod start;
mod time;
mod track;

pub use align::can_align;
pub use answer::is_address;
pub use bounds::{Bounds, Mistake};
pub use covered::{Covered, Range};
pub use max::{Extent, max_of};
pub use patterns::is_readable;
pub use position::Position;
pub use received::{Identity, Received};
pub use slices::{Slice, Slices};
pub use track::{Go, Known, PageView, Track, Verdict, is_out_of_order};

use crate::error::{Error, Kind, Result};
use crate::plan::model::{CursorFormat, Notation};
use crate::schema::number::Decimal;
use chrono::NaiveDate;
use serde_json::{Map, Value as Json, json};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;
use time::{Moment, Pattern};

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

    /// Order among the values of records. Where the file says in which forms they come, values in different ones have places on
    /// one time line; otherwise they are of one kind.
    ///
    /// # Errors
    /// As [`CursorValue::compare`].
    pub(super) fn order_in_records(&self, other: &CursorValue, notation: &Notation) -> Result<Ordering> {
        if notation.record_formats.len() > 1 { self.order(other, notation) } else { self.compare(other) }
    }

    /// Order across kinds, for values that the file or a computation gave: people write `2020-01-01` for an API that shows
    /// instants or epoch times.
    ///
    /// # Errors
    /// As [`CursorValue::compare`], unless both have a place on the time line.
    pub fn order(&self, other: &CursorValue, notation: &Notation) -> Result<Ordering> {
        self.compare(other).or_else(|error| match (self.moment(notation), other.moment(notation)) {
            (Some(one), Some(other)) => Ok(one.cmp(&other)),
            _ => Err(error),
        })
    }

    /// The state row's JSON: `{"type": "instant", "value": "2026-01-02T03:04:05Z"}`. What else is needed to read it back is
    /// beside it: a pattern of the file, and whether a number was a text.
    fn to_json(&self) -> Map<String, Json> {
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
    fn from_json(state: &Map<String, Json>) -> Option<CursorValue> {
        let text_of = |name: &str| state.get(name).and_then(Json::as_str);
        let (kind, text) = (text_of("type")?, text_of("value")?);
        let format = text_of("pattern").map(|pattern| CursorFormat::Strftime(pattern.to_owned()));
        let value = match kind {
            "text" => CursorValue { value: Value::Text, text: text.to_owned(), quoted: true },
            "integer" | "decimal" => {
                let number = Decimal::parse(text.as_bytes())?;
                CursorValue { value: Value::Number(number), text: text.to_owned(), quoted: false }
            }
            _ => match &format {
                Some(format) => CursorValue::parse_in(text, format)?,
                None => CursorValue::parse_text(text, &Notation::default()),
            },
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
        let notation = Notation { format: Some(CursorFormat::Strftime("%d/%m/%Y".to_owned())), ..Notation::default() };
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
        let zone = Notation { timezone: "Europe/Berlin".parse().ok(), ..Notation::default() };
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
