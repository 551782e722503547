//! Who feeds whom, and who waits for whom.

use super::super::feed::{Feed, Live, feed};
use super::{Parents, Sources, fields_of};
use crate::plan::model::{PartitionList, PartitionRows, Pipeline, Resource};
use std::collections::HashMap;
use tokio::sync::watch;

/// What a resource runs for; none if it runs once. Queries wait for the resources above, whose rows they may be about: not in a
/// resource with a parent, because the parent waits for it in turn.
pub(in crate::run) fn sources(
    pipeline: &Pipeline,
    resource: &Resource,
    live: Option<Live>,
    above: &[watch::Receiver<()>],
) -> Option<Sources> {
    let parents = resource.parent.as_ref().map(|spec| Parents {
        fields: fields_of(spec, pipeline.resource(&spec.resource)),
        spec: spec.clone(),
        live,
    });
    let partitions = resource.partitions.clone();
    if parents.is_none() && partitions.is_none() {
        return None;
    }
    let is_query = |list: &PartitionList| matches!(list.rows, PartitionRows::Sql { .. });
    let waits = parents.is_none() && partitions.iter().flat_map(|p| &p.lists).any(is_query);
    Some(Sources { parents, partitions, after: if waits { above.to_vec() } else { Vec::new() } })
}

type Feeds = HashMap<String, Vec<Feed>>;
type Receivers = HashMap<String, Live>;

/// Connects each running parent with its running children.
pub(in crate::run) fn connect(running: &[&Resource]) -> (Feeds, Receivers) {
    let (mut feeds, mut receivers) = (Feeds::new(), Receivers::new());
    for child in running {
        let Some(parent) = &child.parent else { continue };
        if let Some(resource) = running.iter().find(|r| r.name == parent.resource) {
            let (sender, receiver) = feed(fields_of(parent, Some(resource)));
            feeds.entry(parent.resource.clone()).or_default().push(sender);
            receivers.insert(child.name.clone(), receiver);
        }
    }
    (feeds, receivers)
}
