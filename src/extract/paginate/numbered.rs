//! `offset` and `page_number`: the client counts.

use super::announced::Total;
use super::{EndReason, Limits, Next, PageFacts, PageRequest, Progress};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{Offset, PageNumber};

/// Empty pages in a row, while the server says that there is more, that are an error.
const EMPTY_PAGES_MAX: u32 = 3;

/// An `offset` walk.
#[derive(Debug)]
pub(super) struct OffsetPaging {
    keys: Offset,
    offset: u64,
}

/// A `page_number` walk.
#[derive(Debug)]
pub(super) struct NumberPaging {
    keys: PageNumber,
    number: u64,
}

/// How far a walk has come, in records and in pages from the start of the server's list.
struct Position {
    /// Records up to which the list is known to have been read.
    records: u64,
    /// Records up to which the next page would begin if pages had the size that was asked for.
    records_by_size: u64,
    /// Pages read or skipped.
    pages: u64,
}

enum Verdict {
    GoOn,
    End(EndReason),
}

impl OffsetPaging {
    pub(super) fn new(keys: Offset) -> Self {
        OffsetPaging { offset: keys.initial_offset, keys }
    }

    /// Parameter that moves from page to page.
    pub(super) fn param(&self) -> &str {
        self.keys.offset_param.as_deref().unwrap_or("page.offset")
    }

    /// Records before the first one asked for. A list that starts at 1 skips none.
    pub(super) fn skipped(&self) -> u64 {
        self.keys.initial_offset - self.origin()
    }

    fn origin(&self) -> u64 {
        u64::from(self.keys.initial_offset == 1)
    }

    pub(super) fn request(&self) -> PageRequest {
        let mut params = Vec::new();
        params.extend(self.keys.offset_param.clone().map(|name| (name, self.offset.to_string())));
        params.extend(self.keys.limit_param.clone().map(|name| (name, self.keys.limit.to_string())));
        PageRequest { params, offset: Some(self.offset), limit: Some(self.keys.limit), ..PageRequest::default() }
    }

    pub(super) fn next(&mut self, facts: &PageFacts<'_>, progress: &mut Progress, limits: &Limits) -> Result<Next> {
        let is_strict = is_strict(facts, progress, limits);
        progress.announced.read(self.keys.total.as_ref(), self.keys.has_more_path.as_ref(), facts, is_strict)?;
        let by_limit = self.keys.advance_by_limit || facts.record_count == 0;
        let read_to =
            self.offset.saturating_add(if self.keys.advance_by_limit { self.keys.limit } else { facts.record_count });
        let step = if by_limit { self.keys.limit.max(1) } else { facts.record_count };
        let next = self.offset.checked_add(step).ok_or_else(overflow)?;
        let position = Position {
            records: read_to - self.origin(),
            records_by_size: next - self.origin(),
            pages: progress.page_count,
        };
        if let Verdict::End(reason) = verdict(facts.record_count, progress, &position)? {
            return Ok(Next::End(reason));
        }
        if let Some(max) = self.keys.maximum_offset.filter(|max| next >= *max) {
            return Ok(Next::End(EndReason::MaximumOffset(max)));
        }
        self.offset = next;
        Ok(Next::Page(self.request()))
    }
}

impl NumberPaging {
    pub(super) fn new(keys: PageNumber) -> Self {
        NumberPaging { number: keys.base_page, keys }
    }

    /// Parameter that moves from page to page.
    pub(super) fn param(&self) -> &str {
        self.keys.page_param.as_deref().unwrap_or("page.number")
    }

    /// Records on the pages before the first one asked for, as far as the page size tells.
    pub(super) fn skipped(&self) -> u64 {
        self.pages_skipped().saturating_mul(self.keys.page_size.unwrap_or(0))
    }

    /// Lists start at page 0 or 1; a larger base skips pages.
    fn pages_skipped(&self) -> u64 {
        self.keys.base_page.saturating_sub(1)
    }

    pub(super) fn request(&self) -> PageRequest {
        let mut params = Vec::new();
        params.extend(self.keys.page_param.clone().map(|name| (name, self.number.to_string())));
        params.extend(self.keys.page_size_param.clone().zip(self.keys.page_size.map(|size| size.to_string())));
        PageRequest { params, page_number: Some(self.number), limit: self.keys.page_size, ..PageRequest::default() }
    }

    pub(super) fn next(&mut self, facts: &PageFacts<'_>, progress: &mut Progress, limits: &Limits) -> Result<Next> {
        let is_strict = is_strict(facts, progress, limits);
        progress.announced.read(self.keys.total.as_ref(), self.keys.has_more_path.as_ref(), facts, is_strict)?;
        let pages = self.pages_skipped().saturating_add(progress.page_count);
        let position = Position {
            records: self.skipped().saturating_add(progress.record_count),
            records_by_size: self.keys.page_size.map_or(0, |size| pages.saturating_mul(size)),
            pages,
        };
        if let Verdict::End(reason) = verdict(facts.record_count, progress, &position)? {
            return Ok(Next::End(reason));
        }
        if let Some(max) = self.keys.maximum_page.filter(|max| self.number >= *max) {
            return Ok(Next::End(EndReason::MaximumPage(max)));
        }
        self.number = self.number.checked_add(1).ok_or_else(overflow)?;
        Ok(Next::Page(self.request()))
    }
}

/// A first answer must have the facts that the file declares, unless it may be an answer without anything.
fn is_strict(facts: &PageFacts<'_>, progress: &Progress, limits: &Limits) -> bool {
    let may_be_bare = facts.record_count == 0 && (limits.allow_missing || facts.envelope.root().is_none());
    progress.page_count == 1 && !may_be_bare
}

/// Whether a page ends the list. A total or has_more decides where there is one; without, an empty page does.
fn verdict(record_count: u64, progress: &Progress, position: &Position) -> Result<Verdict> {
    let says_more = progress.announced.has_more == Some(true);
    if progress.announced.has_more == Some(false) {
        return Ok(Verdict::End(EndReason::NoMore));
    }
    let (total_reached, beyond_by_size) = match progress.announced.total() {
        Some(Total::Records(total)) => {
            ((position.records >= total).then_some(total), position.records_by_size >= total)
        }
        Some(Total::Pages(total)) => ((position.pages >= total).then_some(total), false),
        None => (None, false),
    };
    match (record_count, total_reached) {
        (1.., None) => Ok(Verdict::GoOn),
        (_, Some(total)) if !says_more => Ok(Verdict::End(EndReason::TotalReached(total))),
        // The total is reached but has_more is true: one of them is wrong, and the first empty page tells which.
        (1.., Some(_)) => Ok(Verdict::GoOn),
        (0, Some(_)) => Ok(Verdict::End(EndReason::EmptyPage)),
        (0, None) => {
            let is_expected_more = says_more || (progress.announced.total().is_some() && !beyond_by_size);
            if !is_expected_more {
                return Ok(Verdict::End(EndReason::EmptyPage));
            }
            if progress.empty_in_a_row >= EMPTY_PAGES_MAX {
                return Err(empty_pages(progress));
            }
            Ok(Verdict::GoOn)
        }
    }
}

fn empty_pages(progress: &Progress) -> Error {
    let says = match progress.announced.total() {
        Some(Total::Records(total)) => format!("a total of {total} records"),
        Some(Total::Pages(total)) => format!("a total of {total} pages"),
        None => "that there is more".to_owned(),
    };
    Error::new(Kind::Paging, format!("{EMPTY_PAGES_MAX} empty pages in a row although the server announces {says}"))
        .with("records received", progress.record_count)
        .hint("if the total counts records that this request may not see, remove `total_path`")
}

fn overflow() -> Error {
    Error::new(Kind::Paging, "the position of the next page is beyond 64 bits")
}
