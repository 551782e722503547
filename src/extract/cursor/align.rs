//! Slices that begin where units of the calendar do.

use super::arithmetic::{DAY_S, write_scaled};
use super::time::{self, Moment};
use super::{CursorValue, Value};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{Distance, Notation};
use crate::plan::timezone::TimeZone;
use crate::schema::number::Decimal;
use chrono::{Datelike, FixedOffset, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};

/// Where the units of a window begin on a wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grid {
    /// So many months, counted from a January.
    Months(u32),
    /// So many days, counted from a Monday: seven of them are a week.
    Days(i64),
    /// So many seconds, which divide a day, counted from midnight.
    Seconds(i64),
}

/// The Monday from which days are counted.
const MONDAY: NaiveDate = match NaiveDate::from_ymd_opt(1970, 1, 5) {
    Some(date) => date,
    None => NaiveDate::MIN,
};

impl Grid {
    /// The units of a window; `None` when it is no unit: `36h` and `1mo2d` begin nowhere on the calendar.
    fn of(window: &Distance) -> Option<Grid> {
        let (months, rest_s) = match window {
            Distance::Time(span) if span.rest.subsec_nanos() == 0 => (span.months, span.rest.as_secs()),
            Distance::Time(_) => return None,
            Distance::Number(seconds) => (0, *seconds),
        };
        let rest_s = i64::try_from(rest_s).ok()?;
        match (months, rest_s) {
            (0, 0) => None,
            (months, 0) => Some(Grid::Months(months)),
            (0, seconds) if seconds % DAY_S == 0 => Some(Grid::Days(seconds / DAY_S)),
            (0, seconds) if DAY_S % seconds == 0 => Some(Grid::Seconds(seconds)),
            _ => None,
        }
    }

    /// The beginning of the unit in which a clock's time lies, or so many units later.
    fn beginning(self, wall: NaiveDateTime, later: u32) -> Option<NaiveDateTime> {
        match self {
            Grid::Months(count) => {
                let month = i64::from(wall.year()) * 12 + i64::from(wall.month0());
                let first = month.div_euclid(i64::from(count)) * i64::from(count);
                let year = i32::try_from(first.div_euclid(12)).ok()?;
                let date = NaiveDate::from_ymd_opt(year, u32::try_from(first.rem_euclid(12)).ok()? + 1, 1)?;
                date.checked_add_months(Months::new(count.checked_mul(later)?))
                    .map(|date| date.and_time(NaiveTime::MIN))
            }
            Grid::Days(count) => {
                let days = wall.date().signed_duration_since(MONDAY).num_days().div_euclid(count) + i64::from(later);
                let date = MONDAY.checked_add_signed(TimeDelta::try_days(days.checked_mul(count)?)?)?;
                Some(date.and_time(NaiveTime::MIN))
            }
            Grid::Seconds(count) => {
                let units = i64::from(wall.num_seconds_from_midnight()).div_euclid(count) + i64::from(later);
                wall.date().and_time(NaiveTime::MIN).checked_add_signed(TimeDelta::try_seconds(units * count)?)
            }
        }
    }
}

/// Whether the slices of a window can begin where units do. Numbers have units of any length.
pub fn can_align(window: &Distance, is_time: bool) -> bool {
    !is_time || Grid::of(window).is_some()
}

impl CursorValue {
    /// The beginning of the window's unit in which this value lies. Days and months are those of `timezone`, or of the clock
    /// by which the value itself goes.
    ///
    /// # Errors
    /// The value is a text, or the window is no unit of the calendar.
    pub fn unit_start(&self, window: &Distance, notation: &Notation) -> Result<CursorValue> {
        self.unit(window, 0, notation)
    }

    /// The beginning of the unit that follows.
    ///
    /// # Errors
    /// As [`CursorValue::unit_start`].
    pub fn next_unit_start(&self, window: &Distance, notation: &Notation) -> Result<CursorValue> {
        self.unit(window, 1, notation)
    }

    fn unit(&self, window: &Distance, later: u32, notation: &Notation) -> Result<CursorValue> {
        if let (Value::Number(number), Distance::Number(count)) = (&self.value, window) {
            let text = multiple(number, *count, later).ok_or_else(|| self.out_of_range())?;
            return Ok(self.rewritten(text));
        }
        let grid = Grid::of(window).ok_or_else(|| self.not_aligned())?;
        let text = match &self.value {
            Value::Local(moment, pattern) => {
                let begin = moment.wall().and_then(|wall| grid.beginning(wall, later));
                begin.and_then(|begin| time::write(&Moment::of(begin, 0), pattern))
            }
            Value::Date(date, _) => {
                // Parts of a day can't be shown.
                let grid = if matches!(grid, Grid::Seconds(_)) { Grid::Days(1) } else { grid };
                let begin = grid.beginning(date.and_time(NaiveTime::MIN), later);
                begin.and_then(|begin| self.write_date(&Moment::of(begin, 0)))
            }
            Value::Instant(_, pattern) => {
                let own = || FixedOffset::east_opt(i32::try_from(pattern.east_s()).ok()?).map(TimeZone::Fixed);
                let zone = notation.timezone.or_else(own).unwrap_or_default();
                return self.instant_of_unit(grid, later, zone, notation);
            }
            Value::Number(_) => {
                return self.instant_of_unit(grid, later, notation.timezone.unwrap_or_default(), notation);
            }
            Value::Text => return Err(self.not_aligned()),
        };
        text.map(|text| self.rewritten(text)).ok_or_else(|| self.out_of_range())
    }

    fn instant_of_unit(&self, grid: Grid, later: u32, zone: TimeZone, notation: &Notation) -> Result<CursorValue> {
        let moment = self.moment(notation).ok_or_else(|| self.not_aligned())?;
        let begin = moment.wall().and_then(|utc| grid.beginning(zone.wall(utc).0, later));
        let begin = begin.ok_or_else(|| self.out_of_range())?;
        self.of_moment(&Moment::of(zone.instant(begin), 0), notation).ok_or_else(|| self.out_of_range())
    }

    fn not_aligned(&self) -> Error {
        Error::new(
            Kind::Config,
            "`align` needs a cursor that is a time or a number, and a `window` that is a unit of it",
        )
        .with("cursor", &self.text)
    }
}

/// The largest multiple of a count that is not above a number, or so many counts more.
fn multiple(number: &Decimal, count: u64, later: u32) -> Option<String> {
    let scale = u8::try_from(number.scale()).ok()?;
    let one = 10i128.checked_pow(u32::from(scale))?;
    let whole = number.to_scaled_i128(scale)?.div_euclid(one);
    let units = whole.div_euclid(i128::from(count)).checked_add(i128::from(later))?;
    Some(write_scaled(units.checked_mul(i128::from(count))?, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::duration::parse_span;
    use crate::plan::model::CursorFormat;
    use proptest::prelude::*;

    fn window(text: &str) -> Distance {
        text.parse().map_or_else(|_| Distance::Time(parse_span(text).unwrap()), Distance::Number)
    }

    #[test]
    fn a_unit_begins_where_the_calendar_says() {
        let plain = Notation::default();
        for (value, length, begin, next) in [
            ("2026-03-17T04:05:06Z", "1mo", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"),
            ("2026-03-17T04:05:06Z", "3mo", "2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z"),
            ("2026-12-31", "12mo", "2026-01-01", "2027-01-01"),
            ("2026-03-17T04:05:06Z", "7d", "2026-03-16T00:00:00Z", "2026-03-23T00:00:00Z"),
            ("1969-12-31", "1w", "1969-12-29", "1970-01-05"),
            ("2026-03-17T04:05:06.789Z", "1d", "2026-03-17T00:00:00.000Z", "2026-03-18T00:00:00.000Z"),
            ("2026-03-17 23:05:06", "6h", "2026-03-17 18:00:00", "2026-03-18 00:00:00"),
            ("2026-03-17", "6h", "2026-03-17", "2026-03-18"),
            ("2026-03-17T01:00:00+02:00", "1d", "2026-03-17T00:00:00+02:00", "2026-03-18T00:00:00+02:00"),
            ("1773720306", "1d", "1773705600", "1773792000"),
            ("2500", "1000", "2000", "3000"),
            ("-1", "1000", "-1000", "0"),
            ("2000", "1000", "2000", "3000"),
        ] {
            let at = CursorValue::parse_text(value, &plain);
            assert_eq!(at.unit_start(&window(length), &plain).unwrap().text(), begin, "{value} {length}");
            assert_eq!(at.next_unit_start(&window(length), &plain).unwrap().text(), next, "{value} {length}");
        }
    }

    #[test]
    fn days_are_those_of_the_time_zone_also_where_summer_time_begins_or_ends() {
        let berlin = Notation {
            timezone: "Europe/Berlin".parse().ok(),
            format: Some(CursorFormat::Iso8601),
            ..Notation::default()
        };
        for (value, length, begin, next) in [
            ("2026-03-29T12:00:00Z", "1d", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            ("2026-10-25T12:00:00Z", "1d", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
            ("2026-03-31T22:30:00Z", "1mo", "2026-03-31T22:00:00Z", "2026-04-30T22:00:00Z"),
            // The second of two hours that the clock shows alike belongs to the unit of the first.
            ("2026-10-25T01:30:00Z", "1h", "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"),
        ] {
            let at = CursorValue::parse_text(value, &berlin);
            assert_eq!(at.unit_start(&window(length), &berlin).unwrap().text(), begin, "{value} {length}");
            assert_eq!(at.next_unit_start(&window(length), &berlin).unwrap().text(), next, "{value} {length}");
        }
    }

    #[test]
    fn lengths_that_begin_nowhere_on_the_calendar_can_not_be_aligned() {
        for length in ["36h", "1mo2d", "7h", "1500ms"] {
            assert!(!can_align(&window(length), true), "{length}");
        }
        assert!(can_align(&window("7"), false));
        let text = CursorValue::parse_text("abc", &Notation::default());
        assert!(text.unit_start(&window("1d"), &Notation::default()).is_err());
    }

    proptest! {
        #[test]
        fn a_value_lies_in_its_unit(seconds in -2_000_000_000i64..4_000_000_000, which in 0usize..6, zone in 0usize..3) {
            let length = window(["1mo", "3mo", "7d", "1d", "6h", "1h"][which]);
            let zone = ["UTC", "Europe/Berlin", "America/New_York"][zone].parse().ok();
            let notation = Notation { timezone: zone, ..Notation::default() };
            let at = chrono::DateTime::from_timestamp(seconds, 0).unwrap();
            let value = CursorValue::parse_text(&at.to_rfc3339(), &notation);
            let begin = value.unit_start(&length, &notation).unwrap();
            let next = value.next_unit_start(&length, &notation).unwrap();
            prop_assert!(begin.compare(&value).unwrap().is_le() && next.compare(&value).unwrap().is_gt());
            prop_assert!(begin.unit_start(&length, &notation).unwrap().compare(&begin).unwrap().is_eq());
        }
    }
}
