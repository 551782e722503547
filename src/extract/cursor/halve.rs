//! The middle of a range, for windows that hold too much.

use super::arithmetic::{Direction, shown_scale, write_scaled};
use super::time::Moment;
use super::{CursorValue, Value};
use crate::error::Result;
use crate::plan::model::Notation;
use chrono::DateTime;

/// Digits of a second that the middle of two moments is told by.
const NANOS_PER_SECOND: i128 = 1_000_000_000;

impl CursorValue {
    /// A value between this one and an end that requests can show: near the middle, or one unit after this one. `None`: there is
    /// no such value.
    ///
    /// # Errors
    /// A value is no time and no number.
    pub fn middle(&self, end: &CursorValue, notation: &Notation) -> Result<Option<CursorValue>> {
        let candidates = match (&self.value, &end.value) {
            (Value::Number(from), Value::Number(to)) if !self.is_shown_as_time(notation) => {
                let scales = [shown_scale(&self.text, from), shown_scale(&end.text, to)];
                let [Some(a), Some(b)] = scales else { return Ok(None) };
                let scale = a.max(b);
                let at = |number: &crate::schema::number::Decimal| number.to_scaled_i128(u8::try_from(scale).ok()?);
                let (Some(low), Some(high)) = (at(from), at(to)) else { return Ok(None) };
                let middle = low.checked_add(high).map(|sum| sum.div_euclid(2));
                vec![middle.map(|middle| self.rewritten(write_scaled(middle, scale)))]
            }
            _ => {
                let middle = self.between(end, notation)?;
                let middle = middle.map(|moment| self.on_grid(&moment, notation)).transpose()?.flatten();
                let next = self.aside(Direction::On, notation)?;
                let next = next.moment(notation).map(|moment| self.on_grid(&moment, notation)).transpose()?.flatten();
                vec![middle, next]
            }
        };
        for candidate in candidates.into_iter().flatten() {
            if self.is_shown_before(&candidate, notation)? && candidate.is_shown_before(end, notation)? {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    /// Whether requests show this number as the time that it counts.
    fn is_shown_as_time(&self, notation: &Notation) -> bool {
        notation.format.as_ref().is_some_and(|format| !self.keeps_fraction(format, notation))
    }

    fn between(&self, end: &CursorValue, notation: &Notation) -> Result<Option<Moment>> {
        let nanos = |value: &CursorValue| -> Result<i128> {
            let moment = value.time(notation)?;
            Ok(i128::from(moment.seconds) * NANOS_PER_SECOND + i128::from(super::time::nanos(&moment.fraction)))
        };
        let middle = (nanos(self)? + nanos(end)?).div_euclid(2);
        let seconds = i64::try_from(middle.div_euclid(NANOS_PER_SECOND)).ok();
        let nanos = u32::try_from(middle.rem_euclid(NANOS_PER_SECOND)).unwrap_or(0);
        let at = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, nanos));
        Ok(at.map(|at| Moment::of(at.naive_utc(), 0)))
    }

    /// A moment cut off to what requests show. It is written like this value where that can hold it.
    fn on_grid(&self, moment: &Moment, notation: &Notation) -> Result<Option<CursorValue>> {
        let Some(format) = &notation.format else { return Ok(self.of_moment(moment, notation)) };
        let Some(instant) = moment.as_value() else { return Ok(None) };
        let Some(shown) = instant.shown_moment(format, notation)? else { return Ok(None) };
        let like = self.of_moment(&shown, notation).filter(|like| like.moment(notation).as_ref() == Some(&shown));
        Ok(like.or_else(|| shown.as_value()))
    }

    /// Whether requests show this value before another one.
    fn is_shown_before(&self, other: &CursorValue, notation: &Notation) -> Result<bool> {
        Ok(self.order(other, notation)?.is_lt() && self.render(notation)? != other.render(notation)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::model::CursorFormat;
    use proptest::prelude::*;

    fn middle(from: &str, to: &str, format: Option<CursorFormat>) -> Option<String> {
        let notation = Notation { format, ..Notation::default() };
        let (from, to) = (CursorValue::parse_text(from, &notation), CursorValue::parse_text(to, &notation));
        from.middle(&to, &notation).unwrap().map(|value| value.text().to_owned())
    }

    #[test]
    fn a_range_is_halved_down_to_one_unit() {
        for (from, to, format, expected) in [
            ("2026-01-01", "2026-01-08", None, Some("2026-01-04")),
            ("2026-01-01", "2026-01-03", None, Some("2026-01-02")),
            ("2026-01-01", "2026-01-02", None, None),
            ("2026-01-01", "2026-01-02", Some(CursorFormat::EpochSeconds), Some("2026-01-01T12:00:00+00:00")),
            ("2026-01-01T00:00:00Z", "2026-01-08T00:00:00Z", Some(CursorFormat::Date), Some("2026-01-04T00:00:00Z")),
            ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", Some(CursorFormat::Date), None),
            ("2026-01-01T23:00:00Z", "2026-01-03T06:00:00Z", Some(CursorFormat::Date), Some("2026-01-02T00:00:00Z")),
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:02Z", None, Some("2026-01-01T00:00:01Z")),
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", None, None),
            ("2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.001Z", None, None),
            (
                "2026-01-01T00:00:00Z",
                "2026-01-01T00:00:00.003Z",
                Some(CursorFormat::EpochMillis),
                Some("2026-01-01T00:00:00.001+00:00"),
            ),
            ("2026-01-15", "2026-03-15", Some(CursorFormat::Strftime("%Y-%m".into())), Some("2026-02-01")),
            ("0", "1000", None, Some("500")),
            ("0", "2", None, Some("1")),
            ("0", "1", None, None),
            ("1512085950.000216", "1512085950.000218", Some(CursorFormat::EpochSeconds), Some("1512085950.000217")),
        ] {
            assert_eq!(middle(from, to, format.clone()).as_deref(), expected, "{from} {to} {format:?}");
        }
    }

    proptest! {
        #[test]
        fn halves_end_at_one_unit(from in 0i64..2_000_000_000, length in 1i64..10_000_000, which in 0usize..4) {
            let formats = [None, Some(CursorFormat::Date), Some(CursorFormat::EpochMillis), Some(CursorFormat::EpochSeconds)];
            let notation = Notation { format: formats[which].clone(), ..Notation::default() };
            let at = |seconds| CursorValue::parse_text(&DateTime::from_timestamp(seconds, 0).unwrap().to_rfc3339(), &notation);
            let (start, mut end) = (at(from), at(from + length));
            let mut steps = 0;
            while let Some(middle) = start.middle(&end, &notation).unwrap() {
                prop_assert!(start.order(&middle, &notation).unwrap().is_lt() && middle.order(&end, &notation).unwrap().is_lt());
                end = middle;
                steps += 1;
            }
            prop_assert!(steps <= 64);
        }
    }
}
