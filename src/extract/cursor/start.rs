//! Where a run starts to ask: the stored cursor or the file's initial value, moved back by the lag.

use super::CursorValue;
use crate::error::{Error, Kind, Result};
use crate::plan::model::{CursorSource, Incremental};

/// The inclusive start of a run: the larger of `initial_value` and the stored cursor, moved back by `lag`, but never
/// earlier than `initial_value`. `None`: everything is asked for.
///
/// # Errors
/// The two can't be compared, or the lag can't be taken from the stored value.
pub fn start(incremental: &Incremental, stored: Option<&CursorValue>) -> Result<Option<CursorValue>> {
    let notation = &incremental.notation;
    let initial = incremental.initial_value.as_deref().map(|text| CursorValue::parse_text(text, notation));
    let Some(stored) = stored else { return Ok(initial) };
    let lagged = match &incremental.lag {
        Some(lag) => stored.minus(lag, notation)?,
        None => stored.clone(),
    };
    // What only the API understands has no order: the last value counts.
    let is_opaque = matches!(incremental.source, CursorSource::Response(_));
    let Some(initial) = initial.filter(|_| !is_opaque) else { return Ok(Some(lagged)) };
    let order = initial.order(&lagged, notation).map_err(|cause| {
        Error::new(Kind::Config, "`initial_value` is of another kind than the stored cursor")
            .with("initial_value", initial.describe())
            .with("stored cursor", lagged.describe())
            .hint("write `initial_value` as the API writes the field of `cursor_path`")
            .source(cause)
    })?;
    Ok(Some(if order.is_gt() { initial } else { lagged }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::fixture;
    use crate::plan::duration::parse_span;
    use crate::plan::model::{CursorFormat, Distance, Notation};

    fn incremental(initial: Option<&str>, lag: Option<Distance>, format: Option<CursorFormat>) -> Incremental {
        let notation = Notation { format, timezone: None };
        Incremental { initial_value: initial.map(str::to_owned), lag, notation, ..fixture::incremental("since") }
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
}
