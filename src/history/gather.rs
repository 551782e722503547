//! Reading a past, from wherever it can be read.

use super::runs::{from_loads, last_loads, with_reports};
use super::{History, Run, Source};
use crate::config::Settings;
use crate::error::{Kind, Result};
use crate::load::reading::{LastLoad, Reader};
use crate::plan::model::Pipeline;
use crate::run::destination;
use crate::state::lock::{Owner, owner};
use crate::state::reports::{self, Report};
use std::time::Duration;

/// How long to wait for a warehouse that is held by a process that is no run of the pipeline.
const WAIT: Duration = Duration::from_secs(1);

/// The last runs of a pipeline, `runs` at most. While another process holds the DuckDB file, they come from the copy for readers
/// or from the reports in the state folder.
///
/// # Errors
/// The warehouse can't be read for another reason than that, or the state folder can't.
pub fn gather(settings: &Settings, pipeline: &Pipeline, runs: usize) -> Result<History> {
    gather_from(settings, pipeline, runs).map(|(history, _)| history)
}

/// As [`gather`], with the warehouse, or its copy, where it can be read.
///
/// # Errors
/// As [`gather`].
pub fn gather_from(settings: &Settings, pipeline: &Pipeline, runs: usize) -> Result<(History, Option<Reader>)> {
    let running = owner(&settings.state_dir, &pipeline.name)?;
    let (reader, source) = open(settings, pipeline, running.as_ref())?;
    let found = reports::read_last(&settings.state_dir, &pipeline.name, runs)?;
    let (past, resources) = match &reader {
        Some(reader) => {
            let loads = reader.loads(&pipeline.name, runs as u64)?;
            let past = with_reports(from_loads(loads, running.is_some()), found);
            (past, reader.last_loads(&pipeline.name)?)
        }
        None => from_reports(found),
    };
    let source = if past.is_empty() && source == Source::Warehouse { Source::Nothing } else { source };
    let history = History {
        pipeline: pipeline.name.clone(),
        destination: destination::location(&settings.destination),
        dataset: pipeline.dataset.clone(),
        running,
        source,
        runs: past.into_iter().take(runs).collect(),
        resources: in_order(resources, pipeline),
    };
    Ok((history, reader))
}

fn from_reports(found: Vec<Report>) -> (Vec<Run>, Vec<LastLoad>) {
    let past = with_reports(Vec::new(), found);
    let resources = last_loads(&past);
    (past, resources)
}

fn open(settings: &Settings, pipeline: &Pipeline, running: Option<&Owner>) -> Result<(Option<Reader>, Source)> {
    // The pipeline's own run is not waited for: it may take hours.
    let wait = if running.is_some() { Duration::ZERO } else { WAIT.min(settings.run.lock_wait) };
    match destination::read(&settings.destination, &pipeline.dataset, wait) {
        Ok(Some(reader)) => Ok((Some(reader), Source::Warehouse)),
        Ok(None) => Ok((None, Source::Nothing)),
        Err(error) if error.kind() == Kind::Locked => {
            match destination::read_copy(&settings.destination, &pipeline.dataset) {
                Ok(Some((reader, path))) => Ok((Some(reader), Source::Copy(path.to_owned()))),
                // The reports are there in any case.
                Ok(None) | Err(_) => Ok((None, Source::Reports)),
            }
        }
        Err(error) => Err(error),
    }
}

/// Resources in the order of the file; those that were never loaded too, if they are selected.
fn in_order(mut found: Vec<LastLoad>, pipeline: &Pipeline) -> Vec<LastLoad> {
    let mut ordered = Vec::new();
    for resource in &pipeline.resources {
        match found.iter().position(|last| last.resource == resource.name) {
            Some(at) => ordered.push(found.remove(at)),
            None if resource.selected => {
                ordered.push(LastLoad { resource: resource.name.clone(), completed_at: None, rows_at: None });
            }
            None => {}
        }
    }
    ordered.extend(found);
    ordered
}
