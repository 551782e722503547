//! Time zones as people name them: `Europe/Berlin`, `UTC`, `+02:00`.

use chrono::{DateTime, FixedOffset, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone as _};
use chrono_tz::Tz;
use std::fmt;
use std::str::FromStr;

/// The clock on somebody's wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeZone {
    /// A zone of the IANA database, with its summer times.
    Named(Tz),
    /// Always as far from UTC.
    Fixed(FixedOffset),
}

impl Default for TimeZone {
    fn default() -> Self {
        TimeZone::Named(Tz::UTC)
    }
}

impl TimeZone {
    /// What the clock shows at an instant, and how far it is ahead of UTC.
    pub fn wall(self, instant: NaiveDateTime) -> (NaiveDateTime, FixedOffset) {
        let offset = match self {
            TimeZone::Named(zone) => zone.offset_from_utc_datetime(&instant).fix(),
            TimeZone::Fixed(offset) => offset,
        };
        let ahead = TimeDelta::seconds(i64::from(offset.local_minus_utc()));
        (instant.checked_add_signed(ahead).unwrap_or(instant), offset)
    }

    /// The instant, in UTC, at which the clock shows a time. Of an hour that comes twice it is the first one; in an hour that is left out
    /// it is the instant from which the clock goes on. Both ask for too much rather than for too little.
    pub fn instant(self, wall: NaiveDateTime) -> NaiveDateTime {
        let zone = match self {
            TimeZone::Fixed(offset) => {
                let ahead = TimeDelta::seconds(i64::from(offset.local_minus_utc()));
                return wall.checked_sub_signed(ahead).unwrap_or(wall);
            }
            TimeZone::Named(zone) => zone,
        };
        let found = |at: DateTime<Tz>| at.naive_utc();
        match zone.from_local_datetime(&wall) {
            LocalResult::Single(at) => found(at),
            LocalResult::Ambiguous(first, second) => found(first).min(found(second)),
            // Clocks are put forward by an hour or less: two hours before, the offset is the old one.
            LocalResult::None => {
                let before = wall.checked_sub_signed(TimeDelta::hours(2)).map(|wall| zone.from_local_datetime(&wall));
                let offset = before.and_then(|at| at.earliest()).map_or(0, |at| at.offset().fix().local_minus_utc());
                wall.checked_sub_signed(TimeDelta::seconds(i64::from(offset))).unwrap_or(wall)
            }
        }
    }
}

impl FromStr for TimeZone {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Ok(zone) = text.parse::<Tz>() {
            return Ok(TimeZone::Named(zone));
        }
        match text {
            "Z" => Ok(TimeZone::default()),
            _ if text.starts_with(['+', '-']) => text.parse().map(TimeZone::Fixed).map_err(|_| ()),
            _ => Err(()),
        }
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TimeZone::Named(zone) => f.write_str(zone.name()),
            TimeZone::Fixed(offset) => offset.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[test]
    fn a_wall_clock_is_read_and_told_across_summer_time() {
        let berlin: TimeZone = "Europe/Berlin".parse().unwrap();
        for (wall, instant) in [
            ("2026-01-02T03:00:00", "2026-01-02T02:00:00"),
            ("2026-07-02T03:00:00", "2026-07-02T01:00:00"),
            // This hour comes twice, ...
            ("2026-10-25T02:30:00", "2026-10-25T00:30:00"),
        ] {
            assert_eq!(berlin.instant(at(wall)), at(instant), "{wall}");
            assert_eq!(berlin.wall(at(instant)).0, at(wall), "{instant}");
        }
        // ... and this one never does.
        assert_eq!(berlin.instant(at("2026-03-29T02:30:00")), at("2026-03-29T01:30:00"));
    }

    #[test]
    fn zones_have_names_or_offsets() {
        let east: TimeZone = "+05:30".parse().unwrap();
        assert_eq!(east.instant(at("2026-01-02T05:30:00")), at("2026-01-02T00:00:00"));
        assert_eq!(
            (east.to_string().as_str(), "Asia/Tokyo".parse::<TimeZone>().unwrap().to_string().as_str()),
            ("+05:30", "Asia/Tokyo")
        );
        assert_eq!("Z".parse::<TimeZone>(), "UTC".parse());
        for wrong in ["", "Berlin", "+99:00", "CEST "] {
            assert!(wrong.parse::<TimeZone>().is_err(), "{wrong}");
        }
    }
}
