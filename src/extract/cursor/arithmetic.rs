//! A cursor value moved back by a lag, and written in a format of the file.

use super::time::{self, Moment};
use super::{CursorValue, Value};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{CursorFormat, Lag};
use crate::schema::number::Decimal;
use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, Days, Utc};
use std::time::Duration;

/// Numbers below this are no epoch times: as seconds they lie before March 1973.
const EPOCH_MIN: i128 = 100_000_000;

/// The first number that counts thousandths, millionths or billionths of a second rather than what is above it.
const EPOCH_UNITS: [(i128, i128); 3] =
    [(100_000_000_000_000_000, 1_000_000_000), (100_000_000_000_000, 1_000_000), (100_000_000_000, 1_000)];

/// Digits after the point that arithmetic keeps.
const SCALE_MAX: usize = 18;

impl CursorValue {
    /// The value moved back, written in the pattern of this one: separator, digits, zone. Parts of a second count as
    /// one, and parts of a day as one for a date, because asking too far back loses nothing. A time span moves a number
    /// that is an epoch time, by its unit.
    ///
    /// # Errors
    /// A text has nothing to subtract from; the result has no place on the calendar.
    pub fn minus(&self, lag: &Lag) -> Result<CursorValue> {
        let out_of_range = || Error::new(Kind::Data, "the lag leads out of the calendar").with("cursor", &self.text);
        let text = match &self.value {
            Value::Instant(moment, pattern) | Value::Local(moment, pattern) => {
                let seconds = moment.seconds.checked_sub(lag_seconds(lag)).ok_or_else(out_of_range)?;
                time::write(&Moment { seconds, fraction: moment.fraction.clone() }, pattern).ok_or_else(out_of_range)?
            }
            Value::Date(date) => {
                let days = lag_seconds(lag).max(0).unsigned_abs().div_ceil(86_400);
                date.checked_sub_days(Days::new(days)).ok_or_else(out_of_range)?.format("%Y-%m-%d").to_string()
            }
            Value::Number(number) => {
                let units = match lag {
                    Lag::Number(units) => i128::from(*units),
                    Lag::Time(span) => self.epoch_lag(number, span)?,
                };
                minus_units(&self.text, number, units).ok_or_else(out_of_range)?
            }
            Value::Text => {
                return Err(Error::new(Kind::Data, "a lag can't be taken from a text")
                    .with("cursor", &self.text)
                    .hint("remove `lag`, or choose a cursor that is a time or a number"));
            }
        };
        match CursorValue::parse_json(text.as_bytes()) {
            Ok(Some(value)) if matches!(self.value, Value::Number(_)) => Ok(value),
            _ => Ok(CursorValue::parse_text(&text)),
        }
    }

    /// The value as a request shows it; without a format, as it was seen. What a format can't hold is cut off, never
    /// rounded up, so that an inclusive start is not later than the value. Times without a zone are taken as UTC.
    /// Numbers are epoch times here, of the unit that their size tells.
    ///
    /// # Errors
    /// The value is no time, or the pattern is none.
    pub fn render(&self, format: Option<&CursorFormat>) -> Result<String> {
        let Some(format) = format else { return Ok(self.text.clone()) };
        let moment = self.moment().ok_or_else(|| {
            Error::new(Kind::Data, "the cursor is no time, so `format` can't be applied to it")
                .with("cursor", &self.text)
                .hint("remove `format`: without it values are sent as they were seen")
        })?;
        let time = || {
            DateTime::from_timestamp(moment.seconds, nanos(&moment.fraction)).ok_or_else(|| {
                Error::new(Kind::Data, "the cursor has no place on the calendar").with("cursor", &self.text)
            })
        };
        match format {
            CursorFormat::EpochSeconds => Ok(moment.seconds.to_string()),
            CursorFormat::EpochMillis => {
                Ok((i128::from(moment.seconds) * 1000 + i128::from(nanos(&moment.fraction) / 1_000_000)).to_string())
            }
            CursorFormat::Iso8601 => strftime(&time()?, "%Y-%m-%dT%H:%M:%SZ"),
            CursorFormat::Date => strftime(&time()?, "%Y-%m-%d"),
            CursorFormat::Strftime(pattern) => strftime(&time()?, pattern),
        }
    }

    /// The value on the UTC time line, if it has a place there.
    pub(super) fn moment(&self) -> Option<Moment> {
        match &self.value {
            Value::Instant(moment, _) | Value::Local(moment, _) => Some(moment.clone()),
            Value::Date(date) => {
                let seconds = date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
                Some(Moment { seconds, fraction: String::new() })
            }
            Value::Number(number) => epoch_moment(number),
            Value::Text => None,
        }
    }

    fn epoch_lag(&self, number: &Decimal, span: &Duration) -> Result<i128> {
        let whole = whole_part(number).filter(|whole| whole.abs() >= EPOCH_MIN).ok_or_else(|| {
            Error::new(Kind::Data, "`lag` is a time, but the cursor is a number that is no epoch time")
                .with("cursor", &self.text)
                .hint("give `lag` as a number: how many units to ask back")
        })?;
        Ok(i128::from(whole_seconds(span)) * units_per_second(whole))
    }
}

fn lag_seconds(lag: &Lag) -> i64 {
    match lag {
        Lag::Time(span) => whole_seconds(span),
        Lag::Number(seconds) => *seconds,
    }
}

/// Seconds of a span, a part of one counted as one.
fn whole_seconds(span: &Duration) -> i64 {
    let seconds = span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0));
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

fn units_per_second(epoch: i128) -> i128 {
    EPOCH_UNITS.iter().find(|(from, _)| epoch.abs() >= *from).map_or(1, |(_, units)| *units)
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

fn epoch_moment(number: &Decimal) -> Option<Moment> {
    let (value, scale) = scaled(number)?;
    let per_second = units_per_second(value / 10i128.pow(scale as u32)).checked_mul(10i128.pow(scale as u32))?;
    let digits = per_second.ilog10() as usize;
    let fraction = format!("{:0digits$}", value.rem_euclid(per_second));
    let seconds = i64::try_from(value.div_euclid(per_second)).ok()?;
    Some(Moment { seconds, fraction: fraction.trim_end_matches('0').to_owned() })
}

/// The first nine digits of a fraction.
fn nanos(fraction: &str) -> u32 {
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    digits.parse().unwrap_or(0)
}

/// Subtracts whole units, keeping as many digits after the point as the text has.
fn minus_units(text: &str, number: &Decimal, units: i128) -> Option<String> {
    let shown = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let scale = shown.max(usize::try_from(number.scale()).ok()?);
    let scale = Some(scale).filter(|scale| *scale <= SCALE_MAX)?;
    let value = number.to_scaled_i128(scale as u8)?;
    let value = value.checked_sub(units.checked_mul(10i128.pow(scale as u32))?)?;
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    Some(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

/// A time in a strftime pattern. The pattern is checked first, because writing an invalid one panics.
fn strftime(time: &DateTime<Utc>, pattern: &str) -> Result<String> {
    let items: Vec<_> = StrftimeItems::new(pattern).collect();
    if items.iter().any(|item| matches!(item, Item::Error)) {
        return Err(Error::new(Kind::Config, "`format` is not a strftime pattern").with("format", pattern));
    }
    Ok(time.format_with_items(items.into_iter()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(token: &str) -> CursorValue {
        CursorValue::parse_json(token.as_bytes()).unwrap().unwrap()
    }

    fn minutes(count: u64) -> Lag {
        Lag::Time(Duration::from_secs(count * 60))
    }

    #[test]
    fn a_lag_is_written_in_the_pattern_of_its_value() {
        for (value, lag, expected) in [
            (r#""2026-01-02 03:04:05.123Z""#, minutes(125), "2026-01-02 00:59:05.123Z"),
            (r#""2026-01-01T00:30:00.500000+02:00""#, minutes(60), "2025-12-31T23:30:00.500000+02:00"),
            (r#""2026-01-02T03:04""#, minutes(5), "2026-01-02T02:59"),
            (r#""2026-01-02T03:04:05Z""#, Lag::Time(Duration::from_millis(1)), "2026-01-02T03:04:04Z"),
            (r#""2026-01-02T03:04:05Z""#, Lag::Number(5), "2026-01-02T03:04:00Z"),
            (r#""2026-01-02""#, minutes(1), "2026-01-01"),
            (r#""2026-01-02""#, minutes(48 * 60), "2025-12-31"),
            ("1700000000", minutes(1), "1699999940"),
            ("1700000000000", minutes(1), "1699999940000"),
            (r#""1512085950.000216""#, minutes(1), "1512085890.000216"),
            ("100", Lag::Number(250), "-150"),
            ("1.50", Lag::Number(1), "0.50"),
            ("0", Lag::Number(0), "0"),
            ("9007199254740993", Lag::Number(1), "9007199254740992"),
        ] {
            assert_eq!(json(value).minus(&lag).unwrap().text(), expected, "{value}");
        }
    }

    #[test]
    fn a_lag_without_a_meaning_is_an_error() {
        for (value, lag) in [
            (r#""abc""#, minutes(1)),
            ("4711", minutes(1)),
            (r#""0000-01-01T00:00:00Z""#, minutes(1)),
            ("1e400", Lag::Number(1)),
            (r#""2026-01-02""#, Lag::Time(Duration::MAX)),
            (r#""2026-01-02T03:04:05Z""#, Lag::Time(Duration::MAX)),
        ] {
            assert!(json(value).minus(&lag).is_err(), "{value}");
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
            assert_eq!(json(value).render(Some(&format)).unwrap(), expected, "{value} as {format:?}");
        }
        assert_eq!(json("1.500").render(None).unwrap(), "1.500");
        assert!(json(r#""abc""#).render(Some(&CursorFormat::Date)).is_err());
        assert!(json(r#""2026-01-02""#).render(Some(&strftime("%Q"))).is_err());
    }

    proptest! {
        #[test]
        fn a_lag_never_moves_a_value_forward(seconds in 0i64..4_000_000_000, back in 0u64..1_000_000, ms in 0u32..1000) {
            let value = json(&format!("\"{}\"", DateTime::from_timestamp(seconds, ms * 1_000_000).unwrap().to_rfc3339()));
            let moved = value.minus(&Lag::Time(Duration::from_secs(back))).unwrap();
            prop_assert_eq!(moved.compare(&value).unwrap().is_lt(), back > 0);
            prop_assert_eq!(moved.kind(), value.kind());
        }

        #[test]
        fn numbers_of_any_size_never_panic(token in "-?[0-9]{1,40}(\\.[0-9]{1,25})?(e-?[0-9]{1,6})?", units: i64) {
            let value = json(&token);
            let _ = (value.minus(&Lag::Number(units)), value.minus(&minutes(1)));
            let _ = (value.render(Some(&CursorFormat::EpochMillis)), value.render(Some(&CursorFormat::Iso8601)));
        }
    }
}
