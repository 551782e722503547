//! How a declared column reads its values: the form of its dates and times, and the zone of those that name none.

use super::number::Decimal;
use super::temporal::{self, Form, Temporal, Zone};
use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Timelike};
use chrono_tz::Tz;

const DAY_US: i64 = 86_400_000_000;

/// What a file says of a column's dates and times, beside their type.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// The form in which values come.
    pub format: TimeFormat,
    /// The zone of times that name none, and of the clock on which instants become local times.
    pub timezone: Option<Tz>,
}

/// The form in which dates and times come.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum TimeFormat {
    /// Complete ISO 8601 forms, as in columns without a format.
    #[default]
    Iso8601,
    /// A count since 1970-01-01T00:00:00Z, as a number or as its digits in a text.
    Epoch(EpochUnit),
    /// A strftime pattern.
    Pattern(Vec<Item<'static>>),
}

/// What a count since 1970 counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochUnit {
    /// Seconds, with up to six digits of a fraction.
    Seconds,
    /// Milliseconds, with up to three digits of a fraction.
    Millis,
    /// Microseconds.
    Micros,
}

/// Names of formats in a file.
pub const FORMATS: [(&str, TimeFormat); 4] = [
    ("iso8601", TimeFormat::Iso8601),
    ("epoch_s", TimeFormat::Epoch(EpochUnit::Seconds)),
    ("epoch_ms", TimeFormat::Epoch(EpochUnit::Millis)),
    ("epoch_us", TimeFormat::Epoch(EpochUnit::Micros)),
];

impl TimeFormat {
    /// A format by its name, or a strftime pattern; none if it is neither.
    pub fn named(text: &str) -> Option<TimeFormat> {
        if let Some((_, format)) = FORMATS.iter().find(|(name, _)| *name == text) {
            return Some(format.clone());
        }
        let items = StrftimeItems::new(text).parse_to_owned().ok()?;
        let has_field = items.iter().any(|item| matches!(item, Item::Numeric(..) | Item::Fixed(_)));
        has_field.then_some(TimeFormat::Pattern(items))
    }

    /// What its values say: whether there is a time of day, and whether there is a zone.
    pub fn says(&self) -> Says {
        use chrono::format::{Fixed, Numeric};
        let TimeFormat::Pattern(items) = self else {
            return Says { time: true, zone: matches!(self, TimeFormat::Epoch(_)) };
        };
        let time = items.iter().any(|item| {
            matches!(item, Item::Numeric(Numeric::Hour | Numeric::Hour12 | Numeric::Timestamp, _))
                || matches!(item, Item::Fixed(Fixed::RFC2822 | Fixed::RFC3339))
        });
        let zone = items.iter().any(|item| match item {
            Item::Numeric(Numeric::Timestamp, _) => true,
            Item::Fixed(fixed) => matches!(
                fixed,
                Fixed::RFC2822
                    | Fixed::RFC3339
                    | Fixed::TimezoneOffset
                    | Fixed::TimezoneOffsetZ
                    | Fixed::TimezoneOffsetColon
                    | Fixed::TimezoneOffsetColonZ
                    | Fixed::TimezoneOffsetDoubleColon
                    | Fixed::TimezoneOffsetTripleColon
            ),
            _ => false,
        });
        Says { time, zone }
    }
}

/// What the values of a format say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Says {
    /// A time of day.
    pub time: bool,
    /// A zone, or an instant without one.
    pub zone: bool,
}

impl Reading {
    /// Whether an empty text is a null: where the file says what texts look like, an empty one is none of them.
    pub fn empty_is_null(&self) -> bool {
        self.format != TimeFormat::Iso8601
    }

    /// A value as a date.
    pub fn date(&self, text: &str) -> Option<i32> {
        let local_us = match self.read(text)? {
            Temporal::Date(days) => return Some(days),
            Temporal::Local(us, _) => us,
            Temporal::Zoned(us, _) => self.clock(us)?,
        };
        if local_us.rem_euclid(DAY_US) == 0 { i32::try_from(local_us.div_euclid(DAY_US)).ok() } else { None }
    }

    /// A value as microseconds of a local clock.
    pub fn local_us(&self, text: &str) -> Option<i64> {
        match self.read(text)? {
            Temporal::Date(days) => Some(i64::from(days) * DAY_US),
            Temporal::Local(us, _) => Some(us),
            Temporal::Zoned(us, _) => self.clock(us),
        }
    }

    /// A value as microseconds since 1970-01-01T00:00:00Z.
    pub fn instant_us(&self, text: &str) -> Option<i64> {
        let local_us = match self.read(text)? {
            Temporal::Zoned(us, _) => return Some(us),
            Temporal::Local(us, _) => us,
            Temporal::Date(days) => i64::from(days) * DAY_US,
        };
        let local = DateTime::from_timestamp_micros(local_us)?.naive_utc();
        match self.timezone?.from_local_datetime(&local) {
            // Of the two times in the hour that a clock repeats in autumn, the first one.
            LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => Some(time.timestamp_micros()),
            LocalResult::None => None,
        }
    }

    /// What the clock of the column's zone says at an instant. Counts since 1970 are in UTC unless a zone is given.
    fn clock(&self, instant_us: i64) -> Option<i64> {
        let instant = DateTime::from_timestamp_micros(instant_us)?;
        match (self.timezone, &self.format) {
            (Some(zone), _) => Some(instant.with_timezone(&zone).naive_local().and_utc().timestamp_micros()),
            (None, TimeFormat::Epoch(_)) => Some(instant_us),
            (None, TimeFormat::Iso8601 | TimeFormat::Pattern(_)) => None,
        }
    }

    fn read(&self, text: &str) -> Option<Temporal> {
        match &self.format {
            TimeFormat::Iso8601 => temporal::parse(text.as_bytes()),
            TimeFormat::Epoch(unit) => epoch_us(text.trim(), *unit).map(|us| Temporal::Zoned(us, UTC)),
            TimeFormat::Pattern(items) => by_pattern(text.trim(), items),
        }
    }
}

/// The form of what was not written as a text.
const UTC: Form = Form { space: false, fraction_digits: 6, zone: Zone::Z };
const LOCAL: Form = Form { zone: Zone::None, ..UTC };

fn epoch_us(text: &str, unit: EpochUnit) -> Option<i64> {
    let scale = match unit {
        EpochUnit::Seconds => 6,
        EpochUnit::Millis => 3,
        EpochUnit::Micros => 0,
    };
    let us = i64::try_from(Decimal::parse(text.as_bytes())?.to_scaled_i128(scale)?).ok()?;
    // Years 1 to 9999, as in all other dates and times.
    (-62_135_596_800_000_000..253_402_300_800_000_000).contains(&us).then_some(us)
}

fn by_pattern(text: &str, items: &[Item<'static>]) -> Option<Temporal> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, items.iter()).ok()?;
    if parsed.offset().is_some() || parsed.timestamp().is_some() {
        let offset_s = parsed.offset().unwrap_or(0);
        let local = parsed.to_naive_datetime_with_offset(offset_s).ok()?;
        let us = micros(local)?.checked_sub(i64::from(offset_s) * 1_000_000)?;
        return Some(Temporal::Zoned(us, UTC));
    }
    let date = date_of(&mut parsed)?;
    if parsed.hour_mod_12().is_none() {
        return Some(Temporal::Date(i32::try_from(micros(date.and_time(NaiveTime::MIN))?.div_euclid(DAY_US)).ok()?));
    }
    if parsed.minute().is_none() {
        parsed.set_minute(0).ok()?;
    }
    let time = parsed.to_naive_time().ok()?;
    Some(Temporal::Local(micros(date.and_time(time))?, LOCAL))
}

/// The date; a month without a day is its first day.
fn date_of(parsed: &mut Parsed) -> Option<NaiveDate> {
    let has_month_only = parsed.month().is_some() && parsed.day().is_none();
    if has_month_only {
        parsed.set_day(1).ok()?;
    }
    parsed.to_naive_date().ok()
}

/// Microseconds of a local time; none if it says more than that, or is no ordinary second.
fn micros(time: NaiveDateTime) -> Option<i64> {
    let is_exact = time.nanosecond() < 1_000_000_000 && time.nanosecond().is_multiple_of(1000);
    is_exact.then(|| time.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(format: &str, timezone: Option<&str>) -> Reading {
        let format = TimeFormat::named(format).unwrap();
        Reading { format, timezone: timezone.map(|zone| zone.parse().unwrap()) }
    }

    fn instant(format: &str, timezone: Option<&str>, text: &str) -> Option<String> {
        reading(format, timezone).instant_us(text).map(temporal::canonical_zoned)
    }

    #[test]
    fn counts_since_1970_are_instants() {
        for (format, text, expected) in [
            ("epoch_ms", "1700000000123", Some("2023-11-14T22:13:20.123Z")),
            ("epoch_ms", "1700000000123.5", Some("2023-11-14T22:13:20.1235Z")),
            ("epoch_ms", "1.7e12", Some("2023-11-14T22:13:20Z")),
            ("epoch_s", "0", Some("1970-01-01T00:00:00Z")),
            ("epoch_s", "-1", Some("1969-12-31T23:59:59Z")),
            ("epoch_us", "1", Some("1970-01-01T00:00:00.000001Z")),
            ("epoch_us", "0.5", None),
            ("epoch_s", "253402300800", None),
            ("epoch_s", "2023-11-14", None),
            ("epoch_s", "", None),
        ] {
            assert_eq!(instant(format, None, text).as_deref(), expected, "{format} {text}");
        }
        assert_eq!(reading("epoch_s", None).local_us("1.5"), Some(1_500_000));
        assert_eq!(reading("epoch_s", Some("Europe/Berlin")).local_us("0"), Some(3_600_000_000));
        assert_eq!(reading("epoch_s", None).date("86400"), Some(1));
        assert_eq!(reading("epoch_s", None).date("86401"), None);
    }

    #[test]
    fn patterns_say_dates_times_and_zones() {
        assert_eq!(reading("%d/%m/%Y", None).date("02/01/1970"), Some(1));
        assert_eq!(reading("%Y-%m", None).date("1970-02"), Some(31));
        assert_eq!(reading("%d/%m/%Y", None).date("31/02/2024"), None);
        assert_eq!(reading("%m/%d/%Y %I:%M %p", None).local_us("01/01/1970 01:05 AM"), Some(3_900_000_000));
        let rfc2822 = instant("%a, %d %b %Y %H:%M:%S %z", None, "Thu, 01 Jan 1970 02:00:00 +0200");
        assert_eq!(rfc2822.as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(instant("%d.%m.%Y %H:%M", None, "01.01.1970 00:00"), None, "which zone is not known");
        assert_eq!(TimeFormat::named("epoch"), None);
        assert_eq!(TimeFormat::named("%Q"), None);
        let says = |format: &str| (reading(format, None).format.says().time, reading(format, None).format.says().zone);
        assert_eq!(says("%d/%m/%Y"), (false, false));
        assert_eq!(says("%d/%m/%Y %H:%M"), (true, false));
        assert_eq!(says("%Y-%m-%dT%H:%M:%S%z"), (true, true));
    }

    #[test]
    fn local_times_become_instants_in_their_zone() {
        let berlin = |text| instant("iso8601", Some("Europe/Berlin"), text);
        for (text, expected) in [
            ("2024-01-15T12:00:00", Some("2024-01-15T11:00:00Z")),
            ("2024-07-15 12:00:00.5", Some("2024-07-15T10:00:00.5Z")),
            ("2024-07-15", Some("2024-07-14T22:00:00Z")),
            ("2024-07-15T12:00:00+05:00", Some("2024-07-15T07:00:00Z")),
            ("2024-10-27T02:30:00", Some("2024-10-27T00:30:00Z")),
            ("2024-03-31T02:30:00", None),
        ] {
            assert_eq!(berlin(text).as_deref(), expected, "{text}");
        }
    }
}
