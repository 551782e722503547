//! What a unit comes to at the end of a slice: how far its rows justify its cursor, or how much of its past is loaded, and with what
//! the next slice begins.

use super::unit::{Task, Unit, UnitEnd};
use crate::error::Result;
use crate::extract::cursor::{Position, Track};
use crate::load::CursorRow;
use crate::plan::model::CursorScope;

impl Unit {
    /// The unit behind a slice that was walked to its end; what that justifies is told to `end`.
    pub(super) fn after(&self, task: &Task, track: &Track<'_>, end: &mut UnitEnd) -> Result<Unit> {
        match &self.covered {
            None => self.at(task, track.complete()?, end),
            Some(covered) => {
                let mut covered = covered.clone();
                let slice = track.slice();
                if let (Some(start), Some(end), Some((incremental, _))) = (&slice.start, &slice.end, task.cursor()) {
                    covered.add(start, end, &incremental.notation)?;
                }
                let past = task.past();
                end.cursors.extend(past.map(|past| task.progress_row(past, &self.partition, &covered)));
                Ok(Unit { covered: Some(covered), ..self.beside(task, track, end)? })
            }
        }
    }

    /// The unit before the halves of a slice that held too much. Rows that came are beyond the cursor, unless they came in its
    /// order.
    pub(super) fn after_split(&self, task: &Task, track: &Track<'_>, end: &mut UnitEnd) -> Result<Unit> {
        if self.covered.is_some() {
            return self.beside(task, track, end);
        }
        let position = if track.may_commit_midway() { track.so_far()? } else { track.held()? };
        self.at(task, Some(position).filter(|position| *position != Position::default()), end)
    }

    fn at(&self, task: &Task, position: Option<Position>, end: &mut UnitEnd) -> Result<Unit> {
        let moved = position.as_ref().filter(|position| self.position.as_ref() != Some(position));
        end.cursors
            .extend(moved.filter(|_| self.has_own_cursor(task)).map(|moved| task.cursor_row(&self.partition, moved)));
        end.position.clone_from(&position);
        Ok(Unit { position, ..self.clone() })
    }

    /// With `append`, rows that are stored beside the cursor.
    fn beside(&self, task: &Task, track: &Track<'_>, end: &mut UnitEnd) -> Result<Unit> {
        let Some(seen) = task.seen_beside(self.stored.as_ref(), track.slice(), track.newest())? else {
            return Ok(self.clone());
        };
        end.cursors.extend(self.has_own_cursor(task).then(|| task.cursor_row(&self.partition, &seen)));
        end.position = Some(seen.clone());
        Ok(Unit { stored: Some(seen), ..self.clone() })
    }

    fn has_own_cursor(&self, task: &Task) -> bool {
        let scope = task.resource.incremental.as_ref().map(|incremental| incremental.scope);
        self.partition.is_empty() || scope == Some(CursorScope::Partition)
    }
}

/// The last row of the state of each partition: slices of one unit may be committed together.
pub(super) fn last_of_each(cursors: Vec<CursorRow>) -> Vec<CursorRow> {
    let last: std::collections::HashMap<String, CursorRow> =
        cursors.into_iter().map(|cursor| (cursor.partition.clone(), cursor)).collect();
    last.into_values().collect()
}
