//! What the user wrote: the two files, read into a tree with places, held against one description of all keys, with every
//! mistake reported at once. What comes out is a resolved plan, see [`crate::plan`].

pub mod check;
pub mod diagnostic;
pub mod env;
pub mod json_schema;
pub mod keys;
mod lists;
pub mod reference;
pub mod settings;
pub mod spec;
pub mod substitute;
pub mod text;
pub mod tree;
pub mod values;

#[cfg(test)]
mod tests;

pub use env::Env;
pub use settings::{Settings, Target, all_pipelines, find_pipeline, load_settings};

use crate::error::{Error, Kind, Result};
use crate::plan::build;
use crate::plan::model::Pipeline;
use diagnostic::Diagnostics;
use std::path::Path;

/// Whether every `${…}` must have a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// To run: a missing one is an error.
    Required,
    /// To check or replay without credentials: a missing one stands as it is written.
    Optional,
}

/// A pipeline file, read.
#[derive(Debug)]
pub struct Loaded {
    /// What will be done.
    pub pipeline: Pipeline,
    /// What is probably not meant, as text with its place.
    pub warnings: Vec<String>,
    /// Variables (and files, as `file:PATH`) without a value. Empty with [`Secrets::Required`].
    pub missing_variables: Vec<String>,
    /// Variables (and files, as `file:PATH`) that the file used, with their values.
    pub used_variables: Env,
}

/// Reads a pipeline file. `vars` override its `[vars]`.
///
/// # Errors
/// The file can't be read, or is wrong; the report then has all mistakes, each with its place.
pub fn load_pipeline(path: &Path, vars: &[(String, String)], env: &Env, mode: Secrets) -> Result<Loaded> {
    let source = read(path)?;
    pipeline(path, &source, vars, env, mode)
}

/// Reads the text of a pipeline file, see [`load_pipeline`].
///
/// # Errors
/// All mistakes of the file.
pub fn pipeline(path: &Path, source: &str, vars: &[(String, String)], env: &Env, secrets: Secrets) -> Result<Loaded> {
    let mut found = Diagnostics::new(path.display().to_string(), source);
    let mut substituted = tree::Substituted::default();
    let sources = tree::Sources { env, folder: folder_of(path), secrets };
    let tree = tree::parse(source, &sources, &mut found, &mut substituted);
    let pipeline = tree.and_then(|table| {
        check::check_table(&table, &keys::PIPELINE, 0..0, &mut found);
        lists::check_files(&table, folder_of(path), secrets, &mut found, &mut substituted.missing);
        build::pipeline(path, &table, vars, &mut found)
    });
    let warnings = found.into_result(false)?;
    let pipeline = pipeline.ok_or_else(|| {
        Error::new(Kind::Internal, "a pipeline file was refused without a reason").with("file", path.display())
    })?;
    Ok(Loaded { pipeline, warnings, missing_variables: substituted.missing, used_variables: substituted.found })
}

/// The folder that paths in a file are relative to.
fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file)
        .map_err(|e| Error::new(Kind::Config, "the file can't be read").with("file", file.display()).source(e))
}
