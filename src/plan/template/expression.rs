//! What an expression uses: its names, filters and tests, each with its place. And its evaluation.

use super::filters;
use super::lexer::{Lexeme, Token, lex};
use super::{Reference, TemplateError};
use crate::plan::model::FieldPath;
use crate::plan::suggest;
use minijinja::Value as EngineValue;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;

/// What is known of an expression before it is evaluated.
pub(super) struct Analysis {
    pub(super) references: Vec<Reference>,
    /// Set when the expression is one name and nothing else.
    pub(super) single_name: Option<Vec<String>>,
}

/// Roots with their members; an empty list: any.
const ROOTS: [(&str, &[&str]); 8] = [
    ("parent", &[]),
    ("record", &[]),
    ("partition", &[]),
    ("before", &[]),
    ("cursor", &["start", "end"]),
    ("page", &["offset", "number", "limit", "cursor", "first", BODY]),
    ("vars", &[]),
    ("run", &["started_at"]),
];

/// The member of `page` that has fields of its own.
const BODY: &str = "body";

/// Roots whose values may be lists.
const ROOTS_WITH_LISTS: [&str; 5] = ["parent", "record", "partition", "before", "page"];

const KEYWORDS: [&str; 12] = ["true", "false", "none", "True", "False", "None", "and", "or", "not", "in", "is", "if"];

/// Words and symbols with which an expression says itself what absent values mean.
const GUARDS: [&str; 12] = ["and", "or", "not", "in", "is", "if", "==", "!=", "<", ">", "<=", ">="];

/// Filters that say it of what they are applied to.
const DEFAULT_FILTERS: [&str; 2] = ["default", "d"];

/// Finds the names, filters and tests of an expression, and checks them.
pub(super) fn analyse(text: &str) -> Result<Analysis, TemplateError> {
    let tokens = lex(text)?;
    if tokens.is_empty() {
        return Err(error(0..text.len(), "the expression is empty", None));
    }
    if text.starts_with('-') {
        return Err(error(0..1, "whitespace control can't be used here", Some("write `{{` without `-`".into())));
    }
    let mut references: Vec<Reference> = Vec::new();
    let mut guards_all = false;
    let mut defaulted = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        guards_all |= is_guard(tokens[i].lexeme);
        match tokens[i].lexeme {
            Lexeme::Symbol("|") => {
                let next = check_filter(&tokens, i)?;
                defaulted.extend(defaulted_range(&tokens, i));
                i = next;
            }
            Lexeme::Word("is") => i = check_test(&tokens, i)?,
            Lexeme::Word(word) if KEYWORDS.contains(&word) || word == "else" || is_argument_name(&tokens, i) => i += 1,
            Lexeme::Word(_) => {
                let (reference, next) = read_name(&tokens, i)?;
                references.push(reference);
                i = next;
            }
            _ => i += 1,
        }
    }
    for reference in &mut references {
        let has_default =
            |range: &Range<usize>| range.start <= reference.range.start && reference.range.end <= range.end;
        reference.guarded = guards_all || defaulted.iter().any(has_default);
    }
    let single_name = match references.as_slice() {
        [only]
            if tokens.first().map(|t| t.range.start) == Some(only.range.start)
                && tokens.last().map(|t| t.range.end) == Some(only.range.end) =>
        {
            Some(only.path.clone())
        }
        _ => None,
    };
    Ok(Analysis { references, single_name })
}

/// Whether an expression makes a text of a list by itself, as `tojson` and `join` do.
pub(super) fn makes_text(written: &str) -> bool {
    let tokens = lex(written.trim_start_matches("{{").trim_end_matches("}}")).unwrap_or_default();
    tokens.windows(2).any(|pair| {
        matches!(
            pair,
            [Token { lexeme: Lexeme::Symbol("|"), .. }, Token { lexeme: Lexeme::Word("tojson" | "join"), .. }]
        )
    })
}

fn is_guard(lexeme: Lexeme<'_>) -> bool {
    matches!(lexeme, Lexeme::Word(word) | Lexeme::Symbol(word) if GUARDS.contains(&word))
}

/// If the filter behind a `|` is `default`: the bytes of what it is applied to, and of its arguments.
fn defaulted_range(tokens: &[Token<'_>], pipe: usize) -> Option<Range<usize>> {
    let name = pipe + 1;
    if !matches!(tokens.get(name)?.lexeme, Lexeme::Word(word) if DEFAULT_FILTERS.contains(&word)) {
        return None;
    }
    let mut start = operand_start(tokens, pipe)?;
    // Filters before this one hand on what they are applied to.
    while start > 0 && tokens[start - 1].lexeme == Lexeme::Symbol("|") {
        start = operand_start(tokens, start - 1)?;
    }
    let last = match tokens.get(name + 1).map(|t| t.lexeme) {
        Some(Lexeme::Symbol("(")) => closing(tokens, name + 1),
        _ => name,
    };
    Some(tokens[start].range.start..tokens[last].range.end)
}

/// The first token of the name, call or group that ends before a token.
fn operand_start(tokens: &[Token<'_>], end: usize) -> Option<usize> {
    let mut start = end.checked_sub(1)?;
    loop {
        let is_bracket = matches!(tokens[start].lexeme, Lexeme::Symbol(")" | "]"));
        if is_bracket {
            start = opening(tokens, start);
        }
        let before = start.checked_sub(1).map(|at| tokens[at].lexeme);
        match (tokens[start].lexeme, before) {
            (Lexeme::Word(_), Some(Lexeme::Symbol("."))) if start >= 2 => start -= 2,
            (Lexeme::Symbol("(" | "["), Some(Lexeme::Word(_) | Lexeme::Symbol(")" | "]"))) => start -= 1,
            _ => return Some(start),
        }
    }
}

/// The bracket that a closing one belongs to; the first token where there is none.
fn opening(tokens: &[Token<'_>], close: usize) -> usize {
    let mut depth = 0_usize;
    for at in (0..=close).rev() {
        match tokens[at].lexeme {
            Lexeme::Symbol(")" | "]") => depth += 1,
            Lexeme::Symbol("(" | "[") => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    0
}

/// The bracket that closes one; the last token where there is none.
fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.lexeme {
            Lexeme::Symbol("(" | "[") => depth += 1,
            Lexeme::Symbol(")" | "]") => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len() - 1
}

pub(super) fn error(range: Range<usize>, message: impl Into<String>, hint: Option<String>) -> TemplateError {
    TemplateError { range, message: message.into(), hint }
}

/// `name=` in the arguments of a filter.
fn is_argument_name(tokens: &[Token<'_>], i: usize) -> bool {
    matches!(tokens.get(i + 1).map(|t| t.lexeme), Some(Lexeme::Symbol("=")))
}

fn check_filter(tokens: &[Token<'_>], pipe: usize) -> Result<usize, TemplateError> {
    match tokens.get(pipe + 1) {
        Some(Token { lexeme: Lexeme::Word(name), range }) => {
            if filters::names().any(|known| known == *name) {
                return check_argument(tokens, name, pipe + 2).map(|()| pipe + 2);
            }
            let hint = suggest::did_you_mean(name, filters::names());
            Err(error(range.clone(), format!("unknown filter `{name}`"), hint))
        }
        _ => Err(error(tokens[pipe].range.clone(), "a filter's name must follow `|`", None)),
    }
}

/// What a filter is given as a plain text can be looked at before there is a value.
fn check_argument(tokens: &[Token<'_>], filter: &str, at: usize) -> Result<(), TemplateError> {
    let ahead = [at, at + 1, at + 2].map(|i| tokens.get(i).map(|t| t.lexeme));
    let [Some(Lexeme::Symbol("(")), Some(Lexeme::Quoted(text)), Some(Lexeme::Symbol(")"))] = ahead else {
        return Ok(());
    };
    match filters::argument_mistake(filter, text) {
        Some(message) if !text.contains('\\') => Err(error(tokens[at + 1].range.clone(), message, None)),
        _ => Ok(()),
    }
}

fn check_test(tokens: &[Token<'_>], is: usize) -> Result<usize, TemplateError> {
    let negated = matches!(tokens.get(is + 1).map(|t| t.lexeme), Some(Lexeme::Word("not")));
    let at = is + 1 + usize::from(negated);
    match tokens.get(at) {
        Some(Token { lexeme: Lexeme::Word(name), range }) => {
            if filters::TESTS.contains(name) {
                return Ok(at + 1);
            }
            let hint = suggest::did_you_mean(name, filters::TESTS.iter().copied());
            Err(error(range.clone(), format!("unknown test `{name}`"), hint))
        }
        _ => Err(error(tokens[is].range.clone(), "a test's name must follow `is`", None)),
    }
}

/// Reads `root.member.member`, `root["member"]` or `root.member[0]` from a place on, and checks it.
fn read_name(tokens: &[Token<'_>], start: usize) -> Result<(Reference, usize), TemplateError> {
    let mut path = Vec::new();
    let mut i = start;
    if let Lexeme::Word(root) = tokens[i].lexeme {
        path.push(root.to_owned());
    }
    i += 1;
    loop {
        let ahead = [i, i + 1, i + 2].map(|at| tokens.get(at).map(|t| t.lexeme));
        match ahead {
            [Some(Lexeme::Symbol(".")), Some(Lexeme::Word(member)), _] => {
                path.push(member.to_owned());
                i += 2;
            }
            [Some(Lexeme::Symbol("[")), Some(Lexeme::Quoted(member)), Some(Lexeme::Symbol("]"))]
                if !member.contains('\\') =>
            {
                path.push(member.to_owned());
                i += 3;
            }
            [Some(Lexeme::Symbol("[")), Some(Lexeme::Number(digits)), Some(Lexeme::Symbol("]"))]
                if path.len() > 1 && ROOTS_WITH_LISTS.contains(&path[0].as_str()) =>
            {
                let Ok(index) = digits.parse() else { break };
                path.push(FieldPath::index(index));
                i += 3;
            }
            _ => break,
        }
    }
    let range = tokens[start].range.start..tokens[i - 1].range.end;
    if matches!(tokens.get(i).map(|t| t.lexeme), Some(Lexeme::Symbol("("))) {
        let hint = "filters follow a `|`, as in `{{ parent.name | lower }}`".to_owned();
        return Err(error(range, format!("unknown function `{}`", path.join(".")), Some(hint)));
    }
    check_name(&path, range.clone(), tokens[start].range.clone())?;
    Ok((Reference { path, range, guarded: false }, i))
}

fn check_name(path: &[String], range: Range<usize>, root_range: Range<usize>) -> Result<(), TemplateError> {
    let root = path[0].as_str();
    let Some((_, members)) = ROOTS.iter().find(|(name, _)| *name == root) else {
        let hint = suggest::did_you_mean(&path.join("."), full_names())
            .or_else(|| suggest::did_you_mean(root, ROOTS.iter().map(|(name, _)| *name)))
            .unwrap_or_else(|| {
                "known are `parent.FIELD`, `cursor.start`, `page.…`, `vars.NAME` and `run.started_at`".into()
            });
        return Err(error(root_range, format!("unknown name `{root}`"), Some(hint)));
    };
    let Some(member) = path.get(1) else {
        let example = members.first().map_or("NAME", |m| *m);
        let hint = format!("write `{root}.{example}`");
        return Err(error(range, format!("`{root}` is not a value of its own"), Some(hint)));
    };
    let full = FieldPath(path.to_vec()).to_string();
    if root == "page" && member == BODY {
        let hint = || Some("write `page.body.FIELD`".to_owned());
        return if path.len() > 2 {
            Ok(())
        } else {
            Err(error(range, "`page.body` is not a value of its own", hint()))
        };
    }
    if members.is_empty() || (members.contains(&member.as_str()) && path.len() == 2) {
        return Ok(());
    }
    let hint = suggest::did_you_mean(&full, full_names())
        .or_else(|| Some(format!("known are {}", suggest::list(members.iter().map(|m| format!("{root}.{m}"))))));
    Err(error(range, format!("unknown name `{full}`"), hint))
}

/// Names that are complete in themselves.
fn full_names() -> impl Iterator<Item = String> {
    ROOTS.iter().flat_map(|(root, members)| members.iter().map(move |member| format!("{root}.{member}")))
}

/// Evaluates with these values; absent ones are undefined in the expression. `None`: null or undefined.
pub(super) fn evaluate(
    compiled: &minijinja::Expression<'static, 'static>,
    values: &[(&[String], Option<Value>)],
) -> Result<Option<Value>, minijinja::Error> {
    let mut tree = Branch::default();
    for (path, value) in values {
        tree.insert(path, value.as_ref());
    }
    let result = compiled.eval(tree.into_value())?;
    if result.is_undefined() || result.is_none() {
        return Ok(None);
    }
    serde_json::to_value(&result).map(Some).map_err(|e| {
        minijinja::Error::new(minijinja::ErrorKind::BadSerialization, "the result is not a JSON value").with_source(e)
    })
}

/// The names' values as nested maps, as the engine looks them up.
#[derive(Default)]
struct Branch {
    value: Option<EngineValue>,
    members: BTreeMap<String, Branch>,
}

impl Branch {
    fn insert(&mut self, path: &[String], value: Option<&Value>) {
        match path.split_first() {
            None => self.value = value.map(engine_value),
            Some((first, rest)) => self.members.entry(first.clone()).or_default().insert(rest, value),
        }
    }

    /// A name that is used whole (`parent.author`) holds its members too (`parent.author.id`).
    fn into_value(self) -> EngineValue {
        match self.value {
            Some(value) => value,
            None if self.members.is_empty() => EngineValue::UNDEFINED,
            None => EngineValue::from_pairs(self.members.into_iter().map(|(name, branch)| {
                let key = match FieldPath::index_of(&name) {
                    Some(index) => EngineValue::from(index),
                    None => EngineValue::from(name),
                };
                (key, branch.into_value())
            })),
        }
    }
}

/// A JSON value for the engine. A null is undefined there, so that it can't become the text "None".
fn engine_value(value: &Value) -> EngineValue {
    match value {
        Value::Null => EngineValue::UNDEFINED,
        Value::Array(items) => items.iter().map(engine_value).collect(),
        Value::Object(members) => EngineValue::from_pairs(members.iter().map(|(k, v)| (k.clone(), engine_value(v)))),
        Value::Bool(flag) => EngineValue::from(*flag),
        Value::String(text) => EngineValue::from(text.as_str()),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(n), _, _) => EngineValue::from(n),
            (_, Some(n), _) => EngineValue::from(n),
            (_, _, Some(n)) => EngineValue::from(n),
            (None, None, None) => EngineValue::UNDEFINED,
        },
    }
}
