//! Which row counts when a record comes several times before its rows are written: the last one.
//!
//! Units of a fan-out overlap, so that it is chance whose rows come last. There the unit counts that was begun last, as if they
//! had run one after the other.

use super::rows::{PageRows, ids_of, leave_out};
use crate::batch::decode::REPEATED_KEY;
use crate::error::Result;
use crate::load::RowId;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Records of which it is known which unit brought them, some 40 bytes each. Of any beyond them the row counts that comes last.
const RANKS_MAX: usize = 1_000_000;

/// For each record the last of the units that have brought it.
#[derive(Debug, Default)]
pub(super) struct Ranks(HashMap<RowId, u64>);

impl Ranks {
    /// Leaves out rows of records that a later unit, or a later one of these pages, brings.
    pub(super) fn leave_out_superseded(
        &mut self,
        pages: &mut [PageRows],
        discarded: &mut BTreeMap<&'static str, u64>,
    ) -> Result<()> {
        for page in pages.iter_mut() {
            let superseded = self.superseded(page);
            leave_out(page, &superseded, REPEATED_KEY, discarded)?;
        }
        let mut last: HashMap<RowId, usize> = HashMap::new();
        let mut repeated: HashMap<usize, HashSet<RowId>> = HashMap::new();
        for (number, page) in pages.iter().enumerate() {
            for id in root_ids(page) {
                if let Some(earlier) = last.insert(id, number).filter(|earlier| *earlier != number) {
                    repeated.entry(earlier).or_default().insert(id);
                }
            }
        }
        for (number, ids) in repeated {
            let own = root_ids(&pages[number]);
            let drop = own.iter().enumerate().filter(|(_, id)| ids.contains(id)).map(|(row, _)| row).collect();
            leave_out(&mut pages[number], &drop, REPEATED_KEY, discarded)?;
        }
        Ok(())
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Rows of a page of records that a later unit has brought. Where the newer cursor counts, no unit does.
    fn superseded(&mut self, page: &PageRows) -> HashSet<usize> {
        let Some(rank) = page.rank.filter(|_| page.cursors.is_empty()) else { return HashSet::new() };
        let ids = root_ids(page).into_iter().enumerate();
        ids.filter_map(|(row, id)| self.is_superseded(id, rank).then_some(row)).collect()
    }

    fn is_superseded(&mut self, id: RowId, rank: u64) -> bool {
        let is_full = self.0.len() >= RANKS_MAX;
        match self.0.get_mut(&id) {
            Some(last) => {
                *last = rank.max(*last);
                *last > rank
            }
            None => !is_full && self.0.insert(id, rank).is_some(),
        }
    }
}

fn root_ids(page: &PageRows) -> Vec<RowId> {
    page.chunks.first().map(|chunk| ids_of(&chunk.ids)).unwrap_or_default()
}
