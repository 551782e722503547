//! The range of a run, from the cursor to its end, and the slices in which it is walked.

use super::{CursorValue, start};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{CursorSource, EndBound, Incremental};
use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use std::cmp::Ordering;

/// A part of the range.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    /// Inclusive start; `None`: from the beginning.
    pub start: Option<CursorValue>,
    /// Exclusive end; `None`: everything after the start.
    pub end: Option<CursorValue>,
    /// Whether nothing new can lie before the end once the slice is complete: the cursor then moves to it.
    pub closes: bool,
    /// Whether the range goes on after it.
    is_last: bool,
    /// Whether the end is the present, and no bound that the next slice shares.
    ends_now: bool,
}

impl Slice {
    /// `cursor.start` of its requests.
    ///
    /// # Errors
    /// The value does not fit the format.
    pub fn start_in_request(&self, incremental: &Incremental) -> Result<Option<Json>> {
        self.start.as_ref().map(|start| start.in_request(&incremental.notation)).transpose()
    }

    /// `cursor.end` of its requests.
    ///
    /// # Errors
    /// The value does not fit the format.
    pub fn end_in_request(&self, incremental: &Incremental) -> Result<Option<Json>> {
        // The present is asked for as it is: what comes later is the next run's.
        let bound = if self.ends_now { EndBound::Exclusive } else { incremental.end_bound };
        let is_shared = self.ends_now || !self.is_last;
        self.end.as_ref().map(|end| end.end_in_request(bound, is_shared, &incremental.notation)).transpose()
    }

    /// Whether records at or after the end are left for others, where the API can't filter.
    pub fn has_firm_end(&self) -> bool {
        self.end.is_some() && !self.ends_now
    }

    /// Whether another slice follows.
    pub fn is_last(&self) -> bool {
        self.is_last
    }
}

/// The slices of a range, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Slices<'a> {
    incremental: &'a Incremental,
    /// The start of the run.
    now: DateTime<Utc>,
}

impl<'a> Slices<'a> {
    /// The slices of a run that started at a time.
    pub fn new(incremental: &'a Incremental, now: DateTime<Utc>) -> Self {
        Slices { incremental, now }
    }

    /// The first slice, from a stored cursor on; `None` when there is nothing to ask for.
    ///
    /// # Errors
    /// The values of the file and the stored one don't go together.
    pub fn first(&self, stored: Option<&CursorValue>) -> Result<Option<Slice>> {
        let from = start::start(self.incremental, stored)?;
        if self.incremental.window.is_some() || self.incremental.source == CursorSource::Window {
            let from = from.ok_or_else(|| Error::new(Kind::Config, "slices need an `initial_value` to begin at"))?;
            return self.slice(from, None, true);
        }
        let notation = &self.incremental.notation;
        let end = self.end_value();
        if let (Some(from), Some(end)) = (&from, &end)
            && !matches!(self.incremental.source, CursorSource::Response(_))
            && from.order(end, notation)?.is_ge()
        {
            return Ok(None);
        }
        Ok(Some(Slice { start: from, end, closes: false, is_last: true, ends_now: false }))
    }

    /// The slice that follows. `like` is the newest value seen, which shows how the API writes values.
    ///
    /// # Errors
    /// The window can't be counted on from the end of the last one.
    pub fn after(&self, slice: &Slice, like: Option<&CursorValue>) -> Result<Option<Slice>> {
        match &slice.end {
            Some(end) if !slice.is_last => self.slice(end.clone(), like, false),
            _ => Ok(None),
        }
    }

    fn end_value(&self) -> Option<CursorValue> {
        let text = self.incremental.end_value.as_deref()?;
        Some(CursorValue::parse_text(text, &self.incremental.notation))
    }

    /// The slice that begins at a value. At the end of the range there is one more only if it is the first: a start that is
    /// the present is asked for as well.
    fn slice(&self, from: CursorValue, like: Option<&CursorValue>, is_first: bool) -> Result<Option<Slice>> {
        let notation = &self.incremental.notation;
        let (end, ends_now) = self.range_end(&from, like)?;
        match from.order(&end, notation)? {
            Ordering::Greater => return Ok(None),
            Ordering::Equal if !(is_first && ends_now) => return Ok(None),
            Ordering::Equal | Ordering::Less => {}
        }
        if let Some(window) = &self.incremental.window {
            let next = from.plus(window, notation)?;
            if next.order(&from, notation)?.is_le() {
                return Err(Error::new(Kind::Config, "`window` is shorter than what the cursor's values can show")
                    .with("cursor", from.text()));
            }
            if next.order(&end, notation)?.is_lt() {
                return Ok(Some(Slice {
                    start: Some(from),
                    end: Some(next),
                    closes: true,
                    is_last: false,
                    ends_now: false,
                }));
            }
        }
        let is_past = !ends_now && from.is_time(notation);
        let closes = is_past || self.incremental.source == CursorSource::Window;
        Ok(Some(Slice { start: Some(from), end: Some(end), closes, is_last: true, ends_now }))
    }

    /// Where the range ends: at `end_value`, but of times not later than the start of the run. And whether it is the latter.
    fn range_end(&self, from: &CursorValue, like: Option<&CursorValue>) -> Result<(CursorValue, bool)> {
        let notation = &self.incremental.notation;
        let now = like.unwrap_or(from).like(&self.now, notation);
        match (self.end_value(), now) {
            (Some(end), Some(now)) => Ok(if end.order(&now, notation)?.is_gt() { (now, true) } else { (end, false) }),
            (Some(end), None) => Ok((end, false)),
            (None, Some(now)) => Ok((now, true)),
            (None, None) => Err(Error::new(Kind::Config, "the range of slices has no end: the cursor is no time")
                .with("cursor", from.text())
                .hint("add `end_value`, or `format = \"epoch_s\"` or \"epoch_ms\" if it is a time")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::fixture;
    use crate::plan::duration::parse_span;
    use crate::plan::model::{CursorFormat, Distance, Notation};

    /// 2026-03-15T12:30:45Z.
    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_773_577_845, 0).unwrap()
    }

    fn incremental(initial: &str, window: &str) -> Incremental {
        let window = window.parse().map_or_else(|_| Distance::Time(parse_span(window).unwrap()), Distance::Number);
        Incremental {
            initial_value: Some(initial.to_owned()),
            window: Some(window),
            end_param: Some("until".to_owned()),
            ..fixture::incremental("since")
        }
    }

    /// The bounds of all slices as requests show them, a `*` behind those that close.
    fn walk(incremental: &Incremental, stored: Option<&str>) -> Vec<String> {
        let slices = Slices::new(incremental, now());
        let stored = stored.map(|text| CursorValue::parse_text(text, &incremental.notation));
        let mut found = Vec::new();
        let mut slice = slices.first(stored.as_ref()).unwrap();
        while let Some(at) = slice {
            let text = |bound: Option<Json>| bound.map_or("-".to_owned(), |v| v.to_string().replace('"', ""));
            let (start, end) = (at.start_in_request(incremental).unwrap(), at.end_in_request(incremental).unwrap());
            found.push(format!("{} {}{}", text(start), text(end), if at.closes { "*" } else { "" }));
            slice = slices.after(&at, None).unwrap();
        }
        found
    }

    #[test]
    fn slices_share_their_bounds_and_the_last_one_ends_at_the_start_of_the_run() {
        let mut monthly = incremental("2026-01-31T00:00:00Z", "1mo");
        let expected = ["2026-01-31T00:00:00Z 2026-02-28T00:00:00Z*", "2026-02-28T00:00:00Z 2026-03-15T12:30:45Z"];
        assert_eq!(walk(&monthly, None), expected);
        assert_eq!(walk(&monthly, Some("2026-02-28T00:00:00Z")), expected[1..]);
        monthly.end_value = Some("2026-02-10".to_owned());
        assert_eq!(walk(&monthly, None), ["2026-01-31T00:00:00Z 2026-02-10*"]);
        assert!(walk(&monthly, Some("2026-02-10T00:00:00Z")).is_empty(), "the range is complete");
        monthly.end_value = Some("2030-01-01".to_owned());
        assert_eq!(walk(&monthly, None), expected, "the future is not asked for");
    }

    #[test]
    fn a_start_at_the_present_is_asked_for_and_one_after_it_is_not() {
        let daily = incremental("2026-03-15", "1d");
        assert_eq!(walk(&daily, None), ["2026-03-15 2026-03-15"]);
        assert!(walk(&daily, Some("2026-03-16")).is_empty());
        assert_eq!(walk(&incremental("2026-03-14", "1d"), None), ["2026-03-14 2026-03-15"]);
    }

    #[test]
    fn an_inclusive_end_leaves_no_gap_and_no_overlap() {
        let mut weekly = incremental("2026-03-01", "7d");
        weekly.end_bound = EndBound::Inclusive;
        assert_eq!(walk(&weekly, None), ["2026-03-01 2026-03-07*", "2026-03-08 2026-03-15"]);
        weekly.end_value = Some("2026-03-12".to_owned());
        assert_eq!(walk(&weekly, None), ["2026-03-01 2026-03-07*", "2026-03-08 2026-03-11*"]);
    }

    #[test]
    fn numbers_are_walked_to_their_end_value() {
        let mut ids = incremental("0", "1000");
        ids.end_value = Some("2500".to_owned());
        assert_eq!(walk(&ids, None), ["0 1000*", "1000 2000*", "2000 2500"]);
        ids.end_value = None;
        assert_eq!(Slices::new(&ids, now()).first(None).unwrap_err().kind(), Kind::Config);
        let mut epoch = incremental("1773446400", "1d");
        epoch.notation = Notation { format: Some(CursorFormat::EpochMillis), timezone: None };
        assert_eq!(walk(&epoch, None), ["1773446400000 1773532800000*", "1773532800000 1773577845000"]);
    }

    #[test]
    fn a_window_as_the_cursor_closes_the_last_slice_too() {
        let mut whole = incremental("2026-03-01T00:00:00Z", "1d");
        (whole.window, whole.source) = (None, CursorSource::Window);
        assert_eq!(walk(&whole, None), ["2026-03-01T00:00:00Z 2026-03-15T12:30:45Z*"]);
    }

    #[test]
    fn thousands_of_slices_are_found_one_by_one() {
        assert_eq!(walk(&incremental("2000-01-01", "1d"), None).len(), 9_570);
    }
}
