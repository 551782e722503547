//! One cursor for all units of a resource (`scope = "global"`): it moves when all of them have succeeded.

use super::unit::Task;
use crate::error::Result;
use crate::extract::CursorValue;
use crate::extract::cursor::Position;
use crate::load::CursorRow;
use crate::plan::model::{CursorScope, CursorSource, WriteDisposition};

/// The cursor, with what the units have come to.
pub(super) struct GlobalCursor {
    /// Where each unit starts.
    stored: Option<Position>,
    /// What the units so far justify, should the others succeed.
    reached: Option<Position>,
    /// The newest value of rows that units have brought, complete or not.
    seen: Option<CursorValue>,
}

impl GlobalCursor {
    /// The cursor of a resource; `None` when its units have cursors of their own.
    pub(super) fn of(task: &Task, stored: Option<Position>) -> Option<GlobalCursor> {
        let is_global = task.resource.incremental.as_ref().is_some_and(|i| i.scope == CursorScope::Global);
        let seen = stored.as_ref().and_then(|stored| stored.seen.clone());
        is_global.then_some(GlobalCursor { stored, reached: None, seen })
    }

    /// Where a unit starts.
    pub(super) fn start(&self) -> Option<Position> {
        self.stored.clone()
    }

    /// Takes note of a unit that is complete.
    ///
    /// # Errors
    /// Its values can't be compared with those of the others.
    pub(super) fn note(&mut self, task: &Task, position: Option<Position>) -> Result<()> {
        self.note_rows(task, position.as_ref())?;
        let (Some(position), Some(incremental)) = (position, &task.resource.incremental) else { return Ok(()) };
        let notation = &incremental.notation;
        self.reached = Some(match self.reached.take() {
            None => position,
            // Units begin one after the other: only what the first of them asked for is known of all.
            Some(reached) if incremental.source == CursorSource::Clock => reached.min(position, notation)?,
            Some(reached) => reached.max(position, notation)?,
        });
        Ok(())
    }

    /// Takes note of how new the rows are that a unit has brought, also if it goes on.
    ///
    /// # Errors
    /// Its values can't be compared with those of the others.
    pub(super) fn note_rows(&mut self, task: &Task, position: Option<&Position>) -> Result<()> {
        let (Some(newest), Some(incremental)) = (position.and_then(Position::newest), &task.resource.incremental)
        else {
            return Ok(());
        };
        let is_newer = match &self.seen {
            Some(seen) => newest.order(seen, &incremental.notation)?.is_gt(),
            None => true,
        };
        if is_newer {
            self.seen = Some(newest.clone());
        }
        Ok(())
    }

    /// The row to commit: with all units complete the cursor moves. Otherwise it stays, and says how new the rows are that are
    /// committed all the same: `append` would store them twice.
    pub(super) fn row(&self, task: &Task, is_complete: bool) -> Option<CursorRow> {
        if is_complete {
            return self.reached.as_ref().map(|reached| task.cursor_row("", reached));
        }
        let (seen, incremental) = (self.seen.as_ref()?, task.resource.incremental.as_ref()?);
        let before = self.stored.clone().unwrap_or_default();
        // What can't be compared was refused when it was noted.
        let held = before.clone().with_seen(seen, &incremental.notation).ok().filter(|held| *held != before)?;
        (task.resource.write == WriteDisposition::Append).then(|| task.cursor_row("", &held))
    }

    /// The cursor after the run, as people read it.
    pub(super) fn text(&self, is_complete: bool) -> Option<String> {
        let position = self.reached.as_ref().filter(|_| is_complete).or(self.stored.as_ref())?;
        position.value.as_ref().map(ToString::to_string)
    }
}
