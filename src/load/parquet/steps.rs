//! The steps of a commit, at each of which a test can have the process die.

use crate::failpoint::Point;

/// The steps of commits. Unit tests die at one by its number, tests of the program by its name.
#[derive(Debug, Default)]
pub(super) struct Steps {
    #[cfg(test)]
    left: Option<u32>,
}

impl Steps {
    /// Stands between two effects on the disk.
    #[cfg(not(test))]
    pub(super) fn reach(&mut self, point: Point) {
        crate::failpoint::reach(point);
    }

    /// Stands between two effects on the disk: here a killed process may have stopped. Unwinding to [`survives`] skips all
    /// that a kill would skip, as nothing cleans up when it is dropped.
    #[cfg(test)]
    pub(super) fn reach(&mut self, _: Point) {
        match &mut self.left {
            Some(0) => std::panic::resume_unwind(Box::new(Killed)),
            Some(left) => *left -= 1,
            None => {}
        }
    }

    /// Dies at the step of this number, from 0.
    #[cfg(test)]
    pub(super) fn dying_at(step: u32) -> Self {
        Steps { left: Some(step) }
    }
}

#[cfg(test)]
struct Killed;

/// Runs something that may die at a step; gives its result if it did not.
#[cfg(test)]
pub(super) fn survives<T>(run: impl FnOnce() -> T) -> Option<T> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        Ok(result) => Some(result),
        Err(payload) if payload.is::<Killed>() => None,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}
