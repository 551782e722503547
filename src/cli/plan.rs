//! `pintail plan`: what a run would do, from the real cursors. No network, and nothing is written.

mod text;

use super::Output;
use super::check::parse_var;
use crate::config::{self, Secrets, Settings, find_pipeline};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::run::outlook::{
    ColumnOutlook, Outlook, OutlookOptions, RequestOutlook, ResourceOutlook, RunsFor, TableOutlook, outlook,
};
use crate::words::written;
use serde_json::{Map, Value, json};

/// Arguments of `plan`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Pipelines: names in `pipelines_dir`, or paths
    #[arg(required = true, value_name = "PIPELINE")]
    pub pipelines: Vec<String>,
    /// Only this resource (may be repeated)
    #[arg(long = "resource", value_name = "RESOURCE")]
    pub resources: Vec<String>,
    /// As if cursors were forgotten and tables made anew
    #[arg(long)]
    pub full_refresh: bool,
    /// Override a variable of `[vars]`
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = parse_var)]
    pub vars: Vec<(String, String)>,
    /// What to print: text, or one JSON object per line
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: Output,
}

/// Tells what a run of each pipeline would do. What is wrong with one is told, and the others are told of all the same.
///
/// # Errors
/// The output can't be written.
pub fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    let runtime = super::run::runtime()?;
    let mut exit = Exit::Done;
    for (at, name) in args.pipelines.iter().enumerate() {
        match runtime.block_on(one(args, settings, name)) {
            Ok(told) => super::print(&if at == 0 || args.output == Output::Json { told } else { format!("\n{told}") })?,
            Err(error) => {
                super::tell(&error);
                exit = Exit::from(error.kind());
            }
        }
    }
    Ok(exit)
}

async fn one(args: &Args, settings: &Settings, name: &str) -> Result<String> {
    let path = find_pipeline(settings, name)?;
    let loaded = config::load_pipeline(&path, &args.vars, &settings.env, Secrets::Optional)?;
    for warning in &loaded.warnings {
        super::tell_warning(warning);
    }
    let found = outlook(OutlookOptions {
        pipeline: loaded.pipeline,
        settings,
        resources: &args.resources,
        full_refresh: args.full_refresh,
    });
    let found = found.await.map_err(|error: Error| error.with("pipeline", name))?;
    let told = match args.output {
        Output::Text => text::text(&found, &loaded.missing_variables),
        Output::Json => format!("{}\n", to_json(&found, &loaded.missing_variables)),
    };
    Ok(crate::secret::redact(&told).into_owned())
}

fn to_json(outlook: &Outlook, missing: &[String]) -> Value {
    json!({
        "pipeline": outlook.pipeline,
        "file": outlook.file.display().to_string(),
        "destination": outlook.destination,
        "dataset": outlook.dataset,
        "dataset_is_new": outlook.dataset_is_new,
        "last_load_id": outlook.last_load_id,
        "full_refresh": outlook.full_refresh,
        "concurrency": outlook.concurrency,
        "rate_limit": outlook.rate_limits.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "missing_variables": missing,
        "resources": outlook.resources.iter().map(resource_json).collect::<Vec<_>>(),
    })
}

fn resource_json(told: &ResourceOutlook) -> Value {
    let resource = &told.resource;
    let cursor = told.cursor.as_ref().map(|cursor| {
        json!({
            "field": super::check::cursor_of(resource),
            "stored": cursor.stored,
            "per_partition": cursor.is_per_partition,
            "start": cursor.start,
            "end": cursor.end,
            "windows": cursor.windows,
        })
    });
    json!({
        "name": resource.name,
        "stored": told.is_stored,
        "after": told.after,
        "write_disposition": resource.write.name(),
        "merge_strategy": resource.merge_strategy().map(|strategy| strategy.name()),
        "primary_key": told.primary_key(),
        "auth": resource.auth.kind(),
        "paginator": resource.paginator.kind(),
        "rate_limit": resource.rate_limits.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "cursor": cursor,
        "runs_for": told.runs_for.as_ref().map(runs_for_json),
        "request": told.template(),
        "requests": told.requests.iter().map(request_json).collect::<Vec<_>>(),
        "note": told.note,
        "tables": told.tables.iter().map(table_json).collect::<Vec<_>>(),
    })
}

fn runs_for_json(runs_for: &RunsFor) -> Value {
    let parent =
        |(name, row_count, runs): &(String, u64, bool)| json!({ "resource": name, "known": row_count, "runs": runs });
    json!({
        "parents": runs_for.parents.iter().map(parent).collect::<Vec<_>>(),
        "changed_only": runs_for.changed_only,
        "filtered": runs_for.is_filtered,
        "batch_size": runs_for.batch_size,
        "partitions": runs_for.partitions,
    })
}

fn request_json(request: &RequestOutlook) -> Value {
    let headers: Map<String, Value> =
        request.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({
        "partition": written(&request.partition),
        "method": request.method,
        "url": request.url,
        "headers": headers,
        "body": request.body,
    })
}

fn table_json(table: &TableOutlook) -> Value {
    let column = |column: &ColumnOutlook| json!({ "name": column.name, "type": column.data_type, "origin": column.origin.word() });
    json!({
        "name": table.name,
        "action": table.fate.word(),
        "rows": table.row_count,
        "columns": table.column_count,
        "columns_to_come": table.columns.iter().map(column).collect::<Vec<_>>(),
    })
}
