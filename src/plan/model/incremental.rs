//! What is asked for since when, and how values of a cursor are read and written.

use super::{FactPlace, FieldPath};
use crate::plan::duration::Span;
use crate::plan::template::Template;
use crate::plan::timezone::TimeZone;

/// What is asked for since when.
#[derive(Debug, Clone, PartialEq)]
pub struct Incremental {
    /// Where the value comes from.
    pub source: CursorSource,
    /// Query parameter for the start; `None` when an expression uses `cursor.start`, or nothing does.
    pub start_param: Option<String>,
    /// Query parameter for the end; `None` when an expression uses `cursor.end`, or nothing does.
    pub end_param: Option<String>,
    /// Whether requests show the start, by the parameter or by an expression.
    pub sends_start: bool,
    /// Whether they show the end.
    pub sends_end: bool,
    /// Start of the first run.
    pub initial_value: Option<Bound>,
    /// Exclusive end.
    pub end_value: Option<Bound>,
    /// How far back from its own start a run asks at most.
    pub earliest: Option<Span>,
    /// How far back a run asks again.
    pub lag: Option<Distance>,
    /// Length of the slices in which the range is walked.
    pub window: Option<Distance>,
    /// Whether slices begin where units of the calendar do.
    pub align: bool,
    /// Whether the API takes the start for a part of the range.
    pub start_bound: StartBound,
    /// Whether the API takes the end for a part of the range.
    pub end_bound: EndBound,
    /// How values are read and written.
    pub notation: Notation,
    /// The order in which records come, if the file says so.
    pub row_order: Option<RowOrder>,
    /// Whether records outside of the range are left out here.
    pub client_side: bool,
    /// What a record without the value means.
    pub on_missing: OnCursorMissing,
    /// Whether there is one cursor for all parents and partitions.
    pub scope: CursorScope,
    /// Whether each next request starts at the last value seen, on the first page.
    pub walks_by_cursor: bool,
}

impl Incremental {
    /// Fields of a record that hold the value; none when it comes from elsewhere.
    pub fn record_paths(&self) -> &[FieldPath] {
        match &self.source {
            CursorSource::Record(paths) => paths,
            CursorSource::Response(_) | CursorSource::Clock | CursorSource::Window => &[],
        }
    }
}

/// A bound of the range that the file gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The value; expressions in it see `run` and `vars`.
    pub text: Template,
    /// Whether it depends on when the run started, so that it is another one in each run.
    pub is_of_run: bool,
    /// Where it stands: `api.toml:12:17`.
    pub place: String,
}

/// Where a cursor's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum CursorSource {
    /// A field of each record; of several the first that is not null.
    Record(Vec<FieldPath>),
    /// The last answer that has it, in its body or in a header; of several places the first.
    Response(Vec<FactPlace>),
    /// The server's clock when the walk began.
    Clock,
    /// The end of the slice.
    Window,
}

/// A distance between cursor values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distance {
    /// For times.
    Time(Span),
    /// For numbers; seconds for times.
    Number(u64),
}

/// How cursor values are read and written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Notation {
    /// How requests show them; `None`: as seen.
    pub format: Option<CursorFormat>,
    /// How records show them, the first that fits; empty: it is recognised.
    pub record_formats: Vec<CursorFormat>,
    /// The zone of times that have none, and in which times are written.
    pub timezone: Option<TimeZone>,
}

/// Whether a range's start belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartBound {
    /// Yes.
    Inclusive,
    /// No: a start is written one unit earlier.
    Exclusive,
}

/// Whether a range's end belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndBound {
    /// No: neighbouring slices share their bound.
    Exclusive,
    /// Yes: a slice ends one unit before the next begins.
    Inclusive,
}

/// The order in which records come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOrder {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// What has a cursor of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CursorScope {
    /// Each parent and partition.
    Partition,
    /// Only the resource as a whole.
    Global,
}

/// How a cursor value is written in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CursorFormat {
    /// `2026-01-02T03:04:05Z`.
    Iso8601,
    /// `2026-01-02`.
    Date,
    /// Seconds since 1970.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMillis,
    /// A strftime pattern.
    Strftime(String),
}

/// What a record without a cursor value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnCursorMissing {
    /// An error.
    Raise,
    /// It is loaded; it does not move the cursor.
    Include,
    /// It is left out, and counted.
    Exclude,
}
