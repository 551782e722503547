//! How cursor values are read: from the JSON of records, from the texts of the file.

use super::patterns::{parse_rfc2822, parse_strftime};
use super::time::{self, Moment, Pattern};
use super::{CursorValue, Value};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{CursorFormat, Notation};
use crate::schema::number::Decimal;
use std::sync::Arc;

/// Digits of a text that is taken as a number. Longer runs of digits are identifiers.
const NUMERIC_TEXT_DIGITS_MAX: usize = 20;

/// Bytes of a value in a message.
const SHOWN_BYTES: usize = 80;

impl CursorValue {
    /// Reads the raw JSON token of a record's field. Null and an empty text are no value. Where the file says how records write
    /// it, nothing else is read.
    ///
    /// # Errors
    /// A boolean, a list or an object is no cursor, nor is what has none of the declared formats.
    pub fn parse_json(token: &[u8], notation: &Notation) -> Result<Option<CursorValue>> {
        let token = token.trim_ascii();
        match token.first() {
            Some(b'n') if token == b"null" => Ok(None),
            Some(b'"') => {
                let text: String = serde_json::from_slice(token)
                    .map_err(|cause| Error::new(Kind::Body, "the cursor value is not a JSON text").source(cause))?;
                if text.is_empty() {
                    return Ok(None);
                }
                let value = match notation.record_formats.as_slice() {
                    [] => recognised(&text, notation),
                    formats => formats.iter().find_map(|format| read_in(&text, format)).ok_or_else(|| unread(&text))?,
                };
                Ok(Some(CursorValue { value, text, quoted: true }))
            }
            Some(b'-' | b'0'..=b'9') => {
                let number = Decimal::parse(token).ok_or_else(|| not_a_cursor("a malformed number", token))?;
                let text = String::from_utf8_lossy(token).into_owned();
                let value = match notation.record_formats.as_slice() {
                    [] => in_pattern(&text, notation).unwrap_or(Value::Number(number)),
                    formats => number_in(&text, &number, formats).ok_or_else(|| unread(&text))?,
                };
                Ok(Some(CursorValue { value, text, quoted: false }))
            }
            Some(b'{') => Err(not_a_cursor("an object", token)),
            Some(b'[') => Err(not_a_cursor("a list", token)),
            Some(b't' | b'f') => Err(not_a_cursor("a boolean", token)),
            _ => Err(not_a_cursor("not JSON", token)),
        }
    }

    /// Reads a text of the file: a time, a date, a number in digits, or just text. Where it is no ISO 8601, the patterns of
    /// `format` and `cursor_format` are tried.
    pub fn parse_text(text: &str, notation: &Notation) -> CursorValue {
        let value = recognised(text, notation);
        let quoted = !matches!(value, Value::Number(_));
        CursorValue { value, text: text.to_owned(), quoted }
    }

    /// Reads a text in one format only.
    pub(super) fn parse_in(text: &str, format: &CursorFormat) -> Option<CursorValue> {
        let value = read_in(text, format)?;
        let quoted = !matches!(value, Value::Number(_));
        Some(CursorValue { value, text: text.to_owned(), quoted })
    }
}

/// What a text is by its looks.
fn recognised(text: &str, notation: &Notation) -> Value {
    if let Some((moment, pattern)) = time::parse(text) {
        return at(moment, pattern);
    }
    if let Some(date) = time::parse_date(text) {
        return Value::Date(date, None);
    }
    in_pattern(text, notation)
        .or_else(|| numeric_text(text).map(Value::Number))
        .or_else(|| parse_rfc2822(text).map(|(moment, pattern)| at(moment, pattern)))
        .unwrap_or(Value::Text)
}

fn at(moment: Moment, pattern: Pattern) -> Value {
    if pattern.has_zone() { Value::Instant(moment, pattern) } else { Value::Local(moment, pattern) }
}

/// A text in one of the strftime patterns of the file.
fn in_pattern(text: &str, notation: &Notation) -> Option<Value> {
    let formats = notation.format.iter().chain(&notation.record_formats);
    formats.filter(|format| matches!(format, CursorFormat::Strftime(_))).find_map(|format| read_in(text, format))
}

/// A text in a format.
fn read_in(text: &str, format: &CursorFormat) -> Option<Value> {
    match format {
        CursorFormat::Iso8601 => time::parse(text).map(|(moment, pattern)| at(moment, pattern)),
        CursorFormat::Date => time::parse_date(text).map(|date| Value::Date(date, None)),
        CursorFormat::EpochSeconds | CursorFormat::EpochMillis => numeric_text(text).map(Value::Number),
        CursorFormat::Strftime(pattern) => {
            let (wall, east_s, is_date) = parse_strftime(text, pattern)?;
            let pattern: Arc<str> = Arc::from(pattern.as_str());
            if is_date {
                return Some(Value::Date(wall.date(), Some(pattern)));
            }
            Some(at(Moment::of(wall, east_s.unwrap_or(0)), Pattern::Strftime { pattern, east_s }))
        }
    }
}

/// A JSON number in the first format that fits: a count since 1970, or digits in a pattern such as `%Y%m%d`.
fn number_in(text: &str, number: &Decimal, formats: &[CursorFormat]) -> Option<Value> {
    formats.iter().find_map(|format| match format {
        CursorFormat::EpochSeconds | CursorFormat::EpochMillis => Some(Value::Number(number.clone())),
        CursorFormat::Strftime(_) => read_in(text, format),
        CursorFormat::Iso8601 | CursorFormat::Date => None,
    })
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

fn not_a_cursor(what: &str, token: &[u8]) -> Error {
    Error::new(Kind::Data, format!("the cursor value is {what}, not a time, a number or a text"))
        .with("value", String::from_utf8_lossy(&token[..token.len().min(SHOWN_BYTES)]))
        .hint("`cursor_path` must lead to one field of the record")
}

fn unread(text: &str) -> Error {
    Error::new(Kind::Data, "the cursor value has no form that `cursor_format` says")
        .with("value", text.chars().take(SHOWN_BYTES).collect::<String>())
        .hint("`cursor_format` takes a list of all forms that records have; without it they are recognised")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::cursor::CursorKind;

    fn notation(formats: &[&str]) -> Notation {
        let named = |text: &&str| match *text {
            "iso8601" => CursorFormat::Iso8601,
            "date" => CursorFormat::Date,
            "epoch_s" => CursorFormat::EpochSeconds,
            "epoch_ms" => CursorFormat::EpochMillis,
            pattern => CursorFormat::Strftime(pattern.to_owned()),
        };
        Notation { record_formats: formats.iter().map(named).collect(), ..Notation::default() }
    }

    #[test]
    fn a_declared_form_is_the_only_one_that_is_read() {
        for (formats, token, expected) in [
            (&["%Y%m%d"][..], r#""20240131""#, Some(CursorKind::Date)),
            (&["%Y%m%d"], "20240131", Some(CursorKind::Date)),
            (&["%Y%m%d"], r#""2024-01-31""#, None),
            (&["%Y%m%d", "%Y%m", "date"], r#""202401""#, Some(CursorKind::Date)),
            (&["%Y%m%d", "%Y%m", "date"], r#""2024-01-31""#, Some(CursorKind::Date)),
            (&["%Y-%d-%m"], r#""2024-13-01""#, Some(CursorKind::Date)),
            (&["iso8601"], r#""2024-01-31T00:00:00Z""#, Some(CursorKind::Instant)),
            (&["iso8601"], r#""2024-01-31""#, None),
            (&["epoch_s"], "1512085950", Some(CursorKind::Integer)),
            (&["epoch_s"], r#""1512085950.000216""#, Some(CursorKind::Decimal)),
            (&["epoch_s"], r#""abc""#, None),
            (&["date"], "20240131", None),
            (&["%Y-%m-%d %H:%M:%S%.6f"], r#""2024-01-31 10:00:00.25""#, Some(CursorKind::Timestamp)),
        ] {
            let value = CursorValue::parse_json(token.as_bytes(), &notation(formats));
            assert_eq!(value.ok().flatten().map(|value| value.kind()), expected, "{formats:?} {token}");
        }
        let swapped = CursorValue::parse_json(br#""2024-02-01""#, &notation(&["%Y-%d-%m"])).unwrap().unwrap();
        let plain = CursorValue::parse_text("2024-01-02", &Notation::default());
        assert!(swapped.compare(&plain).unwrap().is_eq(), "ISO 8601 is not guessed where the file says another form");
    }

    #[test]
    fn nothing_at_all_is_no_value_in_any_form() {
        for token in ["null", r#""""#] {
            assert_eq!(CursorValue::parse_json(token.as_bytes(), &notation(&["date"])).unwrap(), None);
        }
    }

    #[test]
    fn a_value_of_the_file_may_always_be_iso_8601() {
        let notation = Notation { format: Some(CursorFormat::Strftime("%d/%m/%Y".into())), ..notation(&["%Y%m%d"]) };
        for text in ["2024-01-31", "31/01/2024", "20240131"] {
            let value = CursorValue::parse_text(text, &notation);
            assert_eq!(value.render(&notation).unwrap(), "31/01/2024", "{text}");
        }
    }

    #[test]
    fn times_of_e_mail_headers_are_recognised_and_compared_as_instants() {
        let of = |text: &str| CursorValue::parse_text(text, &Notation::default());
        let (friday, thursday) = (of("Fri, 31 Jul 2015 01:00:00 +0200"), of("Thu, 30 Jul 2015 23:30:00 +0000"));
        assert_eq!(friday.kind(), CursorKind::Instant);
        assert!(friday.compare(&thursday).unwrap().is_lt());
        assert!(friday.compare(&of("2015-07-30T23:00:00Z")).unwrap().is_eq());
        assert_eq!(CursorValue::from_json(&friday.to_json()), Some(friday));
    }
}
