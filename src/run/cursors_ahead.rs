//! Stored cursors of parents that wait for their turn, looked up together: one by one, a million look-ups would take longer than
//! the requests.

use super::unit::Task;
use crate::error::Result;
use std::collections::HashMap;

/// Cursors by partition; `None`: the partition has none.
#[derive(Debug, Default)]
pub(super) struct CursorsAhead(HashMap<String, Option<String>>);

impl CursorsAhead {
    /// Whether a partition's cursor was looked up.
    pub(super) fn knows(&self, partition: &str) -> bool {
        self.0.contains_key(partition)
    }

    /// Looks up the cursor of a partition, and of those behind it. What was known before is forgotten.
    ///
    /// # Errors
    /// The warehouse could not be read.
    pub(super) async fn look_up(&mut self, task: &Task, partition: &str, behind: Vec<String>) -> Result<()> {
        let wanted: Vec<String> = std::iter::once(partition.to_owned()).chain(behind).collect();
        let mut found = task.context.warehouse.cursors(&task.resource.name, wanted.clone()).await?;
        self.0 = wanted.into_iter().map(|name| (name.clone(), found.remove(&name))).collect();
        Ok(())
    }

    /// The cursor of a partition as the state has it, which is asked for once.
    pub(super) fn take(&mut self, partition: &str) -> Option<String> {
        self.0.remove(partition).flatten()
    }
}
