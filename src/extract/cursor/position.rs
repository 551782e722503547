//! How far a resource or a partition has come, as the warehouse keeps it.

use super::CursorValue;
use crate::error::{Error, Kind, Result};
use crate::plan::model::Notation;
use serde_json::{Map, Value as Json};

/// How far loads have come.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Position {
    /// The cursor: everything up to it is committed. `None`: nothing is known to be complete.
    pub value: Option<CursorValue>,
    /// The newest value among committed rows, where that is beyond the cursor. What lies between comes again, and `append`
    /// leaves out what is stored unchanged.
    pub seen: Option<CursorValue>,
}

impl Position {
    /// The newest value that a committed row may have.
    pub fn newest(&self) -> Option<&CursorValue> {
        self.seen.as_ref().or(self.value.as_ref())
    }

    /// The same cursor, with rows committed up to a value that may lie beyond it.
    ///
    /// # Errors
    /// The values can't be compared.
    pub fn with_seen(self, newest: &CursorValue, notation: &Notation) -> Result<Position> {
        let is_beyond = match self.newest() {
            Some(known) => newest.order(known, notation)?.is_gt(),
            None => true,
        };
        Ok(if is_beyond { Position { seen: Some(newest.clone()), ..self } } else { self })
    }

    /// The later of two positions, value by value.
    ///
    /// # Errors
    /// Their values can't be compared.
    pub fn max(self, other: Position, notation: &Notation) -> Result<Position> {
        Ok(Position { value: later(self.value, other.value, notation)?, seen: later(self.seen, other.seen, notation)? })
    }

    /// The earlier of two cursors, and the later of what was seen.
    ///
    /// # Errors
    /// Their values can't be compared.
    pub fn min(self, other: Position, notation: &Notation) -> Result<Position> {
        let value = match (self.value, other.value) {
            (Some(one), Some(other)) => Some(if other.order(&one, notation)?.is_lt() { other } else { one }),
            _ => None,
        };
        Ok(Position { value, seen: later(self.seen, other.seen, notation)? })
    }

    /// The state row's JSON: the cursor's own members, and `seen` where there is one.
    pub fn to_state(&self) -> String {
        let mut state = self.value.as_ref().map(CursorValue::to_json).unwrap_or_default();
        if let Some(seen) = &self.seen {
            state.insert("seen".to_owned(), Json::Object(seen.to_json()));
        }
        Json::Object(state).to_string()
    }

    /// Reads what [`Position::to_state`] wrote.
    ///
    /// # Errors
    /// It is something else.
    pub fn from_state(state: &str) -> Result<Position> {
        let broken = || Error::new(Kind::State, "a stored cursor can't be read").with("stored", state);
        let members: Map<String, Json> = serde_json::from_str(state).map_err(|cause| broken().source(cause))?;
        let seen = match members.get("seen") {
            Some(Json::Object(seen)) => Some(CursorValue::from_json(seen).ok_or_else(broken)?),
            Some(_) => return Err(broken()),
            None => None,
        };
        let has_value = members.contains_key("type") || members.contains_key("value");
        let value = if has_value { Some(CursorValue::from_json(&members).ok_or_else(broken)?) } else { None };
        if value.is_none() && seen.is_none() {
            return Err(broken());
        }
        Ok(Position { value, seen })
    }
}

/// The later of two values, if there are two.
pub(super) fn later(
    one: Option<CursorValue>,
    other: Option<CursorValue>,
    notation: &Notation,
) -> Result<Option<CursorValue>> {
    Ok(match (one, other) {
        (Some(one), Some(other)) => Some(if other.order(&one, notation)?.is_gt() { other } else { one }),
        (one, other) => one.or(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_beyond_the_cursor_are_noted_and_move_nothing() {
        let plain = Notation::default();
        let of = |text: &str| Some(CursorValue::parse_text(text, &plain));
        for (value, seen, newest, expected) in [
            (of("5"), None, "4", (of("5"), None)),
            (of("5"), None, "6", (of("5"), of("6"))),
            (of("5"), of("9"), "6", (of("5"), of("9"))),
            (None, None, "3", (None, of("3"))),
        ] {
            let noted = Position { value, seen }.with_seen(&CursorValue::parse_text(newest, &plain), &plain).unwrap();
            assert_eq!((noted.value, noted.seen), expected, "{newest}");
        }
    }

    #[test]
    fn the_state_gives_back_what_was_stored() {
        let plain = Notation::default();
        let token = |token: &str| CursorValue::parse_json(token.as_bytes(), &plain).unwrap();
        for value in [r#""2026-01-02T03:04:05.120+02:00""#, r#""2026-01-02""#, "12", "1e3", r#""x\"y""#, r#""007""#] {
            let alone = Position { value: token(value), seen: None };
            assert_eq!(Position::from_state(&alone.to_state()).unwrap(), alone, "{value}");
            let ahead = Position { value: None, seen: token(value) };
            assert_eq!(Position::from_state(&ahead.to_state()).unwrap(), ahead, "{value}");
        }
        let both = Position { value: token("12"), seen: token("13") };
        assert_eq!(both.to_state(), r#"{"type":"integer","value":"12","seen":{"type":"integer","value":"13"}}"#);
        assert_eq!(Position::from_state(&both.to_state()).unwrap(), both);
        for broken in ["", "{}", r#"{"type":"date","value":"12"}"#, r#"{"type":"integer","value":"x"}"#, "7"] {
            assert_eq!(Position::from_state(broken).unwrap_err().kind(), Kind::State, "{broken}");
        }
    }
}
