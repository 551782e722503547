//! Records that two requests bring: those at a bound that slices share, those at the start of a walk along the cursor, and all
//! of a window that is split.

use super::{PageView, Track, Verdict};
use crate::error::Result;
use crate::extract::cursor::received::Met;
use crate::extract::cursor::{CursorValue, Received};
use crate::extract::paginate::EndReason;
use serde_json::Value as Json;

impl Track<'_> {
    /// What was received and will come again with the next slice.
    pub fn into_received(self) -> Received {
        self.received
    }

    /// What was received and will come again with the parts of this slice.
    pub fn into_received_of_split(mut self) -> Received {
        self.received.split();
        self.received
    }

    /// Whether all records are remembered: the slice may be split when they are in the warehouse already.
    pub(super) fn remembers_all(&self) -> bool {
        self.appends && self.may_split
    }

    /// What the last request brought already, and what the next one will bring again.
    pub(super) fn leave_out_received(
        &mut self,
        page: &PageView<'_>,
        values: &[Option<CursorValue>],
        verdict: &mut Verdict,
    ) -> Result<()> {
        let mut again = Vec::new();
        let shared = self.shared(page, values)?;
        for (record, identity) in page.identities.iter().enumerate() {
            let Some(identity) = identity else { continue };
            let met = self.received.meets_again(*identity);
            if met.is_some() {
                again.push(record);
            }
            if shared.get(record).copied().unwrap_or(false) {
                self.received.remember(*identity, values.get(record).and_then(Option::as_ref))?;
            }
            // What this walk itself brought before it started anew is noted already.
            if self.remembers_all() && !(self.has_restarted && met == Some(Met::Shared)) {
                self.received.note_walked(*identity)?;
            }
        }
        if !again.is_empty() {
            verdict.left_out.push(("already_received", again));
        }
        Ok(())
    }

    /// For each record, whether the next request may bring it again: the next slice, or the next start of a walk along the
    /// cursor.
    fn shared(&mut self, page: &PageView<'_>, values: &[Option<CursorValue>]) -> Result<Vec<bool>> {
        let Some(from) = self.shared_from.clone() else { return self.reached_by_next_start(values) };
        if values.is_empty() {
            return Ok(vec![true; page.identities.len()]);
        }
        let mut shared = self.reached_by_next_start(values)?;
        shared.resize(values.len(), false);
        for (is_shared, value) in shared.iter_mut().zip(values) {
            *is_shared |= match value {
                Some(value) => value.order(&from, &self.incremental.notation)?.is_ge(),
                None => true,
            };
        }
        Ok(shared)
    }

    /// For each record, whether a request that starts at the newest value brings it again. What was remembered and is not
    /// reached any more is forgotten.
    fn reached_by_next_start(&mut self, values: &[Option<CursorValue>]) -> Result<Vec<bool>> {
        let Some(newest) = self.newest.as_ref().filter(|_| self.incremental.walks_by_cursor) else {
            return Ok(Vec::new());
        };
        let notation = &self.incremental.notation;
        let reach = newest.reach_of_start(self.incremental.start_bound, notation)?;
        let has_moved = match &self.remembered_from {
            Some(from) => from.order(&reach, notation)?.is_ne(),
            None => true,
        };
        let is_shared = match &self.shared_from {
            Some(from) => newest.order(from, notation)?.is_ge(),
            None => false,
        };
        if has_moved && !is_shared {
            self.received.forget_before(&reach, notation)?;
        }
        let is_reached = |value: &Option<CursorValue>| match value {
            Some(value) => value.order(&reach, notation).map(|order| order.is_ge()),
            None => Ok(false),
        };
        let reached = values.iter().map(is_reached).collect();
        self.remembered_from = Some(reach);
        reached
    }

    /// In a walk along the cursor, after a page: where the next request starts, if that is elsewhere. `end` is why paging
    /// would end here.
    ///
    /// # Errors
    /// The value does not fit the format.
    pub fn restart(&mut self, end: Option<&EndReason>) -> Result<Option<Json>> {
        let Some(newest) = self.newest.clone().filter(|_| self.incremental.walks_by_cursor) else { return Ok(None) };
        let notation = &self.incremental.notation;
        let has_moved = match &self.start {
            Some(start) => !self.shows_as(start, &newest)? && newest.order(start, notation)?.is_gt(),
            None => true,
        };
        let is_beyond = match &self.slice.end {
            Some(end) => newest.order(end, notation)?.is_ge(),
            None => false,
        };
        // One answer that has everything from its start on has no seam over which a row could slide. A list without pages
        // never says so: each answer may be cut at a size of the server's own.
        let is_whole = self.pages_since_start == 1 && end.is_some_and(|reason| *reason != EndReason::SinglePage);
        if !has_moved || is_beyond || is_whole {
            return Ok(None);
        }
        let start = newest.start_in_request(self.incremental.start_bound, notation)?;
        self.start = Some(newest);
        self.pages_since_start = 0;
        self.last = None;
        self.has_restarted = true;
        self.received.begin();
        Ok(Some(start))
    }

    /// Whether requests show two values alike.
    fn shows_as(&self, one: &CursorValue, other: &CursorValue) -> Result<bool> {
        let notation = &self.incremental.notation;
        match notation.format {
            Some(_) => Ok(one.render(notation)? == other.render(notation)?),
            None => Ok(one.order(other, notation)?.is_eq()),
        }
    }
}
