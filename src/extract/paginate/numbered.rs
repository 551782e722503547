//! `offset` and `page_number`: the client counts.

use super::announced::{Total, is_strict};
use super::seam::{Join, Seams, nothing_new};
use super::{EMPTY_PAGES_MAX, EndReason, Limits, Next, PageFacts, PageRequest, Progress};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{Offset, PageNumber};
use crate::words::counted;
use bytes::Bytes;

/// An `offset` walk.
#[derive(Debug)]
pub(super) struct OffsetPaging {
    keys: Offset,
    offset: u64,
    /// With `overlap`.
    seams: Option<Seams>,
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
        OffsetPaging { offset: keys.initial_offset, seams: keys.overlap.then(Seams::default), keys }
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
        self.request_at(self.offset)
    }

    fn request_at(&self, offset: u64) -> PageRequest {
        let mut params = Vec::new();
        params.extend(self.keys.offset_param.clone().map(|name| (name, offset.to_string())));
        params.extend(self.keys.limit_param.clone().map(|name| (name, self.keys.limit.to_string())));
        PageRequest { params, offset: Some(offset), limit: Some(self.keys.limit), ..PageRequest::default() }
    }

    /// Records of a page that is as full as it can be.
    pub(super) fn full_size(&self) -> Option<u64> {
        Some(self.keys.limit)
    }

    /// The request behind another one that brings a page of a size.
    pub(super) fn predict(&self, after: &PageRequest, size: u64, total: Option<Total>) -> Option<PageRequest> {
        if self.seams.is_some() {
            return None;
        }
        let step = if self.keys.advance_by_limit { self.keys.limit } else { size };
        let next = after.offset?.checked_add(step)?;
        let is_beyond = match total {
            Some(Total::Records(total)) => next - self.origin() >= total,
            Some(Total::Pages(total)) => (next - self.keys.initial_offset) / step.max(1) >= total,
            None => false,
        };
        let is_bounded = self.keys.maximum_offset.is_some_and(|max| next >= max);
        (!is_beyond && !is_bounded).then(|| self.request_at(next))
    }

    /// What of a page is new.
    pub(super) fn join(&mut self, records: &[Bytes]) -> Result<Join> {
        let Some(seams) = &mut self.seams else { return Ok(Join::whole()) };
        if let Some(joined) = seams.join(records, self.offset)? {
            return Ok(Join::Page(joined));
        }
        self.offset = seams.back(self.offset, self.keys.initial_offset)?;
        Ok(Join::Back(self.request()))
    }

    /// Whether the page in hand lies before one that did not follow.
    pub(super) fn is_back(&self) -> bool {
        self.seams.as_ref().is_some_and(Seams::is_back)
    }

    pub(super) fn next(&mut self, facts: &PageFacts<'_>, progress: &mut Progress, limits: &Limits) -> Result<Next> {
        let is_strict = is_strict(facts, progress, limits);
        progress.announced.read(self.keys.total.as_ref(), self.keys.has_more.as_ref(), facts, is_strict)?;
        progress.announced.weigh(progress.page_count, progress.record_count);
        let received = facts.record_count;
        let step = match &mut self.seams {
            Some(seams) if received > 0 => seams.settle(facts.joined, self.offset, received),
            _ if self.keys.advance_by_limit || received == 0 => self.keys.limit.max(1),
            _ => received,
        };
        let read_to = self.offset.saturating_add(if self.keys.advance_by_limit { self.keys.limit } else { received });
        let next = self.offset.checked_add(step).ok_or_else(overflow)?;
        // Alone, the record that two pages share says that nothing is behind it. Beside others it says nothing.
        let new_count = received - facts.joined.left_out.min(received);
        let count = if received > 1 { received } else { new_count };
        let beyond = if count == 0 { self.offset.saturating_add(self.keys.limit) } else { next };
        let position = Position {
            records: read_to - self.origin(),
            records_by_size: beyond.max(next) - self.origin(),
            pages: progress.page_count,
        };
        if let Verdict::End(reason) = verdict(count, progress, &position)? {
            let is_seam_alone = received > 0 && reason == EndReason::EmptyPage;
            return Ok(Next::End(if is_seam_alone { EndReason::NothingNew } else { reason }));
        }
        if self.seams.is_some() && progress.empty_in_a_row >= EMPTY_PAGES_MAX {
            return Err(nothing_new());
        }
        if let Some(max) = self.keys.maximum_offset.filter(|max| next.max(read_to) >= *max) {
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
        self.request_of(self.number)
    }

    fn request_of(&self, number: u64) -> PageRequest {
        let mut params = Vec::new();
        params.extend(self.keys.page_param.clone().map(|name| (name, number.to_string())));
        params.extend(self.keys.page_size_param.clone().zip(self.keys.page_size.map(|size| size.to_string())));
        PageRequest { params, page_number: Some(number), limit: self.keys.page_size, ..PageRequest::default() }
    }

    /// Records of a page that is as full as it can be, as far as the file says it.
    pub(super) fn full_size(&self) -> Option<u64> {
        self.keys.page_size
    }

    /// The request behind another one that brings a page of a size.
    pub(super) fn predict(&self, after: &PageRequest, size: u64, total: Option<Total>) -> Option<PageRequest> {
        let before = after.page_number?;
        let next = before.checked_add(1)?;
        let pages = self.pages_skipped().saturating_add(next - self.keys.base_page);
        let is_beyond = match total {
            Some(Total::Records(total)) => pages.saturating_mul(size) >= total,
            Some(Total::Pages(total)) => pages >= total,
            None => false,
        };
        let is_bounded = self.keys.maximum_page.is_some_and(|max| before >= max);
        (!is_beyond && !is_bounded).then(|| self.request_of(next))
    }

    pub(super) fn next(&mut self, facts: &PageFacts<'_>, progress: &mut Progress, limits: &Limits) -> Result<Next> {
        let is_strict = is_strict(facts, progress, limits);
        progress.announced.read(self.keys.total.as_ref(), self.keys.has_more.as_ref(), facts, is_strict)?;
        progress.announced.weigh(progress.page_count, progress.record_count);
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

/// Whether a page ends the list. A total or has_more decides where there is one; without, an empty page does.
fn verdict(record_count: u64, progress: &Progress, position: &Position) -> Result<Verdict> {
    let says_more = progress.announced.has_more == Some(true);
    if let Some(reason) = progress.announced.end() {
        return Ok(Verdict::End(reason));
    }
    let total = progress.announced.ending(record_count);
    let (total_reached, beyond_by_size) = match total {
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
            let is_expected_more = says_more || (total.is_some() && !beyond_by_size);
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
        Some(Total::Records(total)) => format!("a total of {}", counted(total, "record")),
        Some(Total::Pages(total)) => format!("a total of {}", counted(total, "page")),
        None => "that there is more".to_owned(),
    };
    Error::new(Kind::Paging, format!("{EMPTY_PAGES_MAX} empty pages in a row although the server announces {says}"))
        .with("records received", progress.record_count)
        .hint("if the total counts records that this request may not see, remove `total_path`")
}

fn overflow() -> Error {
    Error::new(Kind::Paging, "the position of the next page is beyond 64 bits")
}
