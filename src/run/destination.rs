//! From the operator's settings to a warehouse: to write to it, or only to read.

use crate::config::settings::Compression;
use crate::config::{Settings, Target};
use crate::error::Result;
use crate::load::Destination;
use crate::load::duckdb::{self, DuckDb};
use crate::load::parquet::{self, ParquetFolder};
use crate::load::reading::Reader;
use std::path::Path;
use std::time::Duration;

/// Opens the warehouse for writing; makes it where there is none. Blocks for up to `lock_wait` while another process holds it.
///
/// # Errors
/// [`crate::error::Kind::Locked`] when that takes longer; otherwise it can't be opened or made.
pub fn open(settings: &Settings, command: &str) -> Result<Box<dyn Destination>> {
    let run = &settings.run;
    Ok(match &settings.destination {
        Target::DuckDb { path, storage_version, publish } => Box::new(DuckDb::new(&duckdb::Settings {
            storage_version: storage_version.clone(),
            publish: publish.clone(),
            memory_limit_bytes: run.memory_limit_bytes,
            lock_wait: run.lock_wait,
            ..duckdb::Settings::new(path)
        })?),
        Target::Parquet { path, compression, row_group_rows, file_rows } => {
            let compression = match compression {
                Compression::Zstd => parquet::Compression::Zstd,
                Compression::Snappy => parquet::Compression::Snappy,
                Compression::None => parquet::Compression::None,
            };
            let (row_group_rows, file_rows) = (*row_group_rows, *file_rows);
            let options = parquet::Options { compression, row_group_rows, file_rows };
            Box::new(ParquetFolder::connect(path, options, command, run.lock_wait)?)
        }
    })
}

/// Opens a dataset for reading; `None` where nothing is loaded yet. Blocks for up to `lock_wait` while another process holds a
/// DuckDB file.
///
/// # Errors
/// As [`Reader::duckdb`] and [`Reader::parquet`].
pub fn read(target: &Target, dataset: &str, lock_wait: Duration) -> Result<Option<Reader>> {
    match target {
        Target::DuckDb { path, .. } => Reader::duckdb(path, lock_wait, dataset),
        Target::Parquet { path, .. } => Reader::parquet(path, dataset),
    }
}

/// The copy for readers, if the settings name one.
///
/// # Errors
/// As [`Reader::duckdb`].
pub fn read_copy<'a>(target: &'a Target, dataset: &str) -> Result<Option<(Reader, &'a Path)>> {
    let Target::DuckDb { publish: Some(copy), .. } = target else { return Ok(None) };
    Ok(Reader::duckdb(copy, Duration::ZERO, dataset)?.map(|reader| (reader, copy.as_path())))
}

/// Type and place of a warehouse, as people know it: `duckdb:warehouse.duckdb`.
pub fn location(target: &Target) -> String {
    match target {
        Target::DuckDb { path, .. } => format!("duckdb:{}", path.display()),
        Target::Parquet { path, .. } => format!("parquet:{}", path.display()),
    }
}
