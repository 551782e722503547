//! Where things are in a body or a record.

use serde_json_path::JsonPath;

/// A dotted path of field names, as the API spells them. Within a list a step `[N]` is the element of that index.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(pub Vec<String>);

impl FieldPath {
    /// The step to an element of a list.
    pub fn index(index: usize) -> String {
        format!("[{index}]")
    }

    /// The index that a step means within a list, if it can mean one.
    pub fn index_of(step: &str) -> Option<usize> {
        step.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
    }
}

impl std::fmt::Display for FieldPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            let dot = if at == 0 || FieldPath::index_of(step).is_some() { "" } else { "." };
            write!(f, "{dot}{step}")?;
        }
        Ok(())
    }
}

/// Where the records of a body are.
#[derive(Debug, Clone, PartialEq)]
pub enum Selector {
    /// Found by the rules of the documentation, from the first answer.
    Auto,
    /// Steps from the root. The value there is a list of records, or one record.
    Path(Vec<Step>),
    /// A JSONPath (RFC 9535) that is more than steps.
    Query(Box<QuerySelector>),
}

/// A JSONPath with filters, slices, descendants or unions. What comes before those are steps, like any others.
#[derive(Debug, Clone, PartialEq)]
pub struct QuerySelector {
    /// As the file has it.
    pub text: String,
    /// Steps from the root to where the query begins.
    pub prefix: Vec<Step>,
    /// The rest, from there on.
    pub query: JsonPath,
    /// Whether it selects elements, each a record; otherwise a list that it selects is a list of records.
    pub selects_elements: bool,
    /// Whether no match means no rows. Otherwise it is an error.
    pub may_be_empty: bool,
}

/// One step of a [`Selector`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// The member of an object.
    Key(String),
    /// The element of an array.
    Index(usize),
    /// Every element of an array, or every member value of an object.
    Every,
}
