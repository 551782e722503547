//! What is known once a run has begun: its variables, and the bounds of its cursors.

use crate::error::Result;
use crate::extract::cursor::Bounds;
use crate::plan::model::Pipeline;
use crate::plan::template::Scope;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::HashMap;

/// The variables, rendered.
pub(super) fn render_vars(pipeline: &Pipeline, run_started_at: DateTime<Utc>) -> Result<Vec<(String, Value)>> {
    let scope = Scope { run_started_at, ..Scope::default() };
    let mut vars = Vec::new();
    for (name, value) in &pipeline.vars {
        if let Some(value) = value.render(&scope)? {
            vars.push((name.clone(), value));
        }
    }
    Ok(vars)
}

/// The bounds of the ranges that this run asks for, by resource.
pub(super) fn bounds_of(pipeline: &Pipeline, scope: &Scope) -> Result<HashMap<String, Bounds>> {
    let cursors = pipeline.resources.iter().filter_map(|r| Some((r, r.incremental.as_ref()?)));
    let bounds = cursors.map(|(resource, incremental)| {
        let bounds = Bounds::checked(incremental, scope).map_err(|error| error.with("resource", &resource.name))?;
        Ok((resource.name.clone(), bounds))
    });
    bounds.collect()
}
