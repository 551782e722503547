//! Who feeds whom, and who waits for whom.

use super::super::feed::{Feed, queue};
use super::own::OwnRows;
use super::parents::{KnownParent, Live, Parents, Progress};
use super::{Sources, fields_of};
use crate::plan::model::{Parent, PartitionList, PartitionRows, Pipeline, Resource, WriteDisposition};
use std::collections::HashMap;
use tokio::sync::watch;

/// Parents whose rows of earlier runs are parents too, by number. Of those that share a table one is enough. The rows of a
/// resource itself are none where they make way.
fn known(pipeline: &Pipeline, child: &Resource, spec: &Parent) -> Vec<KnownParent> {
    let mut known: Vec<KnownParent> = Vec::new();
    let mut tables = Vec::new();
    let (own, others): (Vec<_>, Vec<_>) = spec.resources.iter().enumerate().partition(|(_, name)| **name == child.name);
    let own = own.into_iter().filter(|_| child.write != WriteDisposition::Replace);
    for (number, name) in others.into_iter().chain(own) {
        let parent = pipeline.resource(name);
        let place = (parent.map(|p| p.table.as_str()), fields_of(spec, number, parent));
        if !tables.contains(&place) {
            tables.push(place);
            known.push(KnownParent { number, is_own: *name == child.name });
        }
    }
    known
}

/// Feeds by the resource whose rows they carry.
type Feeds = HashMap<String, Vec<Feed>>;

/// How the resources of a run are connected.
pub(in crate::run) struct Connections {
    feeds: Feeds,
    live: HashMap<String, Live>,
    own: HashMap<String, OwnRows>,
    waits: HashMap<String, Vec<String>>,
}

impl Connections {
    /// Connects each running parent with its running children.
    ///
    /// Of the resources that fill one table all but the first wait until those before them, and all parents, have ended.
    /// They find their parents in the warehouse: nobody is made to wait by a feed that is not read.
    pub(in crate::run) fn new(running: &[&Resource]) -> Connections {
        let mut connections =
            Connections { feeds: Feeds::new(), live: HashMap::new(), own: HashMap::new(), waits: HashMap::new() };
        for (at, child) in running.iter().enumerate() {
            let before: Vec<String> =
                running[..at].iter().filter(|r| r.table == child.table).map(|r| r.name.clone()).collect();
            connections.connect(child, running, !before.is_empty());
            if !before.is_empty() {
                let parents = child.parent.iter().flat_map(|p| p.resources.clone()).filter(|name| *name != child.name);
                connections.waits.insert(child.name.clone(), before.into_iter().chain(parents).collect());
            }
        }
        connections
    }

    fn connect(&mut self, child: &Resource, running: &[&Resource], waits: bool) {
        let Some(spec) = &child.parent else { return };
        let (sender, receiver) = queue();
        let mut is_fed = false;
        for (number, name) in spec.resources.iter().enumerate() {
            let Some(parent) = running.iter().find(|r| r.name == *name) else { continue };
            let fields = fields_of(spec, number, Some(parent));
            if *name == child.name {
                let (feed, rows) = Feed::own(number, fields);
                self.feeds.entry(name.clone()).or_default().push(feed);
                self.own.insert(name.clone(), OwnRows::new(rows));
            } else if !waits {
                self.feeds.entry(name.clone()).or_default().push(Feed::new(number, fields, sender.clone()));
                is_fed = true;
            }
        }
        if is_fed {
            self.live.insert(child.name.clone(), receiver);
        }
    }

    /// The feeds of a resource's rows.
    pub(in crate::run) fn take_feeds(&mut self, resource: &str) -> Vec<Feed> {
        self.feeds.remove(resource).unwrap_or_default()
    }

    /// The resources that have to end before a resource begins.
    pub(in crate::run) fn waits(&self, resource: &str) -> &[String] {
        self.waits.get(resource).map(Vec::as_slice).unwrap_or_default()
    }

    /// What a resource runs for; none if it runs once. Queries wait for the resources above, whose rows they may be about: not
    /// in a resource with a parent, because the parent waits for it in turn.
    pub(in crate::run) fn sources(
        &mut self,
        pipeline: &Pipeline,
        resource: &Resource,
        progress: &Progress,
        above: &[watch::Receiver<()>],
    ) -> Option<Sources> {
        let parents = resource.parent.as_ref().map(|spec| Parents {
            fields: (0..spec.resources.len())
                .map(|number| fields_of(spec, number, pipeline.resource(&spec.resources[number])))
                .collect(),
            known: known(pipeline, resource, spec),
            came_through: progress.of(spec, &resource.name),
            spec: spec.clone(),
            live: self.live.remove(&resource.name),
            are_fed: !self.waits.contains_key(&resource.name),
        });
        let partitions = resource.partitions.clone();
        if parents.is_none() && partitions.is_none() {
            return None;
        }
        let is_query = |list: &PartitionList| matches!(list.rows, PartitionRows::Sql { .. });
        let waits = parents.is_none() && partitions.iter().flat_map(|p| &p.lists).any(is_query);
        let own = self.own.remove(&resource.name).unwrap_or_default();
        Some(Sources { parents, own, partitions, after: if waits { above.to_vec() } else { Vec::new() } })
    }
}
