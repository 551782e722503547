//! The largest cursor of a page, without parsing each value: times of one layout order as their bytes do.

use super::{CursorValue, Value};
use crate::error::Result;
use crate::plan::model::Notation;
use std::cmp::Ordering;

/// What a page says about the cursor.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Extent {
    /// The largest value, if there is one.
    pub max: Option<CursorValue>,
    /// Records without a value.
    pub missing_count: u64,
}

/// The largest so far, as its token.
struct Largest<'a> {
    token: &'a [u8],
    layout: Layout,
    /// Its value; `None` where it was found without being parsed.
    value: Option<CursorValue>,
}

/// What is known of a token's layout, for comparing without parsing.
#[derive(Debug, Clone, Copy)]
enum Layout {
    /// An ISO time or date in quotes; what stands from `zone_at` on must be equal.
    Time { zone_at: usize },
    /// A JSON integer without a sign.
    Unsigned,
    /// Parsed each time.
    Other,
}

impl Largest<'_> {
    fn parsed(&mut self, notation: &Notation) -> Result<Option<&CursorValue>> {
        if self.value.is_none() {
            self.value = CursorValue::parse_json(self.token, notation)?;
        }
        Ok(self.value.as_ref())
    }
}

impl Layout {
    fn of(token: &[u8], value: &CursorValue) -> Layout {
        match &value.value {
            // A backslash in the text would make bytes and characters differ.
            Value::Instant(_, pattern) | Value::Local(_, pattern) if token.len() == value.text.len() + 2 => {
                pattern.zone_len().map_or(Layout::Other, |len| Layout::Time { zone_at: token.len() - 1 - len })
            }
            Value::Date(_, None) if token.len() == value.text.len() + 2 => Layout::Time { zone_at: token.len() - 1 },
            Value::Number(_) if token.iter().all(u8::is_ascii_digit) => Layout::Unsigned,
            _ => Layout::Other,
        }
    }

    /// The order of a token to one of this layout; `None` when it has another layout.
    fn compare(self, token: &[u8], to: &[u8]) -> Option<Ordering> {
        match self {
            Layout::Time { zone_at } => {
                let alike = token.len() == to.len()
                    && token[zone_at..] == to[zone_at..]
                    && token.iter().zip(to).all(|(a, b)| if b.is_ascii_digit() { a.is_ascii_digit() } else { a == b });
                alike.then(|| token.cmp(to))
            }
            // JSON integers have no leading zeros (RFC 8259 section 6).
            Layout::Unsigned => {
                token.iter().all(u8::is_ascii_digit).then(|| token.len().cmp(&to.len()).then_with(|| token.cmp(to)))
            }
            Layout::Other => None,
        }
    }
}

/// The largest of a page's raw JSON tokens. `None`, null and `""` are missing.
///
/// # Errors
/// A token is no cursor, or two are of different kinds.
pub fn max_of<'a>(tokens: impl Iterator<Item = Option<&'a [u8]>>, notation: &Notation) -> Result<Extent> {
    let parse = |token: &[u8]| CursorValue::parse_json(token, notation);
    let mut largest: Option<Largest<'a>> = None;
    let mut first: Option<CursorValue> = None;
    let mut missing_count = 0;
    for token in tokens {
        let quick = token.zip(largest.as_ref()).and_then(|(token, so_far)| so_far.layout.compare(token, so_far.token));
        if let (Some(order), Some(token), Some(so_far)) = (quick, token, largest.as_mut()) {
            if order.is_gt() {
                so_far.token = token;
                so_far.value = None;
            }
            continue;
        }
        let (Some(token), Some(value)) = (token, token.map(parse).transpose()?.flatten()) else {
            missing_count += 1;
            continue;
        };
        let is_larger = match &mut largest {
            None => true,
            Some(so_far) => match so_far.parsed(notation)? {
                Some(so_far) => value.order_in_records(so_far, notation)?.is_gt(),
                None => true,
            },
        };
        if first.is_none() {
            first = Some(value.clone());
        }
        if is_larger {
            largest = Some(Largest { token, layout: Layout::of(token, &value), value: Some(value) });
        }
    }
    if let Some(so_far) = &mut largest {
        so_far.parsed(notation)?;
    }
    let max = largest.and_then(|so_far| so_far.value);
    // Digits alone do not make a date: one such as `2026-13-45` that came out on top is of another kind than the rest.
    if let (Some(first), Some(max)) = (&first, &max) {
        max.order_in_records(first, notation)?;
    }
    Ok(Extent { max, missing_count })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn extent(tokens: &[&str]) -> Result<Extent> {
        max_of(tokens.iter().map(|token| (*token != "-").then_some(token.as_bytes())), &Notation::default())
    }

    #[test]
    fn the_largest_is_found_across_layouts() {
        for (tokens, max, missing_count) in [
            (&["-", "null", r#""""#][..], None, 3),
            (&[r#""2026-01-02T03:04:05Z""#, "-", r#""2026-01-02T03:04:06Z""#][..], Some("2026-01-02T03:04:06Z"), 1),
            (
                &[r#""2026-01-02T03:04:05Z""#, r#""2026-01-02T03:04:05.5Z""#, r#""2026-01-02T04:04:05+02:00""#],
                Some("2026-01-02T03:04:05.5Z"),
                0,
            ),
            (
                &[r#""2026-01-02T01:00:00+02:00""#, r#""2026-01-02T00:30:00+01:00""#],
                Some("2026-01-02T00:30:00+01:00"),
                0,
            ),
            (&["9", "10", "-11"], Some("10"), 0),
            (&["9007199254740993", "9007199254740992"], Some("9007199254740993"), 0),
            (&[r#""9""#, r#""10""#], Some("10"), 0),
            (&["1.5", "1"], Some("1.5"), 0),
            (&[r#""a""#, r#""b""#], Some("b"), 0),
        ] {
            let extent = extent(tokens).unwrap();
            assert_eq!(extent.max.as_ref().map(CursorValue::text), max, "{tokens:?}");
            assert_eq!(extent.missing_count, missing_count, "{tokens:?}");
        }
    }

    #[test]
    fn values_of_different_kinds_are_an_error() {
        for tokens in [
            &[r#""2026-01-02T03:04:05Z""#, "12"][..],
            &[r#""2026-01-02""#, r#""2026-13-45""#],
            &[r#""2026-01-02T03:04:05Z""#, r#""2026-01-02T03:04:05""#],
            &["1", "true"],
        ] {
            assert!(extent(tokens).is_err(), "{tokens:?}");
        }
    }

    #[test]
    fn values_in_several_declared_forms_are_on_one_time_line() {
        use crate::plan::model::CursorFormat;
        let formats = ["%Y%m%d", "%Y-%m-%dT%H:%M:%SZ"].map(|pattern| CursorFormat::Strftime(pattern.to_owned()));
        let notation = Notation { record_formats: formats.into(), ..Notation::default() };
        let tokens = [r#""20260102""#, r#""2026-01-03T01:00:00Z""#, r#""20260103""#];
        let extent = max_of(tokens.iter().map(|token| Some(token.as_bytes())), &notation).unwrap();
        assert_eq!(extent.max.as_ref().map(CursorValue::text), Some("2026-01-03T01:00:00Z"));
        assert!(max_of([Some(br#""soon""#.as_slice())].into_iter(), &notation).is_err());
    }

    proptest! {
        #[test]
        fn the_quick_path_finds_what_parsing_each_finds(
            seconds in proptest::collection::vec((0i64..2_000_000_000, 0u32..3, -2i32..3), 1..30)
        ) {
            let tokens: Vec<String> = seconds.iter().map(|(s, tenths, east)| {
                let zone = chrono::FixedOffset::east_opt(east * 3600).unwrap();
                let at = chrono::DateTime::from_timestamp(*s, tenths * 100_000_000).unwrap().with_timezone(&zone);
                format!("\"{}\"", at.to_rfc3339())
            }).collect();
            let extent = max_of(tokens.iter().map(|t| Some(t.as_bytes())), &Notation::default()).unwrap();
            let slow = tokens.iter().map(|t| CursorValue::parse_json(t.as_bytes(), &Notation::default()).unwrap().unwrap())
                .reduce(|a, b| if b.compare(&a).unwrap().is_gt() { b } else { a });
            prop_assert!(extent.max.unwrap().compare(&slow.unwrap()).unwrap().is_eq());
        }
    }
}
