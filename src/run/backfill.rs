//! A past range, loaded beside the cursor: what is asked for, of which resources, and which part of the pipeline that changes.
//!
//! The engine is the one of a run. A resource gets the range as its bounds in place of its cursor, and what is loaded of the
//! range is kept in the state under a name of its own, so that the cursor stays where it is.

mod state;
mod windows;

pub(super) use windows::run;

use super::engine::Selection;
use super::newer::NewerStays;
use crate::error::{Error, Kind, Result};
use crate::extract::CursorValue;
use crate::extract::cursor::{Bounds, CursorKind, Range};
use crate::load::{BACKFILL, Stored};
use crate::plan::duration::Span;
use crate::plan::model::{
    CursorSource, Distance, Incremental, MergeStrategy, ParentScope, Pipeline, Resource, RowOrder,
};
use crate::plan::template::Scope;
use chrono::{DateTime, Months, NaiveDate, SecondsFormat, TimeDelta, Timelike, Utc};
use std::collections::{HashMap, HashSet};

/// A range to load.
#[derive(Debug, Clone)]
pub struct Request {
    /// Inclusive start.
    pub from: Edge,
    /// Exclusive end.
    pub to: Edge,
    /// Length of its windows; none: as the file says.
    pub window: Option<Distance>,
    /// Whether what an earlier backfill of the range loaded is loaded again.
    pub again: bool,
}

/// One end of a range, as a person writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edge {
    /// As the API or ISO 8601 writes it.
    Value(String),
    /// So long ago.
    Ago(Span),
}

/// What a resource loads of the past.
#[derive(Debug, Clone)]
pub(super) struct Past {
    pub(super) range: Range,
    /// Under which name its progress is in the state.
    pub(super) name: String,
    /// Whether earlier progress counts for nothing.
    pub(super) again: bool,
}

/// A backfill, ready to run; or none.
#[derive(Default)]
pub(super) struct Backfill {
    /// By resource.
    pub(super) pasts: HashMap<String, Past>,
    /// The bounds of their ranges.
    pub(super) bounds: HashMap<String, Bounds>,
    /// Both ends, as reports show them; none: there is no backfill.
    pub(super) range: Option<(String, String)>,
}

impl Edge {
    /// The value as text. What is so many days or months ago is a date, so that a command means the same all day long; less than
    /// a day is a time, to the minute.
    fn text(&self, now: DateTime<Utc>) -> Result<String> {
        let span = match self {
            Edge::Value(text) => return Ok(text.clone()),
            Edge::Ago(span) => span,
        };
        let beyond = || Error::new(Kind::Config, "the range begins before time can be counted");
        let at = now.checked_sub_months(Months::new(span.months)).ok_or_else(beyond)?;
        let rest = TimeDelta::from_std(span.rest).map_err(|_| beyond())?;
        let at = at.checked_sub_signed(rest).ok_or_else(beyond)?;
        let is_days = span.rest.as_secs().is_multiple_of(86_400);
        Ok(if is_days { date(at).to_string() } else { minute(at).to_rfc3339_opts(SecondsFormat::Secs, true) })
    }
}

fn date(at: DateTime<Utc>) -> NaiveDate {
    at.date_naive()
}

fn minute(at: DateTime<Utc>) -> DateTime<Utc> {
    at.with_second(0).and_then(|at| at.with_nanosecond(0)).unwrap_or(at)
}

impl Request {
    /// The backfill of a pipeline's resources: those that are named, else all that are selected and have a past that can be asked
    /// for. Their cursors become the range.
    ///
    /// # Errors
    /// [`Kind::Config`]: the range is none, or a named resource, or all of them, can't load one.
    pub(super) fn apply(&self, pipeline: &mut Pipeline, wanted: &[String], scope: &Scope) -> Result<Backfill> {
        let now = scope.run_started_at;
        let (from, to) = (self.from.text(now)?, self.to.text(now)?);
        let mut backfill = Backfill { range: Some((from.clone(), to.clone())), ..Backfill::default() };
        let mut refused = Vec::new();
        for resource in &mut pipeline.resources {
            let is_named = wanted.contains(&resource.name);
            if !(is_named || (wanted.is_empty() && resource.selected)) {
                continue;
            }
            match self.check(resource) {
                Ok(()) => self.give_past(resource, (&from, &to), scope, &mut backfill)?,
                Err(error) if is_named => return Err(error),
                Err(error) => {
                    tracing::warn!(resource = %resource.name, "not part of the backfill: {}", error.message());
                    refused.push(error);
                }
            }
        }
        match (backfill.pasts.is_empty(), refused.into_iter().next()) {
            (false, _) => Ok(backfill),
            (true, Some(error)) => Err(error),
            (true, None) => Err(Error::new(Kind::Config, "no resource of the pipeline is selected")),
        }
    }

    /// Refuses a resource that can't load a range, or would be the worse for it.
    fn check(&self, resource: &Resource) -> Result<()> {
        let refuse = |what: &str, hint: &str| {
            let message = format!("`{}` {what}", resource.name);
            Err(Error::new(Kind::Config, message).hint(hint))
        };
        let Some(incremental) = &resource.incremental else {
            return refuse(
                "has no cursor, so that no past of it can be asked for",
                "`pintail run` loads all of it; a range needs `incremental`",
            );
        };
        if matches!(incremental.source, CursorSource::Response(_)) {
            return refuse(
                "goes on from tokens of the API, which know no past",
                "`pintail run --full-refresh` loads all of it",
            );
        }
        match resource.merge_strategy() {
            Some(MergeStrategy::Scd2 { .. }) => {
                return refuse(
                    "keeps versions (`scd2`): what is loaded last would pass for the newest version",
                    "load the past before the present: `pintail run --full-refresh` with an earlier `initial_value`",
                );
            }
            Some(MergeStrategy::DeleteInsert { merge_key }) if !merge_key.is_empty() => {
                return refuse(
                    "replaces whole groups (`merge_key`), of which a range may hold a part",
                    "with `merge_strategy = \"upsert\"` a range can be loaded",
                );
            }
            _ => {}
        }
        let is_filtered_here = incremental.client_side && matches!(incremental.source, CursorSource::Record(_));
        if !incremental.sends_end && !is_filtered_here {
            return refuse(
                "can't be asked for up to an end",
                "add `end_param`, or `{{ cursor.end }}` to the request; or `client_side = true`, with which later records are left \
                 out here",
            );
        }
        if !incremental.sends_start && !is_filtered_here {
            return refuse(
                "can't be asked for from a start on",
                "add `start_param`, or `{{ cursor.start }}` to the request; or `client_side = true`, with which earlier records are \
                 left out here",
            );
        }
        if self.window.is_some() && !can_be_sliced(incremental) {
            return refuse(
                "can't be asked for window by window: each would read the list to its end",
                "leave `--window` out; or add `end_param`, or `start_param` with `row_order = \"asc\"`",
            );
        }
        Ok(())
    }

    /// Makes the range the bounds of a resource, in place of its cursor.
    fn give_past(
        &self,
        resource: &mut Resource,
        (from, to): (&str, &str),
        scope: &Scope,
        backfill: &mut Backfill,
    ) -> Result<()> {
        let Some(own) = &resource.incremental else { return Ok(()) };
        let place = |error: Error| error.with("resource", &resource.name);
        let read = |text: &str| CursorValue::parse_text(text, &own.notation);
        let range = Range { from: read(from), to: read(to) };
        let of_file = Bounds::of(own, scope).map_err(place)?;
        for (flag, value) in [("--from", &range.from), ("--to", &range.to)] {
            let message = format!("`{flag}` is of another kind than the cursor's values in the file");
            of_file.check_kind(value, &own.notation).map_err(|cause| {
                place(Error::new(Kind::Config, message).with(flag_label(flag), value.text()).source(cause))
            })?;
        }
        let window = if can_be_sliced(own) { self.window.or(own.window) } else { None };
        // The range is meant as it is written: nothing of the file moves its ends.
        let incremental = Incremental { window, lag: None, initial_value: None, end_value: None, ..own.clone() };
        let bounds = Bounds::of_range(&range, scope.run_started_at);
        if let Some(mistake) = bounds.mistakes(&incremental).into_iter().next() {
            let of_command = |text: &str| text.replace("`initial_value`", "`--from`").replace("`end_value`", "`--to`");
            let error = Error::new(Kind::Config, of_command(&mistake.message)).hint(of_command(&mistake.help));
            return Err(place(error.with("--from", from).with("--to", to)));
        }
        if range.from.kind() == CursorKind::Text && incremental.window.is_some() {
            return Err(place(Error::new(Kind::Config, "`--from` is no time and no number, so there are no windows")));
        }
        let name = format!("{BACKFILL}{from}..{to}");
        let past = Past { range, name, again: self.again };
        backfill.bounds.insert(resource.name.clone(), bounds);
        backfill.pasts.insert(resource.name.clone(), past);
        resource.incremental = Some(incremental);
        // Each parent has a past, whether it changed or not.
        if let Some(parent) = &mut resource.parent {
            parent.scope = ParentScope::All;
        }
        Ok(())
    }
}

/// The label of a flag in an error.
fn flag_label(flag: &str) -> &'static str {
    if flag == "--from" { "--from" } else { "--to" }
}

/// Whether the range can be asked for in parts, without each of them reading the rest as well.
fn can_be_sliced(incremental: &Incremental) -> bool {
    incremental.sends_end || (incremental.sends_start && incremental.row_order == Some(RowOrder::Ascending))
}

/// Which resources run, and which of them are stored: those with a past; and parents of theirs that are never stored.
///
/// # Errors
/// Nothing is known of a parent yet.
pub(super) fn select(pipeline: &Pipeline, pasts: &HashMap<String, Past>, stored: &Stored) -> Result<Selection> {
    let mut running: HashSet<String> = pasts.keys().cloned().collect();
    // Parents stand before their children, so going backwards meets every child before its parent.
    for resource in pipeline.resources.iter().rev() {
        let Some(parent) = resource.parent.as_ref().filter(|_| running.contains(&resource.name)) else { continue };
        for name in parent.resources.iter().filter(|name| !pasts.contains_key(*name)) {
            let Some(own) = pipeline.resource(name) else { continue };
            if !own.selected {
                running.insert(name.clone());
            } else if stored.catalog_of(&own.table).is_none() {
                let message = format!("nothing is known yet of `{name}`, for whose rows `{}` runs", resource.name);
                let hint = format!("load it first: pintail run {} --resource {name}", pipeline.name);
                return Err(Error::new(Kind::Config, message).hint(hint));
            }
        }
    }
    Ok(Selection { running, stored: pasts.keys().cloned().collect() })
}

/// Whether rows of a past could take the place of newer ones, and show that they are older.
pub(super) fn has_older_rows(resource: &Resource) -> bool {
    resource.parts().of_walk_stay && resource.incremental.as_ref().is_some_and(|i| !i.record_paths().is_empty())
}

/// What keeps older rows of a resource from taking the place of newer ones.
pub(super) fn newer_stays(resource: &Resource, pasts: &HashMap<String, Past>) -> Option<NewerStays> {
    let incremental = resource.incremental.as_ref()?;
    let is_meant = pasts.contains_key(&resource.name) && has_older_rows(resource);
    is_meant.then(|| NewerStays::new(incremental.record_paths().to_vec(), incremental.notation.clone()))
}

#[cfg(test)]
mod tests;
