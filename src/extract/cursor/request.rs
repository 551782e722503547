//! Cursor values as requests show them: in the format of the file, and one unit aside where the API's bounds are others than ours.

use super::arithmetic::{DAY_S, Direction, SCALE_MAX, shown_scale, units_per_second, whole_part, write_scaled};
use super::patterns::{strftime, unit_of};
use super::time::{self, Moment, Unit};
use super::{CursorValue, Value};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{CursorFormat, EndBound, Notation, StartBound};
use crate::plan::timezone::TimeZone;
use crate::schema::number::Decimal;
use chrono::{Months, NaiveTime, TimeDelta};
use serde_json::Value as Json;

impl CursorValue {
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

    /// The start as a request asks for it: one unit earlier where the API does not take it for a part of the range.
    ///
    /// # Errors
    /// As [`CursorValue::render`], or the unit leads out of the calendar.
    pub fn start_in_request(&self, bound: StartBound, notation: &Notation) -> Result<Json> {
        match bound {
            StartBound::Inclusive => self.in_request(notation),
            StartBound::Exclusive => self.aside(Direction::Back, notation)?.in_request(notation),
        }
    }

    /// The earliest value that a request which starts here brings, as far as its start can say: records from here on may come
    /// again although an earlier request brought them.
    ///
    /// # Errors
    /// As [`CursorValue::start_in_request`], or what the format writes can't be read.
    pub fn reach_of_start(&self, bound: StartBound, notation: &Notation) -> Result<CursorValue> {
        let start = match bound {
            StartBound::Inclusive => self.clone(),
            StartBound::Exclusive => self.aside(Direction::Back, notation)?,
        };
        match &notation.format {
            Some(format) if !start.keeps_fraction(format, notation) => {
                start.shown_moment(format, notation)?.and_then(|shown| shown.as_value()).ok_or_else(|| {
                    Error::new(Kind::Config, "what `format` writes is no time that could be read back")
                        .with("cursor", start.text())
                        .hint("records that come twice are told by it: have `format` show the whole date")
                })
            }
            Some(_) | None => Ok(start),
        }
    }

    /// An exclusive end as a request shows it. Where the API takes the end for a part of the range, it is one unit of the
    /// format earlier. An end that the format can't show is cut off where the next slice starts there, and rounded up where
    /// none follows.
    ///
    /// # Errors
    /// As [`CursorValue::render`], or the unit leads out of the calendar.
    pub fn end_in_request(&self, bound: EndBound, is_shared: bool, notation: &Notation) -> Result<Json> {
        let is_cut = match &notation.format {
            Some(format) if !is_shared && !self.keeps_fraction(format, notation) => {
                self.shown_moment(format, notation)?.is_some_and(|shown| Some(shown) < self.moment(notation))
            }
            Some(_) | None => false,
        };
        match (bound, is_cut) {
            (EndBound::Exclusive, false) | (EndBound::Inclusive, true) => self.in_request(notation),
            (EndBound::Exclusive, true) => self.aside(Direction::On, notation)?.in_request(notation),
            (EndBound::Inclusive, false) => self.aside(Direction::Back, notation)?.in_request(notation),
        }
    }

    /// The moment that a request shows for this value: what the format can't hold is cut off. `None`: nothing can be read from
    /// what it writes.
    ///
    /// # Errors
    /// As [`CursorValue::render`].
    pub(super) fn shown_moment(&self, format: &CursorFormat, notation: &Notation) -> Result<Option<Moment>> {
        let digits = match format {
            CursorFormat::EpochSeconds => 0,
            CursorFormat::EpochMillis => 3,
            CursorFormat::Iso8601 | CursorFormat::Date | CursorFormat::Strftime(_) => {
                let shown = CursorValue::parse_in(&self.render(notation)?, format);
                return Ok(shown.and_then(|shown| shown.moment(notation)));
            }
        };
        let moment = self.time(notation)?;
        let fraction = moment.fraction.get(..digits).unwrap_or(&moment.fraction).trim_end_matches('0').to_owned();
        Ok(Some(Moment { seconds: moment.seconds, fraction }))
    }

    /// The value one unit aside: of the format, or of its own last place where requests show it as it was seen.
    pub(super) fn aside(&self, direction: Direction, notation: &Notation) -> Result<CursorValue> {
        let format = notation.format.as_ref().filter(|format| !self.keeps_fraction(format, notation));
        let Some(format) = format else { return self.own_unit_aside(direction) };
        let zone = notation.timezone.unwrap_or_default();
        let moved = one_unit(&self.time(notation)?, unit_shown(format), direction, zone);
        moved.and_then(|moment| moment.as_value()).ok_or_else(|| self.out_of_range())
    }

    fn own_unit_aside(&self, direction: Direction) -> Result<CursorValue> {
        // What is written is a clock of its own: no zone has a say in it, and no summer time.
        let moved = |moment: &Moment, unit| one_unit(moment, unit, direction, TimeZone::default());
        let text = match &self.value {
            Value::Instant(moment, pattern) | Value::Local(moment, pattern) => {
                moved(moment, pattern.unit()).and_then(|moment| time::write(&moment, pattern))
            }
            Value::Date(date, pattern) => {
                let unit = pattern.as_ref().map_or(Unit::Seconds(DAY_S), |pattern| unit_of(pattern));
                moved(&Moment::of(date.and_time(NaiveTime::MIN), 0), unit).and_then(|moment| self.write_date(&moment))
            }
            Value::Number(number) => last_place_aside(&self.text, number, direction),
            Value::Text => {
                return Err(Error::new(Kind::Data, "a text has no neighbour that a bound could be")
                    .with("cursor", &self.text)
                    .hint("leave `start_bound` and `end_bound` out, or choose a cursor that is a time or a number"));
            }
        };
        text.map(|text| self.rewritten(text)).ok_or_else(|| self.out_of_range())
    }

    /// Whether a request shows the number as it was seen: seconds with a fraction stay what they are in seconds.
    pub(super) fn keeps_fraction(&self, format: &CursorFormat, notation: &Notation) -> bool {
        let Value::Number(number) = &self.value else { return false };
        *format == CursorFormat::EpochSeconds
            && number.scale() > 0
            && shown_scale(&self.text, number).is_some()
            && whole_part(number).and_then(|whole| units_per_second(whole, notation)) == Some(1)
    }

    pub(super) fn time(&self, notation: &Notation) -> Result<Moment> {
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
            CursorFormat::EpochSeconds => {
                return Ok(self.plain_fraction(format, notation).unwrap_or_else(|| moment.seconds.to_string()));
            }
            CursorFormat::EpochMillis => return Ok(utc.and_utc().timestamp_millis().to_string()),
            CursorFormat::Iso8601 if notation.timezone.is_none() => "%Y-%m-%dT%H:%M:%SZ",
            CursorFormat::Iso8601 => "%Y-%m-%dT%H:%M:%S%:z",
            CursorFormat::Date => "%Y-%m-%d",
            CursorFormat::Strftime(pattern) => pattern,
        };
        strftime(wall, offset, pattern)
            .ok_or_else(|| Error::new(Kind::Config, "`format` is not a strftime pattern").with("format", pattern))
    }

    /// A number that keeps its fraction, without an exponent.
    fn plain_fraction(&self, format: &CursorFormat, notation: &Notation) -> Option<String> {
        let Value::Number(number) = &self.value else { return None };
        if !self.keeps_fraction(format, notation) {
            return None;
        }
        let scale = shown_scale(&self.text, number)?;
        Some(write_scaled(number.to_scaled_i128(scale as u8)?, scale))
    }
}

/// The smallest step that a format shows.
fn unit_shown(format: &CursorFormat) -> Unit {
    match format {
        CursorFormat::Iso8601 | CursorFormat::EpochSeconds => Unit::Seconds(1),
        CursorFormat::EpochMillis => Unit::Digits(3),
        CursorFormat::Date => Unit::Seconds(DAY_S),
        CursorFormat::Strftime(pattern) => unit_of(pattern),
    }
}

/// The moment one unit earlier or later. Days and months are those of the zone's wall clock.
fn one_unit(moment: &Moment, unit: Unit, direction: Direction, zone: TimeZone) -> Option<Moment> {
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

/// The number that is one smaller or larger in the last place that the text shows.
fn last_place_aside(text: &str, number: &Decimal, direction: Direction) -> Option<String> {
    let scale = shown_scale(text, number)?;
    let step = if direction == Direction::Back { -1 } else { 1 };
    Some(write_scaled(number.to_scaled_i128(scale as u8)?.checked_add(step)?, scale))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: Notation = Notation { format: None, record_formats: Vec::new(), timezone: None };

    fn json(token: &str) -> CursorValue {
        CursorValue::parse_json(token.as_bytes(), &PLAIN).unwrap().unwrap()
    }

    fn in_format(format: CursorFormat) -> Notation {
        Notation { format: Some(format), ..PLAIN }
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
            let notation = Notation { format, ..PLAIN };
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
    fn a_body_gets_a_number_where_the_api_has_one() {
        let value = |token: &str, format| json(token).in_request(&Notation { format, ..PLAIN }).unwrap().to_string();
        assert_eq!(value("1767312000", None), "1767312000");
        assert_eq!(value(r#""1767312000""#, None), "\"1767312000\"");
        assert_eq!(value(r#""2026-01-02""#, Some(CursorFormat::EpochSeconds)), "1767312000");
        assert_eq!(value("1767312000", Some(CursorFormat::Date)), "\"2026-01-02\"");
    }

    #[test]
    fn an_exclusive_start_is_one_unit_of_its_precision_earlier() {
        let strftime = |pattern: &str| Some(CursorFormat::Strftime(pattern.to_owned()));
        for (value, format, expected) in [
            (r#""2026-01-08T00:00:00Z""#, None, "\"2026-01-07T23:59:59Z\""),
            (r#""2026-01-08T00:00:00.000Z""#, None, "\"2026-01-07T23:59:59.999Z\""),
            (r#""2026-03-01""#, None, "\"2026-02-28\""),
            (r#""Thu, 01 Jan 2026 00:00:00 GMT""#, None, "\"Wed, 31 Dec 2025 23:59:59 GMT\""),
            ("1000", None, "999"),
            (r#""1512085950.000216""#, Some(CursorFormat::EpochSeconds), "1512085950.000215"),
            (r#""2026-01-08T05:00:00.5Z""#, Some(CursorFormat::EpochSeconds), "1767848399"),
            (r#""2026-01-08T05:00:00.5Z""#, Some(CursorFormat::EpochMillis), "1767848400499"),
            (r#""2026-01-08T05:00:00Z""#, Some(CursorFormat::Date), "\"2026-01-07\""),
            (r#""2026-03-31""#, strftime("%Y-%m"), "\"2026-02\""),
        ] {
            let notation = Notation { format, ..PLAIN };
            let start = json(value).start_in_request(StartBound::Exclusive, &notation).unwrap();
            assert_eq!(start.to_string(), expected, "{value} in {notation:?}");
        }
        assert!(json(r#""abc""#).start_in_request(StartBound::Exclusive, &PLAIN).is_err());
    }

    #[test]
    fn seconds_keep_their_fraction_and_other_units_are_cut_off() {
        let seconds = in_format(CursorFormat::EpochSeconds);
        for (token, expected) in [
            (r#""1512085950.000216""#, "1512085950.000216"),
            ("1512085950.25", "1512085950.25"),
            ("1.51208595025e9", "1512085950.25"),
            ("1512085950.0", "1512085950"),
            ("1512085950250.75", "1512085950"),
        ] {
            assert_eq!(json(token).render(&seconds).unwrap(), expected, "{token}");
        }
    }

    #[test]
    fn a_day_is_one_day_where_summer_time_ends_or_begins() {
        let berlin = Notation { timezone: "Europe/Berlin".parse().ok(), ..PLAIN };
        for (day, before) in [("2026-10-26", "2026-10-25"), ("2026-03-30", "2026-03-29"), ("2026-03-29", "2026-03-28")]
        {
            for format in [None, Some(CursorFormat::Date)] {
                let notation = Notation { format, ..berlin.clone() };
                let day = CursorValue::parse_text(day, &notation);
                assert_eq!(day.end_in_request(EndBound::Inclusive, true, &notation).unwrap(), before);
                assert_eq!(day.start_in_request(StartBound::Exclusive, &notation).unwrap(), before);
            }
        }
    }

    proptest! {
        #[test]
        fn what_a_start_reaches_is_never_later_than_the_value(seconds in 0i64..4_000_000_000, ms in 0u32..1000, which in 0usize..6) {
            let strftime = |pattern: &str| Some(CursorFormat::Strftime(pattern.to_owned()));
            let formats = [None, Some(CursorFormat::Date), Some(CursorFormat::EpochSeconds), Some(CursorFormat::EpochMillis),
                strftime("%Y-%m"), strftime("%Y%W")];
            let notation = Notation { format: formats[which].clone(), ..PLAIN };
            let at = chrono::DateTime::from_timestamp(seconds, ms * 1_000_000).unwrap();
            let value = CursorValue::parse_text(&at.to_rfc3339(), &PLAIN);
            let inclusive = value.reach_of_start(StartBound::Inclusive, &notation).unwrap();
            let exclusive = value.reach_of_start(StartBound::Exclusive, &notation).unwrap();
            prop_assert!(inclusive.order(&value, &notation).unwrap().is_le());
            prop_assert!(exclusive.order(&inclusive, &notation).unwrap().is_le());
            prop_assert!(exclusive.order(&value, &notation).unwrap().is_lt());
        }
    }
}
