//! What answers mean, and what is expected of them.

use super::FieldPath;
use std::time::Duration;

/// What an answer means.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseAction {
    /// Statuses that it applies to; none: any.
    pub statuses: Vec<StatusSet>,
    /// Text that the body contains.
    pub body_contains: Option<String>,
    /// A header, lower case, and what is asked of it.
    pub header: Option<(String, ValueTest)>,
    /// A value of a JSON body, and what is asked of it.
    pub path: Option<(FieldPath, ValueTest)>,
    /// What to do.
    pub action: Action,
    /// What the file says about such an answer: shown with the error, or as the reason of an end.
    pub message: Option<String>,
    /// How another try is made, for [`Action::Retry`] and [`Action::Throttle`].
    pub again: Again,
}

impl ResponseAction {
    /// An action about every answer.
    pub fn new(action: Action) -> Self {
        ResponseAction {
            statuses: Vec::new(),
            body_contains: None,
            header: None,
            path: None,
            action,
            message: None,
            again: Again::default(),
        }
    }
}

/// Statuses that an action is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusSet {
    /// This one.
    One(u16),
    /// All that begin with this digit.
    Class(u16),
}

impl StatusSet {
    /// Whether a status is one of them.
    pub fn has(self, status: u16) -> bool {
        match self {
            StatusSet::One(one) => one == status,
            StatusSet::Class(digit) => status / 100 == digit,
        }
    }
}

/// When and how often to try again after an answer. What is not said is as `retry` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Again {
    /// The wait where the answer names none.
    pub wait: Option<Duration>,
    /// Header that names the wait, lower case.
    pub wait_header: Option<String>,
    /// Tries of a request that is answered so. They are counted apart from those of `retry`.
    pub max_attempts: Option<u32>,
}

/// What is asked of a value of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueTest {
    /// It is there, and neither null, false nor empty.
    Present,
    /// As text it is this.
    Equals(String),
    /// As text it is one of these.
    In(Vec<String>),
    /// It is there, and as text it is not this.
    NotEquals(String),
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
    /// A good answer, whatever its status: its records are read.
    Accept,
    /// The walk begins again at its first page, and what it brought so far is dropped.
    Restart,
    /// The window holds too much: its halves are asked for.
    Split,
}
