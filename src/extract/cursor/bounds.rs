//! The bounds that the file gives, as one run sees them, and what the other keys ask of them.

use super::covered::Range;
use super::{CursorKind, CursorValue, can_align};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{Bound, CursorSource, Distance, Incremental, Notation, StartBound};
use crate::plan::template::Scope;
use chrono::{DateTime, Utc};

/// The bounds of one run.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub(super) initial: Option<Limit>,
    pub(super) end: Option<Limit>,
    /// The start of the run.
    pub(super) now: DateTime<Utc>,
}

/// A bound that has a value.
#[derive(Debug, Clone)]
pub(super) struct Limit {
    pub(super) value: CursorValue,
    /// It is another one in each run.
    pub(super) is_of_run: bool,
}

/// A value of the file that other keys can't work with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key whose value it is.
    pub key: &'static str,
    /// One sentence.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl Bounds {
    /// The bounds of a run; `scope` has its start and the variables.
    ///
    /// # Errors
    /// An expression fails on its values, or gives nothing.
    pub fn of(incremental: &Incremental, scope: &Scope) -> Result<Bounds> {
        let initial = incremental.initial_value.as_ref().map(|bound| limit("initial_value", bound, incremental, scope));
        let end = incremental.end_value.as_ref().map(|bound| limit("end_value", bound, incremental, scope));
        Ok(Bounds { initial: initial.transpose()?, end: end.transpose()?, now: scope.run_started_at })
    }

    /// The bounds of a range that is loaded beside the cursor.
    pub fn of_range(range: &Range, now: DateTime<Utc>) -> Bounds {
        let limit = |value: &CursorValue| Some(Limit { value: value.clone(), is_of_run: false });
        Bounds { initial: limit(&range.from), end: limit(&range.to), now }
    }

    /// Says whether a value is of the kind of the bounds that the file gives.
    ///
    /// # Errors
    /// It can't be compared with one of them.
    pub fn check_kind(&self, value: &CursorValue, notation: &Notation) -> Result<()> {
        [&self.initial, &self.end]
            .into_iter()
            .flatten()
            .try_for_each(|limit| value.order(&limit.value, notation).map(|_| ()))
    }

    /// As [`Bounds::of`], with bounds that the other keys can work with.
    ///
    /// # Errors
    /// As [`Bounds::of`]; or the first of the [`Bounds::mistakes`].
    pub fn checked(incremental: &Incremental, scope: &Scope) -> Result<Bounds> {
        let bounds = Bounds::of(incremental, scope)?;
        let Some(mistake) = bounds.mistakes(incremental).into_iter().next() else { return Ok(bounds) };
        let (bound, limit) = match mistake.key {
            "end_value" => (&incremental.end_value, &bounds.end),
            _ => (&incremental.initial_value, &bounds.initial),
        };
        let mut error = Error::new(Kind::Config, mistake.message).hint(mistake.help);
        if let (Some(bound), Some(limit)) = (bound, limit) {
            error = error
                .with("at", &bound.place)
                .with("expression", bound.text.source())
                .with("value", limit.value.text());
        }
        Err(error)
    }

    /// What is wrong with the values. It is the same for each run, but for the order of bounds of which one moves.
    pub fn mistakes(&self, incremental: &Incremental) -> Vec<Mistake> {
        let mut found = Vec::new();
        self.check_format(incremental, &mut found);
        self.check_order(incremental, &mut found);
        if let Some(initial) = &self.initial {
            check_slices(incremental, &initial.value, self.end.is_some(), &mut found);
            check_distances(incremental, &initial.value, &mut found);
        }
        found
    }

    fn check_format(&self, incremental: &Incremental, found: &mut Vec<Mistake>) {
        let has_format = incremental.notation.format.is_some() || !incremental.notation.record_formats.is_empty();
        for (key, limit) in [("initial_value", &self.initial), ("end_value", &self.end)] {
            if limit.as_ref().is_some_and(|limit| has_format && limit.value.kind() == CursorKind::Text) {
                let name = if incremental.notation.format.is_some() { "format" } else { "cursor_format" };
                found.push(Mistake {
                    key,
                    message: format!("`{key}` is no time, so `{name}` can't be applied to it"),
                    help: format!("write it as `2020-01-31`, `2020-01-31T00:00:00Z`, or in the `{name}` itself"),
                });
            }
        }
    }

    fn check_order(&self, incremental: &Incremental, found: &mut Vec<Mistake>) {
        let (Some(initial), Some(end)) = (&self.initial, &self.end) else { return };
        match initial.value.order(&end.value, &incremental.notation) {
            // Of two bounds of which one moves, the other is before it in one run and behind it in another.
            Ok(order) if order.is_ge() && initial.is_of_run == end.is_of_run => found.push(Mistake {
                key: "end_value",
                message: "there is nothing between `initial_value` and `end_value`".to_owned(),
                help: "`end_value` is exclusive, and later than `initial_value`".to_owned(),
            }),
            Ok(_) => {}
            Err(_) => found.push(Mistake {
                key: "end_value",
                message: format!(
                    "`end_value` is of another kind than `initial_value`: {}, {}",
                    end.value.kind(),
                    initial.value.kind()
                ),
                help: "write both as the API writes the field of `cursor_path`".to_owned(),
            }),
        }
    }
}

fn limit(key: &'static str, bound: &Bound, incremental: &Incremental, scope: &Scope) -> Result<Limit> {
    let place = |error: Error| error.with("key", key).with("at", &bound.place);
    let text = bound.text.render(scope).map_err(place)?.filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| {
        place(Error::new(Kind::Config, format!("`{key}` has no value"))).with("expression", bound.text.source())
    })?;
    Ok(Limit { value: CursorValue::parse_text(&text, &incremental.notation), is_of_run: bound.is_of_run })
}

/// Slices need values that can be counted on from, and an end.
fn check_slices(incremental: &Incremental, initial: &CursorValue, has_end: bool, found: &mut Vec<Mistake>) {
    let why = match (&incremental.window, &incremental.source) {
        (Some(_), _) => "`window`",
        (None, CursorSource::Window) => "`cursor_from = \"window\"`",
        (None, _) => return,
    };
    let mut mistake = |key, message: String, help: &str| found.push(Mistake { key, message, help: help.to_owned() });
    let is_time = initial.is_time(&incremental.notation);
    if initial.kind() == CursorKind::Text {
        mistake("initial_value", format!("{why} can't be counted on from a text"), "write a time or a number");
        return;
    }
    if !is_time && matches!(incremental.window, Some(Distance::Time(_))) {
        let help = "add `format = \"epoch_s\"` or \"epoch_ms\" if it is a time, or give `window` as a number";
        mistake("window", "`window` is a time, but `initial_value` is a number that is no time".to_owned(), help);
    } else if !is_time && !has_end {
        let help = "add `end_value`; of times the last slice would end at the start of the run";
        mistake("initial_value", format!("{why} over numbers needs an `end_value`"), help);
    }
    if incremental.align && incremental.window.is_some_and(|window| !can_align(&window, is_time)) {
        let help = "write whole months, whole days, or hours that divide a day: `1mo`, `7d`, `1d`, `6h`";
        mistake("window", "`align` needs a `window` that is a unit of the calendar".to_owned(), help);
    }
}

/// Keys that count from a start or show its neighbour.
fn check_distances(incremental: &Incremental, initial: &CursorValue, found: &mut Vec<Mistake>) {
    if incremental.earliest.is_some() && !initial.is_time(&incremental.notation) {
        found.push(Mistake {
            key: "earliest",
            message: "`earliest` is a length of time, but `initial_value` is no time".to_owned(),
            help: "it is counted back from the start of the run; leave it out for numbers and texts".to_owned(),
        });
    }
    let is_text = initial.kind() == CursorKind::Text;
    if incremental.start_bound == StartBound::Exclusive && is_text && incremental.notation.format.is_none() {
        found.push(Mistake {
            key: "start_bound",
            message: "`start_bound` needs a cursor that is a time or a number: a text has no neighbour".to_owned(),
            help: "leave it out, or say how `cursor_format` reads the text as a time".to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::fixture;
    use crate::plan::duration::parse_span;
    use crate::plan::template::Template;

    fn scope() -> Scope {
        Scope { run_started_at: DateTime::from_timestamp(1_773_577_845, 0).unwrap(), ..Scope::default() }
    }

    fn bound(text: &str) -> Option<Bound> {
        let template = Template::parse(text).unwrap();
        let is_of_run = template.uses("run.started_at");
        Some(Bound { text: template, is_of_run, place: "api.toml:7:1".to_owned() })
    }

    fn incremental(initial: &str, end: &str) -> Incremental {
        Incremental { initial_value: bound(initial), end_value: bound(end), ..fixture::incremental("since") }
    }

    #[test]
    fn what_expressions_give_is_typed_like_what_is_written() {
        let computed = incremental("{{ run.started_at | add('-30d') | date }}", "{{ run.started_at | epoch_s }}");
        let bounds = Bounds::checked(&computed, &scope()).unwrap();
        let (initial, end) = (bounds.initial.unwrap(), bounds.end.unwrap());
        assert_eq!((initial.value.kind(), initial.value.text()), (CursorKind::Date, "2026-02-13"));
        assert_eq!((end.value.kind(), end.value.text()), (CursorKind::Integer, "1773577845"));
    }

    #[test]
    fn a_value_that_does_not_do_names_its_key_and_place() {
        let windowed = Incremental {
            window: Some(Distance::Time(parse_span("1d").unwrap())),
            ..incremental("{{ run.started_at | strftime('week %W') }}", "2026-03-01")
        };
        let error = Bounds::checked(&windowed, &scope()).unwrap_err();
        assert_eq!((error.kind(), error.context("at")), (Kind::Config, Some("api.toml:7:1")));
        assert_eq!(error.context("value"), Some("2026-03-01"), "the kinds differ: {error}");
        let nothing = incremental("{{ vars.since }}", "2026-03-01");
        let error = Bounds::checked(&nothing, &scope()).unwrap_err();
        assert_eq!((error.message(), error.context("key")), ("`initial_value` has no value", Some("initial_value")));
    }

    #[test]
    fn the_order_of_bounds_is_a_mistake_only_if_it_never_changes() {
        for (initial, end, is_right) in [
            ("2026-01-01", "2026-02-01", true),
            ("2026-02-01", "2026-01-01", false),
            ("{{ run.started_at }}", "{{ run.started_at | add('-1d') }}", false),
            ("2027-01-01", "{{ run.started_at }}", true),
            ("{{ run.started_at }}", "2026-01-01", true),
        ] {
            let bounds = Bounds::of(&incremental(initial, end), &scope()).unwrap();
            assert_eq!(bounds.mistakes(&incremental(initial, end)).is_empty(), is_right, "{initial} {end}");
        }
    }
}
