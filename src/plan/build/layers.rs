//! What a resource inherits: client < resource_defaults < resources that it extends < resource, the nearest wins.

use crate::config::tree::{Key, Node, Table};

/// Tables, the nearest first.
#[derive(Clone)]
pub(super) struct Layers<'a>(pub(super) Vec<&'a Table>);

impl<'a> Layers<'a> {
    /// The same with one table more, the farthest.
    pub(super) fn above(&self, farthest: &'a Table) -> Layers<'a> {
        Layers(self.0.iter().copied().chain([farthest]).collect())
    }

    /// The nearest flag of a name.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.entry(name).and_then(|(_, node)| node.as_boolean())
    }

    /// The nearest entry of a name, also if it is `false`.
    pub(super) fn entry(&self, name: &str) -> Option<&'a (Key, Node)> {
        self.0.iter().find_map(|table| table.entry(name))
    }

    /// The nearest value of a name; none if it is switched off.
    pub(super) fn get(&self, name: &str) -> Option<&'a Node> {
        self.entry(name).map(|(_, node)| node).filter(|node| !node.is_off())
    }

    /// All values of a name, the nearest first.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &'a Node> {
        self.0.iter().filter_map(move |table| table.get(name))
    }

    /// Tables of a name merged by key, as `same` compares keys. A key that is `false` drops an inherited one; where nothing
    /// is inherited, `false` is a value like any other. Order: as first written, from the farthest layer on.
    pub(super) fn merged(&self, name: &str, same: impl Fn(&str, &str) -> bool) -> Vec<&'a (Key, Node)> {
        let mut merged: Vec<&'a (Key, Node)> = Vec::new();
        let layers: Vec<&'a Node> = self.all(name).collect();
        for table in layers.into_iter().rev().filter_map(Node::as_table) {
            for entry in &table.entries {
                let inherited = merged.iter().position(|(key, _)| same(&key.name, &entry.0.name));
                match inherited {
                    Some(at) if entry.1.is_off() => {
                        merged.remove(at);
                    }
                    Some(at) => merged[at] = entry,
                    None => merged.push(entry),
                }
            }
        }
        merged
    }
}
