//! How a fan-out ended, and which failures end it.

use super::super::budget;
use super::super::report::group_digits;
use super::super::resource::Outcome;
use super::super::unit_end::last_of_each;
use super::Fanout;
use crate::error::{Error, Kind, Result};
use crate::http;

/// What became of the parents or partitions.
#[derive(Default)]
pub(super) struct Counts {
    /// Units that were begun.
    pub(super) begun: u64,
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) failed_in_a_row: u64,
    pub(super) gone: u64,
    pub(super) skipped: u64,
    /// Those that `parent_filter` is not true for.
    pub(super) filtered: u64,
    /// Rows of the resource that are below themselves.
    pub(super) circles: u64,
    /// Partitions that were in the lists before.
    pub(super) repeated: u64,
}

impl Fanout<'_> {
    pub(super) fn outcome(mut self, result: Result<()>) -> Outcome {
        let fatal = result.is_err();
        let what = if self.relation.parent.is_some() { "parents" } else { "partitions" };
        let mut error = result.err().or_else(|| self.first_error.take());
        if error.is_none() && self.task.context.stop.requested().is_some() {
            error = Some(Error::new(Kind::Interrupted, "the run was asked to end"));
        }
        if self.counts.failed > 1 {
            let label = if what == "parents" { "parents that failed" } else { "partitions that failed" };
            error = error.map(|e| e.with(label, group_digits(self.counts.failed)));
        }
        let all_or_none = !self.task.resource.parts().of_parents_stay;
        if error.is_none() {
            error = self.note_parent_failure(all_or_none);
        }
        self.warn_of_counts(what);
        if error.as_ref().is_some_and(|error| error.kind() == Kind::Interrupted) {
            self.warnings.extend(budget::warning_of_units(self.task, what, self.counts.done));
        }
        if error.is_none() && self.parent_came_through() {
            self.cursors.extend(self.asked_all());
        }
        let global = self.global.as_ref();
        // A past moves no cursor, however complete it is.
        let is_complete = error.is_none() && self.task.past().is_none();
        self.cursors.extend(global.and_then(|global| global.row(self.task, is_complete)));
        let cursor_after = global.and_then(|global| global.text(is_complete));
        let cursor_committed = global.and_then(|global| global.text(false));
        Outcome {
            end: Some(self.end(what)),
            cursors: last_of_each(self.cursors),
            cursor_after,
            cursor_committed,
            got_further: self.counts.done > 0,
            windows_left: None,
            warnings: self.warnings,
            spoiled: self.spoiled || fatal || (all_or_none && error.is_some()),
            error,
        }
    }

    /// How many were asked for, and how many were not meant to be.
    fn end(&self, what: &str) -> String {
        let done = format!("{} {what}", group_digits(self.counts.done));
        match self.counts.filtered {
            0 => done,
            filtered => format!("{done}, {} left out by `parent_filter`", group_digits(filtered)),
        }
    }

    fn parent_came_through(&self) -> bool {
        self.came_through.failed().next().is_none()
    }

    /// What it means that the parent failed: rows that it did not reach were not asked for. A table can't be exchanged for
    /// part of its rows; added or merged rows stay.
    fn note_parent_failure(&mut self, all_or_none: bool) -> Option<Error> {
        let failed: Vec<String> = self.came_through.failed().map(|name| format!("`{name}`")).collect();
        if failed.is_empty() {
            return None;
        }
        let failed = failed.join(", ");
        if all_or_none {
            let message = format!("the table is not replaced, because {failed} was not loaded whole");
            return Some(Error::new(Kind::Data, message).hint("its own error says why"));
        }
        self.warnings.push(format!("{failed} was not loaded whole; parents that it did not reach were not asked for"));
        None
    }

    fn warn_of_counts(&mut self, what: &str) {
        let counts = &self.counts;
        let lines = [
            (counts.gone, "are known here and gone from the API (404 or 410); they were passed over"),
            (counts.skipped, "lack a value that the request needs; they were passed over"),
            (counts.circles, "are below themselves; each was asked for once"),
            (counts.repeated, "came again in the lists; each was asked for once"),
        ];
        for (count, rest) in lines {
            if count > 0 {
                self.warnings.push(format!("{} {what} {rest}", group_digits(count)));
            }
        }
    }
}

/// Whether a failure says that the parent is no more: its first request was answered so, and the file does not call that a
/// failure.
pub(super) fn is_gone(error: &Error) -> bool {
    error.kind() == Kind::Status
        && error.context(http::DECIDED_BY).is_none()
        && error.context("page").is_none_or(|page| page == "1")
        && error.context("status").is_some_and(|s| s.starts_with("404") || s.starts_with("410"))
}

/// Whether a failure would meet every other parent too.
pub(super) fn concerns_all(error: &Error) -> bool {
    match error.kind() {
        Kind::Status => error.context("status").is_some_and(|s| s.starts_with("401") || s.starts_with("403")),
        Kind::Auth
        | Kind::Config
        | Kind::Destination
        | Kind::State
        | Kind::Locked
        | Kind::Interrupted
        | Kind::Internal => true,
        // What the contract forbids ends the load.
        Kind::Data => error.context("schema_contract").is_some(),
        Kind::Network | Kind::Body | Kind::Paging => false,
    }
}
