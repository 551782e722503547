//! A pipeline file drafted from an OpenAPI document: text from text, without I/O. What the document says for sure becomes
//! keys; what it only hints at is commented out with the reason; what can't be drafted is listed at the end.

mod auth;
mod document;
mod endpoint;
mod family;
mod list;
mod paging;
mod since;
#[cfg(test)]
mod tests;
mod words;
mod write;

use crate::error::{Error, Kind, Result};
use document::Document;
use endpoint::Endpoint;
use family::{Place, Source};
use serde_json::Value;
use std::collections::BTreeMap;
use words::{first_line, quoted, value};

/// A drafted pipeline.
#[derive(Debug)]
pub struct Draft {
    /// The file.
    pub text: String,
    /// Resources that are ready.
    pub ready: usize,
    /// Resources that are commented out.
    pub unsure: usize,
    /// GET operations that can't be drafted.
    pub left_out: usize,
    /// Keys that a person has to fill in.
    pub to_edit: Vec<String>,
}

/// Drafts the pipeline `name`.
///
/// # Errors
/// It is no OpenAPI document, or describes no list that could be loaded.
pub fn pipeline(root: &Value, name: &str) -> Result<Draft> {
    let document = Document::read(root)?;
    let (mut endpoints, left_out) = endpoint::all(&document);
    if endpoints.is_empty() {
        return Err(Error::new(
            Kind::Config,
            "the document describes no list that GET returns: there is nothing to draft",
        )
        .hint("write the pipeline by hand: `pintail init NAME` without `--from` writes a file to start from"));
    }
    let places = family::places(&document, &endpoints);
    follow_parents(&mut endpoints, &places);
    let unsure = endpoints.iter().filter(|e| e.unsure.is_some()).count();
    if unsure == endpoints.len() {
        let first = endpoints.first().and_then(|e| e.unsure.clone()).unwrap_or_default();
        return Err(
            Error::new(Kind::Config, "nothing of the document can be loaded as it is").with("first reason", first)
        );
    }
    let variables = variables(&endpoints, &places);
    let prefix = name.to_uppercase().replace('-', "_");
    let (base_url, auth) = (auth::base_url(&document), auth::auth(&document, &prefix));
    let unknown = variables.iter().filter(|(_, (_, is_unknown))| *is_unknown).map(|(name, _)| format!("vars.{name}"));
    let to_edit: Vec<String> = base_url.to_edit.clone().into_iter().chain(unknown).collect();
    let parts = write::Parts {
        name,
        title: title(root, name),
        remarks: remarks(&document),
        base_url,
        auth,
        endpoints: &endpoints,
        places: &places,
        variables: &variables,
        left_out: &left_out,
    };
    Ok(Draft { text: write::text(&parts), ready: endpoints.len() - unsure, unsure, left_out: left_out.len(), to_edit })
}

fn title(root: &Value, name: &str) -> String {
    let title = first_line(root["info"]["title"].as_str().unwrap_or(name));
    match root["info"]["version"].as_str() {
        Some(version) => format!("{title}, version {}", first_line(version)),
        None => title,
    }
}

fn remarks(document: &Document<'_>) -> Vec<String> {
    let swagger = "The document is Swagger 2.0, which says less than OpenAPI 3: look twice at paging and credentials.";
    document.is_swagger().then(|| swagger.to_owned()).into_iter().collect()
}

/// Children of a resource that is commented out are, too.
fn follow_parents(endpoints: &mut [Endpoint<'_>], places: &[Place]) {
    for at in 0..endpoints.len() {
        let mut above = places[at].parent;
        while let (Some(parent), None) = (above, &endpoints[at].unsure) {
            if endpoints[parent].unsure.is_some() {
                endpoints[at].unsure = Some(format!("its parent `{}` is commented out", places[parent].name));
            }
            above = places[parent].parent;
        }
    }
}

/// The variables that paths need, as TOML values; whether the document says nothing of them.
fn variables(endpoints: &[Endpoint<'_>], places: &[Place]) -> BTreeMap<String, (String, bool)> {
    let mut found = BTreeMap::new();
    for (endpoint, place) in endpoints.iter().zip(places).filter(|(endpoint, _)| endpoint.unsure.is_none()) {
        for (parameter, source) in &place.sources {
            let Source::Variable(name) = source else { continue };
            let described = endpoint.path_parameters.iter().find(|p| p.name == parameter);
            let example = described.and_then(|p| p.example).and_then(value);
            match (found.get(name), example) {
                (None | Some((_, true)), Some(example)) => found.insert(name.clone(), (example, false)),
                (None, None) => found.insert(name.clone(), (quoted("EDIT"), true)),
                _ => None,
            };
        }
    }
    found
}
