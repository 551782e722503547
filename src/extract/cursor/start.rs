//! Where a run starts to ask: the stored cursor or the file's initial value, moved back by the lag, and not before what the API
//! still has.

use super::bounds::{Bounds, Limit};
use super::{CursorValue, time::Moment};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{CursorSource, Distance, Incremental};

/// Where a run starts to ask.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Start {
    pub(super) value: CursorValue,
    /// Where it would have started without `earliest`.
    pub(super) moved_up_from: Option<CursorValue>,
}

/// The inclusive start of a run: the larger of `initial_value` and the stored cursor, moved back by `lag`, but never
/// earlier than `initial_value`, then back to the beginning of its unit with `align`, but not before `earliest`. `None`:
/// everything is asked for.
///
/// # Errors
/// The two can't be compared, or the lag can't be taken from the stored value.
pub(super) fn start(incremental: &Incremental, bounds: &Bounds, stored: Option<&CursorValue>) -> Result<Option<Start>> {
    let Some(value) = unbounded(incremental, bounds, stored)? else { return Ok(None) };
    let aligned = match incremental.window.as_ref().filter(|_| incremental.align) {
        Some(window) => value.unit_start(window, &incremental.notation)?,
        None => value.clone(),
    };
    let Some(earliest) = earliest(incremental, bounds, &aligned)? else {
        return Ok(Some(Start { value: aligned, moved_up_from: None }));
    };
    let is_before = |one: &CursorValue| one.order(&earliest, &incremental.notation).map(|order| order.is_lt());
    Ok(Some(match (is_before(&value)?, is_before(&aligned)?) {
        (true, _) => Start { value: earliest, moved_up_from: Some(value) },
        // Only the beginning of its unit is too old.
        (false, true) => Start { value: earliest, moved_up_from: None },
        (false, false) => Start { value: aligned, moved_up_from: None },
    }))
}

fn unbounded(incremental: &Incremental, bounds: &Bounds, stored: Option<&CursorValue>) -> Result<Option<CursorValue>> {
    let notation = &incremental.notation;
    let initial = bounds.initial.as_ref();
    let Some(stored) = stored else { return Ok(initial.map(|initial| initial.value.clone())) };
    let lagged = match &incremental.lag {
        Some(lag) => stored.minus(lag, notation)?,
        None => stored.clone(),
    };
    // What only the API understands has no order: the last value counts.
    let is_opaque = matches!(incremental.source, CursorSource::Response(_));
    let Some(Limit { value: initial, is_of_run }) = initial.filter(|_| !is_opaque) else { return Ok(Some(lagged)) };
    let order = initial.order(&lagged, notation).map_err(|cause| {
        Error::new(Kind::Config, "`initial_value` is of another kind than the stored cursor")
            .with("initial_value", initial.describe())
            .with("stored cursor", lagged.describe())
            .hint("write `initial_value` as the API writes the field of `cursor_path`")
            .source(cause)
    })?;
    if !order.is_gt() {
        return Ok(Some(lagged));
    }
    // One that moves with the runs overtakes the cursor of a pipeline that stood still: nothing between would be asked for.
    let overtakes = *is_of_run && initial.order(stored, notation)?.is_gt();
    Ok(Some(if overtakes { stored.clone() } else { initial.clone() }))
}

/// The earliest start, written like the start in hand; what it can't show is cut off.
fn earliest(incremental: &Incremental, bounds: &Bounds, like: &CursorValue) -> Result<Option<CursorValue>> {
    let Some(span) = incremental.earliest else { return Ok(None) };
    let now = CursorValue::parse_text(&bounds.now.to_rfc3339(), &Default::default());
    let moment: Option<Moment> = now.minus(&Distance::Time(span), &incremental.notation)?.moment(&incremental.notation);
    let earliest = moment.and_then(|moment| like.of_moment(&moment, &incremental.notation));
    earliest.map(Some).ok_or_else(|| {
        Error::new(Kind::Config, "`earliest` is a length of time, but the cursor is no time")
            .with("cursor", like.text())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::fixture;
    use crate::plan::duration::parse_span;
    use crate::plan::model::{CursorFormat, Notation};

    fn incremental(initial: Option<&str>, lag: Option<Distance>, format: Option<CursorFormat>) -> Incremental {
        let notation = Notation { format, ..Notation::default() };
        Incremental { initial_value: initial.map(fixture::bound), lag, notation, ..fixture::incremental("since") }
    }

    /// The start of a run at 2026-03-15T12:30:45Z.
    fn start(incremental: &Incremental, stored: Option<&CursorValue>) -> Result<Option<CursorValue>> {
        Ok(whole(incremental, stored)?.map(|start| start.value))
    }

    fn whole(incremental: &Incremental, stored: Option<&CursorValue>) -> Result<Option<Start>> {
        super::start(incremental, &fixture::bounds(incremental), stored)
    }

    fn span(text: &str) -> Distance {
        Distance::Time(parse_span(text).unwrap())
    }

    fn of(text: &str) -> CursorValue {
        CursorValue::parse_text(text, &Notation::default())
    }

    #[test]
    fn a_run_starts_at_the_larger_value_less_the_lag_and_never_before_the_initial_value() {
        let hour = Distance::Time(parse_span("1h").unwrap());
        for (initial, stored, lag, expected) in [
            (None, None, None, None),
            (Some("2020-01-01"), None, Some(hour), Some("2020-01-01")),
            (None, Some("2026-01-02T03:00:00Z"), None, Some("2026-01-02T03:00:00Z")),
            (None, Some("2026-01-02T03:00:00Z"), Some(hour), Some("2026-01-02T02:00:00Z")),
            (Some("2020-01-01"), Some("2026-01-02T03:00:00Z"), Some(hour), Some("2026-01-02T02:00:00Z")),
            (Some("2026-01-02T02:30:00Z"), Some("2026-01-02T03:00:00Z"), Some(hour), Some("2026-01-02T02:30:00Z")),
            (Some("2027-01-01T00:00:00Z"), Some("2026-01-02T03:00:00Z"), None, Some("2027-01-01T00:00:00Z")),
            (Some("2020-01-01T00:00:00Z"), Some("1767312000999"), None, Some("1767312000999")),
            (Some("0"), Some("0"), Some(Distance::Number(5)), Some("0")),
            (None, Some("2026-03-31T02:00:00Z"), Some(span("1mo")), Some("2026-02-28T02:00:00Z")),
            (None, Some("2026-03-31"), Some(span("13mo")), Some("2025-02-28")),
            (None, Some("1774915200"), Some(span("1mo")), Some("1772236800")),
        ] {
            let start = start(&incremental(initial, lag, None), stored.map(of).as_ref()).unwrap();
            assert_eq!(start.as_ref().map(CursorValue::text), expected, "{initial:?} {stored:?}");
        }
    }

    #[test]
    fn an_initial_value_of_another_kind_is_an_error_and_a_format_applies_to_it() {
        let error = start(&incremental(Some("abc"), None, None), Some(&of("12"))).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        let epoch = incremental(Some("2020-01-01T00:00:00Z"), None, Some(CursorFormat::EpochMillis));
        let start = start(&epoch, None).unwrap().unwrap();
        assert_eq!(start.render(&epoch.notation).unwrap(), "1577836800000");
    }

    #[test]
    fn an_initial_value_that_moves_never_overtakes_the_stored_cursor() {
        let month = Some(span("60d"));
        for (initial, stored, lag, expected) in [
            ("{{ run.started_at | add('-30d') | date }}", None, None, "2026-02-13"),
            ("{{ run.started_at | add('-30d') | date }}", Some("2026-03-01"), None, "2026-03-01"),
            ("{{ run.started_at | add('-30d') | date }}", Some("2025-12-01"), None, "2025-12-01"),
            ("{{ run.started_at | add('-30d') | date }}", Some("2026-03-01"), month, "2026-02-13"),
            ("{{ run.started_at | add('-30d') | date }}", Some("2025-12-01"), month, "2025-12-01"),
        ] {
            let start = start(&incremental(Some(initial), lag, None), stored.map(of).as_ref()).unwrap().unwrap();
            assert_eq!(start.text(), expected, "{stored:?} {lag:?}");
        }
    }

    #[test]
    fn a_start_before_the_earliest_is_moved_up_to_it_and_told() {
        for (initial, stored, earliest, align, expected, from) in [
            (Some("2020-01-01"), None, "30d", None, "2026-02-13", Some("2020-01-01")),
            (Some("2020-01-01"), Some("2026-01-02"), "30d", None, "2026-02-13", Some("2026-01-02")),
            (Some("2020-01-01"), Some("2026-03-02"), "30d", None, "2026-03-02", None),
            (Some("2020-01-01T00:00:00Z"), None, "1mo", None, "2026-02-15T12:30:45Z", Some("2020-01-01T00:00:00Z")),
            (Some("1577836800"), None, "1d", None, "1773491445", Some("1577836800")),
            (Some("2026-02-20"), None, "30d", Some("1mo"), "2026-02-13", None),
            (Some("2026-03-12"), None, "30d", Some("1mo"), "2026-03-01", None),
            (Some("2026-01-12"), None, "30d", Some("1mo"), "2026-02-13", Some("2026-01-12")),
        ] {
            let earliest = parse_span(earliest);
            let keys = Incremental {
                earliest,
                align: align.is_some(),
                window: align.map(span),
                ..incremental(initial, None, None)
            };
            let start = whole(&keys, stored.map(of).as_ref()).unwrap().unwrap();
            assert_eq!(start.value.text(), expected, "{initial:?} {stored:?}");
            assert_eq!(start.moved_up_from.as_ref().map(CursorValue::text), from, "{initial:?} {stored:?}");
        }
        let keys = Incremental { earliest: parse_span("30d"), ..incremental(None, None, None) };
        assert_eq!(whole(&keys, None).unwrap(), None, "a run without a start asks for what there is");
        assert_eq!(whole(&keys, Some(&of("abc"))).unwrap_err().kind(), Kind::Config);
    }
}
