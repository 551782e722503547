//! A JSONPath query applied: matches are found on the parsed tree, and their text is taken from the body, so that every
//! digit stays as it was sent.

use super::{Selection, join_records, select};
use crate::error::{Error, Kind, Result};
use crate::extract::envelope::Node;
use crate::extract::raw::{self, Shape};
use crate::plan::model::{QuerySelector, Step};
use bytes::Bytes;
use serde_json_path::PathElement;
use std::collections::HashMap;

/// The records that a query selects.
///
/// # Errors
/// The steps before it or the query match nothing (and neither `allow_missing` nor the query's own kind says that this is
/// no row), or the body is no JSON.
pub(super) fn query(root: &Node, selector: &QuerySelector, allow_missing: bool) -> Result<Selection> {
    let start = select(root, &selector.prefix, allow_missing)?;
    if !start.matched {
        return Ok(start);
    }
    let mut matches = Vec::new();
    for body in &start.records {
        matches.append(&mut matches_in(body, selector)?);
    }
    let nothing_there = start.records.is_empty();
    if matches.is_empty() && !nothing_there && !selector.may_be_empty {
        if allow_missing {
            return Ok(Selection::NOTHING);
        }
        return Err(Error::new(Kind::Body, "`data_selector` matches nothing in the answer")
            .with("data_selector", &selector.text)
            .hint("correct `data_selector`, or set `allow_missing = true` if such an answer is an empty page"));
    }
    let records = if selector.selects_elements { vec![join_records(&matches)] } else { without_nulls(matches) };
    Ok(Selection { records, is_list: true, matched: true })
}

fn without_nulls(mut matches: Vec<Bytes>) -> Vec<Bytes> {
    matches.retain(|text| Shape::of(text) != Shape::Null);
    matches
}

/// The texts of all matches within a JSON text, in the order of the query.
fn matches_in(body: &Bytes, selector: &QuerySelector) -> Result<Vec<Bytes>> {
    let not_json = |cause: serde_json::Error| Error::new(Kind::Body, "the body is not JSON").source(cause);
    let tree: serde_json::Value = serde_json::from_slice(body).map_err(not_json)?;
    let located = selector.query.query_located(&tree);
    let paths: Vec<Wanted> = located
        .iter()
        .enumerate()
        .map(|(number, node)| Wanted { number, steps: node.location().iter().map(step).collect() })
        .collect();
    let mut found = vec![None; paths.len()];
    take(body, &paths.iter().collect::<Vec<_>>(), 0, &mut found)?;
    Ok(found.into_iter().flatten().collect())
}

fn step(element: &PathElement<'_>) -> Step {
    match element {
        PathElement::Name(name) => Step::Key((*name).to_owned()),
        PathElement::Index(index) => Step::Index(*index),
    }
}

/// A place that a query found.
struct Wanted {
    /// The how-manieth of the query's matches.
    number: usize,
    steps: Vec<Step>,
}

/// Takes the texts of several places out of one text. Each level of the body is taken apart once, however many places there
/// are below it.
fn take(text: &Bytes, wanted: &[&Wanted], depth: usize, found: &mut [Option<Bytes>]) -> Result<()> {
    let (here, below): (Vec<&Wanted>, Vec<&Wanted>) = wanted.iter().partition(|w| w.steps.len() == depth);
    for place in here {
        found[place.number] = Some(text.clone());
    }
    if below.is_empty() {
        return Ok(());
    }
    // Grouped by their next step, so that many matches in a long list stay linear.
    let mut by_step: HashMap<&Step, Vec<&Wanted>> = HashMap::new();
    for place in below {
        by_step.entry(&place.steps[depth]).or_default().push(place);
    }
    if Shape::of(text) == Shape::List {
        for (index, element) in raw::elements(text)?.iter().enumerate() {
            if let Some(places) = by_step.get(&Step::Index(index)) {
                take(element, places, depth + 1, found)?;
            }
        }
        return Ok(());
    }
    // A key that comes twice has its last value, as in the tree.
    for (key, member) in raw::members(text)? {
        if let Some(places) = by_step.get(&Step::Key(key)) {
            take(&member, places, depth + 1, found)?;
        }
    }
    Ok(())
}
