//! Which resource runs for the rows of which, as a tree in SVG.

use super::html::text;
use crate::plan::model::Pipeline;
use std::fmt::Write;

const ROW: usize = 28;
const INDENT: usize = 22;
const RADIUS: usize = 5;
/// Width of a letter of the labels, rounded up.
const LETTER: usize = 8;
/// Letters of a name that are shown.
const NAME_LETTERS: usize = 40;

/// A resource in its place.
struct Node<'a> {
    name: &'a str,
    depth: usize,
    /// Row of the parent that it stands below.
    parent_row: Option<usize>,
    /// What stands behind its name.
    note: String,
}

/// The tree. `class_of`: how a resource is, as a class of the page.
pub(super) fn tree(pipeline: &Pipeline, class_of: impl Fn(&str) -> &'static str) -> String {
    let nodes = nodes(pipeline);
    let mut drawn = String::new();
    for (row, node) in nodes.iter().enumerate() {
        let (x, y) = (RADIUS + 1 + node.depth * INDENT, row * ROW + ROW / 2);
        // Writing to a String can't fail.
        if let Some(parent) = node.parent_row {
            let from = parent * ROW + ROW / 2 + RADIUS;
            let _ = writeln!(drawn, "<path class=\"edge\" d=\"M{} {from} V{y} H{}\"/>", x - INDENT, x - RADIUS);
        }
        let note = if node.note.is_empty() { String::new() } else { format!(" <tspan>{}</tspan>", text(&node.note)) };
        let _ = writeln!(
            drawn,
            "<circle class=\"{}\" cx=\"{x}\" cy=\"{y}\" r=\"{RADIUS}\"/><text x=\"{}\" y=\"{}\">{}{note}<title>{}</title></text>",
            class_of(node.name),
            x + RADIUS + 7,
            y + 5,
            text(&cut(node.name)),
            text(node.name),
        );
    }
    let letters = |node: &Node<'_>| cut(node.name).chars().count() + node.note.chars().count() + 1;
    let width = nodes.iter().map(|node| node.depth * INDENT + 24 + letters(node) * LETTER).max().unwrap_or(LETTER);
    let height = nodes.len().max(1) * ROW;
    format!(
        "<div class=\"wide\"><svg class=\"tree\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"Resources and what they run for\">\n{drawn}</svg></div>\n"
    )
}

fn cut(name: &str) -> String {
    if name.chars().count() <= NAME_LETTERS {
        return name.to_owned();
    }
    name.chars().take(NAME_LETTERS - 1).chain(['…']).collect()
}

/// Resources, each below the first of its parents.
fn nodes(pipeline: &Pipeline) -> Vec<Node<'_>> {
    let mut nodes = Vec::new();
    let roots = pipeline.resources.iter().filter(|r| parent_of(r).is_none());
    for root in roots {
        place(pipeline, &root.name, 0, None, &mut nodes);
    }
    nodes
}

/// The resource that it stands below; one that is its own parent stands below none for that.
fn parent_of(resource: &crate::plan::model::Resource) -> Option<&str> {
    let parents = resource.parent.iter().flat_map(|parent| &parent.resources);
    parents.map(String::as_str).find(|name| *name != resource.name)
}

fn place<'a>(pipeline: &'a Pipeline, name: &str, depth: usize, parent_row: Option<usize>, nodes: &mut Vec<Node<'a>>) {
    let Some(resource) = pipeline.resource(name) else { return };
    let own = parent_of(resource);
    let others: Vec<&str> = resource
        .parent
        .iter()
        .flat_map(|parent| &parent.resources)
        .map(String::as_str)
        .filter(|other| Some(*other) != own)
        .map(|other| if other == resource.name { "itself" } else { other })
        .collect();
    let mut notes = Vec::new();
    if !others.is_empty() {
        notes.push(format!("also of {}", others.join(", ")));
    }
    if resource.partitions.is_some() {
        notes.push("per partition".to_owned());
    }
    if !resource.selected {
        notes.push("not stored".to_owned());
    }
    let row = nodes.len();
    nodes.push(Node { name: &resource.name, depth, parent_row, note: notes.join(", ") });
    for child in pipeline.resources.iter().filter(|r| parent_of(r) == Some(name)) {
        place(pipeline, &child.name, depth + 1, Some(row), nodes);
    }
}
