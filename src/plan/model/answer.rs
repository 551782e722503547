//! What answers mean, and what is expected of them.

use super::FieldPath;

/// What an answer means.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseAction {
    /// Status that it applies to; `None`: any.
    pub status: Option<u16>,
    /// Text that the body contains.
    pub body_contains: Option<String>,
    /// A header, lower case, and what is asked of it.
    pub header: Option<(String, ValueTest)>,
    /// A value of a JSON body, and what is asked of it.
    pub path: Option<(FieldPath, ValueTest)>,
    /// What to do.
    pub action: Action,
}

/// What is asked of a value of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueTest {
    /// It is there, and neither null, false nor empty.
    Present,
    /// As text it is this.
    Equals(String),
    /// As text it contains this.
    Contains(String),
}

/// What must hold for a run of a resource to count as good: some servers answer a bad credential with 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// Fewest records of a run that asks for everything.
    pub min_records: Option<u64>,
    /// A value of the first answer, and what is asked of it.
    pub path: Option<(FieldPath, ValueTest)>,
}

/// What to do with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// An empty page that ends this request's paging; counted.
    Ignore,
    /// The run of this resource fails.
    Fail,
    /// Try again, within the limits of `retry`.
    Retry,
    /// The server says "too fast": wait as it says, or as `retry` does; does not count as an attempt.
    Throttle,
    /// No more pages.
    End,
}
