//! The tokens of an expression.

use super::TemplateError;
use super::expression::error;
use std::ops::Range;

/// A token by what it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Lexeme<'a> {
    Word(&'a str),
    /// The text between the quotes.
    Quoted(&'a str),
    /// Its digits.
    Number(&'a str),
    Symbol(&'a str),
}

/// A token, with its bytes of the expression.
pub(super) struct Token<'a> {
    pub(super) lexeme: Lexeme<'a>,
    pub(super) range: Range<usize>,
}

/// Takes an expression apart. What no token begins with is a symbol; the engine refuses it.
pub(super) fn lex(text: &str) -> Result<Vec<Token<'_>>, TemplateError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let start = text.len() - rest.len();
        let (lexeme, len) = if first.is_whitespace() {
            rest = &rest[first.len_utf8()..];
            continue;
        } else if first.is_alphabetic() || first == '_' {
            let len = word_len(rest);
            (Lexeme::Word(&rest[..len]), len)
        } else if first.is_ascii_digit() {
            let len = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            (Lexeme::Number(&rest[..len]), len)
        } else if first == '"' || first == '\'' {
            let len =
                quoted_len(rest, first).ok_or_else(|| error(start..text.len(), "the quoted text has no end", None))?;
            (Lexeme::Quoted(&rest[1..len - 1]), len)
        } else {
            let len = if ["==", "!=", "<=", ">=", "//", "**"].iter().any(|s| rest.starts_with(s)) {
                2
            } else {
                first.len_utf8()
            };
            (Lexeme::Symbol(&rest[..len]), len)
        };
        tokens.push(Token { lexeme, range: start..start + len });
        rest = &rest[len..];
    }
    Ok(tokens)
}

fn word_len(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// Length of a quoted text with its quotes.
fn quoted_len(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(i + 1),
            _ => {}
        }
    }
    None
}
