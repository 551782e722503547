//! What is wrong with a file: all of it at once, each with its place, as people read it.

use crate::error::{Error, Kind};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::ops::Range;
use std::sync::Arc;

/// How much a diagnostic weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file can't be used.
    Error,
    /// The file can be used, but probably does not do what was meant.
    Warning,
}

/// One thing that is wrong, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How much it weighs.
    pub severity: Severity,
    /// Bytes of the file; none for what is wrong with the file as a whole.
    pub span: Option<Range<usize>>,
    /// One sentence.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// Adds what to do about it.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Adds what to do about it, if anything is known.
    pub fn help_maybe(&mut self, help: Option<String>) -> &mut Self {
        if help.is_some() {
            self.help = help;
        }
        self
    }
}

/// All diagnostics of one file.
#[derive(Debug, Clone)]
pub struct Diagnostics {
    path: String,
    source: Arc<str>,
    items: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Nothing wrong yet with this file. The path is shown as it is given.
    pub fn new(path: impl Into<String>, source: &str) -> Self {
        Diagnostics { path: path.into(), source: source.into(), items: Vec::new() }
    }

    /// Notes an error at these bytes of the file.
    pub fn error(&mut self, span: Range<usize>, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Error, Some(span), message.into())
    }

    /// Notes an error of the file as a whole.
    pub fn error_of_file(&mut self, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Error, None, message.into())
    }

    /// Notes a warning at these bytes of the file.
    pub fn warning(&mut self, span: Range<usize>, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Warning, Some(span), message.into())
    }

    fn push(&mut self, severity: Severity, span: Option<Range<usize>>, message: String) -> &mut Diagnostic {
        let wanted = Diagnostic { severity, span, message, help: None };
        // What is inherited is looked at once per resource: the same words at the same place are one mistake.
        let found = self
            .items
            .iter()
            .position(|d| (d.severity, &d.span, &d.message) == (wanted.severity, &wanted.span, &wanted.message));
        let at = found.unwrap_or_else(|| {
            self.items.push(wanted);
            self.items.len() - 1
        });
        &mut self.items[at]
    }

    /// A place as `FILE:LINE:COLUMN`, for errors that are found later. Columns count characters from 1.
    pub fn place(&self, span: Range<usize>) -> String {
        let before = self.source.get(..span.start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        format!("{}:{line}:{}", self.path, before[line_start..].chars().count() + 1)
    }

    /// Whether the file can't be used.
    pub fn has_errors(&self) -> bool {
        self.items.iter().any(|d| d.severity == Severity::Error)
    }

    /// The diagnostics of a severity as text, in the order of the file.
    pub fn render(&self, severity: Severity, colour: bool) -> Vec<String> {
        let mut items: Vec<&Diagnostic> = self.items.iter().filter(|d| d.severity == severity).collect();
        items.sort_by_key(|d| d.span.as_ref().map_or(0, |s| s.start));
        items.into_iter().map(|d| self.render_one(d, colour)).collect()
    }

    fn render_one(&self, diagnostic: &Diagnostic, colour: bool) -> String {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let span = diagnostic.span.clone().map(|span| self.visible(span));
        let snippet = Snippet::source(self.source.as_ref()).path(self.path.as_str());
        let title = level.primary_title(diagnostic.message.as_str());
        let mut group: Group<'_> = match span {
            Some(span) => title.element(snippet.annotation(AnnotationKind::Primary.span(span))),
            None => title.element(annotate_snippets::Origin::path(self.path.as_str())),
        };
        if let Some(help) = &diagnostic.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }

    /// The bytes to underline: of a value that goes over several lines the first line, and never nothing.
    fn visible(&self, span: Range<usize>) -> Range<usize> {
        let end_of_file = self.source.len();
        let start = span.start.min(end_of_file);
        let text = self.source.get(start..span.end.min(end_of_file)).unwrap_or_default();
        let first_line = text.lines().next().unwrap_or_default();
        start..(start + first_line.len())
    }

    /// The file's error, if it can't be used. Its report is the text of all errors.
    ///
    /// # Errors
    /// When there is at least one error; warnings don't count.
    pub fn into_result(self, colour: bool) -> crate::error::Result<Vec<String>> {
        if self.has_errors() {
            return Err(Error::new(Kind::Config, self.render(Severity::Error, colour).join("\n\n")));
        }
        Ok(self.render(Severity::Warning, colour))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_show_file_line_column_and_help_in_the_order_of_the_file() {
        let mut found = Diagnostics::new("p.toml", "name = 1\nbase = 'x'\n");
        found.error(9..13, "unknown key `base`").help("did you mean `base_url`?");
        found.error(7..8, "expected text");
        found.warning(0..4, "odd");
        found.error(7..8, "expected text");
        let error = found.into_result(false).unwrap_err();
        let expected = "\
error: expected text
 --> p.toml:1:8
  |
1 | name = 1
  |        ^

error: unknown key `base`
 --> p.toml:2:1
  |
2 | base = 'x'
  | ^^^^
  |
  = help: did you mean `base_url`?";
        assert_eq!(error.report(), expected);
    }

    #[test]
    fn warnings_alone_are_no_error() {
        let mut found = Diagnostics::new("p.toml", "name = 1\n");
        found.warning(0..4, "odd");
        assert_eq!(found.into_result(false).unwrap(), ["warning: odd\n --> p.toml:1:1\n  |\n1 | name = 1\n  | ^^^^"]);
    }
}
