//! `extends`: the resources whose keys another one inherits. They have to be there, and no resource can inherit from itself.

use crate::config::diagnostic::Diagnostics;
use crate::config::tree::{Key, Node};
use crate::plan::suggest;

/// Reports bases that are not there, and circles, each at every place that is part of it.
pub(super) fn check(resources: &[(Key, Node)], found: &mut Diagnostics) {
    for (at, (key, node)) in resources.iter().enumerate() {
        let Some(extends) = node.as_table().and_then(|table| table.get("extends")) else { continue };
        if extends.resolved().is_some() && base_of(resources, at).is_none() {
            let message = format!("there is no resource `{}` to extend", extends.resolved().unwrap_or_default());
            let known = resources.iter().map(|(key, _)| key.name.as_str()).filter(|name| *name != key.name);
            let help = suggest::did_you_mean(&extends.resolved().unwrap_or_default(), known.clone())
                .unwrap_or_else(|| format!("resources of this file: {}", suggest::list(known)));
            found.error(extends.span.clone(), message).help(help);
        }
        if let Some(circle) = circle(resources, at) {
            let names: Vec<&str> = circle.iter().map(|at| resources[*at].0.name.as_str()).collect();
            let message = match names.as_slice() {
                [only] => format!("`{only}` extends itself"),
                names => format!("`extends` goes in a circle: {} → {}", names.join(" → "), key.name),
            };
            found.error(extends.span.clone(), message).help("what they share can be a resource of its own");
        }
    }
}

/// The place of the resource that one extends.
fn base_of(resources: &[(Key, Node)], at: usize) -> Option<usize> {
    let wanted = resources.get(at)?.1.as_table()?.get("extends")?.resolved()?;
    resources.iter().position(|(key, _)| key.name == wanted)
}

/// The places on the way from a resource back to it; none if its way does not lead back.
fn circle(resources: &[(Key, Node)], start: usize) -> Option<Vec<usize>> {
    let mut way = vec![start];
    loop {
        let next = base_of(resources, *way.last()?)?;
        if next == start {
            return Some(way);
        }
        if way.contains(&next) {
            return None;
        }
        way.push(next);
    }
}
