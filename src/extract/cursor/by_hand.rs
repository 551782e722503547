//! Cursors that a person sets or has forgotten, in place of those that loads have come to.

use super::{CursorKind, CursorValue, Position, Value};
use crate::error::{Error, Kind, Result};
use crate::plan::model::Notation;

impl CursorValue {
    /// The value that a person means by a text: of the kind of the stored one, and written as it is written.
    ///
    /// # Errors
    /// [`Kind::Config`]: it is of another kind, or has none of the forms that the file says.
    pub fn by_hand(text: &str, stored: Option<&CursorValue>, notation: &Notation) -> Result<CursorValue> {
        if text.trim().is_empty() {
            return Err(Error::new(Kind::Config, "an empty text is no cursor")
                .hint("`pintail state reset` has a cursor forgotten"));
        }
        let Some(stored) = stored else { return first_by_hand(text, notation) };
        if stored.kind() == CursorKind::Text {
            return Ok(CursorValue { value: Value::Text, text: text.to_owned(), quoted: true });
        }
        let given = CursorValue::parse_text(text, notation);
        let is_number = |value: &CursorValue| matches!(value.value, Value::Number(_));
        if is_number(&given) {
            return if is_number(stored) {
                Ok(CursorValue { quoted: stored.quoted, ..given })
            } else {
                Err(of_another_kind(&given, stored))
            };
        }
        // As the API writes it, if that says the same: some compare texts.
        let like = stored.like_value(&given, notation);
        let is_same = |like: &CursorValue| like.order(&given, notation).is_ok_and(|order| order.is_eq());
        match like.filter(is_same) {
            Some(like) => Ok(like),
            None if given.kind() == stored.kind() => Ok(given),
            None => Err(of_another_kind(&given, stored)),
        }
    }
}

/// A value where none is stored.
fn first_by_hand(text: &str, notation: &Notation) -> Result<CursorValue> {
    let given = CursorValue::parse_text(text, notation);
    let has_format = notation.format.is_some() || !notation.record_formats.is_empty();
    if has_format && given.kind() == CursorKind::Text {
        let name = if notation.format.is_some() { "format" } else { "cursor_format" };
        return Err(Error::new(Kind::Config, format!("`{text}` is no time, so `{name}` can't be applied to it"))
            .hint(format!("write it as `2020-01-31`, `2020-01-31T00:00:00Z`, or in the `{name}` itself")));
    }
    Ok(given)
}

fn of_another_kind(given: &CursorValue, stored: &CursorValue) -> Error {
    Error::new(Kind::Config, format!("`{}` is of another kind than the stored cursor", given.text()))
        .with("given", given.kind())
        .with("stored", stored.describe())
        .hint("write it like the stored one")
}

impl Position {
    /// The position after a person has set the cursor. Rows beyond it that are committed stay known, so that `append` does not
    /// store them twice when they come again.
    ///
    /// # Errors
    /// The values can't be compared.
    pub fn set_by_hand(value: CursorValue, old: Option<&Position>, notation: &Notation) -> Result<Position> {
        let newest = old.and_then(Position::newest);
        let is_beyond = newest.map(|newest| newest.order(&value, notation)).transpose()?.is_some_and(|o| o.is_gt());
        Ok(Position { seen: newest.filter(|_| is_beyond).cloned(), value: Some(value) })
    }

    /// The position after a person has had the cursor forgotten, where rows are appended: how new the stored rows are stays
    /// known, so that those that come again are not stored twice.
    #[must_use]
    pub fn forgotten(self) -> Position {
        Position { value: None, seen: self.seen.or(self.value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::model::CursorFormat;

    fn stored(token: &str) -> CursorValue {
        CursorValue::parse_json(token.as_bytes(), &Notation::default()).unwrap().unwrap()
    }

    #[test]
    fn a_value_is_taken_in_the_kind_and_the_writing_of_the_stored_one() {
        for (token, text, expected) in [
            (r#""2026-01-05T09:30:00Z""#, "2026-01-01", Ok("2026-01-01T00:00:00Z")),
            (r#""2026-01-05T09:30:00Z""#, "2026-01-01T02:00:00+02:00", Ok("2026-01-01T00:00:00Z")),
            (r#""2026-01-05 09:30:00.000Z""#, "2026-01-01T00:00:00Z", Ok("2026-01-01 00:00:00.000Z")),
            (r#""2026-01-05T09:30:00Z""#, "2026-01-01T00:00:00.25Z", Ok("2026-01-01T00:00:00.25Z")),
            (r#""2026-01-05""#, "2026-01-01", Ok("2026-01-01")),
            (r#""2026-01-05""#, "2026-01-01T10:00:00Z", Err("of another kind")),
            ("1767605400000", "2026-01-01", Ok("1767225600000")),
            ("17", "12", Ok("12")),
            (r#""17""#, "12", Ok("12")),
            ("17", "12.5", Ok("12.5")),
            ("17", "yesterday", Err("of another kind")),
            (r#""2026-01-05T09:30:00Z""#, "12", Err("of another kind")),
            (r#""token-17""#, "12", Ok("12")),
            ("17", " ", Err("empty")),
        ] {
            let given = CursorValue::by_hand(text, Some(&stored(token)), &Notation::default());
            match (given, expected) {
                (Ok(given), Ok(expected)) => {
                    assert_eq!(given.text(), expected, "{token} {text}");
                    let is_number = |kind| matches!(kind, CursorKind::Integer | CursorKind::Decimal);
                    let kinds = (given.kind(), stored(token).kind());
                    assert!(kinds.0 == kinds.1 || (is_number(kinds.0) && is_number(kinds.1)), "{token} {text}");
                    assert_eq!(given.quoted, stored(token).quoted, "{token} {text}");
                }
                (Err(error), Err(message)) => assert!(error.message().contains(message), "{error}"),
                (given, expected) => panic!("{token} {text}: {given:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn without_a_stored_value_the_forms_of_the_file_are_asked_for() {
        let notation = Notation { format: Some(CursorFormat::EpochSeconds), ..Notation::default() };
        assert!(CursorValue::by_hand("soon", None, &notation).is_err());
        assert_eq!(CursorValue::by_hand("2026-01-01", None, &notation).unwrap().kind(), CursorKind::Date);
        assert_eq!(CursorValue::by_hand("soon", None, &Notation::default()).unwrap().kind(), CursorKind::Text);
    }

    #[test]
    fn how_new_the_stored_rows_are_stays_known() {
        let notation = Notation::default();
        let at =
            |value: Option<&str>, seen: Option<&str>| Position { value: value.map(stored), seen: seen.map(stored) };
        for (old, set, expected) in [
            (at(Some("9"), None), "5", at(Some("5"), Some("9"))),
            (at(Some("9"), Some("12")), "5", at(Some("5"), Some("12"))),
            (at(Some("9"), Some("12")), "15", at(Some("15"), None)),
            (at(None, Some("12")), "5", at(Some("5"), Some("12"))),
            (at(Some("9"), None), "9", at(Some("9"), None)),
        ] {
            assert_eq!(Position::set_by_hand(stored(set), Some(&old), &notation).unwrap(), expected, "{old:?} {set}");
        }
        assert_eq!(Position::set_by_hand(stored("5"), None, &notation).unwrap(), at(Some("5"), None));
        assert_eq!(at(Some("9"), None).forgotten(), at(None, Some("9")));
        assert_eq!(at(Some("9"), Some("12")).forgotten(), at(None, Some("12")));
    }
}
