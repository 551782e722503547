//! Which parts of a range are loaded: what a backfill keeps in the state, so that it goes on where it stopped.

use super::CursorValue;
use crate::error::{Error, Kind, Result};
use crate::plan::model::Notation;
use serde_json::{Value as Json, json};

/// A range that is loaded beside the cursor.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    /// Inclusive start.
    pub from: CursorValue,
    /// Exclusive end.
    pub to: CursorValue,
}

/// The parts that are loaded, from their start up to and without their end. They are in order, and don't touch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Covered {
    parts: Vec<(CursorValue, CursorValue)>,
}

impl Covered {
    /// Whether nothing is loaded.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Takes note of a part. Parts that touch become one.
    ///
    /// # Errors
    /// Its bounds can't be compared with the others.
    pub fn add(&mut self, start: &CursorValue, end: &CursorValue, notation: &Notation) -> Result<()> {
        if start.order(end, notation)?.is_ge() {
            return Ok(());
        }
        let (mut start, mut end) = (start.clone(), end.clone());
        let mut parts = Vec::with_capacity(self.parts.len() + 1);
        let mut place = 0;
        for (from, to) in &self.parts {
            if to.order(&start, notation)?.is_lt() {
                parts.push((from.clone(), to.clone()));
                place = parts.len();
            } else if from.order(&end, notation)?.is_gt() {
                parts.push((from.clone(), to.clone()));
            } else {
                start = if from.order(&start, notation)?.is_lt() { from.clone() } else { start };
                end = if to.order(&end, notation)?.is_gt() { to.clone() } else { end };
            }
        }
        parts.insert(place, (start, end));
        self.parts = parts;
        Ok(())
    }

    /// The first value from another on that is in no part.
    ///
    /// # Errors
    /// It can't be compared with the parts.
    pub fn first_free(&self, from: CursorValue, notation: &Notation) -> Result<CursorValue> {
        for (start, end) in &self.parts {
            if start.order(&from, notation)?.is_le() && end.order(&from, notation)?.is_gt() {
                return Ok(end.clone());
            }
        }
        Ok(from)
    }

    /// Where the next part begins, after a value that is in none.
    ///
    /// # Errors
    /// It can't be compared with the parts.
    pub fn next_start(&self, after: &CursorValue, notation: &Notation) -> Result<Option<&CursorValue>> {
        for (start, _) in &self.parts {
            if start.order(after, notation)?.is_gt() {
                return Ok(Some(start));
            }
        }
        Ok(None)
    }

    /// The state row's JSON, with the range of which the parts are.
    pub fn to_state(&self, range: &Range) -> String {
        let value = |value: &CursorValue| Json::Object(value.to_json());
        let parts: Vec<Json> = self.parts.iter().map(|(start, end)| json!([value(start), value(end)])).collect();
        json!({ "from": value(&range.from), "to": value(&range.to), "loaded": parts }).to_string()
    }

    /// Reads what [`Covered::to_state`] wrote.
    ///
    /// # Errors
    /// It is something else.
    pub fn from_state(state: &str) -> Result<Covered> {
        let broken = || Error::new(Kind::State, "the progress of a backfill can't be read").with("stored", state);
        let stored: Json = serde_json::from_str(state).map_err(|cause| broken().source(cause))?;
        let value = |json: &Json| json.as_object().and_then(CursorValue::from_json);
        let part = |json: &Json| match json.as_array().map(Vec::as_slice) {
            Some([start, end]) => value(start).zip(value(end)),
            _ => None,
        };
        let parts = stored.get("loaded").and_then(Json::as_array).ok_or_else(broken)?;
        Ok(Covered { parts: parts.iter().map(part).collect::<Option<_>>().ok_or_else(broken)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: Notation = Notation { format: None, record_formats: Vec::new(), timezone: None };

    fn of(text: &str) -> CursorValue {
        CursorValue::parse_text(text, &PLAIN)
    }

    fn covered(parts: &[(&str, &str)]) -> Covered {
        let mut covered = Covered::default();
        for (start, end) in parts {
            covered.add(&of(start), &of(end), &PLAIN).unwrap();
        }
        covered
    }

    fn shown(covered: &Covered) -> String {
        covered.parts.iter().map(|(start, end)| format!("{start}..{end}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn parts_that_touch_are_one_and_stand_in_order() {
        for (parts, expected) in [
            (&[("5", "7"), ("1", "2")][..], "1..2 5..7"),
            (&[("1", "3"), ("3", "5")], "1..5"),
            (&[("1", "2"), ("4", "5"), ("2", "4")], "1..5"),
            (&[("2", "3"), ("1", "9")], "1..9"),
            (&[("1", "9"), ("2", "3")], "1..9"),
            (&[("1", "2"), ("5", "6"), ("9", "10"), ("4", "9")], "1..2 4..10"),
            (&[("3", "3"), ("4", "1")], ""),
            (
                &[("2024-02-01", "2024-03-01"), ("2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z")],
                "2024-01-01T00:00:00Z..2024-03-01",
            ),
        ] {
            assert_eq!(shown(&covered(parts)), expected, "{parts:?}");
        }
    }

    #[test]
    fn what_is_free_begins_behind_the_part_that_it_would_lie_in() {
        let covered = covered(&[("1", "3"), ("5", "7")]);
        for (from, free, next) in [
            ("0", "0", Some("1")),
            ("1", "3", Some("5")),
            ("2", "3", Some("5")),
            ("3", "3", Some("5")),
            ("6", "7", None),
        ] {
            let first = covered.first_free(of(from), &PLAIN).unwrap();
            assert_eq!(first.text(), free, "{from}");
            assert_eq!(covered.next_start(&first, &PLAIN).unwrap().map(CursorValue::text), next, "{from}");
        }
    }

    #[test]
    fn the_state_gives_back_what_was_loaded() {
        let range = Range { from: of("2024-01-01"), to: of("2024-06-01") };
        let loaded = covered(&[("2024-01-01", "2024-02-01"), ("2024-03-01T00:00:00Z", "2024-04-01T00:00:00Z")]);
        assert_eq!(Covered::from_state(&loaded.to_state(&range)).unwrap(), loaded);
        assert_eq!(Covered::from_state(&Covered::default().to_state(&range)).unwrap(), Covered::default());
        for broken in ["", "{}", r#"{"loaded":[1]}"#, r#"{"loaded":[[{"type":"date","value":"12"}]]}"#] {
            assert_eq!(Covered::from_state(broken).unwrap_err().kind(), Kind::State, "{broken}");
        }
    }

    proptest! {
        #[test]
        fn a_number_is_covered_if_it_is_in_one_of_the_parts(parts in proptest::collection::vec((0u32..40, 0u32..12), 0..12)) {
            let mut covered = Covered::default();
            for (start, length) in &parts {
                covered.add(&of(&start.to_string()), &of(&(start + length).to_string()), &PLAIN).unwrap();
            }
            for number in 0u32..60 {
                let is_in = parts.iter().any(|(start, length)| (*start..start + length).contains(&number));
                let free = covered.first_free(of(&number.to_string()), &PLAIN).unwrap();
                prop_assert_eq!(free.text() != number.to_string(), is_in, "{} in {}", number, shown(&covered));
            }
        }
    }
}
