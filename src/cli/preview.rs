//! `pintail preview`: the first rows of a resource and the schema that they show. Nothing is stored.

mod grid;

use super::Output;
use super::check::parse_var;
use crate::config::{self, Loaded, Secrets, Settings, find_pipeline};
use crate::error::{Error, Kind, Result};
use crate::exit::Exit;
use crate::http::tape::{Tape, TapeUse};
use crate::run::preview::{Cell, Preview, PreviewColumn, PreviewTable, preview};
use crate::run::rehearsal::RehearsalOptions;
use crate::run::shutdown::{Stop, listen};
use crate::words::{counted, wrapped};
use grid::{Grid, shown};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// Rows of a child table that are shown; all of them are in the JSON.
const CHILD_ROWS_SHOWN: usize = 3;

/// Arguments of `preview`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The resource: PIPELINE.RESOURCE, the pipeline as a name in `pipelines_dir` or a path
    #[arg(value_name = "PIPELINE.RESOURCE")]
    pub resource: String,
    /// Rows to show
    #[arg(long, default_value = "10", value_name = "N")]
    pub limit: usize,
    /// Override a variable of `[vars]`
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = parse_var)]
    pub vars: Vec<(String, String)>,
    /// Answer every request from a tape: no network, no secrets, no waits
    #[arg(long, value_name = "DIR")]
    pub replay: Option<PathBuf>,
    /// What to print: tables, or one JSON object
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: Output,
}

/// Shows the first rows of a resource.
///
/// # Errors
/// The file is wrong, a request failed, or what it brought is not what it should be.
pub fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    let tape = args.replay.as_deref().map(|folder| Tape::open(folder).map(Arc::new)).transpose()?;
    let (loaded, resource) = load(args, settings, tape.as_deref())?;
    for warning in &loaded.warnings {
        super::tell_warning(warning);
    }
    let tape = match tape {
        Some(tape) => {
            tape.check_pipeline(&loaded.pipeline.name)?;
            TapeUse::Replay(tape)
        }
        None => TapeUse::None,
    };
    let found = super::run::runtime()?.block_on(async {
        let stop = Stop::default();
        listen(stop.clone())?;
        let options = RehearsalOptions { pipeline: loaded.pipeline, settings, tape, command: super::command(), stop };
        preview(options, &resource, args.limit).await
    })?;
    for warning in &found.warnings {
        super::tell_warning(&format!("warning: {resource}: {warning}"));
    }
    let told = match args.output {
        Output::Text => to_text(&found, super::terminal_width()),
        Output::Json => format!("{}\n", to_json(&found)),
    };
    super::print(&crate::secret::redact(&told))?;
    Ok(Exit::Done)
}

/// The pipeline, and the resource of it that is meant.
fn load(args: &Args, settings: &Settings, tape: Option<&Tape>) -> Result<(Loaded, String)> {
    let recorded = tape.map(Tape::environment);
    let (env, secrets) = match &recorded {
        Some(recorded) => (recorded, Secrets::Optional),
        None => (&settings.env, Secrets::Required),
    };
    let named = args.resource.rsplit_once('.').filter(|(_, resource)| *resource != "toml");
    let Some((pipeline, resource)) = named else {
        return Err(no_resource(&args.resource, settings, args));
    };
    let loaded =
        find_pipeline(settings, pipeline).and_then(|path| config::load_pipeline(&path, &args.vars, env, secrets))?;
    Ok((loaded, resource.to_owned()))
}

/// Only a pipeline is named: its resources are listed.
fn no_resource(pipeline: &str, settings: &Settings, args: &Args) -> Error {
    let error = Error::new(Kind::Config, "which resource? Write PIPELINE.RESOURCE");
    let found = find_pipeline(settings, pipeline)
        .and_then(|path| config::load_pipeline(&path, &args.vars, &settings.env, Secrets::Optional));
    match found {
        Ok(loaded) => {
            let names: Vec<&str> = loaded.pipeline.resources.iter().map(|r| r.name.as_str()).collect();
            let example = names.first().map(|name| format!("such as `{pipeline}.{name}`")).unwrap_or_default();
            error.with("resources", names.join(", ")).hint(example)
        }
        Err(error) => error,
    }
}

fn to_text(found: &Preview, width: usize) -> String {
    let mut out = String::new();
    if let Some(first) = &found.first {
        // An address is not broken: it is there to be copied.
        out.push_str(&format!("{} -> {}\n", first.request, first.status));
    }
    for line in heading(found).iter().flat_map(|line| wrapped(line, width)) {
        out.push_str(&line);
        out.push('\n');
    }
    for (at, table) in found.tables.iter().enumerate() {
        let rows_shown = if at == 0 { table.rows.len() } else { table.rows.len().min(CHILD_ROWS_SHOWN) };
        let count = counted(table.row_count, "row");
        let part = match rows_shown as u64 {
            n if n < table.row_count => format!("{n} of {count}"),
            _ => count,
        };
        out.push_str(&format!("\n{}.{}: {part}\n", found.dataset, table.name));
        out.push_str(&rows_grid(table, rows_shown, width));
        out.push('\n');
        out.push_str(&schema_grid(table, width));
    }
    out
}

/// What was asked, and what was made of the answer.
fn heading(found: &Preview) -> Vec<String> {
    let mut lines = Vec::new();
    lines.push(format!(
        "{} in {}, {}",
        counted(found.records, "record"),
        counted(found.pages, "page"),
        match &found.end {
            Some(end) => format!("then no more: {end}"),
            None => "and perhaps more".to_owned(),
        }
    ));
    let mut choices = Vec::new();
    if let Some(first) = &found.first {
        let content_type = first.content_type.as_deref().map(|t| format!(" ({t})")).unwrap_or_default();
        choices.push(format!("format {}{content_type}", first.format.name()));
    }
    if let Some(selector) = &found.choices.selector {
        choices.push(format!("records at {selector}"));
    }
    if let Some(paginator) = &found.choices.paginator {
        choices.push(format!("pages: {paginator}"));
    }
    if !choices.is_empty() {
        lines.push(format!("found: {}", choices.join("; ")));
    }
    for (rule, count) in &found.discarded {
        lines.push(format!("{} left out: {}", counted(*count, "record"), rule.replace('_', " ")));
    }
    if found.tables.is_empty() {
        lines.push("no rows, so there is no schema yet".to_owned());
    }
    lines
}

fn rows_grid(table: &PreviewTable, rows_shown: usize, width: usize) -> String {
    let cell = |cell: &Cell| cell.text.as_deref().map_or_else(|| "NULL".to_owned(), shown);
    let grid = Grid {
        heads: table.columns.iter().map(|column| column.name.clone()).collect(),
        rows: table.rows[..rows_shown].iter().map(|row| row.iter().map(cell).collect()).collect(),
        right: table.columns.iter().map(|column| column.data_type.is_number()).collect(),
    };
    grid.fitted(width)
}

fn schema_grid(table: &PreviewTable, width: usize) -> String {
    let row = |column: &PreviewColumn| {
        let declared = match (column.is_declared, &column.example) {
            (true, _) => " (declared)",
            // What was only ever null has the type of its first value later on.
            (false, None) => " (so far)",
            (false, Some(_)) => "",
        };
        let nulls = if column.nulls == 0 { "none".to_owned() } else { column.nulls.to_string() };
        let example = column.example.as_deref().map(shown).unwrap_or_default();
        vec![column.name.clone(), format!("{}{declared}", column.data_type), nulls, example]
    };
    let grid = Grid {
        heads: ["column", "type", "nulls", "example"].map(str::to_owned).to_vec(),
        rows: table.columns.iter().map(row).collect(),
        right: vec![false, false, true, false],
    };
    grid.cut(width)
}

fn to_json(found: &Preview) -> Value {
    let first = found.first.as_ref().map(|first| {
        json!({ "request": first.request, "status": first.status, "format": first.format.name(), "content_type": first.content_type })
    });
    json!({
        "resource": found.resource,
        "dataset": found.dataset,
        "answer": first,
        "data_selector": found.choices.selector,
        "paginator": found.choices.paginator,
        "requests": found.requests,
        "pages": found.pages,
        "records": found.records,
        "discarded": found.discarded,
        "end": found.end,
        "warnings": found.warnings,
        "tables": found.tables.iter().map(table_json).collect::<Vec<_>>(),
    })
}

fn table_json(table: &PreviewTable) -> Value {
    let column = |column: &PreviewColumn| {
        json!({
            "name": column.name,
            "type": column.data_type.to_string(),
            "declared": column.is_declared,
            "field": column.field,
            "nulls": column.nulls,
            "example": column.example,
        })
    };
    let row = |cells: &Vec<Cell>| -> Map<String, Value> {
        table.columns.iter().zip(cells).map(|(column, cell)| (column.name.clone(), cell.json.clone())).collect()
    };
    json!({
        "name": table.name,
        "row_count": table.row_count,
        "columns": table.columns.iter().map(column).collect::<Vec<_>>(),
        "rows": table.rows.iter().map(row).collect::<Vec<_>>(),
    })
}
