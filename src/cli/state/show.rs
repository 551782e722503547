//! `pintail state show`.

use super::{ShowArgs, Target, unknown_resource};
use crate::cli::{Output, print};
use crate::config::Settings;
use crate::error::Result;
use crate::exit::Exit;
use crate::load::Stored;
use crate::load::reading::{Reader, StateRow};
use crate::plan::model::Pipeline;
use crate::run::destination;
use crate::state::backup::cursor_json;
use crate::state::file::{self, Finding, StateCopy, compare};
use crate::words::{counted, minute};
use chrono::SecondsFormat;
use comfy_table::{Table, TableStyle};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Widest value of a table's cell, characters.
const VALUE_WIDTH: usize = 34;

/// What is shown.
struct Shown {
    destination: String,
    warehouse_id: Option<String>,
    last_load_id: Option<String>,
    finding: Finding,
    /// The resources' own cursors.
    cursors: Vec<StateRow>,
    /// How many partitions have cursors, by resource.
    partition_counts: BTreeMap<String, u64>,
    /// Partitions of the one resource that was asked for.
    page: Vec<StateRow>,
    /// What is noted of it beside.
    notes: Vec<StateRow>,
}

pub(super) fn run(args: &ShowArgs, settings: &Settings) -> Result<Exit> {
    let Target { pipeline, resource } = Target::find(settings, &args.target)?;
    let reader = destination::read(&settings.destination, &pipeline.dataset, settings.run.lock_wait)?;
    let Some(shown) = reader.map(|reader| read(&reader, &pipeline, resource.as_deref(), args, settings)).transpose()?
    else {
        let text = match args.output {
            Output::Text => {
                let place = destination::location(&settings.destination);
                format!("{}: nothing is loaded yet into {place}, schema {}\n", pipeline.name, pipeline.dataset)
            }
            Output::Json => format!("{}\n", json!({ "pipeline": pipeline.name, "resources": {} })),
        };
        return print(&text).map(|()| Exit::Done);
    };
    let is_known = |name: &str| {
        pipeline.resource(name).is_some()
            || shown.partition_counts.contains_key(name)
            || shown.cursors.iter().any(|row| row.cursor.resource == name)
    };
    if let Some(name) = resource.as_deref().filter(|name| !is_known(name)) {
        return Err(unknown_resource(&pipeline, name));
    }
    let text = match args.output {
        Output::Text => to_text(&shown, &pipeline, resource.as_deref(), args),
        Output::Json => format!("{}\n", to_json(&shown, &pipeline, resource.as_deref(), settings)),
    };
    print(&crate::secret::redact(&text)).map(|()| Exit::Done)
}

fn read(
    reader: &Reader,
    pipeline: &Pipeline,
    resource: Option<&str>,
    args: &ShowArgs,
    settings: &Settings,
) -> Result<Shown> {
    let name = &pipeline.name;
    let cursors = reader.cursors(name)?;
    let stored = Stored {
        cursors: cursors.iter().map(|row| row.cursor.clone()).collect(),
        last_load_id: reader.last_load_id(name)?,
        warehouse_id: reader.warehouse_id()?,
        ..Stored::default()
    };
    // A copy that can't be read is as good as none, and the next run says why.
    let copy = StateCopy::read(&settings.state_dir, name).unwrap_or_default();
    Ok(Shown {
        destination: destination::location(&settings.destination),
        finding: compare(copy.as_ref(), &stored),
        warehouse_id: Some(stored.warehouse_id),
        last_load_id: stored.last_load_id,
        cursors,
        partition_counts: reader.partition_counts(name)?.into_iter().collect(),
        page: match resource {
            Some(resource) => reader.partitions(name, resource, args.offset, args.limit)?,
            None => Vec::new(),
        },
        notes: resource.map(|resource| reader.notes(name, resource)).transpose()?.unwrap_or_default(),
    })
}

impl Shown {
    /// Resources of the file in its order, then those that only the state has.
    fn names<'a>(&'a self, pipeline: &'a Pipeline, resource: Option<&'a str>) -> Vec<&'a str> {
        let of_file = pipeline.resources.iter().map(|r| r.name.as_str());
        let of_state = self.cursors.iter().map(|row| row.cursor.resource.as_str());
        let all = of_file.chain(of_state).chain(self.partition_counts.keys().map(String::as_str));
        let mut seen = BTreeSet::new();
        all.filter(|name| resource.is_none_or(|wanted| wanted == *name)).filter(|name| seen.insert(*name)).collect()
    }

    fn own(&self, resource: &str) -> Option<&StateRow> {
        self.cursors.iter().find(|row| row.cursor.resource == resource)
    }
}

fn to_text(shown: &Shown, pipeline: &Pipeline, resource: Option<&str>, args: &ShowArgs) -> String {
    let mut out = format!("{}, from {}, schema {}\n\n", pipeline.name, shown.destination, pipeline.dataset);
    let mut table = table(&["resource", "kind", "cursor", "moved (UTC)"]);
    for name in shown.names(pipeline, resource) {
        let partitions = shown.partition_counts.get(name).copied().unwrap_or_default();
        match shown.own(name) {
            Some(row) => {
                let (kind, value) = cell(&row.cursor.value);
                table.add_row([name.to_owned(), kind, value, moved(row)]);
            }
            None if partitions == 0 => {
                table.add_row([name, "-", "none", ""]);
            }
            None => {}
        }
        if partitions > 0 {
            let count = counted(partitions, "partition");
            table.add_row([name.to_owned(), "-".to_owned(), format!("{count}, each with its own"), String::new()]);
        }
    }
    push_table(&mut out, &table);
    if let Some(name) = resource.filter(|_| !shown.page.is_empty()) {
        push_partitions(&mut out, shown, name, args);
    }
    for row in &shown.notes {
        out.push_str(&format!("\nnoted beside, as `{}`: {}\n", row.cursor.partition, cut(&row.cursor.value)));
    }
    if let Some(sentence) = shown.finding.sentence() {
        out.push_str(&format!("\nnote: {sentence}\n"));
    }
    out
}

fn push_partitions(out: &mut String, shown: &Shown, name: &str, args: &ShowArgs) {
    let mut table = table(&["partition", "kind", "cursor", "moved (UTC)"]);
    for row in &shown.page {
        let (kind, value) = cell(&row.cursor.value);
        table.add_row([row.cursor.partition.clone(), kind, value, moved(row)]);
    }
    out.push('\n');
    push_table(out, &table);
    let all = shown.partition_counts.get(name).copied().unwrap_or_default();
    let end = args.offset + shown.page.len() as u64;
    if end < all {
        out.push_str(&format!("\n{} to {end} of {all}; the next ones: --offset {end}\n", args.offset + 1));
    }
}

fn moved(row: &StateRow) -> String {
    let by = if row.load_id.is_none() { ", by hand" } else { "" };
    format!("{}{by}", minute(row.updated_at))
}

/// Kind and value of a stored cursor, as people read them.
pub(in crate::cli) fn cursor_text(stored: &str) -> (String, String) {
    let value = cursor_json(stored);
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let seen = value.get("seen").and_then(|seen| text(seen, "value"));
    match (text(&value, "type"), text(&value, "value"), seen) {
        (Some(kind), Some(value), None) => (kind, cut(&value)),
        (Some(kind), Some(value), Some(seen)) => (kind, format!("{} (rows up to {})", cut(&value), cut(&seen))),
        (None, None, Some(seen)) => ("-".to_owned(), format!("none (rows up to {})", cut(&seen))),
        _ => ("-".to_owned(), cut(stored)),
    }
}

/// As [`cursor_text`], in lines that leave room for other columns.
fn cell(stored: &str) -> (String, String) {
    let (kind, text) = cursor_text(stored);
    (kind, text.replace(" (", "\n("))
}

fn cut(value: &str) -> String {
    if value.chars().count() <= VALUE_WIDTH {
        return value.to_owned();
    }
    value.chars().take(VALUE_WIDTH - 1).chain(['…']).collect()
}

fn table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    table.set_header(heads.iter().copied());
    table
}

fn push_table(out: &mut String, table: &Table) {
    for line in table.to_string().lines() {
        out.push_str(line.trim_end().strip_prefix(' ').unwrap_or(line.trim_end()));
        out.push('\n');
    }
}

fn to_json(shown: &Shown, pipeline: &Pipeline, resource: Option<&str>, settings: &Settings) -> Value {
    let mut resources = Map::new();
    for name in shown.names(pipeline, resource) {
        let own = shown.own(name);
        let mut state = json!({
            "cursor": own.map(|row| cursor_json(&row.cursor.value)),
            "load_id": own.and_then(|row| row.load_id.clone()),
            "updated_at": own.map(time),
            "partition_count": shown.partition_counts.get(name).copied().unwrap_or_default(),
        });
        if let (Some(_), Some(state)) = (resource, state.as_object_mut()) {
            let partition = |row: &StateRow| {
                json!({
                    "partition": row.cursor.partition,
                    "cursor": cursor_json(&row.cursor.value),
                    "load_id": row.load_id,
                    "updated_at": time(row),
                })
            };
            state.insert("partitions".to_owned(), shown.page.iter().map(partition).collect());
            let note = |row: &StateRow| (row.cursor.partition.clone(), cursor_json(&row.cursor.value));
            state.insert("notes".to_owned(), Value::Object(shown.notes.iter().map(note).collect()));
        }
        resources.insert(name.to_owned(), state);
    }
    json!({
        "pipeline": pipeline.name,
        "destination": shown.destination,
        "dataset": pipeline.dataset,
        "warehouse_id": shown.warehouse_id,
        "last_load_id": shown.last_load_id,
        "state_file": {
            "path": file::path_of(&settings.state_dir, &pipeline.name).display().to_string(),
            "compared": shown.finding.word(),
        },
        "resources": resources,
    })
}

fn time(row: &StateRow) -> String {
    row.updated_at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_people_write_them() {
        for (stored, kind, text) in [
            (r#"{"type":"instant","value":"2026-01-05T09:30:00Z"}"#, "instant", "2026-01-05T09:30:00Z"),
            (r#"{"type":"integer","value":"5","seen":{"type":"integer","value":"9"}}"#, "integer", "5 (rows up to 9)"),
            (r#"{"seen":{"type":"integer","value":"9"}}"#, "-", "none (rows up to 9)"),
            ("what is this", "-", "what is this"),
        ] {
            assert_eq!(cursor_text(stored), (kind.to_owned(), text.to_owned()));
        }
    }
}
