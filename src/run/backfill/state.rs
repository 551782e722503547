//! What a backfill writes into the state: how much of its range is loaded. The cursor stays; with `append` it is noted beside it
//! that rows beyond it are stored, which the next run would store again otherwise.

use super::Past;
use crate::error::Result;
use crate::extract::CursorValue;
use crate::extract::cursor::{Covered, Position, Slice};
use crate::load::CursorRow;
use crate::plan::model::{CursorSource, WriteDisposition};
use crate::run::unit::{Task, Unit};

impl Past {
    /// The partition of the state that holds the progress of the resource itself, or of one of its partitions.
    pub(in crate::run) fn partition(&self, of: &str) -> String {
        if of.is_empty() { self.name.clone() } else { format!("{} {of}", self.name) }
    }
}

impl Task {
    /// The past that the resource loads; none: what is new.
    pub(in crate::run) fn past(&self) -> Option<&Past> {
        self.context.pasts.get(&self.resource.name)
    }

    /// What earlier runs have loaded of a past, of the resource itself or of one of its partitions.
    pub(in crate::run) async fn stored_progress(&self, past: &Past, partition: &str) -> Result<Covered> {
        if past.again {
            return Ok(Covered::default());
        }
        let name = past.partition(partition);
        let found = self.context.warehouse.cursors(&self.resource.name, vec![name.clone()]).await?;
        found.get(&name).map_or(Ok(Covered::default()), |state| Covered::from_state(state))
    }

    /// The row of the state with the progress.
    pub(in crate::run) fn progress_row(&self, past: &Past, partition: &str, covered: &Covered) -> CursorRow {
        CursorRow {
            resource: self.resource.name.clone(),
            partition: past.partition(partition),
            value: covered.to_state(&past.range),
        }
    }

    /// The cursor once rows up to a value are stored beside it; none if nothing of it changes.
    pub(in crate::run) fn seen_beside(
        &self,
        cursor: Option<&Position>,
        slice: &Slice,
        newest: Option<&CursorValue>,
    ) -> Result<Option<Position>> {
        let (WriteDisposition::Append, Some(incremental)) = (self.resource.write, &self.resource.incremental) else {
            return Ok(None);
        };
        // Of records that don't show their time, only the window is known.
        let shows_none = !matches!(incremental.source, CursorSource::Record(_));
        let Some(newest) = newest.or_else(|| slice.end.as_ref().filter(|_| shows_none)) else { return Ok(None) };
        let before = cursor.cloned().unwrap_or_default();
        let after = before.clone().with_seen(newest, &incremental.notation)?;
        Ok((after != before).then_some(after))
    }
}

impl Unit {
    /// The unit in a past of which some is loaded.
    pub(in crate::run) fn in_past(self, covered: Covered) -> Unit {
        Unit { covered: Some(covered), position: None, ..self }
    }
}
