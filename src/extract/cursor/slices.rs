//! The range of a run, from the cursor to its end, and the slices in which it is walked.

use super::bounds::Bounds;
use super::covered::Covered;
use super::{CursorValue, start};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{CursorSource, EndBound, Incremental};
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
    /// Where it would have begun without `earliest`.
    moved_up_from: Option<CursorValue>,
}

/// What a range ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RangeEnd {
    /// A value that the file gives: the cursor is to come there.
    Fixed,
    /// A value that each run computes: the next one goes on from what was seen.
    OfRun,
    /// The start of the run.
    Present,
}

impl Slice {
    /// `cursor.start` of its requests.
    ///
    /// # Errors
    /// The value does not fit the format.
    pub fn start_in_request(&self, incremental: &Incremental) -> Result<Option<Json>> {
        let (bound, notation) = (incremental.start_bound, &incremental.notation);
        self.start.as_ref().map(|start| start.start_in_request(bound, notation)).transpose()
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

    /// Whether no other slice follows.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// Its start, as people read it.
    pub fn start_text(&self) -> String {
        self.start.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)
    }

    /// Its end, as people read it.
    pub fn end_text(&self) -> String {
        self.end.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)
    }

    /// Where the slice would have begun, if `earliest` moved its start up: what lies between is gone at the source.
    pub fn moved_up_from(&self) -> Option<&CursorValue> {
        self.moved_up_from.as_ref()
    }

    /// The two halves of the slice; `None` when it is one unit of what requests can show, or has no end.
    ///
    /// # Errors
    /// Its bounds are no times and no numbers.
    pub fn halves(&self, incremental: &Incremental) -> Result<Option<[Slice; 2]>> {
        let notation = &incremental.notation;
        let (Some(start), Some(end)) = (&self.start, &self.end) else { return Ok(None) };
        let Some(middle) = start.middle(end, notation)? else { return Ok(None) };
        // The first half of a range of times lies in the past, wherever the second one ends.
        let closes = self.closes || middle.is_time(notation);
        let moved_up_from = None;
        let first = Slice {
            start: Some(start.clone()),
            end: Some(middle.clone()),
            closes,
            is_last: false,
            ends_now: false,
            moved_up_from,
        };
        Ok(Some([first, Slice { start: Some(middle), moved_up_from: None, ..self.clone() }]))
    }
}

/// The slices of a range, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Slices<'a> {
    incremental: &'a Incremental,
    bounds: &'a Bounds,
    /// What of the range is loaded already, if that need not be its beginning.
    covered: Option<&'a Covered>,
}

impl<'a> Slices<'a> {
    /// The slices of a run between its bounds.
    pub fn new(incremental: &'a Incremental, bounds: &'a Bounds) -> Self {
        Slices { incremental, bounds, covered: None }
    }

    /// The slices of what is left of a range of which some parts are loaded.
    #[must_use]
    pub fn but(self, covered: Option<&'a Covered>) -> Self {
        Slices { covered, ..self }
    }

    /// All slices, found one by one, from a stored cursor on.
    pub fn all(self, stored: Option<&CursorValue>) -> impl Iterator<Item = Result<Slice>> + use<'a> {
        let mut next = self.first(stored);
        std::iter::from_fn(move || {
            let slice = std::mem::replace(&mut next, Ok(None)).transpose()?;
            if let Ok(slice) = &slice {
                next = self.after(slice, None);
            }
            Some(slice)
        })
    }

    /// The first slice, from a stored cursor on; `None` when there is nothing to ask for.
    ///
    /// # Errors
    /// The values of the file and the stored one don't go together.
    pub fn first(&self, stored: Option<&CursorValue>) -> Result<Option<Slice>> {
        let start = start::start(self.incremental, self.bounds, stored)?;
        let (from, moved_up_from) = start.map_or((None, None), |start| (Some(start.value), start.moved_up_from));
        let is_sliced = self.incremental.window.is_some() || self.covered.is_some();
        if is_sliced || self.incremental.source == CursorSource::Window {
            let from = from.ok_or_else(|| Error::new(Kind::Config, "slices need an `initial_value` to begin at"))?;
            let slice = self.slice(from, None, true)?;
            return Ok(slice.map(|slice| Slice { moved_up_from, ..slice }));
        }
        let notation = &self.incremental.notation;
        let end = self.bounds.end.as_ref().map(|end| end.value.clone());
        if let (Some(from), Some(end)) = (&from, &end)
            && !matches!(self.incremental.source, CursorSource::Response(_))
            && from.order(end, notation)?.is_ge()
        {
            return Ok(None);
        }
        Ok(Some(Slice { start: from, end, closes: false, is_last: true, ends_now: false, moved_up_from }))
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

    /// The slice that begins at a value. At the end of the range there is one more only if it is the first: a start that is
    /// the present is asked for as well.
    fn slice(&self, from: CursorValue, like: Option<&CursorValue>, is_first: bool) -> Result<Option<Slice>> {
        let notation = &self.incremental.notation;
        let from =
            self.covered.map_or_else(|| Ok(from.clone()), |covered| covered.first_free(from.clone(), notation))?;
        let (end, range_end) = self.range_end(&from, like)?;
        let ends_now = range_end == RangeEnd::Present;
        match from.order(&end, notation)? {
            Ordering::Greater => return Ok(None),
            Ordering::Equal if !(is_first && ends_now) => return Ok(None),
            Ordering::Equal | Ordering::Less => {}
        }
        if let Some(next) = self.next_bound(&from)?
            && next.order(&end, notation)?.is_lt()
        {
            return Ok(Some(Slice {
                start: Some(from),
                end: Some(next),
                closes: true,
                is_last: false,
                ends_now: false,
                moved_up_from: None,
            }));
        }
        let is_past = range_end == RangeEnd::Fixed && from.is_time(notation);
        let closes = is_past || self.incremental.source == CursorSource::Window;
        Ok(Some(Slice { start: Some(from), end: Some(end), closes, is_last: true, ends_now, moved_up_from: None }))
    }

    /// The end of the slice that begins at a value: that of its window, or where what follows is loaded. `None`: that of the
    /// range.
    fn next_bound(&self, from: &CursorValue) -> Result<Option<CursorValue>> {
        let notation = &self.incremental.notation;
        let window = self.window_end(from)?;
        let loaded = self.covered.map(|covered| covered.next_start(from, notation)).transpose()?.flatten().cloned();
        Ok(match (window, loaded) {
            (Some(window), Some(loaded)) => {
                Some(if loaded.order(&window, notation)?.is_lt() { loaded } else { window })
            }
            (window, loaded) => window.or(loaded),
        })
    }

    /// The end of the window that begins at a value; `None` without windows.
    fn window_end(&self, from: &CursorValue) -> Result<Option<CursorValue>> {
        let Incremental { window, align, notation, .. } = self.incremental;
        let Some(window) = window else { return Ok(None) };
        let next = if *align { from.next_unit_start(window, notation)? } else { from.plus(window, notation)? };
        if next.order(from, notation)?.is_le() {
            return Err(Error::new(Kind::Config, "`window` is shorter than what the cursor's values can show")
                .with("cursor", from.text()));
        }
        Ok(Some(next))
    }

    /// Where the range ends: at `end_value`, but of times not later than the start of the run.
    fn range_end(&self, from: &CursorValue, like: Option<&CursorValue>) -> Result<(CursorValue, RangeEnd)> {
        let notation = &self.incremental.notation;
        let now = like.unwrap_or(from).like(&self.bounds.now, notation);
        let end = self
            .bounds
            .end
            .as_ref()
            .map(|end| (end.value.clone(), if end.is_of_run { RangeEnd::OfRun } else { RangeEnd::Fixed }));
        match (end, now) {
            (Some((end, _)), Some(now)) if end.order(&now, notation)?.is_gt() => Ok((now, RangeEnd::Present)),
            (Some(end), _) => Ok(end),
            (None, Some(now)) => Ok((now, RangeEnd::Present)),
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
    use crate::plan::model::{CursorFormat, Distance, Notation, StartBound};

    fn incremental(initial: &str, window: &str) -> Incremental {
        let window = window.parse().map_or_else(|_| Distance::Time(parse_span(window).unwrap()), Distance::Number);
        Incremental {
            initial_value: Some(fixture::bound(initial)),
            window: Some(window),
            end_param: Some("until".to_owned()),
            ..fixture::incremental("since")
        }
    }

    /// The bounds of all slices of a run at 2026-03-15T12:30:45Z as requests show them, a `*` behind those that close.
    fn walk(incremental: &Incremental, stored: Option<&str>) -> Vec<String> {
        let bounds = fixture::bounds(incremental);
        let stored = stored.map(|text| CursorValue::parse_text(text, &incremental.notation));
        shown(incremental, Slices::new(incremental, &bounds), stored.as_ref())
    }

    fn shown(incremental: &Incremental, slices: Slices<'_>, stored: Option<&CursorValue>) -> Vec<String> {
        let text = |bound: Option<Json>| bound.map_or("-".to_owned(), |v| v.to_string().replace('"', ""));
        let shown = |at: Result<Slice>| {
            let at = at.unwrap();
            let (start, end) = (at.start_in_request(incremental).unwrap(), at.end_in_request(incremental).unwrap());
            format!("{} {}{}", text(start), text(end), if at.closes { "*" } else { "" })
        };
        slices.all(stored).map(shown).collect()
    }

    /// What is left of a range of which parts are loaded.
    fn left(incremental: &Incremental, loaded: &[(&str, &str)]) -> Vec<String> {
        let bounds = fixture::bounds(incremental);
        let of = |text: &str| CursorValue::parse_text(text, &incremental.notation);
        let mut covered = Covered::default();
        for (start, end) in loaded {
            covered.add(&of(start), &of(end), &incremental.notation).unwrap();
        }
        shown(incremental, Slices::new(incremental, &bounds).but(Some(&covered)), None)
    }

    #[test]
    fn what_is_loaded_is_left_out_wherever_it_lies() {
        let mut weekly = incremental("2026-01-01", "7d");
        weekly.end_value = Some(fixture::bound("2026-01-29"));
        let all =
            ["2026-01-01 2026-01-08*", "2026-01-08 2026-01-15*", "2026-01-15 2026-01-22*", "2026-01-22 2026-01-29*"];
        assert_eq!(left(&weekly, &[]), all);
        assert_eq!(left(&weekly, &[("2026-01-01", "2026-01-08"), ("2026-01-15", "2026-01-22")]), [all[1], all[3]]);
        assert!(left(&weekly, &[("2026-01-01", "2026-01-29")]).is_empty());
        // Loaded with another window: what is left is walked in this one.
        let rest =
            ["2026-01-01 2026-01-03*", "2026-01-12 2026-01-19*", "2026-01-19 2026-01-26*", "2026-01-26 2026-01-29*"];
        assert_eq!(left(&weekly, &[("2026-01-03", "2026-01-12")]), rest);
        weekly.window = None;
        assert_eq!(left(&weekly, &[]), ["2026-01-01 2026-01-29*"]);
        assert_eq!(
            left(&weekly, &[("2026-01-08", "2026-01-10")]),
            ["2026-01-01 2026-01-08*", "2026-01-10 2026-01-29*"]
        );
    }

    #[test]
    fn slices_share_their_bounds_and_the_last_one_ends_at_the_start_of_the_run() {
        let mut monthly = incremental("2026-01-31T00:00:00Z", "1mo");
        let expected = ["2026-01-31T00:00:00Z 2026-02-28T00:00:00Z*", "2026-02-28T00:00:00Z 2026-03-15T12:30:45Z"];
        assert_eq!(walk(&monthly, None), expected);
        assert_eq!(walk(&monthly, Some("2026-02-28T00:00:00Z")), expected[1..]);
        monthly.end_value = Some(fixture::bound("2026-02-10"));
        assert_eq!(walk(&monthly, None), ["2026-01-31T00:00:00Z 2026-02-10*"]);
        assert!(walk(&monthly, Some("2026-02-10T00:00:00Z")).is_empty(), "the range is complete");
        monthly.end_value = Some(fixture::bound("2030-01-01"));
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
        weekly.end_value = Some(fixture::bound("2026-03-12"));
        assert_eq!(walk(&weekly, None), ["2026-03-01 2026-03-07*", "2026-03-08 2026-03-11*"]);
    }

    #[test]
    fn numbers_are_walked_to_their_end_value() {
        let mut ids = incremental("0", "1000");
        ids.end_value = Some(fixture::bound("2500"));
        assert_eq!(walk(&ids, None), ["0 1000*", "1000 2000*", "2000 2500"]);
        ids.end_value = None;
        let bounds = fixture::bounds(&ids);
        assert_eq!(Slices::new(&ids, &bounds).first(None).unwrap_err().kind(), Kind::Config);
        let mut epoch = incremental("1773446400", "1d");
        epoch.notation = Notation { format: Some(CursorFormat::EpochMillis), ..Notation::default() };
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

    #[test]
    fn an_end_that_each_run_computes_is_no_end_of_the_cursor() {
        let mut weekly = incremental("2026-03-01T00:00:00Z", "7d");
        weekly.end_value = Some(fixture::bound("{{ run.started_at | add('-30m') }}"));
        let expected = [
            "2026-03-01T00:00:00Z 2026-03-08T00:00:00Z*",
            "2026-03-08T00:00:00Z 2026-03-15T00:00:00Z*",
            "2026-03-15T00:00:00Z 2026-03-15T12:00:45Z",
        ];
        assert_eq!(walk(&weekly, None), expected);
        assert!(walk(&weekly, Some("2026-03-15T12:10:00Z")).is_empty(), "what is newer is not asked for yet");
        weekly.source = CursorSource::Window;
        let last = walk(&weekly, None).pop();
        assert_eq!(last.as_deref(), Some("2026-03-15T00:00:00Z 2026-03-15T12:00:45Z*"));
    }

    #[test]
    fn aligned_slices_begin_where_units_do() {
        let mut monthly = incremental("2026-01-15", "1mo");
        monthly.align = true;
        let months = ["2026-01-01 2026-02-01*", "2026-02-01 2026-03-01*", "2026-03-01 2026-03-15"];
        assert_eq!(walk(&monthly, None), months);
        assert_eq!(walk(&monthly, Some("2026-02-17")), months[1..], "a month comes again until it is over");
        assert_eq!(walk(&monthly, Some("2026-03-01")), months[2..]);
        monthly.earliest = parse_span("38d");
        assert_eq!(walk(&monthly, None), ["2026-02-05 2026-03-01*", "2026-03-01 2026-03-15"]);
        let mut weekly = incremental("2026-03-04", "7d");
        weekly.align = true;
        assert_eq!(walk(&weekly, None), ["2026-03-02 2026-03-09*", "2026-03-09 2026-03-15"]);
        let mut ids = incremental("1250", "1000");
        (ids.align, ids.end_value) = (true, Some(fixture::bound("3500")));
        assert_eq!(walk(&ids, None), ["1000 2000*", "2000 3000*", "3000 3500"]);
    }

    #[test]
    fn an_exclusive_start_is_written_one_unit_earlier_and_ends_stay() {
        let mut weekly = incremental("2026-03-01", "7d");
        weekly.start_bound = StartBound::Exclusive;
        assert_eq!(walk(&weekly, None), ["2026-02-28 2026-03-08*", "2026-03-07 2026-03-15"]);
        weekly.end_bound = EndBound::Inclusive;
        assert_eq!(walk(&weekly, None), ["2026-02-28 2026-03-07*", "2026-03-07 2026-03-15"]);
    }

    #[test]
    fn windows_over_numbers_with_inclusive_ends_touch_and_do_not_overlap() {
        let mut ids = incremental("0", "1000");
        (ids.end_bound, ids.end_value) = (EndBound::Inclusive, Some(fixture::bound("2500")));
        assert_eq!(walk(&ids, None), ["0 999*", "1000 1999*", "2000 2499"]);
    }

    #[test]
    fn nothing_is_asked_for_before_an_initial_value_in_the_future() {
        let mut daily = incremental("2027-01-01T00:00:00Z", "1d");
        assert!(walk(&daily, None).is_empty());
        daily.end_value = Some(fixture::bound("2027-02-01"));
        assert!(walk(&daily, None).is_empty());
    }

    #[test]
    fn windows_in_a_time_zone_leave_no_gap_where_summer_time_begins() {
        let mut weekly = incremental("2026-02-22T04:30:00Z", "7d");
        weekly.notation = Notation {
            format: Some(CursorFormat::Date),
            timezone: "America/New_York".parse().ok(),
            ..Notation::default()
        };
        weekly.end_bound = EndBound::Inclusive;
        let days =
            ["2026-02-21 2026-02-27*", "2026-02-28 2026-03-06*", "2026-03-07 2026-03-14*", "2026-03-15 2026-03-15"];
        assert_eq!(walk(&weekly, None), days);
    }

    #[test]
    fn halves_of_a_slice_share_a_bound_and_end_where_it_ends() {
        let weekly = incremental("2026-03-01", "7d");
        let bounds = fixture::bounds(&weekly);
        let slices = Slices::new(&weekly, &bounds);
        let whole = slices.first(None).unwrap().unwrap();
        let [first, second] = whole.halves(&weekly).unwrap().unwrap();
        let text = |value: &Option<CursorValue>| value.as_ref().map(|value| value.text().to_owned());
        assert_eq!((text(&first.start), text(&first.end)), (Some("2026-03-01".into()), Some("2026-03-04".into())));
        assert_eq!((text(&second.start), &second.end), (Some("2026-03-04".into()), &whole.end));
        assert!(first.closes && !first.is_last() && second.closes == whole.closes);
        assert_eq!(slices.after(&second, None).unwrap(), slices.after(&whole, None).unwrap());
        let day = Slice { end: Some(CursorValue::parse_text("2026-03-02", &weekly.notation)), ..whole };
        assert_eq!(day.halves(&weekly).unwrap(), None, "a day is the unit");
    }
}
