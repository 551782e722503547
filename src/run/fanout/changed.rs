//! `parents = "changed"`: up to which load the children of all parents are there.

use super::super::warehouse::Warehouse;
use super::Fanout;
use crate::error::{Error, Kind, Result};
use crate::load::{CursorRow, PARENTS_ASKED};
use crate::plan::model::{Parent, ParentScope, Resource};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// The load, as the state keeps it. Who asks for others than before has not asked for all of them.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum AskedUntil {
    /// Of all rows of one parent.
    All(String),
    /// Of rows of several parents, or of those that a filter lets through.
    Of { load_id: String, which: String },
}

impl AskedUntil {
    fn new(load_id: &str, spec: &Parent) -> AskedUntil {
        let load_id = load_id.to_owned();
        match which(spec) {
            None => AskedUntil::All(load_id),
            Some(which) => AskedUntil::Of { load_id, which },
        }
    }

    /// The load; none if others were asked for then.
    fn load_id(self, spec: &Parent) -> Option<String> {
        match (self, which(spec)) {
            (AskedUntil::All(load_id), None) => Some(load_id),
            (AskedUntil::Of { load_id, which }, Some(now)) if which == now => Some(load_id),
            _ => None,
        }
    }
}

/// What tells the parents that are asked for from others, as a hash: a filter may hold what is not to be read.
fn which(spec: &Parent) -> Option<String> {
    let filter = spec.filter.as_ref().map(|filter| filter.source());
    let is_plain = spec.resources.len() == 1 && filter.is_none();
    let text = format!("{:?}", (&spec.resources, filter));
    (!is_plain).then(|| format!("{:016x}", xxh3_64(text.as_bytes())))
}

/// The load up to which the children of all parents are there; none if all parents are to be asked for.
///
/// # Errors
/// The warehouse can't be read, or the state is not what Pintail wrote.
pub(super) async fn stored_asked_until(warehouse: &Warehouse, resource: &Resource) -> Result<Option<String>> {
    let spec = resource.parent.as_ref().filter(|spec| spec.scope == ParentScope::Changed);
    let Some(spec) = spec else { return Ok(None) };
    let stored = warehouse.cursors(&resource.name, vec![PARENTS_ASKED.to_owned()]).await?;
    let Some(text) = stored.get(PARENTS_ASKED) else { return Ok(None) };
    let asked: AskedUntil = serde_json::from_str(text).map_err(|cause| {
        Error::new(Kind::State, "the state of a child resource is not what Pintail wrote")
            .with("resource", &resource.name)
            .source(cause)
    })?;
    Ok(asked.load_id(spec))
}

impl Fanout<'_> {
    fn changed(&self) -> Option<&Parent> {
        self.relation.parent.as_ref().map(|(spec, _)| spec).filter(|spec| spec.scope == ParentScope::Changed)
    }

    /// Says that the children of all parents are there, this run's included.
    pub(super) fn asked_all(&self) -> Option<CursorRow> {
        let (context, resource) = (&self.task.context, &self.task.resource);
        self.changed().map(|spec| CursorRow {
            resource: resource.name.clone(),
            partition: PARENTS_ASKED.to_owned(),
            value: serde_json::json!(AskedUntil::new(&context.load_id, spec)).to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::model::OnMissingField;
    use crate::plan::template::Template;

    fn parent(resources: &[&str], filter: Option<&str>) -> Parent {
        Parent {
            resources: resources.iter().map(|name| (*name).to_owned()).collect(),
            fields: Vec::new(),
            further_fields: Vec::new(),
            include: Vec::new(),
            filter: filter.map(|text| Template::parse(text).unwrap()),
            max_depth: 1,
            scope: ParentScope::Changed,
            on_missing_field: OnMissingField::Raise,
            batch: None,
        }
    }

    #[test]
    fn a_load_counts_only_while_the_same_parents_are_asked_for() {
        let filter = Some("{{ parent.ok }}");
        let (one, two) = (parent(&["a"], None), parent(&["a", "b"], None));
        let (filtered, other) = (parent(&["a"], filter), parent(&["a"], Some("{{ not parent.ok }}")));
        let until = |before: &Parent, now: &Parent| {
            let text = serde_json::to_string(&AskedUntil::new("load", before)).unwrap();
            serde_json::from_str::<AskedUntil>(&text).unwrap().load_id(now)
        };
        for spec in [&one, &two, &filtered] {
            assert_eq!(until(spec, spec).as_deref(), Some("load"));
        }
        for (before, now) in [(&one, &two), (&two, &one), (&one, &filtered), (&filtered, &one), (&filtered, &other)] {
            assert_eq!(until(before, now), None);
        }
        assert_eq!(serde_json::from_str::<AskedUntil>("\"load\"").unwrap().load_id(&one).as_deref(), Some("load"));
    }
}
