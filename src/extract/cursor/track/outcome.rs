//! What a walk comes to: the position that its rows justify.

use super::Track;
use crate::error::Result;
use crate::extract::cursor::position::later;
use crate::extract::cursor::{CursorValue, Position};
use crate::plan::model::{CursorSource, Incremental};

impl Track<'_> {
    /// The position when the walk is complete.
    ///
    /// # Errors
    /// Its values can't be compared.
    pub fn complete(&self) -> Result<Option<Position>> {
        let notation = &self.incremental.notation;
        let candidate = match &self.incremental.source {
            CursorSource::Response(_) => {
                let value = self.told.clone().or_else(|| self.before.as_ref().and_then(|b| b.value.clone()));
                return Ok(value.map(|value| Position { value: Some(value), seen: None }));
            }
            CursorSource::Clock => self.told.clone(),
            CursorSource::Window => self.slice.end.clone(),
            CursorSource::Record(_) if self.slice.closes => {
                let end = self.slice.end.as_ref();
                // In the pattern of the API's values, where one is known and can show it.
                let like = end.zip(self.newest.as_ref()).and_then(|(end, newest)| newest.like_value(end, notation));
                let is_exact =
                    |like: &CursorValue| end.is_some_and(|end| like.order(end, notation).is_ok_and(|o| o.is_eq()));
                like.filter(is_exact).or_else(|| end.cloned())
            }
            CursorSource::Record(_) => self.newest_within()?,
        };
        let position = self.moved_to(candidate)?;
        Ok(Some(position).filter(|position| *position != Position::default()))
    }

    /// The position while an ascending walk goes on: everything up to the newest value has come.
    ///
    /// # Errors
    /// Its values can't be compared.
    pub fn so_far(&self) -> Result<Position> {
        self.moved_to(self.newest_within()?)
    }

    /// The position when rows are committed that justify no cursor.
    ///
    /// # Errors
    /// Its values can't be compared.
    pub fn held(&self) -> Result<Position> {
        let before = self.before.clone().unwrap_or_default();
        let seen = later(before.seen, self.newest.clone(), &self.incremental.notation)?;
        beyond(before.value, seen, self.incremental)
    }

    /// The newest value, but not beyond the slice's end.
    fn newest_within(&self) -> Result<Option<CursorValue>> {
        let notation = &self.incremental.notation;
        match (&self.newest, &self.slice.end) {
            (Some(newest), Some(end)) if newest.order(end, notation)?.is_gt() => {
                Ok(newest.like_value(end, notation).or_else(|| Some(end.clone())))
            }
            (newest, _) => Ok(newest.clone()),
        }
    }

    fn moved_to(&self, candidate: Option<CursorValue>) -> Result<Position> {
        let notation = &self.incremental.notation;
        let before = self.before.clone().unwrap_or_default();
        let value = later(before.value, candidate, notation)?;
        beyond(value, later(before.seen, self.newest.clone(), notation)?, self.incremental)
    }
}

/// A position whose `seen` says only what the cursor doesn't.
fn beyond(value: Option<CursorValue>, seen: Option<CursorValue>, incremental: &Incremental) -> Result<Position> {
    let is_beyond = match (&value, &seen) {
        (Some(value), Some(seen)) => seen.order(value, &incremental.notation)?.is_gt(),
        (None, Some(_)) => true,
        (_, None) => false,
    };
    Ok(Position { value, seen: seen.filter(|_| is_beyond) })
}
