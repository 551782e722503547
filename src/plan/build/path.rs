//! Paths into JSON: a JSONPath (RFC 9535) of names, indexes and wildcards, or the same without its `$.`.

use super::scope::Scope;
use crate::config::tree::Node;
use crate::plan::model::{FieldPath, Step};
use std::ops::Range;

/// What is wrong with a path: bytes of it, sentence.
type Mistake = (Range<usize>, String);

/// A selector of records.
pub(super) fn selector(node: &Node, scope: &mut Scope<'_>) -> Option<Vec<Step>> {
    let text = node.as_text()?;
    let resolved = text.resolved()?;
    match parse(&resolved) {
        Ok(steps) => Some(steps),
        Err((range, message)) => {
            scope.found.error(text.span_of(range), message).help("write `$`, `data.items`, `$[*]` or `$.a['b c'][*]`");
            None
        }
    }
}

/// A path of field names.
pub(super) fn field(node: &Node, scope: &mut Scope<'_>) -> Option<FieldPath> {
    let text = node.as_text()?;
    let resolved = text.resolved()?;
    let keys = parse(&resolved).and_then(|steps| {
        let keys: Option<Vec<String>> = steps
            .into_iter()
            .map(|step| match step {
                Step::Key(name) => Some(name),
                Step::Index(_) | Step::Every => None,
            })
            .collect();
        keys.filter(|keys| !keys.is_empty())
            .ok_or_else(|| (0..resolved.len(), format!("`{resolved}` is not the path of one field")))
    });
    match keys {
        Ok(keys) => Some(FieldPath(keys)),
        Err((range, message)) => {
            scope.found.error(text.span_of(range), message).help("write `id`, `author.id` or `$['a.b']`");
            None
        }
    }
}

/// One path, or a list of them.
pub(super) fn fields(node: Option<&Node>, scope: &mut Scope<'_>) -> Vec<FieldPath> {
    node.map(Node::one_or_many).unwrap_or_default().iter().filter_map(|n| field(n, scope)).collect()
}

fn parse(text: &str) -> Result<Vec<Step>, Mistake> {
    let mut steps = Vec::new();
    let mut at = usize::from(text.starts_with('$'));
    if text.is_empty() {
        return Err((0..0, "the path is empty".into()));
    }
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("..") {
            return Err((at..at + 2, "recursive descent (`..`) is not yet supported".into()));
        }
        if rest.starts_with('[') {
            let (step, length) = bracket(rest).map_err(|(r, m)| (r.start + at..r.end + at, m))?;
            steps.push(step);
            at += length;
            continue;
        }
        // Only the first name of a path without `$` has no dot before it.
        let dot = usize::from(rest.starts_with('.'));
        if dot == 0 && at > 0 {
            return Err((at..text.len(), format!("`{rest}` can't follow here")));
        }
        let name_start = at + dot;
        let name_end = text[name_start..].find(['.', '[', ']']).map_or(text.len(), |i| name_start + i);
        let name = &text[name_start..name_end];
        if name.is_empty() || name.starts_with('?') {
            return Err((at..(name_end + 1).min(text.len()).max(at), "a name is missing in the path".into()));
        }
        steps.push(if name == "*" { Step::Every } else { Step::Key(name.to_owned()) });
        at = name_end;
    }
    Ok(steps)
}

/// Reads `[…]` at the beginning of a text: the step and its length.
fn bracket(text: &str) -> Result<(Step, usize), Mistake> {
    let quote = text[1..].chars().next().filter(|c| matches!(c, '\'' | '"'));
    if let Some(quote) = quote {
        let end = text[2..].find(quote).map(|i| i + 2);
        return match end {
            Some(end) if text[end + 1..].starts_with(']') => Ok((Step::Key(text[2..end].to_owned()), end + 2)),
            _ => Err((0..text.len(), "the quoted name has no end".into())),
        };
    }
    let Some(end) = text.find(']') else {
        return Err((0..text.len(), "`[` has no `]`".into()));
    };
    let inner = text[1..end].trim();
    let step = match inner {
        "*" => Step::Every,
        _ if inner.starts_with('?') => return Err((0..end + 1, "filters (`[?…]`) are not yet supported".into())),
        _ if inner.contains(':') => return Err((0..end + 1, "slices (`[a:b]`) are not yet supported".into())),
        _ if inner.contains(',') => {
            return Err((0..end + 1, "several selectors in one `[…]` are not yet supported".into()));
        }
        _ if inner.starts_with('-') => return Err((0..end + 1, "negative indexes are not yet supported".into())),
        _ => match inner.parse() {
            Ok(index) => Step::Index(index),
            Err(_) => return Err((0..end + 1, format!("`{inner}` is not an index; a name needs quotes"))),
        },
    };
    Ok((step, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Step {
        Step::Key(name.into())
    }

    #[test]
    fn paths_are_names_indexes_and_wildcards() {
        let cases = [
            ("$", vec![]),
            ("$[*]", vec![Step::Every]),
            ("data.items", vec![key("data"), key("items")]),
            ("$.a.b[*]", vec![key("a"), key("b"), Step::Every]),
            ("$['a.b'][\"c d\"][0]", vec![key("a.b"), key("c d"), Step::Index(0)]),
            ("a.*.b", vec![key("a"), Step::Every, key("b")]),
            ("[1].x", vec![Step::Index(1), key("x")]),
            ("@odata count", vec![key("@odata count")]),
        ];
        for (text, steps) in cases {
            assert_eq!(parse(text), Ok(steps), "{text}");
        }
    }

    #[test]
    fn what_is_not_supported_is_said_with_its_place() {
        let cases = [
            ("$..a", 1..3, "recursive descent (`..`) is not yet supported"),
            ("$.a[?@.x]", 3..9, "filters (`[?…]`) are not yet supported"),
            ("a[1:2]", 1..6, "slices (`[a:b]`) are not yet supported"),
            ("a[-1]", 1..5, "negative indexes are not yet supported"),
            ("a[0", 1..3, "`[` has no `]`"),
            ("a[b]", 1..4, "`b` is not an index; a name needs quotes"),
            ("a['b", 1..4, "the quoted name has no end"),
            ("a.", 1..2, "a name is missing in the path"),
            ("$a", 1..2, "`a` can't follow here"),
            ("", 0..0, "the path is empty"),
        ];
        for (text, range, message) in cases {
            assert_eq!(parse(text), Err((range, message.to_owned())), "{text}");
        }
    }
}
