//! What the page tells of a pipeline.

use crate::config::Settings;
use crate::error::Result;
use crate::history::{History, gather_from};
use crate::load::reading::{SchemaChange, StateRow, TableFacts};
use crate::plan::model::Pipeline;

/// Schema changes that are shown.
const CHANGES_SHOWN: u64 = 50;

/// A pipeline with its past and its tables.
pub(super) struct Facts {
    pub(super) pipeline: Pipeline,
    pub(super) history: History,
    pub(super) tables: Vec<TableFacts>,
    pub(super) cursors: Vec<StateRow>,
    /// How many partitions have cursors, by resource.
    pub(super) partition_counts: Vec<(String, u64)>,
    /// The newest first.
    pub(super) changes: Vec<SchemaChange>,
    /// How many there are in all.
    pub(super) change_count: u64,
}

impl Facts {
    pub(super) fn gather(settings: &Settings, pipeline: Pipeline, runs: usize) -> Result<Facts> {
        let (history, reader) = gather_from(settings, &pipeline, runs)?;
        let name = &pipeline.name;
        let mut facts = Facts {
            history,
            tables: Vec::new(),
            cursors: Vec::new(),
            partition_counts: Vec::new(),
            changes: Vec::new(),
            change_count: 0,
            pipeline: pipeline.clone(),
        };
        if let Some(reader) = reader {
            facts.tables = reader.tables(name)?;
            facts.cursors = reader.cursors(name)?;
            facts.partition_counts = reader.partition_counts(name)?;
            (facts.changes, facts.change_count) = reader.schema_changes(name, CHANGES_SHOWN)?;
        }
        Ok(facts)
    }
}
