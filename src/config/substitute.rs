//! `${NAME}`, `${NAME:-default}`, `${file:PATH}` and `${file:PATH#MEMBER}` in a text.

use crate::plan::template::expression_end;
use std::ops::Range;

/// A part of a text, by what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text as it is written: bytes of the text.
    Written(Range<usize>),
    /// `$${` stands for `${`.
    Escaped,
    /// `${NAME}` or `${NAME:-default}`.
    Variable {
        /// Name of the variable.
        name: String,
        /// What stands for a variable that is not set or empty.
        default: Option<String>,
        /// Bytes of the text.
        range: Range<usize>,
    },
    /// `${file:PATH}` or `${file:PATH#MEMBER}`.
    File {
        /// Path as it is written.
        path: String,
        /// The member that is meant of a JSON file, with dots where it is in another one.
        member: Option<String>,
        /// Bytes of the text.
        range: Range<usize>,
    },
}

/// What is wrong with a substitution: bytes of the text, sentence, advice.
pub type Mistake = (Range<usize>, String, String);

/// Splits a text. An expression (`{{ … }}`) is text as it is written; a substitution inside one is refused, because the
/// value could be read as part of the expression.
pub fn split(text: &str) -> Result<Vec<Part>, Mistake> {
    let mut parts = Vec::new();
    let mut written = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find(['$', '{']).map(|i| at + i) {
        let rest = &text[found..];
        let (part, end) = if rest.starts_with("$${") {
            (Part::Escaped, found + 3)
        } else if rest.starts_with("${") {
            substitution(text, found)?
        } else {
            at = skip(text, found)?;
            continue;
        };
        if found > written {
            parts.push(Part::Written(written..found));
        }
        parts.push(part);
        (written, at) = (end, end);
    }
    if written < text.len() {
        parts.push(Part::Written(written..text.len()));
    }
    Ok(parts)
}

/// The place behind what begins here and is no substitution: an expression, or one character.
fn skip(text: &str, at: usize) -> Result<usize, Mistake> {
    if !text[at..].starts_with("{{") {
        return Ok(at + 1);
    }
    // An expression without an end is reported where templates are parsed.
    let end = expression_end(text, at).unwrap_or(text.len());
    match text[at..end].find("${") {
        Some(i) => Err((
            at + i..at + i + 2,
            "`${…}` can't be used inside `{{ … }}`".into(),
            "put it under [vars], and use `vars.NAME` in the expression".into(),
        )),
        None => Ok(end),
    }
}

fn substitution(text: &str, start: usize) -> Result<(Part, usize), Mistake> {
    let Some(length) = text[start..].find('}') else {
        return Err((
            start..text.len(),
            "`${` has no end".into(),
            "close it with `}`, or write `$${` for the characters".into(),
        ));
    };
    let end = start + length + 1;
    let inner = &text[start + 2..end - 1];
    let range = start..end;
    if let Some(path) = inner.strip_prefix("file:") {
        let (path, member) = path.rsplit_once('#').map_or((path, None), |(path, member)| (path, Some(member)));
        if path.is_empty() || member == Some("") {
            let what = if path.is_empty() { "a path" } else { "the name of a member behind `#`" };
            let help = "write `${file:/run/secrets/token}`, or `${file:account.json#private_key}` for a member of JSON";
            return Err((range, format!("`${{file:…}}` needs {what}"), help.into()));
        }
        return Ok((Part::File { path: path.to_owned(), member: member.map(str::to_owned), range }, end));
    }
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default.to_owned())),
        None => (inner, None),
    };
    let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !valid {
        let root = name.split('.').next().unwrap_or_default();
        let help = if ["parent", "partition", "cursor", "page", "vars", "run"].contains(&root) {
            format!("`{root}` is a name of expressions: write `{{{{ {name} }}}}`")
        } else {
            "write `${NAME}`, `${NAME:-default}` or `${file:PATH}`; for the characters themselves, `$${`".into()
        };
        return Err((range, format!("`{name}` is not a name of an environment variable"), help));
    }
    Ok((Part::Variable { name: name.to_owned(), default, range }, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, default: Option<&str>, range: Range<usize>) -> Part {
        Part::Variable { name: name.into(), default: default.map(Into::into), range }
    }

    #[test]
    fn a_text_is_split_at_its_substitutions() {
        let cases = [
            ("plain $ {", vec![Part::Written(0..9)]),
            ("", vec![]),
            ("${A}", vec![variable("A", None, 0..4)]),
            ("x${A_1:-b c}y", vec![Part::Written(0..1), variable("A_1", Some("b c"), 1..12), Part::Written(12..13)]),
            ("${A:-}", vec![variable("A", Some(""), 0..6)]),
            ("${file:/run/x}", vec![Part::File { path: "/run/x".into(), member: None, range: 0..14 }]),
            ("${file:a#b.c}", vec![Part::File { path: "a".into(), member: Some("b.c".into()), range: 0..13 }]),
            ("a$${A}", vec![Part::Written(0..1), Part::Escaped, Part::Written(4..6)]),
            ("{{ vars.a }}${A}", vec![Part::Written(0..12), variable("A", None, 12..16)]),
        ];
        for (text, parts) in cases {
            assert_eq!(split(text), Ok(parts), "{text}");
        }
    }

    #[test]
    fn mistakes_have_their_place() {
        let cases = [
            ("a${B", 1..4, "`${` has no end"),
            ("${1A}", 0..5, "`1A` is not a name of an environment variable"),
            ("${file:}", 0..8, "`${file:…}` needs a path"),
            ("${file:a#}", 0..10, "`${file:…}` needs the name of a member behind `#`"),
            ("{{ \"${A}\" }}", 4..6, "`${…}` can't be used inside `{{ … }}`"),
        ];
        for (text, range, message) in cases {
            let (found, said, _) = split(text).unwrap_err();
            assert_eq!((found, said.as_str()), (range, message), "{text}");
        }
    }
}
