//! Which page comes next, and why there is none: decided from one answer at a time, without I/O.
//!
//! A short page is never an end by itself: servers cap page sizes and filter after paging.

mod announced;
mod auto;
mod names;
mod numbered;
mod seen;
mod token;

pub use seen::{PageSeen, SeenPages};

use super::envelope::Envelope;
use crate::error::{Error, Kind, Result};
use crate::http::HeaderMap;
use crate::plan::model::{CursorPaging, FieldPath, OnRepeat, Paginator, Resource, Step};
use seen::SeenTokens;
use std::fmt;
use url::Url;

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
    /// `page.cursor`.
    pub cursor: Option<String>,
}

/// What an answer says that paging depends on.
#[derive(Debug, Clone, Copy)]
pub struct PageFacts<'a> {
    /// Records received, counted by the decoder before any of them is left out.
    pub record_count: u64,
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
pub enum Next {
    /// Another page.
    Page(PageRequest),
    /// Nothing.
    End(EndReason),
}

/// Why a walk ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndReason {
    /// The resource has one page.
    SinglePage,
    /// A page without records.
    EmptyPage,
    /// All records or pages that the server announced were received; the number.
    TotalReached(u64),
    /// The server says that there is no more.
    NoMore,
    /// The answer has no link to a next page.
    NoNextLink,
    /// The answer has no cursor for a next page.
    NoCursor,
    /// `maximum_offset`.
    MaximumOffset(u64),
    /// `maximum_page`.
    MaximumPage(u64),
    /// A page came again, and `on_repeat` is `stop`.
    RepeatedPage,
    /// A cursor or a link came again, and `on_repeat` is `stop`.
    RepeatedCursor,
    /// The records that follow lie beyond the cursor's bound.
    CursorBound,
    /// A `response_actions` entry ignored the answer of this status.
    Ignored(u16),
    /// A `response_actions` entry took the answer of this status for the end.
    Ended(u16),
}

/// Something that a person should look at although nothing failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// The received records are not as many as announced.
    TotalDiffers {
        /// Announced by the last answer that told.
        announced: u64,
        /// Announced by the first answer.
        announced_first: u64,
        /// Received.
        received: u64,
    },
    /// One page of a round number of rows, and nothing that says whether there is more.
    RoundFirstPage {
        /// Rows of the page.
        record_count: u64,
    },
    /// `allow_missing` is on, and no answer had the selected key.
    NeverMatched,
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
    JsonLink(FieldPath),
    HeaderLink { relation: String, header: Option<String> },
}

/// What was received so far, the page in hand included.
#[derive(Debug, Default)]
struct Progress {
    page_count: u64,
    record_count: u64,
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
            Paginator::JsonLink { next_url_path } => PagingKind::JsonLink(next_url_path.clone()),
            Paginator::HeaderLink { links_next_key, next_url_header } => {
                PagingKind::HeaderLink { relation: links_next_key.clone(), header: next_url_header.clone() }
            }
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
        match &self.kind {
            PagingKind::Offset(offset) => offset.request(),
            PagingKind::PageNumber(number) => number.request(),
            PagingKind::Auto
            | PagingKind::SinglePage
            | PagingKind::Cursor(_)
            | PagingKind::JsonLink(_)
            | PagingKind::HeaderLink { .. } => PageRequest::default(),
        }
    }

    /// What follows an answer.
    ///
    /// # Errors
    /// Paging can't go on although there is more, or a declared fact is not there.
    pub fn next(&mut self, facts: &PageFacts<'_>) -> Result<Next> {
        let progress = &mut self.progress;
        progress.page_count += 1;
        progress.record_count += facts.record_count;
        progress.empty_in_a_row = if facts.record_count == 0 { progress.empty_in_a_row + 1 } else { 0 };
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
                let (next, warning) = token::next_cursor(keys, facts, &self.progress, &self.limits, &mut self.seen)?;
                self.warnings.extend(warning);
                Ok(next)
            }
            PagingKind::JsonLink(path) => {
                let (link, warning) = token::json_link(path, facts, &self.progress)?;
                self.warnings.extend(warning);
                token::next_link(link, facts, &self.progress, &self.limits, &mut self.seen)
            }
            PagingKind::HeaderLink { relation, header } => {
                let link = token::header_link(relation, header.as_deref(), facts.headers);
                token::next_link(link, facts, &self.progress, &self.limits, &mut self.seen)
            }
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
            _ => None,
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

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndReason::SinglePage => f.write_str("single page"),
            EndReason::EmptyPage => f.write_str("empty page"),
            EndReason::TotalReached(total) => write!(f, "total reached ({total})"),
            EndReason::NoMore => f.write_str("has_more is false"),
            EndReason::NoNextLink => f.write_str("no next link"),
            EndReason::NoCursor => f.write_str("no next cursor"),
            EndReason::MaximumOffset(max) => write!(f, "maximum offset ({max})"),
            EndReason::MaximumPage(max) => write!(f, "maximum page ({max})"),
            EndReason::RepeatedPage => f.write_str("repeated page"),
            EndReason::RepeatedCursor => f.write_str("repeated cursor"),
            EndReason::CursorBound => f.write_str("cursor bound"),
            EndReason::Ignored(status) => write!(f, "ignored ({status})"),
            EndReason::Ended(status) => write!(f, "end ({status})"),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::TotalDiffers { announced, announced_first, received } => {
                write!(f, "the server announced {announced} records, {received} were received")?;
                if announced != announced_first {
                    write!(f, " (it announced {announced_first} on the first page: the list changed meanwhile)")?;
                }
                Ok(())
            }
            Warning::RoundFirstPage { record_count } => write!(
                f,
                "the only page has {record_count} records and nothing says whether there are more; if there are, say how \
                 to get them with `paginator`, else `paginator = \"single_page\"`"
            ),
            Warning::NeverMatched => f.write_str("no answer had the key of `data_selector`"),
        }
    }
}

#[cfg(test)]
mod tests;
