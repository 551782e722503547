//! Paths into JSON: a JSONPath (RFC 9535), or the same without its `$.`. Names, indexes and wildcards are steps, which are
//! followed over the bytes of a body; a path with more than that is a query over its tree.

use super::scope::Scope;
use crate::config::tree::{Key, Node};
use crate::plan::model::{FieldPath, QuerySelector, Selector, Step};
use serde_json_path::JsonPath;
use std::ops::Range;

/// What is wrong with a path: bytes of it, sentence.
type Mistake = (Range<usize>, String);

/// A selector of records: steps, or a JSONPath that is more than steps.
pub(super) fn selector(node: &Node, scope: &mut Scope<'_>) -> Option<Selector> {
    let text = node.as_text()?;
    let resolved = text.resolved()?;
    let mistake = match parse(&resolved) {
        Ok(steps) => return Some(Selector::Path(steps)),
        Err(mistake) => mistake,
    };
    match query(&resolved) {
        Ok(Some(query)) => return Some(Selector::Query(Box::new(query))),
        Ok(None) => {
            let (range, message) = mistake;
            let help = "write `$`, `data.items`, `$[*]`, `$.a['b c'][*]` or `$.items[?@.kind == 'video']`";
            scope.found.error(text.span_of(range), message).help(help);
        }
        Err(message) => {
            let help = "JSONPath is described in RFC 9535, for example `$.items[?@.kind == 'video']`";
            scope.found.error(node.span.clone(), format!("`{resolved}` is not a JSONPath: {message}")).help(help);
        }
    }
    None
}

/// A JSONPath that is more than steps; none if the text has nothing of the sort.
fn query(text: &str) -> Result<Option<QuerySelector>, String> {
    let is_query = text.contains("..") || text.contains(['?', ':', ',']) || text.contains("[-");
    if !is_query {
        return Ok(None);
    }
    let whole = match text.chars().next() {
        Some('$') => text.to_owned(),
        Some('[' | '.') => format!("${text}"),
        _ => format!("$.{text}"),
    };
    // The whole of it has to be a JSONPath, and not only what is left behind the steps.
    let whole_query = JsonPath::parse(&whole).map_err(|e| e.to_string())?;
    let (prefix, rest) = match steps_before(&whole) {
        // A `$` within a filter means the root of the body.
        (steps, at) if !whole[at..].contains('$') => (steps, &whole[at..]),
        _ => (Vec::new(), &whole[1..]),
    };
    let query = JsonPath::parse(&format!("${rest}")).unwrap_or(whole_query);
    let last = last_segment(rest);
    let is_name = last.starts_with(['\'', '"']) && !last.contains(',');
    Ok(Some(QuerySelector {
        text: text.to_owned(),
        prefix,
        query,
        selects_elements: rest.ends_with(']') && !is_name || rest.ends_with(".*"),
        may_be_empty: rest.contains(['?', ':', '*']),
    }))
}

/// The names and indexes with which a JSONPath begins, and where they end.
fn steps_before(path: &str) -> (Vec<Step>, usize) {
    let mut steps = Vec::new();
    let mut at = 1;
    while let Ok((step, length)) = segment(path, at) {
        if step == Step::Every {
            break;
        }
        steps.push(step);
        at += length;
    }
    (steps, at)
}

/// What stands in the last `[…]` of a path that ends with one.
fn last_segment(path: &str) -> &str {
    let mut depth = 0;
    let inner = path.strip_suffix(']').unwrap_or_default();
    for (at, c) in inner.char_indices().rev() {
        match c {
            ']' => depth += 1,
            '[' if depth == 0 => return &inner[at + 1..],
            '[' => depth -= 1,
            _ => {}
        }
    }
    inner
}

/// A path of field names.
pub(super) fn field(node: &Node, scope: &mut Scope<'_>) -> Option<FieldPath> {
    let text = node.as_text()?;
    let resolved = text.resolved()?;
    report_field(field_names(&resolved), |range| text.span_of(range), scope)
}

/// A path of field names that is a key of the file.
pub(super) fn field_of_key(key: &Key, scope: &mut Scope<'_>) -> Option<FieldPath> {
    report_field(field_names(&key.name), |_| key.span.clone(), scope)
}

fn field_names(text: &str) -> Result<Vec<String>, Mistake> {
    let name = |step| match step {
        Step::Key(name) => Some(name),
        Step::Index(_) | Step::Every => None,
    };
    let names: Option<Vec<String>> = parse(text)?.into_iter().map(name).collect();
    names
        .filter(|names| !names.is_empty())
        .ok_or_else(|| (0..text.len(), format!("`{text}` is not the path of one field")))
}

fn report_field(
    names: Result<Vec<String>, Mistake>,
    place: impl Fn(Range<usize>) -> Range<usize>,
    scope: &mut Scope<'_>,
) -> Option<FieldPath> {
    match names {
        Ok(names) => Some(FieldPath(names)),
        Err((range, message)) => {
            scope.found.error(place(range), message).help("write `id`, `author.id` or `$['a.b']`");
            None
        }
    }
}

/// A path of names, indexes and wildcards.
pub(super) fn steps(node: &Node, scope: &mut Scope<'_>) -> Option<Vec<Step>> {
    let text = node.as_text()?;
    match parse(&text.resolved()?) {
        Ok(steps) => Some(steps),
        Err((range, message)) => {
            scope.found.error(text.span_of(range), message).help("write `columns`, `headers[*].name` or `$[0]`");
            None
        }
    }
}

/// A path of field names and list indexes within a body or a record.
pub(super) fn place(node: &Node, scope: &mut Scope<'_>) -> Option<FieldPath> {
    let text = node.as_text()?;
    let resolved = text.resolved()?;
    let steps = parse(&resolved).and_then(|steps| {
        let steps: Option<Vec<String>> = steps
            .into_iter()
            .map(|step| match step {
                Step::Key(name) => Some(name),
                Step::Index(index) => Some(FieldPath::index(index)),
                Step::Every => None,
            })
            .collect();
        steps
            .filter(|steps| !steps.is_empty())
            .ok_or_else(|| (0..resolved.len(), format!("`{resolved}` is not the path of one value")))
    });
    match steps {
        Ok(steps) => Some(FieldPath(steps)),
        Err((range, message)) => {
            scope.found.error(text.span_of(range), message).help("write `next`, `meta.next` or `data.items[0].next`");
            None
        }
    }
}

/// The selector of an object whose members are records: what it says of "every member" at its end is left out.
pub(super) fn selector_of_members(node: &Node, scope: &mut Scope<'_>) -> Option<Selector> {
    match selector(node, scope)? {
        Selector::Path(mut steps) => {
            steps.pop_if(|step| *step == Step::Every);
            Some(Selector::Path(steps))
        }
        Selector::Query(found) => {
            let text = found.text.trim_end_matches(".*").trim_end_matches("[*]");
            let object = query(text).ok().flatten().filter(|query| !query.selects_elements);
            if object.is_none() {
                let message = "with `key_column`, `data_selector` has to lead to the object of records";
                let help = "leave out its filter, and use `filter` for the records";
                scope.found.error(node.span.clone(), message).help(help);
            }
            object.map(|query| Selector::Query(Box::new(query)))
        }
        Selector::Auto => None,
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
        let (step, length) = segment(text, at)?;
        steps.push(step);
        at += length;
    }
    Ok(steps)
}

/// Reads the step at a place: it and its length.
fn segment(text: &str, at: usize) -> Result<(Step, usize), Mistake> {
    let rest = &text[at..];
    if rest.starts_with("..") {
        return Err((at..at + 2, "a path of one field can't descend (`..`)".into()));
    }
    if rest.starts_with('[') {
        return bracket(rest).map_err(|(r, m)| (r.start + at..r.end + at, m));
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
    let step = if name == "*" { Step::Every } else { Step::Key(name.to_owned()) };
    Ok((step, name_end - at))
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
        _ if inner.starts_with('?') => {
            return Err((0..end + 1, "a path of one field can't have filters (`[?…]`)".into()));
        }
        _ if inner.contains(':') => return Err((0..end + 1, "a path of one field can't have slices (`[a:b]`)".into())),
        _ if inner.contains(',') => {
            return Err((0..end + 1, "a path of one field can't have several selectors in one `[…]`".into()));
        }
        _ if inner.starts_with('-') => {
            return Err((0..end + 1, "a path of one field can't have negative indexes".into()));
        }
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
    fn what_is_no_path_of_steps_is_said_with_its_place() {
        let cases = [
            ("$..a", 1..3, "a path of one field can't descend (`..`)"),
            ("$.a[?@.x]", 3..9, "a path of one field can't have filters (`[?…]`)"),
            ("a[1:2]", 1..6, "a path of one field can't have slices (`[a:b]`)"),
            ("a[-1]", 1..5, "a path of one field can't have negative indexes"),
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

    #[test]
    fn a_query_begins_behind_the_steps() {
        let cases = [
            ("$..items", "", "$..items", false, false),
            ("$.data.items[?@.kind == 'a']", "data.items", "$[?@.kind == 'a']", true, true),
            ("data[0].rows[1:3]", "data[0].rows", "$[1:3]", true, true),
            ("$['a.b'][-1]", "a.b", "$[-1]", true, false),
            ("$.a['x','y']", "a", "$['x','y']", true, false),
            ("$..['items']", "", "$..['items']", false, false),
            ("$.a[?@.id == $.current]", "", "$.a[?@.id == $.current]", true, true),
            ("$.groups[*]..rows", "groups", "$[*]..rows", false, true),
            ("$.groups[?@['x'] == ']'].rows", "groups", "$[?@['x'] == ']'].rows", false, true),
        ];
        for (text, prefix, rest, elements, may_be_empty) in cases {
            let query = query(text).unwrap().unwrap();
            assert_eq!(crate::extract::select::display_steps(&query.prefix).trim_start_matches('$'), prefix, "{text}");
            assert_eq!(query.query, JsonPath::parse(rest).unwrap(), "{text}");
            assert_eq!((query.selects_elements, query.may_be_empty), (elements, may_be_empty), "{text}");
        }
        assert_eq!(query("a.b"), Ok(None));
        assert!(query("$.a[?@.x ==]").is_err());
    }
}
