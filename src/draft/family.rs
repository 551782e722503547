//! What the endpoints are called, and which of them run for the rows of another one.

use super::document::{Document, Shape};
use super::endpoint::Endpoint;
use super::words::{normal, singular};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// So many levels of parents are drafted.
const DEPTH_MAX: usize = 4;

/// An endpoint among the others.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Place {
    pub(super) name: String,
    /// The resource for whose rows it runs, by its number.
    pub(super) parent: Option<usize>,
    /// Where each parameter of the path comes from, in their order.
    pub(super) sources: Vec<(String, Source)>,
}

/// Where the value of a path's parameter comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    /// A field of the parent, of its parent, …: so many steps up.
    Parent { steps: usize, field: String },
    /// A variable of `[vars]`.
    Variable(String),
}

impl Source {
    /// As an expression.
    pub(super) fn expression(&self) -> String {
        match self {
            Source::Parent { steps, field } => format!("{}{field}", "parent.".repeat(*steps)),
            Source::Variable(name) => format!("vars.{name}"),
        }
    }

    /// As a field of the parent, for `include_from_parent`.
    pub(super) fn included(&self) -> Option<String> {
        match self {
            Source::Parent { .. } => self.expression().strip_prefix("parent.").map(str::to_owned),
            Source::Variable(_) => None,
        }
    }
}

/// The place of each endpoint.
pub(super) fn places<'d>(document: &Document<'d>, endpoints: &[Endpoint<'d>]) -> Vec<Place> {
    let by_path: HashMap<String, usize> =
        endpoints.iter().enumerate().map(|(i, endpoint)| (comparable(endpoint.path), i)).collect();
    let mut places: Vec<Option<Place>> = vec![None; endpoints.len()];
    for i in 0..endpoints.len() {
        place(i, document, endpoints, &by_path, &mut places, DEPTH_MAX);
    }
    let mut places: Vec<Place> = places.into_iter().map(Option::unwrap_or_default).collect();
    name(endpoints, &mut places);
    places
}

/// A path as it is compared: the names of its parameters don't count, nor does a slash or `.json` at its end.
fn comparable(path: &str) -> String {
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix(".json").unwrap_or(path);
    let parts = path.split('/').map(|part| if part.starts_with('{') && part.ends_with('}') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// The names of a path's parameters, each with the path before it.
fn parameters(path: &str) -> Vec<(String, &str)> {
    let mut found = Vec::new();
    for (start, _) in path.match_indices('{') {
        let Some(length) = path[start..].find('}') else { break };
        found.push((path[start + 1..start + length].to_owned(), &path[..start]));
    }
    found
}

fn place<'d>(
    at: usize,
    document: &Document<'d>,
    endpoints: &[Endpoint<'d>],
    by_path: &HashMap<String, usize>,
    places: &mut [Option<Place>],
    depth: usize,
) -> Place {
    if let Some(known) = &places[at] {
        return known.clone();
    }
    let parameters = parameters(endpoints[at].path);
    let variables = |names: &[(String, &str)]| -> Vec<(String, Source)> {
        names.iter().map(|(name, _)| (name.clone(), Source::Variable(crate::schema::names::identifier(name)))).collect()
    };
    let mut found = Place { sources: variables(&parameters), ..Place::default() };
    let parent = parameters.last().and_then(|(name, before)| {
        // `/files/{id}.json`: a parameter that is not a whole part stays a variable.
        let parent = *by_path.get(&comparable(before)).filter(|_| before.ends_with('/'))?;
        let field = field_for(document, name, endpoints[parent].list.item)?;
        (parent != at && depth > 0).then_some((parent, field))
    });
    if let (Some((parent, field)), Some((own, earlier))) = (parent, parameters.split_last()) {
        let above = place(parent, document, endpoints, by_path, places, depth - 1);
        found.parent = Some(parent);
        found.sources = above.sources.into_iter().map(|(name, source)| (name, raised(source))).collect();
        // Both have the same parameters before, by whichever names.
        for (source, (name, _)) in found.sources.iter_mut().zip(earlier) {
            source.0.clone_from(name);
        }
        found.sources.push((own.0.clone(), Source::Parent { steps: 1, field }));
    }
    places[at] = Some(found.clone());
    found
}

/// The same source, seen from a child.
fn raised(source: Source) -> Source {
    match source {
        Source::Parent { steps, field } => Source::Parent { steps: steps + 1, field },
        variable @ Source::Variable(_) => variable,
    }
}

/// The field of a parent's record that a parameter means.
fn field_for<'d>(document: &Document<'d>, parameter: &str, item: &'d Value) -> Option<String> {
    let members = document.members_of(item);
    let fits = |name: &str, shape: Shape<'_>| {
        let is_single = matches!(shape, Shape::Integer | Shape::Text | Shape::Number | Shape::Unknown);
        (is_single && !name.contains('.')).then(|| name.to_owned())
    };
    let named = |wanted: &str| {
        members.iter().find(|(name, _)| normal(name) == wanted).and_then(|(name, shape)| fits(name, *shape))
    };
    let own = normal(parameter);
    let endings = ["uuid", "guid", "number", "key", "slug", "name", "code", "iid", "id", "login", "sha", "ref"];
    let by_ending = || endings.iter().filter(|ending| own.ends_with(**ending)).find_map(|ending| named(ending));
    named(&own).or_else(by_ending)
}

/// Gives each a name: the last word of its path; where others have that too, with the words before it.
fn name(endpoints: &[Endpoint<'_>], places: &mut [Place]) {
    let words: Vec<Vec<String>> = endpoints.iter().map(Endpoint::literals).collect();
    let last = |i: usize| words[i].last().cloned().unwrap_or_else(|| "items".to_owned());
    let short: Vec<String> = (0..places.len())
        .map(|i| match places[i].parent {
            Some(parent) => format!("{}_{}", singular(&last(parent)), last(i)),
            None => last(i),
        })
        .collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for name in &short {
        *counts.entry(name).or_default() += 1;
    }
    // A list of its own keeps the short name; those below others give way.
    let shallowest: HashMap<&str, usize> = (0..short.len()).rev().fold(HashMap::new(), |mut found, i| {
        let depth = |i: usize| endpoints[i].path.matches('/').count();
        match found.get(short[i].as_str()) {
            Some(known) if depth(*known) < depth(i) => {}
            _ => {
                found.insert(short[i].as_str(), i);
            }
        }
        found
    });
    let mut taken: HashSet<String> = HashSet::new();
    let keeps = |i: usize| counts[short[i].as_str()] == 1 || shallowest[short[i].as_str()] == i;
    for i in (0..places.len()).filter(|i| keeps(*i)) {
        places[i].name.clone_from(&short[i]);
        taken.insert(short[i].clone());
    }
    for i in (0..places.len()).filter(|i| !keeps(*i)) {
        let long = words[i].join("_");
        let numbered = (2..).map(|n| format!("{long}_{n}"));
        let free = std::iter::once(long.clone()).chain(numbered).find(|name| !taken.contains(name));
        places[i].name = free.unwrap_or(long);
        taken.insert(places[i].name.clone());
    }
}
