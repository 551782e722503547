//! Cursor values that are computed: moved by a lag or a window, and written as requests show them.

use super::time::{self, Moment, Unit};
use super::{CursorValue, Value};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{CursorFormat, Distance, EndBound, Notation};
use crate::schema::number::Decimal;
use chrono::{DateTime, FixedOffset, Months, NaiveDateTime, TimeDelta, Utc};
use serde_json::Value as Json;
use std::time::Duration;

/// Numbers below this are no epoch times unless `format` says so: as seconds they lie before March 1973.
const EPOCH_MIN: i128 = 100_000_000;

/// The first number that counts thousandths, millionths or billionths of a second rather than what is above it.
const EPOCH_UNITS: [(i128, i128); 3] =
    [(100_000_000_000_000_000, 1_000_000_000), (100_000_000_000_000, 1_000_000), (100_000_000_000, 1_000)];

/// Digits after the point that arithmetic keeps.
const SCALE_MAX: usize = 18;

const DAY_S: i64 = 86_400;

/// Whether a step leads back or on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
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

    /// The value one step of its own earlier, or of the `format` in which requests show it.
    fn unit_earlier(&self, notation: &Notation) -> Result<CursorValue> {
        let back = |moment: &Moment, unit| one_unit(moment, unit, Direction::Back, notation);
        let text = match &self.value {
            Value::Instant(moment, pattern) | Value::Local(moment, pattern) => {
                back(moment, pattern.unit()).and_then(|moment| time::write(&moment, pattern))
            }
            Value::Date(date, pattern) => {
                let unit = pattern.as_ref().map_or(Unit::Seconds(DAY_S), |pattern| time::unit_of(pattern));
                let moment = Moment::of(date.and_time(chrono::NaiveTime::MIN), 0);
                back(&moment, unit).and_then(|moment| self.write_date(&moment))
            }
            Value::Number(number) => last_place_earlier(&self.text, number),
            Value::Text => None,
        };
        text.map(|text| self.rewritten(text)).ok_or_else(|| self.out_of_range())
    }

    /// The same kind of value with another text.
    fn rewritten(&self, text: String) -> CursorValue {
        let format = self.pattern().map(|pattern| CursorFormat::Strftime(pattern.to_string()));
        let value = CursorValue::parse_text(&text, &Notation { format, timezone: None });
        CursorValue { quoted: self.quoted, ..value }
    }

    fn write_date(&self, moment: &Moment) -> Option<String> {
        let pattern = self.pattern().map_or("%Y-%m-%d", |pattern| pattern);
        time::strftime(moment.wall()?, FixedOffset::east_opt(0)?, pattern)
    }

    fn out_of_range(&self) -> Error {
        Error::new(Kind::Data, "`lag` or `window` leads out of the calendar").with("cursor", &self.text)
    }

    /// An instant written as this value is; what has no room is cut off. `None` for texts and for numbers that are no times.
    pub fn like(&self, moment: &DateTime<Utc>, notation: &Notation) -> Option<CursorValue> {
        self.of_moment(&Moment::of(moment.naive_utc(), 0), notation)
    }

    /// Another value's place on the time line, written as this value is.
    pub(super) fn like_value(&self, other: &CursorValue, notation: &Notation) -> Option<CursorValue> {
        self.of_moment(&other.moment(notation)?, notation)
    }

    fn of_moment(&self, moment: &Moment, notation: &Notation) -> Option<CursorValue> {
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

    /// The value as a request shows it; without a format, as it was seen. What a format can't hold is cut off, never
    /// rounded up, so that an inclusive start is not later than the value. Times without a zone are taken as UTC, or as
    /// `timezone` says. Numbers are epoch times here, of the unit that their size tells.
    ///
    /// # Errors
    /// The value is no time, or the pattern is none.
    pub fn render(&self, notation: &Notation) -> Result<String> {
        match &notation.format {
            Some(format) => self.formatted(&self.time(notation)?, format, notation),
            None => Ok(self.text.clone()),
        }
    }

    /// As [`CursorValue::render`], as a JSON body has it: a number where the API has a number, or the format is one.
    ///
    /// # Errors
    /// As [`CursorValue::render`].
    pub fn in_request(&self, notation: &Notation) -> Result<Json> {
        let text = self.render(notation)?;
        let is_number = match &notation.format {
            Some(CursorFormat::EpochSeconds | CursorFormat::EpochMillis) => true,
            Some(CursorFormat::Iso8601 | CursorFormat::Date) => false,
            Some(CursorFormat::Strftime(_)) | None => !self.quoted,
        };
        let number: Option<Json> = serde_json::from_str(&text).ok();
        // What a JSON number would not give back as it was written stays a text.
        let number = number.filter(|value| value.as_number().is_some_and(|number| number.to_string() == text));
        Ok(number.filter(|_| is_number).unwrap_or(Json::String(text)))
    }

    /// An exclusive end as a request shows it. Where the API takes the end for a part of the range, it is one unit of the
    /// format earlier. An end that the format can't show is cut off where the next slice starts there, and rounded up where
    /// none follows.
    ///
    /// # Errors
    /// As [`CursorValue::render`], or the unit leads out of the calendar.
    pub fn end_in_request(&self, bound: EndBound, is_shared: bool, notation: &Notation) -> Result<Json> {
        let Some(format) = &notation.format else {
            return match bound {
                EndBound::Exclusive => self.in_request(notation),
                EndBound::Inclusive => self.unit_earlier(notation)?.in_request(notation),
            };
        };
        let unit = match format {
            CursorFormat::Iso8601 | CursorFormat::EpochSeconds => Unit::Seconds(1),
            CursorFormat::EpochMillis => Unit::Digits(3),
            CursorFormat::Date => Unit::Seconds(DAY_S),
            CursorFormat::Strftime(pattern) => time::unit_of(pattern),
        };
        let shown = CursorValue::parse_text(&self.render(notation)?, notation);
        let is_cut = !is_shared && shown.order(self, notation).is_ok_and(|order| order.is_lt());
        let direction = match (bound, is_cut) {
            (EndBound::Exclusive, false) | (EndBound::Inclusive, true) => return self.in_request(notation),
            (EndBound::Exclusive, true) => Direction::On,
            (EndBound::Inclusive, false) => Direction::Back,
        };
        let moved = one_unit(&self.time(notation)?, unit, direction, notation).and_then(|moment| moment.wall());
        let instant = moved.ok_or_else(|| self.out_of_range())?;
        CursorValue::parse_text(&instant.and_utc().to_rfc3339(), &Notation::default()).in_request(notation)
    }

    fn time(&self, notation: &Notation) -> Result<Moment> {
        self.moment(notation).ok_or_else(|| {
            Error::new(Kind::Data, "the cursor is no time, so `format` can't be applied to it")
                .with("cursor", &self.text)
                .hint("remove `format`: without it values are sent as they were seen")
        })
    }

    fn formatted(&self, moment: &Moment, format: &CursorFormat, notation: &Notation) -> Result<String> {
        let utc = moment.wall().ok_or_else(|| {
            Error::new(Kind::Data, "the cursor has no place on the calendar").with("cursor", &self.text)
        })?;
        let (wall, offset) = notation.timezone.unwrap_or_default().wall(utc);
        let pattern = match format {
            CursorFormat::EpochSeconds => return Ok(moment.seconds.to_string()),
            CursorFormat::EpochMillis => return Ok(utc.and_utc().timestamp_millis().to_string()),
            CursorFormat::Iso8601 if notation.timezone.is_none() => "%Y-%m-%dT%H:%M:%SZ",
            CursorFormat::Iso8601 => "%Y-%m-%dT%H:%M:%S%:z",
            CursorFormat::Date => "%Y-%m-%d",
            CursorFormat::Strftime(pattern) => pattern,
        };
        time::strftime(wall, offset, pattern)
            .ok_or_else(|| Error::new(Kind::Config, "`format` is not a strftime pattern").with("format", pattern))
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

/// A moment moved by a step. Months are those of the calendar that a clock so far east of UTC goes by.
fn shifted(moment: &Moment, east_s: i64, step: &Distance, direction: Direction) -> Option<Moment> {
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

/// The moment one unit earlier or later. Days and months are those of the wall clock.
fn one_unit(moment: &Moment, unit: Unit, direction: Direction, notation: &Notation) -> Option<Moment> {
    let zone = notation.timezone.unwrap_or_default();
    let sign = if direction == Direction::Back { -1 } else { 1 };
    match unit {
        Unit::Digits(digits) => {
            let digits = digits.min(SCALE_MAX);
            let per_second = 10i128.pow(digits as u32);
            let fraction = moment.fraction.get(..digits).unwrap_or(&moment.fraction);
            let shown: i128 = format!("{fraction:0<digits$}").parse().ok()?;
            let count = i128::from(moment.seconds) * per_second + shown + i128::from(sign);
            let fraction = format!("{:0digits$}", count.rem_euclid(per_second));
            let seconds = i64::try_from(count.div_euclid(per_second)).ok()?;
            Some(Moment { seconds, fraction: fraction.trim_end_matches('0').to_owned() })
        }
        Unit::Seconds(seconds) if seconds < DAY_S => {
            Some(Moment { seconds: moment.seconds.checked_add(sign * seconds)?, fraction: moment.fraction.clone() })
        }
        Unit::Seconds(seconds) => {
            let wall = zone.wall(moment.wall()?).0.checked_add_signed(TimeDelta::seconds(sign * seconds))?;
            Some(Moment::of(zone.instant(wall), 0))
        }
        Unit::Months(months) => {
            let (wall, months) = (zone.wall(moment.wall()?).0, Months::new(months));
            let wall = match direction {
                Direction::Back => wall.checked_sub_months(months)?,
                Direction::On => wall.checked_add_months(months)?,
            };
            Some(Moment::of(zone.instant(wall), 0))
        }
    }
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

/// What a number counts, per second: by its size, or as `format` says where it is too small to tell.
fn units_per_second(epoch: i128, notation: &Notation) -> Option<i128> {
    if epoch.abs() >= EPOCH_MIN {
        return Some(EPOCH_UNITS.iter().find(|(from, _)| epoch.abs() >= *from).map_or(1, |(_, units)| *units));
    }
    match notation.format {
        Some(CursorFormat::EpochSeconds) => Some(1),
        Some(CursorFormat::EpochMillis) => Some(1_000),
        Some(CursorFormat::Iso8601 | CursorFormat::Date | CursorFormat::Strftime(_)) | None => None,
    }
}

/// The number without its fraction, towards zero.
fn whole_part(number: &Decimal) -> Option<i128> {
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

/// The number that is one smaller in the last place that the text shows.
fn last_place_earlier(text: &str, number: &Decimal) -> Option<String> {
    let scale = shown_scale(text, number)?;
    Some(write_scaled(number.to_scaled_i128(scale as u8)?.checked_sub(1)?, scale))
}

fn shown_scale(text: &str, number: &Decimal) -> Option<usize> {
    let shown = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    Some(shown.max(usize::try_from(number.scale()).ok()?)).filter(|scale| *scale <= SCALE_MAX)
}

fn write_scaled(value: i128, scale: usize) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::duration::{Span, parse_span};
    use proptest::prelude::*;

    const PLAIN: Notation = Notation { format: None, timezone: None };

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
        Notation { format: Some(format), timezone: None }
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
    fn formats_cut_off_and_never_round_up() {
        let strftime = |pattern: &str| CursorFormat::Strftime(pattern.to_owned());
        for (value, format, expected) in [
            (r#""2026-01-02T03:04:05.999+02:00""#, CursorFormat::Iso8601, "2026-01-02T01:04:05Z"),
            (r#""2026-01-02T03:04:05.999""#, CursorFormat::Iso8601, "2026-01-02T03:04:05Z"),
            (r#""2026-01-02T01:00:00+02:00""#, CursorFormat::Date, "2026-01-01"),
            (r#""2026-01-02""#, CursorFormat::EpochSeconds, "1767312000"),
            (r#""2026-01-02T00:00:00.9999Z""#, CursorFormat::EpochSeconds, "1767312000"),
            (r#""2026-01-02T00:00:00.9999Z""#, CursorFormat::EpochMillis, "1767312000999"),
            ("1767312000999", CursorFormat::EpochSeconds, "1767312000"),
            ("1767312000", CursorFormat::EpochMillis, "1767312000000"),
            ("1767312000.25", CursorFormat::EpochMillis, "1767312000250"),
            ("1767312000999", CursorFormat::Iso8601, "2026-01-02T00:00:00Z"),
            ("0", CursorFormat::EpochMillis, "0"),
            (r#""2026-01-02T03:04:05Z""#, strftime("%d/%m/%Y %H:%M"), "02/01/2026 03:04"),
        ] {
            assert_eq!(json(value).render(&in_format(format.clone())).unwrap(), expected, "{value} as {format:?}");
        }
        assert_eq!(json("1.500").render(&PLAIN).unwrap(), "1.500");
        assert!(json(r#""abc""#).render(&in_format(CursorFormat::Date)).is_err());
        assert!(json(r#""2026-01-02""#).render(&in_format(strftime("%Q"))).is_err());
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
    fn an_inclusive_end_is_one_unit_of_its_precision_earlier() {
        let strftime = |pattern: &str| Some(CursorFormat::Strftime(pattern.to_owned()));
        for (value, format, expected) in [
            (r#""2026-01-08T00:00:00Z""#, None, "\"2026-01-07T23:59:59Z\""),
            (r#""2026-01-08 00:00:00.000Z""#, None, "\"2026-01-07 23:59:59.999Z\""),
            (r#""2026-01-08T00:00+02:00""#, None, "\"2026-01-07T23:59+02:00\""),
            (r#""2026-03-01""#, None, "\"2026-02-28\""),
            ("1000", None, "999"),
            ("1.50", None, "1.49"),
            (r#""2026-01-08T05:00:00Z""#, Some(CursorFormat::Date), "\"2026-01-07\""),
            (r#""2026-01-08T00:00:00Z""#, Some(CursorFormat::EpochMillis), "1767830399999"),
            (r#""2026-01-08""#, Some(CursorFormat::EpochSeconds), "1767830399"),
            (r#""2026-03-31""#, strftime("%Y-%m"), "\"2026-02\""),
            (r#""2026-01-08T00:00:00Z""#, strftime("%d/%m/%Y %H:%M"), "\"07/01/2026 23:59\""),
        ] {
            let notation = Notation { format, timezone: None };
            let end = json(value).end_in_request(EndBound::Inclusive, true, &notation).unwrap();
            assert_eq!(end.to_string(), expected, "{value} in {notation:?}");
        }
    }

    #[test]
    fn the_last_end_is_rounded_up_to_what_the_format_can_show() {
        let date = in_format(CursorFormat::Date);
        for (value, bound, expected) in [
            ("2026-01-08T05:00:00Z", EndBound::Exclusive, "2026-01-09"),
            ("2026-01-08T05:00:00Z", EndBound::Inclusive, "2026-01-08"),
            ("2026-01-08T00:00:00Z", EndBound::Exclusive, "2026-01-08"),
            ("2026-01-08", EndBound::Inclusive, "2026-01-07"),
        ] {
            let end = CursorValue::parse_text(value, &date).end_in_request(bound, false, &date).unwrap();
            assert_eq!(end, expected, "{value} {bound:?}");
        }
    }

    #[test]
    fn times_are_read_and_written_in_the_time_zone() {
        let at = |format| Notation { format, timezone: "Europe/Berlin".parse().ok() };
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

    #[test]
    fn a_body_gets_a_number_where_the_api_has_one() {
        let value =
            |token: &str, format| json(token).in_request(&Notation { format, timezone: None }).unwrap().to_string();
        assert_eq!(value("1767312000", None), "1767312000");
        assert_eq!(value(r#""1767312000""#, None), "\"1767312000\"");
        assert_eq!(value(r#""2026-01-02""#, Some(CursorFormat::EpochSeconds)), "1767312000");
        assert_eq!(value("1767312000", Some(CursorFormat::Date)), "\"2026-01-02\"");
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
            let _ = (value.minus(&Distance::Number(units), &PLAIN), value.plus(&minutes(1), &PLAIN), value.unit_earlier(&PLAIN));
            let _ = (value.render(&in_format(CursorFormat::EpochMillis)), value.render(&in_format(CursorFormat::Iso8601)));
        }
    }
}
