//! Which page comes next, and why there is none: decided from one answer at a time, without I/O.
//!
//! A short page is never an end by itself: servers cap page sizes and filter after paging.

mod announced;
mod auto;
mod keyset;
mod names;
mod numbered;
mod outcome;
mod seam;
mod seen;
mod token;

pub use outcome::{EndReason, Warning};
pub use seam::{Join, Joined};
pub use seen::{PageSeen, SeenPages};

use super::envelope::Envelope;
use crate::error::{Error, Kind, Result};
use crate::http::HeaderMap;
use crate::plan::model::{CursorPaging, FieldPath, HeaderLink, JsonLink, OnRepeat, Paginator, Resource, Step};
use bytes::Bytes;
use seen::SeenTokens;
use serde_json::Value;
use url::Url;

/// Empty pages in a row, while the server says that there is more, that are an error.
const EMPTY_PAGES_MAX: u32 = 3;

/// What a paginator wants of the next request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageRequest {
    /// A `next` link, resolved; `None`: the resource's own address.
    pub link: Option<Url>,
    /// Whether the link has all parameters that are to be sent, because it is none of this walk's `next` links.
    pub is_whole: bool,
    /// The paginator's query parameters. They replace others of their names.
    pub params: Vec<(String, String)>,
    /// `page.offset`.
    pub offset: Option<u64>,
    /// `page.number`.
    pub page_number: Option<u64>,
    /// `page.limit`.
    pub limit: Option<u64>,
    /// `page.cursor`, of the type that the answer gave it.
    pub cursor: Option<Value>,
    /// `page.first`: whether this is the first request of the walk.
    pub is_first: bool,
    /// `page.body.FIELD`: what the request shows of the answer before.
    pub body: Vec<(FieldPath, Value)>,
}

impl PageRequest {
    /// The first request of a walk, at an address that an answer gave for it.
    pub fn at(link: Url) -> PageRequest {
        PageRequest { link: Some(link), is_whole: true, is_first: true, ..PageRequest::default() }
    }
}

/// What an answer says that paging depends on.
#[derive(Debug, Clone, Copy)]
pub struct PageFacts<'a> {
    /// Records received, counted before any of them is left out.
    pub record_count: u64,
    /// Slices of the body that hold them: lists of records, or single ones.
    pub records: &'a [Bytes],
    /// Which of them came before.
    pub joined: &'a Joined,
    /// Whether the records came from a list.
    pub is_list: bool,
    /// The body.
    pub envelope: &'a Envelope,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// Where the answer came from.
    pub url: &'a Url,
    /// Where in the body the records were.
    pub steps: &'a [Step],
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one per page")]
pub enum Next {
    /// Another page.
    Page(PageRequest),
    /// Nothing.
    End(EndReason),
}

/// The state of one walk.
#[derive(Debug)]
pub struct Paging {
    kind: PagingKind,
    progress: Progress,
    limits: Limits,
    seen: SeenTokens,
    ended_by_bound: bool,
    warnings: Vec<Warning>,
}

#[derive(Debug)]
enum PagingKind {
    Auto,
    SinglePage,
    Offset(numbered::OffsetPaging),
    PageNumber(numbered::NumberPaging),
    Cursor(CursorPaging),
    Keyset(keyset::KeysetPaging),
    JsonLink(JsonLink),
    HeaderLink(HeaderLink),
}

/// What was received so far, the page in hand included.
#[derive(Debug, Default)]
struct Progress {
    page_count: u64,
    /// Those that came before are not counted again.
    record_count: u64,
    /// Records of the last page, and whether that is as many as a page can have.
    last_size: u64,
    is_full: bool,
    empty_in_a_row: u32,
    announced: announced::Announced,
}

/// What the resource says, whatever its paginator.
#[derive(Debug)]
struct Limits {
    max_pages: Option<u64>,
    /// Pages before the last restart.
    pages_before: u64,
    on_repeat: OnRepeat,
    /// An empty answer without the declared facts is an empty page.
    allow_missing: bool,
    /// The request has a body: a cursor in the query might not be looked at.
    has_body: bool,
}

impl Paging {
    /// Paging of a resource, before its first request.
    pub fn new(resource: &Resource) -> Self {
        let kind = match &resource.paginator {
            Paginator::Auto => PagingKind::Auto,
            Paginator::SinglePage => PagingKind::SinglePage,
            Paginator::Offset(keys) => PagingKind::Offset(numbered::OffsetPaging::new(keys.clone())),
            Paginator::PageNumber(keys) => PagingKind::PageNumber(numbered::NumberPaging::new(keys.clone())),
            Paginator::Cursor(keys) => PagingKind::Cursor(keys.clone()),
            Paginator::Keyset(keys) => PagingKind::Keyset(keyset::KeysetPaging::new(keys.clone())),
            Paginator::JsonLink(keys) => PagingKind::JsonLink(keys.clone()),
            Paginator::HeaderLink(keys) => PagingKind::HeaderLink(keys.clone()),
        };
        Paging {
            kind,
            progress: Progress::default(),
            limits: Limits {
                max_pages: resource.max_pages,
                pages_before: 0,
                on_repeat: resource.on_repeat,
                allow_missing: resource.allow_missing,
                has_body: resource.request.body.is_some(),
            },
            seen: SeenTokens::default(),
            ended_by_bound: false,
            warnings: Vec::new(),
        }
    }

    /// The first page.
    pub fn first(&self) -> PageRequest {
        let request = match &self.kind {
            PagingKind::Offset(offset) => offset.request(),
            PagingKind::PageNumber(number) => number.request(),
            PagingKind::Auto
            | PagingKind::SinglePage
            | PagingKind::Cursor(_)
            | PagingKind::Keyset(_)
            | PagingKind::JsonLink(_)
            | PagingKind::HeaderLink(_) => PageRequest::default(),
        };
        PageRequest { is_first: true, ..request }
    }

    /// The request that follows another one if that brings a full page; `None` where nothing speaks for a further page.
    /// `ahead` is how many pages behind the last one it is.
    pub fn predict(&self, after: &PageRequest, ahead: u64) -> Option<PageRequest> {
        let progress = &self.progress;
        let total = progress.announced.total();
        let is_too_far = total.is_none() && ahead > progress.page_count + 1;
        let is_bounded = self.limits.max_pages.is_some_and(|max| progress.page_count + ahead > max);
        if progress.last_size == 0 || (total.is_none() && !progress.is_full) || is_too_far || is_bounded {
            return None;
        }
        match &self.kind {
            PagingKind::Offset(offset) => offset.predict(after, progress.last_size, total),
            PagingKind::PageNumber(number) => number.predict(after, progress.last_size, total),
            PagingKind::Auto
            | PagingKind::SinglePage
            | PagingKind::Cursor(_)
            | PagingKind::Keyset(_)
            | PagingKind::JsonLink(_)
            | PagingKind::HeaderLink(_) => None,
        }
    }

    /// What of a page's records did not come before, where pages share some. To be asked before the page is handed out.
    ///
    /// # Errors
    /// Pages that should share a record do not, and looking for it has found nothing.
    pub fn join(&mut self, records: &[Bytes]) -> Result<Join> {
        match &mut self.kind {
            PagingKind::Offset(offset) => offset.join(records),
            PagingKind::Keyset(keyset) => Ok(keyset.join(records)),
            PagingKind::Auto
            | PagingKind::SinglePage
            | PagingKind::PageNumber(_)
            | PagingKind::Cursor(_)
            | PagingKind::JsonLink(_)
            | PagingKind::HeaderLink(_) => Ok(Join::whole()),
        }
    }

    /// Whether the page in hand was asked for to find rows that moved; it may then be one that was read before.
    pub fn looks_back(&self) -> bool {
        matches!(&self.kind, PagingKind::Offset(offset) if offset.is_back())
    }

    /// Whether the position of the next page is counted, so that a page without anything new that is the one before it once
    /// more shows that the server ignores the position.
    pub fn counts_on(&self) -> bool {
        matches!(self.kind, PagingKind::Offset(_) | PagingKind::PageNumber(_))
    }

    /// Records of a page that is as full as it can be, as far as the file says it.
    fn full_size(&self) -> Option<u64> {
        match &self.kind {
            PagingKind::Offset(offset) => offset.full_size(),
            PagingKind::PageNumber(number) => number.full_size(),
            _ => None,
        }
    }

    /// What follows an answer.
    ///
    /// # Errors
    /// Paging can't go on although there is more, or a declared fact is not there.
    pub fn next(&mut self, facts: &PageFacts<'_>) -> Result<Next> {
        let full_size = self.full_size();
        let progress = &mut self.progress;
        let new_count = facts.record_count.saturating_sub(facts.joined.left_out);
        progress.page_count += 1;
        progress.record_count += new_count;
        progress.empty_in_a_row = if new_count == 0 { progress.empty_in_a_row + 1 } else { 0 };
        progress.is_full =
            full_size.is_some_and(|full| facts.record_count >= full) || facts.record_count == progress.last_size;
        progress.last_size = facts.record_count;
        if let PagingKind::Auto = self.kind {
            let found = auto::find(facts, self.limits.has_body)?;
            self.warnings.extend(found.warning);
            self.kind = found.kind;
        }
        let next = self.decide(facts)?;
        match &next {
            Next::Page(_) if self.limits.max_pages.is_some_and(|max| self.page_count() >= max) => {
                Err(self.max_pages_reached())
            }
            Next::Page(_) => Ok(next),
            Next::End(reason) => {
                self.ended_by_bound = matches!(reason, EndReason::MaximumOffset(_) | EndReason::MaximumPage(_));
                Ok(next)
            }
        }
    }

    fn decide(&mut self, facts: &PageFacts<'_>) -> Result<Next> {
        match &mut self.kind {
            // `auto` is something else by now.
            PagingKind::Auto | PagingKind::SinglePage => Ok(Next::End(EndReason::SinglePage)),
            PagingKind::Offset(offset) => offset.next(facts, &mut self.progress, &self.limits),
            PagingKind::PageNumber(number) => number.next(facts, &mut self.progress, &self.limits),
            PagingKind::Cursor(keys) => {
                let (next, warning) =
                    token::next_cursor(keys, facts, &mut self.progress, &self.limits, &mut self.seen)?;
                self.warnings.extend(warning);
                Ok(next)
            }
            PagingKind::Keyset(keyset) => {
                let (next, warning) = keyset.next(facts, &mut self.progress, &self.limits)?;
                self.warnings.extend(warning);
                Ok(next)
            }
            PagingKind::JsonLink(keys) => {
                let (next, warning) =
                    token::next_json_link(keys, facts, &mut self.progress, &self.limits, &mut self.seen)?;
                self.warnings.extend(warning);
                Ok(next)
            }
            PagingKind::HeaderLink(keys) => {
                token::next_header_link(keys, facts, &mut self.progress, &self.limits, &mut self.seen)
            }
        }
    }

    /// Records that the list has by the server's own account, as far as it tells.
    pub fn announced(&self) -> Option<u64> {
        self.progress.announced.records()
    }

    /// How pages follow each other, where that was found from an answer.
    pub fn found(&self) -> Option<Paginator> {
        match &self.kind {
            PagingKind::SinglePage => Some(Paginator::SinglePage),
            PagingKind::Cursor(keys) => Some(Paginator::Cursor(keys.clone())),
            PagingKind::JsonLink(keys) => Some(Paginator::JsonLink(keys.clone())),
            PagingKind::HeaderLink(keys) => Some(Paginator::HeaderLink(keys.clone())),
            PagingKind::Auto | PagingKind::Offset(_) | PagingKind::PageNumber(_) | PagingKind::Keyset(_) => None,
        }
    }

    /// Ends the walk before the list is at its end.
    pub fn cut_short(&mut self) {
        self.ended_by_bound = true;
    }

    /// Goes on at the first page of another list: what was announced of the last one counts no more, `max_pages` does.
    ///
    /// # Errors
    /// `max_pages` is reached.
    pub fn restart(&mut self, resource: &Resource) -> Result<()> {
        let (pages_before, warnings) = (self.page_count(), std::mem::take(&mut self.warnings));
        if self.limits.max_pages.is_some_and(|max| pages_before >= max) {
            return Err(self.max_pages_reached());
        }
        *self = Paging::new(resource);
        self.limits.pages_before = pages_before;
        self.warnings = warnings;
        Ok(())
    }

    /// Pages of the whole walk.
    fn page_count(&self) -> u64 {
        self.limits.pages_before + self.progress.page_count
    }

    fn max_pages_reached(&self) -> Error {
        Error::new(Kind::Paging, "`max_pages` is reached while there is more")
            .with("max_pages", self.page_count())
            .hint("raise `max_pages`, or ask for less; `maximum_offset` and `maximum_page` end a list on purpose")
    }

    /// What it means that a page has the records of an earlier one.
    ///
    /// # Errors
    /// `on_repeat` is `error`.
    pub fn repeated_page(&self, number: u64, same_as: u64) -> Result<EndReason> {
        match self.limits.on_repeat {
            OnRepeat::Stop => Ok(EndReason::RepeatedPage),
            OnRepeat::Error => Err(self.repeated_page_error(number, same_as)),
        }
    }

    fn repeated_page_error(&self, number: u64, same_as: u64) -> Error {
        let pages = format!("page {number} is the same as page {same_as}");
        let ignored = match &self.kind {
            PagingKind::Offset(offset) => Some(offset.param()),
            PagingKind::PageNumber(page) => Some(page.param()),
            PagingKind::Cursor(keys) => Some(keys.cursor_param.as_deref().unwrap_or("page.cursor")),
            PagingKind::Keyset(keyset) => Some(keyset.param()),
            _ => None,
        };
        let message = match ignored {
            // Later on a parameter that once worked is not ignored: the list is over, and its last page comes again.
            Some(param) if number == 2 => format!("the server ignores `{param}`: {pages}"),
            Some(_) => format!("the server repeats a page: {pages}"),
            None => format!("the next link leads to the same records again: {pages}"),
        };
        Error::new(Kind::Paging, message).hint(
            "check the names of the paginator's parameters; `on_repeat = \"stop\"` takes a repeated page for the end of the \
             list, `paginator = \"single_page\"` asks for one page only",
        )
    }

    /// What a person should look at, once the walk has ended.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = self.warnings.clone();
        let progress = &self.progress;
        let expected = match &self.kind {
            PagingKind::Offset(offset) => progress.announced.records().map(|n| n.saturating_sub(offset.skipped())),
            PagingKind::PageNumber(number) => progress.announced.records().map(|n| n.saturating_sub(number.skipped())),
            PagingKind::Cursor(_) | PagingKind::JsonLink(_) | PagingKind::HeaderLink(_) => progress.announced.records(),
            PagingKind::Auto | PagingKind::SinglePage | PagingKind::Keyset(_) => None,
        };
        if let Some(announced) = expected.filter(|n| *n != progress.record_count && !self.ended_by_bound) {
            warnings.push(Warning::TotalDiffers {
                announced,
                announced_first: progress.announced.records_first().unwrap_or(announced),
                received: progress.record_count,
            });
        }
        warnings
    }
}

#[cfg(test)]
mod tests;
