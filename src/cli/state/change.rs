//! `pintail state set` and `reset`: the old state is copied, a person says yes, the warehouse changes in one step, then the copy.

use super::show::cursor_text;
use super::unknown_resource;
use crate::cli::print;
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::exit::Exit;
use crate::extract::CursorValue;
use crate::extract::cursor::Position;
use crate::load::reading::{Reader, StateRow};
use crate::load::{CursorRow, Edit, PARENTS_ASKED, StateChange, is_note};
use crate::plan::model::{CursorScope, Incremental, Pipeline, Resource, WriteDisposition};
use crate::run::destination;
use crate::state::backup;
use crate::state::file::StateCopy;
use crate::state::lock::lock_pipeline;
use crate::words::counted;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

/// Rows of the state that are copied at once.
const COPIED_AT_ONCE: u64 = 1000;

/// Where something is changed.
pub(super) struct Place<'a> {
    pub(super) settings: &'a Settings,
    pub(super) pipeline: &'a Pipeline,
    /// Nobody is asked.
    pub(super) yes: bool,
}

/// What becomes of each cursor.
type Editing<'a> = Box<dyn Fn(&CursorRow) -> Result<Edit> + 'a>;

/// A change before anybody has agreed to it.
struct Plan<'a> {
    /// What would change, as people read it.
    text: String,
    edit: Editing<'a>,
    put: Vec<CursorRow>,
}

pub(super) fn set(place: &Place<'_>, name: &str, value: &str, partition: Option<&str>) -> Result<Exit> {
    let resource = place.pipeline.resource(name).ok_or_else(|| unknown_resource(place.pipeline, name))?;
    let Some(incremental) = &resource.incremental else {
        return Err(Error::new(Kind::Config, format!("`{name}` has no cursor"))
            .hint("only a resource with `incremental` has one"));
    };
    check_scope(resource, incremental, partition)?;
    change(place, |reader| {
        let row = find(reader, &place.pipeline.name, name, partition)?;
        let old = row.as_ref().map(|row| Position::from_state(&row.cursor.value)).transpose()?;
        let stored = old.as_ref().and_then(|old| old.value.as_ref().or(old.seen.as_ref()));
        let value = CursorValue::by_hand(value, stored, &incremental.notation)?;
        let position = Position::set_by_hand(value, old.as_ref(), &incremental.notation)?;
        let partition = row.as_ref().map_or_else(String::new, |row| row.cursor.partition.clone());
        let new = CursorRow { resource: name.to_owned(), partition, value: position.to_state() };
        let before = row.as_ref().map_or_else(|| "none".to_owned(), |row| cursor_text(&row.cursor.value).1);
        let text = format!("{}\n  cursor  {before}  ->  {}\n", label(&new), cursor_text(&new.value).1);
        Ok(Some(Plan { text, edit: Box::new(|_| Ok(Edit::Keep)), put: vec![new] }))
    })
}

pub(super) fn reset(place: &Place<'_>, name: Option<&str>, partition: Option<&str>) -> Result<Exit> {
    if partition.is_some() && name.is_none() {
        return Err(Error::new(Kind::Config, "`--partition` is one of a resource").hint("write PIPELINE.RESOURCE"));
    }
    change(place, |reader| {
        let partition = match (name, partition) {
            (Some(name), Some(_)) => {
                find(reader, &place.pipeline.name, name, partition)?.map(|row| row.cursor.partition)
            }
            _ => None,
        };
        let concerned = concerned(reader, place.pipeline, name, partition.as_deref())?;
        if let Some(name) = name.filter(|name| concerned.is_empty() && place.pipeline.resource(name).is_none()) {
            return Err(unknown_resource(place.pipeline, name));
        }
        if concerned.is_empty() {
            return Ok(None);
        }
        let name = name.map(str::to_owned);
        let edit = move |row: &CursorRow| {
            let is_meant = name.as_ref().is_none_or(|name| *name == row.resource)
                && partition.as_ref().is_none_or(|partition| *partition == row.partition);
            if is_meant { forget(place.pipeline, row) } else { Ok(Edit::Keep) }
        };
        Ok(Some(Plan { text: concerned.join(""), edit: Box::new(edit), put: Vec::new() }))
    })
}

/// What becomes of a cursor that is to be forgotten. Where rows are appended, how new they are stays known: they would be stored
/// twice when they come again.
fn forget(pipeline: &Pipeline, row: &CursorRow) -> Result<Edit> {
    let resource = pipeline.resource(&row.resource).filter(|r| r.incremental.is_some());
    let appends = resource.is_some_and(|r| r.write == WriteDisposition::Append);
    if !appends || is_note(&row.partition) {
        return Ok(Edit::Forget);
    }
    let forgotten = Position::from_state(&row.value)?.forgotten().to_state();
    Ok(if forgotten == row.value { Edit::Keep } else { Edit::Put(forgotten) })
}

/// A line for each resource whose cursors would be forgotten.
fn concerned(reader: &Reader, pipeline: &Pipeline, name: Option<&str>, partition: Option<&str>) -> Result<Vec<String>> {
    let is_meant = |resource: &str| name.is_none_or(|name| name == resource);
    let mut lines = Vec::new();
    if let (Some(name), Some(partition)) = (name, partition) {
        if let Some(row) = reader.cursor(&pipeline.name, name, partition)? {
            lines.push(format!("{}\n  cursor  {}  ->  none\n", label(&row.cursor), cursor_text(&row.cursor.value).1));
        }
        return Ok(lines);
    }
    for row in reader.cursors(&pipeline.name)?.iter().filter(|row| is_meant(&row.cursor.resource)) {
        lines.push(format!("{}\n  cursor  {}  ->  none\n", label(&row.cursor), cursor_text(&row.cursor.value).1));
    }
    for (resource, count) in reader.partition_counts(&pipeline.name)?.iter().filter(|(name, _)| is_meant(name)) {
        lines.push(format!("{resource}\n  cursors of {}  ->  none\n", counted(*count, "partition")));
    }
    for resource in pipeline.resources.iter().filter(|r| is_meant(&r.name)) {
        for note in reader.notes(&pipeline.name, &resource.name)? {
            lines.push(format!("{}\n  {}\n", resource.name, without(&note.cursor.partition, resource)));
        }
    }
    Ok(lines)
}

/// What follows when a note beside the cursors is forgotten.
fn without(note: &str, resource: &Resource) -> String {
    match (note == PARENTS_ASKED, resource.write, &resource.incremental) {
        (false, ..) => format!("what is noted of `{note}` is forgotten"),
        (true, WriteDisposition::Append, None) => {
            "all its parents are asked for again; it appends without a cursor: their rows will be stored again"
                .to_owned()
        }
        (true, ..) => "all its parents are asked for again".to_owned(),
    }
}

fn label(row: &CursorRow) -> String {
    if row.partition.is_empty() {
        row.resource.clone()
    } else {
        format!("{}, partition {}", row.resource, row.partition)
    }
}

/// A resource has one cursor, or one for each partition.
fn check_scope(resource: &Resource, incremental: &Incremental, partition: Option<&str>) -> Result<()> {
    let has_units = resource.parent.is_some() || resource.partitions.is_some();
    let of_partitions = has_units && incremental.scope == CursorScope::Partition;
    match (of_partitions, partition) {
        (true, None) => Err(Error::new(Kind::Config, format!("`{}` has a cursor for each partition", resource.name))
            .hint("name one with `--partition`, as `pintail state show PIPELINE.RESOURCE` lists them")),
        (false, Some(_)) => {
            Err(Error::new(Kind::Config, format!("`{}` has one cursor, and no partitions", resource.name))
                .hint("leave `--partition` out"))
        }
        _ => Ok(()),
    }
}

/// The stored row of a resource, or of one of its partitions.
///
/// # Errors
/// There is no such partition.
fn find(reader: &Reader, pipeline: &str, resource: &str, partition: Option<&str>) -> Result<Option<StateRow>> {
    let Some(partition) = partition else { return reader.cursor(pipeline, resource, "") };
    let canonical = serde_json::from_str::<Value>(partition).ok().map(|value| sorted(value, 2).to_string());
    for name in std::iter::once(partition.to_owned()).chain(canonical) {
        if let Some(row) = reader.cursor(pipeline, resource, &name)?.filter(|row| !is_note(&row.cursor.partition)) {
            return Ok(Some(row));
        }
    }
    Err(Error::new(Kind::Config, format!("`{resource}` has no cursor of this partition"))
        .with("partition", partition)
        .hint(format!("`pintail state show {pipeline}.{resource}` lists them")))
}

/// Members in the order in which partitions have them: those of the object and, where a partition is of a parent and a list, of both.
fn sorted(value: Value, depth: u8) -> Value {
    match value {
        Value::Object(members) if depth > 0 => {
            let mut members: Vec<(String, Value)> = members.into_iter().collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(
                members.into_iter().map(|(name, value)| (name, sorted(value, depth - 1))).collect::<Map<_, _>>(),
            )
        }
        value => value,
    }
}

/// Makes a change that `plan` finds in the state as it is; `None`: there is nothing to change.
fn change<'a>(place: &Place<'a>, plan: impl FnOnce(&Reader) -> Result<Option<Plan<'a>>>) -> Result<Exit> {
    let (settings, pipeline) = (place.settings, place.pipeline);
    let command = std::env::args().collect::<Vec<_>>().join(" ");
    let _lock = lock_pipeline(&settings.state_dir, &pipeline.name, &command, settings.run.lock_wait)?;
    let Some(plan) = prepare(place, &command, plan)? else {
        return print(&format!("{}: there is no cursor to forget\n", pipeline.name)).map(|()| Exit::Done);
    };
    if !agreed(place, &plan.text)? {
        return print("nothing was changed\n").map(|()| Exit::Failed);
    }
    let now = Utc::now();
    let old = copy_state(place, now)?;
    let mut warehouse = destination::open(settings, &command)?;
    let location = warehouse.location();
    warehouse.open(&pipeline.name, &pipeline.dataset)?;
    let (name, dataset) = (&pipeline.name, &pipeline.dataset);
    let changed =
        warehouse.change_state(&StateChange { pipeline: name, dataset, edit: &*plan.edit, put: &plan.put, at: now })?;
    let stored = warehouse.open(name, dataset)?;
    if let Err(error) = StateCopy::of(name, &location, &stored, now).write(&settings.state_dir) {
        tracing::warn!(%error, "the readable copy of the state could not be written; the warehouse has it");
    }
    warehouse.close()?;
    let done = format!("{} changed in {location}; the old state is in {}\n", counted(changed, "cursor"), old.display());
    print(&done).map(|()| Exit::Done)
}

/// Ends what a killed run left behind, and finds out what would change.
fn prepare<'a>(
    place: &Place<'a>,
    command: &str,
    plan: impl FnOnce(&Reader) -> Result<Option<Plan<'a>>>,
) -> Result<Option<Plan<'a>>> {
    let (settings, pipeline) = (place.settings, place.pipeline);
    let nothing_yet = || {
        Error::new(Kind::Config, "nothing is loaded yet, so there is no state to change")
            .with("destination", destination::location(&settings.destination))
            .with("schema", &pipeline.dataset)
            .hint("`initial_value` in the pipeline file says where a first run starts")
    };
    read(place)?.ok_or_else(nothing_yet)?;
    let mut warehouse = destination::open(settings, command)?;
    warehouse.open(&pipeline.name, &pipeline.dataset)?;
    warehouse.close()?;
    plan(&read(place)?.ok_or_else(nothing_yet)?)
}

fn read(place: &Place<'_>) -> Result<Option<Reader>> {
    destination::read(&place.settings.destination, &place.pipeline.dataset, place.settings.run.lock_wait)
}

/// Copies the state as it is.
fn copy_state(place: &Place<'_>, now: DateTime<Utc>) -> Result<PathBuf> {
    let (settings, name) = (place.settings, &place.pipeline.name);
    let reader = read(place)?.ok_or_else(|| Error::new(Kind::Destination, "the warehouse is gone"))?;
    let location = destination::location(&settings.destination);
    backup::write(&settings.state_dir, name, &location, now, |after| reader.state_after(name, after, COPIED_AT_ONCE))
}

/// Whether a person agrees. Without a terminal nobody can be asked.
fn agreed(place: &Place<'_>, text: &str) -> Result<bool> {
    let text = crate::secret::redact(text);
    let failed = |e: io::Error| Error::new(Kind::State, "nobody could be asked; nothing was changed").source(e);
    let mut terminal = io::stderr().lock();
    writeln!(terminal, "{text}").map_err(failed)?;
    if place.yes {
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        return Err(Error::new(Kind::Config, "nobody can be asked without a terminal; nothing was changed")
            .hint("say `--yes` if this is what you want"));
    }
    write!(terminal, "Change this? [y/N] ").and_then(|()| terminal.flush()).map_err(failed)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_found_whatever_the_order_of_their_members() {
        let text = r#"{"partition": {"b": 1, "a": 2}, "parent": {"id": {"z": 1, "y": 2}}}"#;
        let value = sorted(serde_json::from_str(text).unwrap(), 2);
        let expected = r#"{"parent":{"id":{"z":1,"y":2}},"partition":{"a":2,"b":1}}"#;
        assert_eq!(value.to_string(), expected, "values stay as the API wrote them");
    }
}
