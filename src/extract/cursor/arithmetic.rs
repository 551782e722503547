//! Cursor values that are computed: moved by a lag or a window, and written as another value is.

use super::patterns::strftime;
use super::time::{self, Moment};
use super::{CursorValue, Value};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{CursorFormat, Distance, Notation};
use crate::schema::number::Decimal;
use chrono::{DateTime, FixedOffset, Months, NaiveDateTime, Utc};
use std::time::Duration;

/// Numbers below this are no epoch times unless `format` says so: as seconds they lie before March 1973.
const EPOCH_MIN: i128 = 100_000_000;

/// The first number that counts thousandths, millionths or billionths of a second rather than what is above it.
const EPOCH_UNITS: [(i128, i128); 3] =
    [(100_000_000_000_000_000, 1_000_000_000), (100_000_000_000_000, 1_000_000), (100_000_000_000, 1_000)];

/// Digits after the point that arithmetic keeps.
pub(super) const SCALE_MAX: usize = 18;

pub(super) const DAY_S: i64 = 86_400;

/// Whether a step leads back or on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Back,
    On,
}

impl CursorValue {
    /// The value a step back, written in the pattern of this one: separator, digits, zone. Parts of a second count as one,
    /// and parts of a day as one for a date, because asking too far back loses nothing. A time span moves a number that is
    /// an epoch time, by its unit.
    ///
    /// # Errors
    /// A text has nothing to subtract from; the result has no place on the calendar.
    pub fn minus(&self, step: &Distance, notation: &Notation) -> Result<CursorValue> {
        self.moved(step, Direction::Back, notation)
    }

    /// The value a step on, likewise.
    ///
    /// # Errors
    /// As [`CursorValue::minus`].
    pub fn plus(&self, step: &Distance, notation: &Notation) -> Result<CursorValue> {
        self.moved(step, Direction::On, notation)
    }

    fn moved(&self, step: &Distance, direction: Direction, notation: &Notation) -> Result<CursorValue> {
        let text = match &self.value {
            Value::Instant(moment, pattern) | Value::Local(moment, pattern) => {
                shifted(moment, pattern.east_s(), step, direction).and_then(|moment| time::write(&moment, pattern))
            }
            Value::Date(date, _) => {
                let whole_days = match step {
                    Distance::Time(span) => {
                        Distance::Time(crate::plan::duration::Span { rest: full_days(span.rest), ..*span })
                    }
                    Distance::Number(seconds) => {
                        Distance::Number(seconds.div_ceil(DAY_S as u64).saturating_mul(DAY_S as u64))
                    }
                };
                let moment = Moment::of(date.and_time(chrono::NaiveTime::MIN), 0);
                shifted(&moment, 0, &whole_days, direction).and_then(|moment| self.write_date(&moment))
            }
            Value::Number(number) => {
                let units = match step {
                    Distance::Number(units) => i128::from(*units),
                    Distance::Time(_) => self.epoch_units(number, step, direction, notation)?,
                };
                plus_units(&self.text, number, if direction == Direction::Back { -units } else { units })
            }
            Value::Text => {
                return Err(Error::new(Kind::Data, "a text has nothing that `lag` or `window` could be counted from")
                    .with("cursor", &self.text)
                    .hint("remove them, or choose a cursor that is a time or a number"));
            }
        };
        text.map(|text| self.rewritten(text)).ok_or_else(|| self.out_of_range())
    }

    /// The same kind of value with another text.
    pub(super) fn rewritten(&self, text: String) -> CursorValue {
        let format = self.pattern().map(|pattern| CursorFormat::Strftime(pattern.to_string()));
        let value = match format.and_then(|format| CursorValue::parse_in(&text, &format)) {
            Some(value) => value,
            None => CursorValue::parse_text(&text, &Notation::default()),
        };
        CursorValue { quoted: self.quoted, ..value }
    }

    pub(super) fn write_date(&self, moment: &Moment) -> Option<String> {
        let pattern = self.pattern().map_or("%Y-%m-%d", |pattern| pattern);
        strftime(moment.wall()?, FixedOffset::east_opt(0)?, pattern)
    }

    pub(super) fn out_of_range(&self) -> Error {
        Error::new(Kind::Data, "`lag`, `window` or a bound leads out of the calendar").with("cursor", &self.text)
    }

    /// An instant written as this value is; what has no room is cut off. `None` for texts and for numbers that are no times.
    pub fn like(&self, moment: &DateTime<Utc>, notation: &Notation) -> Option<CursorValue> {
        self.of_moment(&Moment::of(moment.naive_utc(), 0), notation)
    }

    /// Another value's place on the time line, written as this value is.
    pub(super) fn like_value(&self, other: &CursorValue, notation: &Notation) -> Option<CursorValue> {
        self.of_moment(&other.moment(notation)?, notation)
    }

    pub(super) fn of_moment(&self, moment: &Moment, notation: &Notation) -> Option<CursorValue> {
        let wall = || Some(Moment::of(notation.timezone.unwrap_or_default().wall(moment.wall()?).0, 0));
        let text = match &self.value {
            Value::Instant(_, pattern) => time::write(moment, pattern)?,
            Value::Local(_, pattern) => time::write(&wall()?, pattern)?,
            Value::Date(..) => self.write_date(&wall()?)?,
            Value::Number(number) => {
                let per_second = units_per_second(whole_part(number)?, notation)?;
                let nanos = i128::from(time::nanos(&moment.fraction));
                (i128::from(moment.seconds) * per_second + nanos * per_second / 1_000_000_000).to_string()
            }
            Value::Text => return None,
        };
        Some(self.rewritten(text))
    }

    /// Whether the value has a place on the time line.
    pub fn is_time(&self, notation: &Notation) -> bool {
        self.moment(notation).is_some()
    }

    /// The value on the UTC time line, if it has a place there.
    pub(super) fn moment(&self, notation: &Notation) -> Option<Moment> {
        let of_wall = |wall: NaiveDateTime| Moment::of(notation.timezone.unwrap_or_default().instant(wall), 0);
        match &self.value {
            Value::Instant(moment, _) => Some(moment.clone()),
            Value::Local(moment, _) if notation.timezone.is_none() => Some(moment.clone()),
            Value::Local(moment, _) => moment.wall().map(of_wall),
            Value::Date(date, _) => Some(of_wall(date.and_time(chrono::NaiveTime::MIN))),
            Value::Number(number) => epoch_moment(number, notation),
            Value::Text => None,
        }
    }

    /// How many units of an epoch time a span is, from this value in a direction.
    fn epoch_units(
        &self,
        number: &Decimal,
        step: &Distance,
        direction: Direction,
        notation: &Notation,
    ) -> Result<i128> {
        let units = || {
            let per_second = units_per_second(whole_part(number)?, notation)?;
            let moment = epoch_moment(number, notation)?;
            let seconds = shifted(&moment, 0, step, direction)?.seconds.abs_diff(moment.seconds);
            Some(i128::from(seconds) * per_second)
        };
        units().ok_or_else(|| {
            Error::new(Kind::Data, "`lag` or `window` is a time, but the cursor is a number that is no epoch time")
                .with("cursor", &self.text)
                .hint("give it as a number of units, or say `format = \"epoch_s\"` or \"epoch_ms\"")
        })
    }
}

impl Moment {
    /// The moment as an instant in UTC; digits beyond nanoseconds are left out.
    pub(super) fn as_value(&self) -> Option<CursorValue> {
        self.wall().map(|wall| CursorValue::parse_text(&wall.and_utc().to_rfc3339(), &Notation::default()))
    }
}

/// A moment moved by a step. Months are those of the calendar that a clock so far east of UTC goes by.
pub(super) fn shifted(moment: &Moment, east_s: i64, step: &Distance, direction: Direction) -> Option<Moment> {
    let (months, seconds) = match step {
        Distance::Time(span) => (span.months, whole_seconds(span.rest)),
        Distance::Number(seconds) => (0, i64::try_from(*seconds).unwrap_or(i64::MAX)),
    };
    let mut from = moment.seconds;
    if months > 0 {
        let wall = DateTime::from_timestamp(from.checked_add(east_s)?, 0)?.naive_utc();
        let wall = match direction {
            Direction::Back => wall.checked_sub_months(Months::new(months))?,
            Direction::On => wall.checked_add_months(Months::new(months))?,
        };
        from = wall.and_utc().timestamp() - east_s;
    }
    let seconds = match direction {
        Direction::Back => from.checked_sub(seconds)?,
        Direction::On => from.checked_add(seconds)?,
    };
    Some(Moment { seconds, fraction: moment.fraction.clone() })
}

/// Seconds of a span, a part of one counted as one.
fn whole_seconds(span: Duration) -> i64 {
    let seconds = span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0));
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// A span as whole days, a part of one counted as one.
fn full_days(span: Duration) -> Duration {
    let day_s = DAY_S.unsigned_abs();
    Duration::from_secs(whole_seconds(span).unsigned_abs().div_ceil(day_s).saturating_mul(day_s))
}

/// What a number counts, per second: by its size, or as `cursor_format` or `format` says where it is too small to tell.
pub(super) fn units_per_second(epoch: i128, notation: &Notation) -> Option<i128> {
    if epoch.abs() >= EPOCH_MIN {
        return Some(EPOCH_UNITS.iter().find(|(from, _)| epoch.abs() >= *from).map_or(1, |(_, units)| *units));
    }
    notation.record_formats.iter().chain(&notation.format).find_map(|format| match format {
        CursorFormat::EpochSeconds => Some(1),
        CursorFormat::EpochMillis => Some(1_000),
        CursorFormat::Iso8601 | CursorFormat::Date | CursorFormat::Strftime(_) => None,
    })
}

/// The number without its fraction, towards zero.
pub(super) fn whole_part(number: &Decimal) -> Option<i128> {
    scaled(number).map(|(value, scale)| value / 10i128.pow(scale as u32))
}

/// The number as a whole number of its last place, and how many places those are.
fn scaled(number: &Decimal) -> Option<(i128, usize)> {
    let scale = usize::try_from(number.scale()).ok().filter(|scale| *scale <= SCALE_MAX)?;
    Some((number.to_scaled_i128(scale as u8)?, scale))
}

fn epoch_moment(number: &Decimal, notation: &Notation) -> Option<Moment> {
    let (value, scale) = scaled(number)?;
    let per_second =
        units_per_second(value / 10i128.pow(scale as u32), notation)?.checked_mul(10i128.pow(scale as u32))?;
    let digits = per_second.ilog10() as usize;
    let fraction = format!("{:0digits$}", value.rem_euclid(per_second));
    let seconds = i64::try_from(value.div_euclid(per_second)).ok()?;
    Some(Moment { seconds, fraction: fraction.trim_end_matches('0').to_owned() })
}

/// Adds whole units, keeping as many digits after the point as the text has.
fn plus_units(text: &str, number: &Decimal, units: i128) -> Option<String> {
    let scale = shown_scale(text, number)?;
    let value = number.to_scaled_i128(scale as u8)?;
    Some(write_scaled(value.checked_add(units.checked_mul(10i128.pow(scale as u32))?)?, scale))
}

pub(super) fn shown_scale(text: &str, number: &Decimal) -> Option<usize> {
    let shown = text.split_once('.').filter(|_| !text.contains(['e', 'E'])).map_or(0, |(_, fraction)| fraction.len());
    Some(shown.max(usize::try_from(number.scale()).ok()?)).filter(|scale| *scale <= SCALE_MAX)
}

pub(super) fn write_scaled(value: i128, scale: usize) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::duration::{Span, parse_span};
    use crate::plan::model::{EndBound, StartBound};
    use proptest::prelude::*;

    const PLAIN: Notation = Notation { format: None, record_formats: Vec::new(), timezone: None };

    fn json(token: &str) -> CursorValue {
        CursorValue::parse_json(token.as_bytes(), &PLAIN).unwrap().unwrap()
    }

    fn time(rest: Duration) -> Distance {
        Distance::Time(Span { months: 0, rest })
    }

    fn minutes(count: u64) -> Distance {
        time(Duration::from_secs(count * 60))
    }

    fn span(text: &str) -> Distance {
        text.parse().map_or_else(|_| Distance::Time(parse_span(text).unwrap()), Distance::Number)
    }

    fn in_format(format: CursorFormat) -> Notation {
        Notation { format: Some(format), ..PLAIN }
    }

    #[test]
    fn a_lag_is_written_in_the_pattern_of_its_value() {
        for (value, lag, expected) in [
            (r#""2026-01-02 03:04:05.123Z""#, minutes(125), "2026-01-02 00:59:05.123Z"),
            (r#""2026-01-01T00:30:00.500000+02:00""#, minutes(60), "2025-12-31T23:30:00.500000+02:00"),
            (r#""2026-01-02T03:04""#, minutes(5), "2026-01-02T02:59"),
            (r#""2026-01-02T03:04:05Z""#, time(Duration::from_millis(1)), "2026-01-02T03:04:04Z"),
            (r#""2026-01-02T03:04:05Z""#, Distance::Number(5), "2026-01-02T03:04:00Z"),
            (r#""2026-01-02""#, minutes(1), "2026-01-01"),
            (r#""2026-01-02""#, minutes(48 * 60), "2025-12-31"),
            ("1700000000", minutes(1), "1699999940"),
            ("1700000000000", minutes(1), "1699999940000"),
            (r#""1512085950.000216""#, minutes(1), "1512085890.000216"),
            ("100", Distance::Number(250), "-150"),
            ("1.50", Distance::Number(1), "0.50"),
            ("0", Distance::Number(0), "0"),
            ("9007199254740993", Distance::Number(1), "9007199254740992"),
        ] {
            assert_eq!(json(value).minus(&lag, &PLAIN).unwrap().text(), expected, "{value}");
        }
    }

    #[test]
    fn a_lag_without_a_meaning_is_an_error() {
        for (value, lag) in [
            (r#""abc""#, minutes(1)),
            ("4711", minutes(1)),
            (r#""0000-01-01T00:00:00Z""#, minutes(1)),
            ("1e400", Distance::Number(1)),
            (r#""2026-01-02""#, time(Duration::MAX)),
            (r#""2026-01-02T03:04:05Z""#, time(Duration::MAX)),
        ] {
            assert!(json(value).minus(&lag, &PLAIN).is_err(), "{value}");
        }
    }

    #[test]
    fn a_window_is_counted_on_the_calendar() {
        for (value, window, expected) in [
            (r#""2026-01-31T12:00:00Z""#, "1mo", "2026-02-28T12:00:00Z"),
            (r#""2026-01-01 00:00:00.000Z""#, "7d", "2026-01-08 00:00:00.000Z"),
            (r#""2026-01-01T00:00:00+02:00""#, "1mo", "2026-02-01T00:00:00+02:00"),
            (r#""2024-02-01""#, "1mo", "2024-03-01"),
            (r#""2026-01-01""#, "12h", "2026-01-02"),
            ("1767225600", "1mo", "1769904000"),
            ("1767225600000", "1d", "1767312000000"),
            ("5", "1000", "1005"),
        ] {
            assert_eq!(json(value).plus(&span(window), &PLAIN).unwrap().text(), expected, "{value} + {window}");
        }
    }

    #[test]
    fn times_are_read_and_written_in_the_time_zone() {
        let at = |format| Notation { format, timezone: "Europe/Berlin".parse().ok(), ..PLAIN };
        for (value, format, expected) in [
            (r#""2026-07-02T00:30:00""#, CursorFormat::Iso8601, "2026-07-02T00:30:00+02:00"),
            (r#""2026-07-01T22:30:00Z""#, CursorFormat::Date, "2026-07-02"),
            (r#""2026-01-02""#, CursorFormat::EpochSeconds, "1767308400"),
        ] {
            assert_eq!(json(value).render(&at(Some(format))).unwrap(), expected, "{value}");
        }
        let now = DateTime::from_timestamp(1_782_945_000, 250_000_000).unwrap();
        for (like, expected) in [
            (r#""2026-01-01T00:00:00Z""#, "2026-07-01T22:30:00Z"),
            (r#""2026-01-01 00:00:00.0""#, "2026-07-02 00:30:00.2"),
            (r#""2026-01-01""#, "2026-07-02"),
            ("1767225600", "1782945000"),
            ("1767225600000", "1782945000250"),
        ] {
            assert_eq!(json(like).like(&now, &at(None)).unwrap().text(), expected, "{like}");
        }
        assert_eq!(json("12").like(&now, &at(None)), None);
        assert_eq!(json("0").like(&now, &in_format(CursorFormat::EpochMillis)).unwrap().text(), "1782945000250");
    }

    proptest! {
        #[test]
        fn a_lag_never_moves_a_value_forward(seconds in 0i64..4_000_000_000, back in 0u64..1_000_000, ms in 0u32..1000) {
            let value = json(&format!("\"{}\"", DateTime::from_timestamp(seconds, ms * 1_000_000).unwrap().to_rfc3339()));
            let moved = value.minus(&time(Duration::from_secs(back)), &PLAIN).unwrap();
            prop_assert_eq!(moved.compare(&value).unwrap().is_lt(), back > 0);
            prop_assert_eq!(moved.kind(), value.kind());
        }

        #[test]
        fn numbers_of_any_size_never_panic(token in "-?[0-9]{1,40}(\\.[0-9]{1,25})?(e-?[0-9]{1,6})?", units: u64) {
            let value = json(&token);
            let _ = (value.minus(&Distance::Number(units), &PLAIN), value.plus(&minutes(1), &PLAIN));
            let _ = (value.start_in_request(StartBound::Exclusive, &PLAIN), value.end_in_request(EndBound::Inclusive, true, &PLAIN));
            let _ = (value.render(&in_format(CursorFormat::EpochMillis)), value.render(&in_format(CursorFormat::Iso8601)));
        }
    }
}
