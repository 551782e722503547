//! A text of a file, with what `${…}` brought in kept apart from what was written.

use crate::plan::model;
use crate::plan::template::{Reference, Template, TemplateError};
use crate::secret::Secret;
use std::ops::Range;

/// A text of a file. What was written keeps its place; what was brought in is never read as an expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// Its place in the file, with its quotes.
    pub span: Range<usize>,
    pub(super) pieces: Vec<Piece>,
}

/// A piece of a text.
#[derive(Clone, PartialEq)]
pub(super) enum Piece {
    /// As it is in the file.
    Written {
        text: String,
        /// Where it begins in the file; none where escapes make its bytes differ from the file's.
        start: Option<usize>,
    },
    /// Brought in by `${…}`.
    Value {
        text: String,
        /// It came from the environment or a file, not from a default in the pipeline file.
        secret: bool,
    },
    /// A `${…}` that has no value, and need not have one.
    Missing { written: String },
}

impl std::fmt::Debug for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Piece::Written { text, .. } => write!(f, "Written({text:?})"),
            Piece::Value { secret: true, .. } => f.write_str("Value(***)"),
            Piece::Value { text, .. } => write!(f, "Value({text:?})"),
            Piece::Missing { written } => write!(f, "Missing({written})"),
        }
    }
}

impl Text {
    /// A text that stands nowhere in a file, such as one of the command line.
    pub fn given(text: &str, span: Range<usize>) -> Text {
        Text { span, pieces: vec![Piece::Value { text: text.to_owned(), secret: false }] }
    }

    /// A number, flag or date as text.
    pub(super) fn of_scalar(text: String, span: Range<usize>) -> Text {
        let start = Some(span.start);
        Text { span, pieces: vec![Piece::Written { text, start }] }
    }

    /// The whole text. None while a `${…}` in it has no value.
    pub fn resolved(&self) -> Option<String> {
        self.pieces.iter().map(Piece::text).collect()
    }

    /// The text with a mark in place of each `${…}`, for a reader of what was written. A mark is one character of a private
    /// use area of Unicode.
    pub fn marked(&self) -> String {
        let mut marked = String::new();
        for (at, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Written { text, .. } => marked.push_str(text),
                Piece::Value { .. } | Piece::Missing { .. } => marked.extend(mark(at)),
            }
        }
        marked
    }

    /// Whether a text that was read from [`Text::marked`] holds a mark.
    pub fn has_mark(&self, part: &str) -> bool {
        part.chars().any(|c| self.marked_piece(c).is_some())
    }

    /// A text that was read from [`Text::marked`], with what the marks stand for.
    pub fn part(&self, part: &str) -> Text {
        let start = match self.pieces.as_slice() {
            [Piece::Written { text, start }] => start.and_then(|start| Some(start + text.find(part)?)),
            _ => None,
        };
        let mut pieces = Vec::new();
        let mut written = String::new();
        for c in part.chars() {
            match self.marked_piece(c) {
                Some(piece) => {
                    if !written.is_empty() {
                        pieces.push(Piece::Written { text: std::mem::take(&mut written), start: None });
                    }
                    pieces.push(piece.clone());
                }
                None => written.push(c),
            }
        }
        if !written.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Written { text: written, start });
        }
        Text { span: self.span.clone(), pieces }
    }

    fn marked_piece(&self, c: char) -> Option<&Piece> {
        let at = usize::try_from(u32::from(c).checked_sub(MARKS)?).ok()?;
        self.pieces.get(at).filter(|piece| !matches!(piece, Piece::Written { .. }))
    }

    /// Whether a `${…}` in it has no value.
    pub fn is_missing(&self) -> bool {
        self.pieces.iter().any(|p| matches!(p, Piece::Missing { .. }))
    }

    /// Whether a `${…}` stands in it.
    pub fn has_substitution(&self) -> bool {
        self.pieces.iter().any(|p| !matches!(p, Piece::Written { .. }))
    }

    /// Whether the environment or a mounted file brought something in.
    pub fn is_secret(&self) -> bool {
        self.pieces.iter().any(|p| matches!(p, Piece::Value { secret: true, .. } | Piece::Missing { .. }))
    }

    /// The text without a slash at its beginning.
    pub fn without_leading_slash(&self) -> Text {
        let mut text = self.clone();
        match text.pieces.first_mut() {
            Some(Piece::Written { text, start }) if text.starts_with('/') => {
                text.remove(0);
                *start = start.map(|s| s + 1);
            }
            Some(Piece::Value { text, .. }) if text.starts_with('/') => {
                text.remove(0);
            }
            _ => {}
        }
        text
    }

    /// Where the first expression is, in the file.
    pub fn expression_span(&self) -> Option<Range<usize>> {
        self.pieces.iter().find_map(|piece| match piece {
            Piece::Written { text, start } => {
                let open = text.find("{{")?;
                let end = crate::plan::template::expression_end(text, open).unwrap_or(text.len());
                Some(self.in_file(*start, open..end))
            }
            _ => None,
        })
    }

    /// The place in the file of a part of the resolved text, as near as it is known.
    pub fn span_of(&self, part: Range<usize>) -> Range<usize> {
        match self.pieces.as_slice() {
            [Piece::Written { start, .. }] => self.in_file(*start, part),
            _ => self.span.clone(),
        }
    }

    fn in_file(&self, start: Option<usize>, part: Range<usize>) -> Range<usize> {
        match start {
            Some(start) => start + part.start..start + part.end,
            None => self.span.clone(),
        }
    }

    /// Compiles the text. What was brought in is literal; a missing value stands as it is written. Each name that an
    /// expression uses is told with its place in the file.
    ///
    /// # Errors
    /// The first mistake, with its place in the file.
    pub fn template(&self, mut used: impl FnMut(&Reference, Range<usize>)) -> Result<Template, TemplateError> {
        let mut parts = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            match piece {
                Piece::Written { text, start } => {
                    let part = Template::parse(text)
                        .map_err(|e| TemplateError { range: self.in_file(*start, e.range.clone()), ..e })?;
                    for reference in part.references() {
                        used(reference, self.in_file(*start, reference.range.clone()));
                    }
                    parts.push(part);
                }
                Piece::Value { text, .. } | Piece::Missing { written: text } => parts.push(Template::literal(text)),
            }
        }
        Ok(Template::concat(parts))
    }

    /// Has what the environment or a mounted file brought in replaced in all output from now on.
    pub fn hide_secrets(&self) {
        for piece in &self.pieces {
            if let Piece::Value { text, secret: true } = piece {
                Secret::new(text.as_str());
            }
        }
    }

    /// The text where a secret may stand: what was brought in is replaced in all output from now on.
    ///
    /// # Errors
    /// As [`Text::template`].
    pub fn credential(&self, used: impl FnMut(&Reference, Range<usize>)) -> Result<model::Text, TemplateError> {
        self.hide_secrets();
        Ok(model::Text { template: self.template(used)?, secret: self.is_secret() })
    }
}

/// Where the characters begin that mark pieces.
const MARKS: u32 = 0xF_0000;

fn mark(piece: usize) -> Option<char> {
    char::from_u32(MARKS + u32::try_from(piece).ok()?)
}

impl Piece {
    fn text(&self) -> Option<&str> {
        match self {
            Piece::Written { text, .. } | Piece::Value { text, .. } => Some(text),
            Piece::Missing { .. } => None,
        }
    }
}
