//! What one walk learns of its cursor, page by page: how far it has come, which records are left out, and when to stop or to
//! start anew. Decisions only; nothing is fetched or written here.

mod outcome;
mod repeats;

use super::{CursorValue, Identity, Position, Received, Slice, answer, max_of};
use crate::error::{Error, Kind, Result};
use crate::extract::envelope::Envelope;
use crate::http::HeaderMap;
use crate::plan::model::{CursorSource, Incremental, OnCursorMissing, RowOrder};
use std::collections::HashSet;
use std::time::Duration;

/// What a walk knows of its cursor.
#[derive(Debug)]
pub struct Track<'a> {
    incremental: &'a Incremental,
    /// What the run started from.
    stored: Option<Position>,
    /// What the slices before this one have come to.
    before: Option<Position>,
    slice: Slice,
    appends: bool,
    /// Any record may be stored already, whatever its value.
    compares_all: bool,
    /// Whether verdicts tell the value of each record.
    tells_values: bool,
    /// Its window may turn out to hold too much.
    may_split: bool,
    /// The newest value of a record.
    newest: Option<CursorValue>,
    /// The value of the last record, where the order is verified.
    last: Option<CursorValue>,
    /// What the answers or the server's clock told.
    told: Option<CursorValue>,
    received: Received,
    /// From this value on, records may come again with the next slice.
    shared_from: Option<CursorValue>,
    /// Where the requests start now, in a walk along the cursor.
    start: Option<CursorValue>,
    /// What the next start reaches back to, by what was remembered for it.
    remembered_from: Option<CursorValue>,
    pages_since_start: u64,
    /// The walk along the cursor has gone on from another start than that of the slice.
    has_restarted: bool,
}

/// What is known before a walk.
#[derive(Debug, Default)]
pub struct Known {
    /// What the run started from.
    pub stored: Option<Position>,
    /// What the slices before this one have come to.
    pub before: Option<Position>,
    /// What may come again.
    pub received: Received,
    /// Rows are added, so that each must be given once only.
    pub appends: bool,
    /// Any record may be stored already, whatever its value.
    pub compares_all: bool,
    /// Whether the values of records are wanted.
    pub wants_values: bool,
    /// The slice may turn out to hold too much.
    pub may_split: bool,
}

/// A page as far as the cursor goes.
#[derive(Debug)]
pub struct PageView<'v> {
    /// Number of the page, from 1.
    pub number: u64,
    /// For each record the JSON token of its value, if it has one.
    pub tokens: Vec<Option<&'v [u8]>>,
    /// For each record what tells it apart; empty where [`Track::needs_identities`] is false. `None`: it is not loaded.
    pub identities: Vec<Option<Identity>>,
}

/// What becomes of a page.
#[derive(Debug, PartialEq)]
pub struct Verdict {
    /// Records that are left out, by rule.
    pub left_out: Vec<(&'static str, Vec<usize>)>,
    /// For each record: whether an earlier load may have stored it already. Empty: none.
    pub suspects: Vec<bool>,
    /// For each record its value, where that is wanted.
    pub values: Vec<Option<CursorValue>>,
    /// Records without a value.
    pub missing_count: u64,
    /// Whether the walk goes on.
    pub go: Go,
}

/// Whether a walk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Go {
    /// It does.
    On,
    /// All that follows lies beyond the bound.
    Stop,
}

impl<'a> Track<'a> {
    /// A walk of a slice before its first page.
    ///
    /// # Errors
    /// The end of the slice does not fit the format.
    pub fn new(incremental: &'a Incremental, slice: Slice, known: Known) -> Result<Self> {
        let Known { stored, before, received, appends, compares_all, wants_values, may_split } = known;
        let (bound, notation) = (incremental.start_bound, &incremental.notation);
        let shared = slice.end.as_ref().filter(|_| appends && !slice.is_last());
        let mut track = Track {
            incremental,
            stored,
            before,
            start: slice.start.clone(),
            shared_from: shared.map(|end| end.reach_of_start(bound, notation)).transpose()?,
            slice,
            appends,
            compares_all,
            tells_values: wants_values,
            may_split,
            newest: None,
            last: None,
            told: None,
            received,
            remembered_from: None,
            pages_since_start: 0,
            has_restarted: false,
        };
        track.received.begin();
        Ok(track)
    }

    /// Whether records have to be told apart.
    pub fn needs_identities(&self) -> bool {
        self.incremental.walks_by_cursor
            || self.shared_from.is_some()
            || self.received.expects()
            || self.remembers_all()
    }

    /// Whether rows up to the newest value may be committed with it while the walk goes on.
    pub fn may_commit_midway(&self) -> bool {
        self.incremental.row_order == Some(RowOrder::Ascending)
    }

    /// The newest value of a record so far.
    pub fn newest(&self) -> Option<&CursorValue> {
        self.newest.as_ref()
    }

    /// The slice that is walked.
    pub fn slice(&self) -> &Slice {
        &self.slice
    }

    /// Looks at a page.
    ///
    /// # Errors
    /// A value is no cursor or of another kind than the others, the records are not in the declared order, or too many have
    /// to be remembered.
    pub fn page(&mut self, page: &PageView<'_>) -> Result<Verdict> {
        self.pages_since_start += 1;
        if !matches!(self.incremental.source, CursorSource::Record(_)) {
            return self.page_without_values(page);
        }
        let looks_at_each = self.incremental.row_order.is_some()
            || self.incremental.client_side
            || self.needs_identities()
            || self.tells_values
            || self.has_suspects();
        if !looks_at_each {
            let extent = max_of(page.tokens.iter().copied(), &self.incremental.notation)?;
            extent.max.map_or(Ok(()), |value| self.note_newest(&value))?;
            return Ok(Verdict::plain(extent.missing_count));
        }
        let notation = &self.incremental.notation;
        let parse = |token: &Option<&[u8]>| token.map_or(Ok(None), |token| CursorValue::parse_json(token, notation));
        let values: Vec<Option<CursorValue>> = page.tokens.iter().map(parse).collect::<Result<_>>()?;
        let verdict = self.page_of(page, &values)?;
        Ok(if self.tells_values { Verdict { values, ..verdict } } else { verdict })
    }

    /// Whether records may be stored already, so that each is compared.
    fn has_suspects(&self) -> bool {
        self.appends && (self.stored.is_some() || self.compares_all)
    }

    fn page_of(&mut self, page: &PageView<'_>, values: &[Option<CursorValue>]) -> Result<Verdict> {
        self.verify_order(page.number, values)?;
        let missing_count = values.iter().filter(|value| value.is_none()).count() as u64;
        if self.incremental.walks_by_cursor
            && missing_count > 0
            && self.incremental.on_missing == OnCursorMissing::Include
        {
            return Err(Error::new(Kind::Data, "a record has no cursor value, which `walk = \"cursor\"` goes by")
                .hint("`on_cursor_value_missing = \"exclude\"` leaves such records out"));
        }
        let mut verdict = Verdict::plain(missing_count);
        self.leave_out_of_range(values, &mut verdict)?;
        let left_out: HashSet<usize> = verdict.left_out.iter().flat_map(|(_, records)| records).copied().collect();
        for (_, value) in values.iter().enumerate().filter(|(record, _)| !left_out.contains(record)) {
            let Some(value) = value else { continue };
            self.note_newest(value)?;
        }
        self.leave_out_received(page, values, &mut verdict)?;
        verdict.suspects = self.suspects(values)?;
        Ok(verdict)
    }

    /// A page whose records don't show the cursor: any of them may have been there before.
    fn page_without_values(&mut self, page: &PageView<'_>) -> Result<Verdict> {
        let mut verdict = Verdict::plain(0);
        self.leave_out_received(page, &[], &mut verdict)?;
        if self.has_suspects() {
            verdict.suspects = vec![true; page.tokens.len()];
        }
        Ok(verdict)
    }

    fn note_newest(&mut self, value: &CursorValue) -> Result<()> {
        let is_newer = match &self.newest {
            Some(newest) => value.order_in_records(newest, &self.incremental.notation)?.is_gt(),
            None => true,
        };
        if is_newer {
            self.newest = Some(value.clone());
        }
        Ok(())
    }

    fn verify_order(&mut self, page_number: u64, values: &[Option<CursorValue>]) -> Result<()> {
        let Some(declared) = self.incremental.row_order else { return Ok(()) };
        for value in values.iter().flatten() {
            if let Some(last) = &self.last {
                let order = value.order_in_records(last, &self.incremental.notation)?;
                let (is_wrong, word) = match declared {
                    RowOrder::Ascending => (order.is_lt(), "asc"),
                    RowOrder::Descending => (order.is_gt(), "desc"),
                };
                if is_wrong {
                    return Err(Error::new(
                        Kind::Data,
                        format!("records are not in the order of `row_order = \"{word}\"`"),
                    )
                    .with(OUT_OF_ORDER, format!("`{value}` after `{last}`"))
                    .with("found on page", page_number)
                    .hint("have the API sort by the field of `cursor_path`, or leave `row_order` out"));
                }
            }
            self.last = Some(value.clone());
        }
        Ok(())
    }

    /// Where the API can't filter: what lies before the start and, if another slice or nobody wants it, after the end.
    fn leave_out_of_range(&self, values: &[Option<CursorValue>], verdict: &mut Verdict) -> Result<()> {
        if !self.incremental.client_side {
            return Ok(());
        }
        let notation = &self.incremental.notation;
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for (record, value) in values.iter().enumerate() {
            let Some(value) = value else { continue };
            if let Some(start) = &self.slice.start
                && value.order(start, notation)?.is_lt()
            {
                before.push(record);
            } else if let Some(end) = self.slice.end.as_ref().filter(|_| self.slice.has_firm_end())
                && value.order(end, notation)?.is_ge()
            {
                after.push(record);
            }
        }
        let is_beyond = match self.incremental.row_order {
            Some(RowOrder::Ascending) => !after.is_empty(),
            Some(RowOrder::Descending) => !before.is_empty(),
            None => false,
        };
        if is_beyond {
            verdict.go = Go::Stop;
        }
        verdict
            .left_out
            .extend([("before_start", before), ("after_end", after)].into_iter().filter(|(_, r)| !r.is_empty()));
        Ok(())
    }

    /// Which records an earlier load may have stored already. Only what is not newer than its newest row can be there.
    fn suspects(&self, values: &[Option<CursorValue>]) -> Result<Vec<bool>> {
        if self.appends && self.compares_all {
            return Ok(vec![true; values.len()]);
        }
        let stored = self.stored.as_ref().and_then(Position::newest).filter(|_| self.appends);
        let Some(stored) = stored else { return Ok(Vec::new()) };
        let is_suspect = |value: &Option<CursorValue>| match value {
            Some(value) => value.order(stored, &self.incremental.notation).map(|order| order.is_le()),
            None => Ok(true),
        };
        values.iter().map(is_suspect).collect()
    }

    /// Takes from an answer what is told there: a token for the next run, or the server's time. `took` is how long the answer
    /// was under way.
    ///
    /// # Errors
    /// The value is none that a request could show, or the server does not tell its time.
    pub fn answer(&mut self, page_number: u64, envelope: &Envelope, headers: &HeaderMap, took: Duration) -> Result<()> {
        if let Some(told) = answer::told(self.incremental, page_number, envelope, headers, took)? {
            self.told = Some(told);
        }
        Ok(())
    }
}

/// Context of an error about the order of records.
const OUT_OF_ORDER: &str = "out of order";

/// Whether an error says that records did not come in the declared order: what was taken for complete may not be.
pub fn is_out_of_order(error: &Error) -> bool {
    error.context(OUT_OF_ORDER).is_some()
}

impl Verdict {
    fn plain(missing_count: u64) -> Verdict {
        Verdict { left_out: Vec::new(), suspects: Vec::new(), values: Vec::new(), missing_count, go: Go::On }
    }
}

#[cfg(test)]
mod tests;
