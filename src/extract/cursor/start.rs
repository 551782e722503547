//! Where a run starts to ask: the stored cursor or the file's initial value, moved back by the lag.

use super::CursorValue;
use crate::error::{Error, Kind, Result};
use crate::plan::model::Incremental;
use std::cmp::Ordering;

/// The inclusive start of a run: the larger of `initial_value` and the stored cursor, moved back by `lag`, but never
/// earlier than `initial_value`. `None`: everything is asked for.
///
/// # Errors
/// The two can't be compared, or the lag can't be taken from the stored value.
pub fn start(incremental: &Incremental, stored: Option<&CursorValue>) -> Result<Option<CursorValue>> {
    let initial = incremental.initial_value.as_deref().map(CursorValue::parse_text);
    let Some(stored) = stored else { return Ok(initial) };
    let lagged = match &incremental.lag {
        Some(lag) => stored.minus(lag)?,
        None => stored.clone(),
    };
    match initial {
        Some(initial) if order(&initial, &lagged)?.is_gt() => Ok(Some(initial)),
        _ => Ok(Some(lagged)),
    }
}

/// The start as a request shows it, in the `format` of the file.
///
/// # Errors
/// As [`start`], or the value does not fit the format.
pub fn start_text(incremental: &Incremental, stored: Option<&CursorValue>) -> Result<Option<String>> {
    start(incremental, stored)?.map(|value| value.render(incremental.format.as_ref())).transpose()
}

/// Order of the file's value and an API's: people write `2020-01-01` for an API that shows instants or epoch times.
fn order(initial: &CursorValue, seen: &CursorValue) -> Result<Ordering> {
    match (initial.compare(seen), initial.moment(), seen.moment()) {
        (Ok(order), ..) => Ok(order),
        (Err(_), Some(initial), Some(seen)) => Ok(initial.cmp(&seen)),
        (Err(cause), ..) => Err(Error::new(Kind::Config, "`initial_value` is of another kind than the stored cursor")
            .with("initial_value", initial.describe())
            .with("stored cursor", seen.describe())
            .hint("write `initial_value` as the API writes the field of `cursor_path`")
            .source(cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::model::{CursorFormat, FieldPath, Lag, OnCursorMissing};
    use std::time::Duration;

    fn incremental(initial: Option<&str>, lag: Option<Lag>, format: Option<CursorFormat>) -> Incremental {
        Incremental {
            cursor_paths: vec![FieldPath(vec!["updated_at".into()])],
            start_param: Some("since".into()),
            initial_value: initial.map(str::to_owned),
            lag,
            format,
            on_missing: OnCursorMissing::Raise,
        }
    }

    #[test]
    fn a_run_starts_at_the_larger_value_less_the_lag_and_never_before_the_initial_value() {
        let hour = Lag::Time(Duration::from_secs(3600));
        for (initial, stored, lag, expected) in [
            (None, None, None, None),
            (Some("2020-01-01"), None, Some(hour), Some("2020-01-01")),
            (None, Some("2026-01-02T03:00:00Z"), None, Some("2026-01-02T03:00:00Z")),
            (None, Some("2026-01-02T03:00:00Z"), Some(hour), Some("2026-01-02T02:00:00Z")),
            (Some("2020-01-01"), Some("2026-01-02T03:00:00Z"), Some(hour), Some("2026-01-02T02:00:00Z")),
            (Some("2026-01-02T02:30:00Z"), Some("2026-01-02T03:00:00Z"), Some(hour), Some("2026-01-02T02:30:00Z")),
            (Some("2027-01-01T00:00:00Z"), Some("2026-01-02T03:00:00Z"), None, Some("2027-01-01T00:00:00Z")),
            (Some("2020-01-01T00:00:00Z"), Some("1767312000999"), None, Some("1767312000999")),
            (Some("0"), Some("0"), Some(Lag::Number(5)), Some("0")),
        ] {
            let stored = stored.map(CursorValue::parse_text);
            let start = start_text(&incremental(initial, lag, None), stored.as_ref()).unwrap();
            assert_eq!(start.as_deref(), expected, "{initial:?} {stored:?}");
        }
    }

    #[test]
    fn an_initial_value_of_another_kind_is_an_error_and_a_format_applies_to_it() {
        let error = start(&incremental(Some("abc"), None, None), Some(&CursorValue::parse_text("12"))).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        let epoch = incremental(Some("2020-01-01T00:00:00Z"), None, Some(CursorFormat::EpochMillis));
        assert_eq!(start_text(&epoch, None).unwrap().as_deref(), Some("1577836800000"));
    }
}
