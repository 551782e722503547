//! One unit of a fan-out, carried out.

use super::super::unit::{Sink, Task, Unit, UnitEnd};
use crate::error::Result;
use std::sync::Arc;

/// Longest text that names a unit in an error, characters. That of a batch can be long.
const UNIT_NAME_CHARS_MAX: usize = 200;

/// A unit with what is to be known of it when it has ended.
pub(super) struct Job {
    pub(super) unit: Arc<Unit>,
    /// Parents or partitions that it asks for.
    pub(super) member_count: u64,
    pub(super) from_warehouse: bool,
}

/// What became of one unit.
pub(super) struct Done {
    pub(super) result: Result<UnitEnd>,
    pub(super) member_count: u64,
    pub(super) from_warehouse: bool,
    pub(super) spilled: bool,
    /// Records of a failed unit that no load was given.
    pub(super) held_back_records: u64,
}

/// Walks a unit to the end of its slice.
pub(super) async fn run_unit(task: Arc<Task>, job: Job) -> Done {
    let mut sink = Sink::for_partition(&task.resource, task.context.warehouse.clone());
    let mut result = task.walk(&job.unit, &mut sink).await;
    if result.is_ok()
        && let Err(error) = sink.release(&task.resource.name).await
    {
        result = Err(error);
    }
    let spilled = result.is_err() && sink.has_spilled();
    let held_back_records = sink.held_back_records();
    let label = if task.resource.parent.is_some() { "parent" } else { "partition" };
    let name: String = job.unit.partition.chars().take(UNIT_NAME_CHARS_MAX).collect();
    let name = if name.len() < job.unit.partition.len() { format!("{name}…") } else { name };
    let result = result.map_err(|e| e.with(label, name));
    Done { result, member_count: job.member_count, from_warehouse: job.from_warehouse, spilled, held_back_records }
}
