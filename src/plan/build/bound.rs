//! `initial_value` and `end_value`: values, or expressions that are known when a run starts.

use super::scope::Scope;
use crate::config::tree::Node;
use crate::extract::cursor::Bounds;
use crate::plan::model::{Bound, Incremental};
use crate::plan::template;
use chrono::DateTime;
use std::error::Error as StdError;

/// A run's start for finding out what kind of values expressions give: 2025-01-31T12:30:45Z.
const SAMPLE_RUN_S: i64 = 1_738_326_645;

/// Builds a bound. None: a mistake was reported, or a `${…}` has no value yet.
pub(super) fn bound(key: &str, node: &Node, scope: &mut Scope<'_>) -> Option<Bound> {
    let text = node.as_scalar().filter(|text| !text.is_missing())?;
    let since = scope.uses.len();
    let template = scope.template(&text)?;
    let (mut is_of_run, mut is_fine) = (false, true);
    for used in scope.uses.split_off(since) {
        match (used.root(), used.path.get(1)) {
            ("run", _) => is_of_run = true,
            ("vars", Some(name)) => match scope.vars().iter().find(|(known, _)| known == name) {
                Some((_, var)) if var.is_secret() => {
                    is_fine = false;
                    let message = format!("`vars.{name}` is a secret, and would be stored as the cursor");
                    let help = format!("write the `${{…}}` in `{key}` itself: there it is plain");
                    scope.found.error(used.span.clone(), message).help(help);
                }
                // A variable knows of nothing else that is not in the file.
                Some((_, var)) => is_of_run |= var.known().is_none(),
                None => is_fine = false,
            },
            _ => {
                is_fine = false;
                let message = format!("`{}` has no value in `{key}`", used.name());
                let help = "`run.started_at` and `vars.NAME` can be used there";
                scope.found.error(used.span.clone(), message).help(help);
            }
        }
        scope.uses.push(used);
    }
    is_fine.then(|| Bound { text: template, is_of_run, place: scope.found.place(node.span.clone()) })
}

/// What is wrong with the bounds, as a run would find: key, message, advice. Expressions are tried on a run of our own.
pub(super) fn mistakes(incremental: &Incremental, scope: &Scope<'_>) -> Vec<(String, String, String)> {
    let run_started_at = DateTime::from_timestamp(SAMPLE_RUN_S, 0).unwrap_or_default();
    let mut sample = template::Scope { run_started_at, ..template::Scope::default() };
    for (name, var) in scope.vars() {
        // One that can't be rendered is reported where it is used.
        if let Ok(Some(value)) = var.render(&sample) {
            sample.vars.push((name.clone(), value));
        }
    }
    match Bounds::of(incremental, &sample) {
        Ok(bounds) => {
            let found = bounds.mistakes(incremental).into_iter();
            found.map(|mistake| (mistake.key.to_owned(), mistake.message, mistake.help)).collect()
        }
        Err(error) => {
            let key = error.context("key").unwrap_or("initial_value").to_owned();
            let cause = StdError::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            let help = "`{{ run.started_at | add('-30d') }}` is 30 days before the run, `| date` its date";
            vec![(key, format!("{}{cause}", error.message()), help.to_owned())]
        }
    }
}
