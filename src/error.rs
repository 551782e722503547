//! The one error type: what happened, where, and what to do about it.
//!
//! An error is a kind (which decides the exit code), one static-feeling sentence, pairs of context that are printed
//! below it in the order in which they were added, an optional hint on a line of its own, and the cause. A cause is
//! attached, never pasted into the sentence.

use std::error::Error as StdError;
use std::fmt;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What class of failure this is. Exit codes follow from it, see [`crate::exit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A configuration file or the command line is wrong. Nothing was requested.
    Config,
    /// The network failed: connect, reset, timeout, TLS.
    Network,
    /// The server answered with a status that ends the request.
    Status,
    /// The body is not what it should be: truncated, malformed, wrong type, too large.
    Body,
    /// Paging can't go on: repeated page or cursor, a limit reached, more announced than reachable.
    Paging,
    /// A record breaks a rule that the pipeline states: a null key, a missing cursor, a missing parent field.
    Data,
    /// The warehouse could not be read or written.
    Destination,
    /// A file of ours (state, lock, report) could not be read or written.
    State,
    /// Another run holds the lock.
    Locked,
    /// A signal ended the run.
    Interrupted,
    /// No token could be had: the token request or the login failed.
    Auth,
    /// A broken invariant of the program itself.
    Internal,
}

/// An error with its place and advice. Shown with [`Error::report`].
pub struct Error {
    kind: Kind,
    message: String,
    context: Vec<(&'static str, String)>,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync + 'static>>,
}

impl Error {
    /// An error of a kind with its sentence: lower case, no full stop, no secret, no row value.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), context: Vec::new(), hint: None, source: None }
    }

    /// Adds a labelled fact ("request", "status", "body", "file") that is printed below the sentence.
    #[must_use]
    pub fn with(mut self, label: &'static str, value: impl fmt::Display) -> Self {
        self.context.push((label, value.to_string()));
        self
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Attaches the cause.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn StdError + Send + Sync + 'static>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same facts, hint and cause under another kind and sentence.
    #[must_use]
    pub fn recast(self, kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), ..self }
    }

    /// The same error once more, for another who waited for the same thing. The cause is kept as text.
    #[must_use]
    pub fn again(&self) -> Self {
        Error {
            kind: self.kind,
            message: self.message.clone(),
            context: self.context.clone(),
            hint: self.hint.clone(),
            source: self.source.as_ref().map(|cause| cause.to_string().into()),
        }
    }

    /// The class of the failure.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The sentence alone.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The value of a context label, if it was added.
    pub fn context(&self, label: &str) -> Option<&str> {
        self.context.iter().find(|(k, _)| *k == label).map(|(_, v)| v.as_str())
    }

    /// Everything, on several lines, as people read it on a terminal; secrets are replaced.
    pub fn report(&self) -> String {
        let mut out = self.message.clone();
        for (label, value) in &self.context {
            out.push_str(&format!("\n  {label}: {}", value.replace('\n', "\n    ")));
        }
        let mut cause = StdError::source(self);
        while let Some(c) = cause {
            out.push_str(&format!("\n  cause: {}", c.to_string().trim_end().replace('\n', "\n    ")));
            cause = c.source();
        }
        if let Some(hint) = &self.hint {
            out.push_str(&format!("\n\nhint: {hint}"));
        }
        crate::secret::redact(&out).into_owned()
    }
}

impl fmt::Display for Error {
    /// One line: the sentence and its context, secrets replaced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = self.message.clone();
        for (label, value) in &self.context {
            out.push_str(&format!("; {label}: {value}"));
        }
        f.write_str(&crate::secret::redact(&out))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.report())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_sentence_context_cause_and_hint_on_lines_of_their_own() {
        let e = Error::new(Kind::Body, "the body is not JSON")
            .with("request", "GET http://localhost/videos")
            .with("status", 200)
            .source(std::io::Error::other("expected value at line 1"))
            .hint("is this the API's address?");
        assert_eq!(
            e.report(),
            "the body is not JSON\n  request: GET http://localhost/videos\n  status: 200\n  cause: expected value at line 1\n\nhint: is this the API's address?"
        );
        assert_eq!(e.to_string(), "the body is not JSON; request: GET http://localhost/videos; status: 200");
    }
}
