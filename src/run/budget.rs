//! What a resource says that the budget of the command ended: why it ended, and whether another run with this budget would
//! get any further.

use super::resource::Outcome;
use super::unit::Task;
use crate::error::Kind;
use crate::plan::model::WriteDisposition;
use crate::words::group_digits;
use std::sync::atomic::Ordering;

/// Notes that a spent budget is why the resource ended, and warns if it got nowhere.
pub(super) fn note_stop(task: &Task, outcome: &mut Outcome, cursor_before: Option<&str>) {
    let is_interrupted = outcome.error.as_ref().is_some_and(|error| error.kind() == Kind::Interrupted);
    let Some(cause) = task.context.stop.requested().filter(|cause| is_interrupted && cause.is_budget()) else { return };
    let before = outcome.end.take().map(|end| format!("{end}, ")).unwrap_or_default();
    outcome.end = Some(format!("{before}{cause}"));
    let is_fanout = task.resource.parent.is_some() || task.resource.partitions.is_some();
    let was_asked = task.tracker.meter.requests.load(Ordering::Relaxed) > 0;
    let has_moved = outcome.got_further || outcome.cursor_after.as_deref() != cursor_before;
    if was_asked && !is_fanout && !has_moved {
        outcome.warnings.push(standstill(task).to_owned());
    }
}

/// Why the next run would be where this one was, and what to do about it.
fn standstill(task: &Task) -> &'static str {
    let resource = &task.resource;
    if task.context.full_refresh {
        return "stopped before its end, and `--full-refresh` keeps no part of a table: give it a budget that reaches the end";
    }
    if resource.write == WriteDisposition::Replace {
        return "stopped before its end, and `replace` keeps no part of a table: give it a budget that reaches the end";
    }
    match &resource.incremental {
        None => {
            "stopped before its end, and without a cursor each run begins at the first page again: give it a budget that \
             reaches the end, or `incremental`"
        }
        Some(incremental) if incremental.window.is_some() => {
            "stopped within its first window, so that the next run asks for the same again: give it a larger budget, or a \
             shorter `window`"
        }
        Some(_) => {
            "stopped before its cursor could move, so that the next run asks for the same again: give it a larger budget; or \
             `window`, or `row_order = \"asc\"` where the API sorts so, with which a run goes on where the last one stopped"
        }
    }
}

/// What to know of a resource whose units were not all asked for: the next run begins with the first of them.
pub(super) fn warning_of_units(task: &Task, what: &str, done_count: u64) -> Option<String> {
    task.context.stop.requested().filter(|cause| cause.is_budget())?;
    // The progress of a past says which units are done.
    if task.past().is_some() && done_count > 0 {
        return None;
    }
    if task.tracker.meter.requests.load(Ordering::Relaxed) == 0 {
        return None;
    }
    let done = group_digits(done_count);
    Some(format!(
        "stopped after {done} {what}, and the next run begins with the first of them again: a budget that does not reach the \
         last one never will"
    ))
}
