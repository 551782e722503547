//! `pintail report`: one page of HTML on runs, tables and cursors, which needs no network and no script.

mod chart;
mod facts;
mod graph;
mod html;
mod page;
#[cfg(test)]
mod tests;

use super::print;
use crate::config::{Secrets, Settings, all_pipelines, find_pipeline, load_pipeline};
use crate::error::{Error, Kind, Result};
use crate::exit::Exit;
use crate::words::counted;
use chrono::Utc;
use facts::Facts;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Arguments of `report`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Pipelines: names in `pipelines_dir`, or paths; all of `pipelines_dir` if none is named
    #[arg(value_name = "PIPELINE")]
    pipelines: Vec<String>,
    /// Where the page goes
    #[arg(long, value_name = "FILE")]
    html: PathBuf,
    /// Runs to show
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    runs: u16,
}

/// Writes the page.
///
/// # Errors
/// A pipeline is not there or wrong, its warehouse can't be read, or the page can't be written.
pub fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    let files = match args.pipelines.as_slice() {
        [] => all_pipelines(settings)?,
        names => names.iter().map(|name| find_pipeline(settings, name)).collect::<Result<_>>()?,
    };
    let mut pipelines = Vec::new();
    for file in files {
        let loaded = load_pipeline(&file, &[], &settings.env, Secrets::Optional)?;
        pipelines.push(Facts::gather(settings, loaded.pipeline, usize::from(args.runs))?);
    }
    let page = page::page(&pipelines, Utc::now());
    let page = crate::secret::redact(&page);
    write_whole(&args.html, page.as_bytes()).map_err(|e| {
        Error::new(Kind::State, "the page can't be written").with("file", args.html.display()).source(e)
    })?;
    let done = format!("{}: {}\n", args.html.display(), counted(pipelines.len() as u64, "pipeline"));
    print(&done).map(|()| Exit::Done)
}

/// Whoever has the page open, or serves it, never finds half of it.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let name = path.file_name().ok_or_else(|| io::Error::other("it names no file"))?.to_string_lossy();
    let draft = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let done = File::create(&draft)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&draft, path));
    if done.is_err() {
        // What is wrong is told; half a page under another name helps nobody.
        let _ = fs::remove_file(&draft);
    }
    done
}
