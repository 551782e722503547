//! Why a walk ended, and what a person should look at.

use crate::http::Claim;
use crate::words::counted;
use std::fmt;

/// Why a walk ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndReason {
    /// The resource has one page.
    SinglePage,
    /// A page without records.
    EmptyPage,
    /// A page of which every record came before, at the end of the last page.
    NothingNew,
    /// All records or pages that the server announced were received; the number.
    TotalReached(u64),
    /// The server says that there is no more.
    NoMore,
    /// The server says that this was the last page.
    LastPage,
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
    /// A `response_actions` entry ignored the answer.
    Ignored(Box<Claim>),
    /// A `response_actions` entry took the answer for the end.
    Ended(Box<Claim>),
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
    /// The last page of an inclusive `keyset` walk is as large as any, and all of it has one value.
    OneValue {
        /// The field.
        field: String,
    },
    /// `allow_missing` is on, and no answer had the selected key.
    NeverMatched,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndReason::SinglePage => f.write_str("single page"),
            EndReason::EmptyPage => f.write_str("empty page"),
            EndReason::NothingNew => f.write_str("no new records"),
            EndReason::TotalReached(total) => write!(f, "total reached ({total})"),
            EndReason::NoMore => f.write_str("has_more is false"),
            EndReason::LastPage => f.write_str("last page"),
            EndReason::NoNextLink => f.write_str("no next link"),
            EndReason::NoCursor => f.write_str("no next cursor"),
            EndReason::MaximumOffset(max) => write!(f, "maximum offset ({max})"),
            EndReason::MaximumPage(max) => write!(f, "maximum page ({max})"),
            EndReason::RepeatedPage => f.write_str("repeated page"),
            EndReason::RepeatedCursor => f.write_str("repeated cursor"),
            EndReason::CursorBound => f.write_str("cursor bound"),
            EndReason::Ignored(claim) => write!(f, "ignored ({claim})"),
            EndReason::Ended(claim) => write!(f, "end ({claim})"),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::TotalDiffers { announced, announced_first, received } => {
                let verb = if *received == 1 { "was" } else { "were" };
                write!(f, "the server announced {}, {received} {verb} received", counted(*announced, "record"))?;
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
            Warning::OneValue { field } => write!(
                f,
                "the last page has records of one `{field}` only; if there are more of them than fit on a page, they are \
                 missing: ask for larger pages, or take a field that differs in every record"
            ),
            Warning::NeverMatched => f.write_str("no answer had the key of `data_selector`"),
        }
    }
}
