//! The units of a resource that runs for rows, one after the other: as the fan-out makes them, without carrying them out.

use super::super::unit::Unit;
use super::super::warehouse::Warehouse;
use super::batch::{self, Batch};
use super::changed::stored_asked_until;
use super::lists::Lists;
use super::member::{Member, NoMember, Relation};
use super::parents::ParentPages;
use super::source::Candidates;
use super::{Sources, identity_hash};
use crate::error::Result;
use crate::plan::model::{OnMissingField, Resource};
use crate::plan::template::Scope;
use std::collections::HashSet;

/// The units of a resource, from the first one on. None has a stored cursor yet.
pub(in crate::run) struct FirstUnits {
    candidates: Candidates,
    relation: Relation,
    batch: Option<Batch>,
    scope: Scope,
    asked: HashSet<u64>,
    /// Rows of the lists multiplied; none: there are no lists.
    combination_count: Option<u64>,
    /// Rows passed over so far, because a filter or a missing value says so.
    pub(in crate::run) skipped: u64,
}

impl FirstUnits {
    /// Opens the lists and finds out which parents are asked for. `anew`: tables are made anew.
    ///
    /// # Errors
    /// A list can't be read, or the state is not what Pintail wrote.
    pub(in crate::run) async fn open(
        resource: &Resource,
        sources: Sources,
        warehouse: &Warehouse,
        scope: Scope,
        anew: bool,
    ) -> Result<FirstUnits> {
        let relation = Relation::of(&sources);
        let mut combination_count = None;
        let lists = match &sources.partitions {
            Some(partitions) => {
                let mut lists = Lists::open(partitions, warehouse).await?;
                combination_count = Some(lists.combination_count().await?);
                Some(lists)
            }
            None => None,
        };
        let since = if anew { None } else { stored_asked_until(warehouse, resource).await? };
        let parents = sources.parents.map(|parents| ParentPages::new(parents, since, anew, warehouse.clone()));
        Ok(FirstUnits {
            candidates: Candidates::start(parents, lists),
            relation,
            batch: Batch::of(resource),
            scope,
            asked: HashSet::new(),
            combination_count,
            skipped: 0,
        })
    }

    /// Combinations of the lists' rows, for each parent if there are parents; none: there are no lists.
    pub(in crate::run) fn combination_count(&self) -> Option<u64> {
        self.combination_count
    }

    /// The next unit.
    ///
    /// # Errors
    /// The warehouse or a list can't be read any further, or a row lacks what its request needs.
    pub(in crate::run) async fn next(&mut self) -> Result<Option<Unit>> {
        while let Some(candidate) = self.candidates.next().await? {
            let filter = self.relation.parent.as_ref().and_then(|(spec, _)| spec.filter.as_ref());
            let member = match self.relation.member(candidate, filter.map(|filter| (filter, self.scope.clone()))) {
                Ok(member) => member,
                Err(reason) => match *reason {
                    NoMember::Filtered { .. } | NoMember::Missing { policy: OnMissingField::Skip, .. } => {
                        self.skipped += 1;
                        continue;
                    }
                    NoMember::Missing { error, .. } | NoMember::Unclear { error, .. } => return Err(error),
                },
            };
            if !self.asked.insert(identity_hash(&member.identity)) {
                continue;
            }
            let members = match &mut self.batch {
                None => vec![member],
                Some(batch) => batch.add(member)?.unwrap_or_default(),
            };
            if let Some(unit) = unit_of(members, self.batch.as_ref(), self.scope.clone()) {
                return Ok(Some(unit));
            }
        }
        let rest = self.batch.as_mut().map(Batch::take).unwrap_or_default();
        Ok(unit_of(rest, self.batch.as_ref(), self.scope.clone()))
    }
}

/// The unit of a member, or of a batch of them, without a stored cursor; none of none.
pub(super) fn unit_of(members: Vec<Member>, batch: Option<&Batch>, mut scope: Scope) -> Option<Unit> {
    let member = match batch {
        Some(batch) => {
            scope.batch_separator = Some(batch.separator().to_owned());
            batch::join(&members)
        }
        None => members.into_iter().next(),
    }?;
    scope.parent = member.parent;
    scope.partition = member.partition;
    let line = member.line.and(identity_hash(&member.identity));
    Some(Unit { line, ..Unit::new(scope, member.columns, member.identity.to_string(), None) })
}
