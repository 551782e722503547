//! Rows that are not written, because an earlier load stored them unchanged.

use super::ResourceWriter;
use crate::error::Result;
use crate::load::{Destination, RowId, Ticket};
use crate::run::rows::{PageRows, ids_of, leave_out};
use std::collections::HashSet;

impl ResourceWriter {
    /// Leaves out rows that an earlier load stored with the same content: those at the cursor's boundary come again.
    pub(super) fn leave_out_stored(
        &mut self,
        pages: &mut [PageRows],
        ticket: &Ticket,
        warehouse: &mut dyn Destination,
    ) -> Result<()> {
        let suspects = |page: &PageRows| -> Vec<(usize, RowId)> {
            let ids = page.chunks.first().map(|c| ids_of(&c.ids)).unwrap_or_default();
            ids.into_iter().enumerate().filter(|(row, _)| page.suspects.get(*row).copied().unwrap_or(false)).collect()
        };
        let unknown: HashSet<RowId> = pages.iter().flat_map(suspects).map(|(_, id)| id).collect();
        let unknown: Vec<RowId> = unknown.into_iter().filter(|id| !self.stored.contains_key(id)).collect();
        if !unknown.is_empty() && self.catalog.table(&Vec::new()).is_some() {
            // Of ids without a stored row nothing is remembered: until the commit there is none.
            self.stored.extend(warehouse.stored(ticket, &self.table, &unknown)?);
        }
        for page in pages {
            let mut drop = HashSet::new();
            for (row, id) in suspects(page) {
                if let Some(left) = self.stored.get_mut(&id).filter(|left| **left > 0) {
                    *left -= 1;
                    drop.insert(row);
                }
            }
            leave_out(page, &drop, "already_stored", &mut self.open.discarded)?;
        }
        Ok(())
    }
}
