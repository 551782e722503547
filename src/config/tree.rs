//! What a file says: tables, lists and values in the order of the file, each with its place, `${…}` resolved.

use super::Secrets;
use super::diagnostic::Diagnostics;
use super::env::Env;
use super::substitute::{self, Part};
use super::text::{Piece, Text};
use crate::plan::suggest;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Bytes of the file; of a table with a header, the header's.
    pub span: Range<usize>,
    /// The value.
    pub value: Value,
}

/// A value of a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    Text(Text),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A date or time, as written.
    Datetime(String),
    /// A list.
    List(Vec<Node>),
    /// A table.
    Table(Table),
}

/// A table. Its entries are in the order of the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// Keys and values.
    pub entries: Vec<(Key, Node)>,
}

/// A key with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// Bytes of the file.
    pub span: Range<usize>,
}

impl Table {
    /// The value of a key.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.entry(name).map(|(_, node)| node)
    }

    /// A key with its value.
    pub fn entry(&self, name: &str) -> Option<&(Key, Node)> {
        self.entries.iter().find(|(key, _)| key.name == name)
    }
}

impl Node {
    /// What it is, as the end of a sentence.
    pub fn describe(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "text",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Boolean(_) => "a flag",
            Value::Datetime(_) => "a date or time",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// The table, if it is one.
    pub fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&Text> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text with all `${…}` in place, if it is a text and nothing is missing.
    pub fn resolved(&self) -> Option<String> {
        self.as_text().and_then(Text::resolved)
    }

    /// A text, number, flag or date as text.
    pub fn as_scalar(&self) -> Option<Text> {
        let text = match &self.value {
            Value::Text(text) => return Some(text.clone()),
            Value::Integer(n) => n.to_string(),
            Value::Float(n) => n.to_string(),
            Value::Boolean(flag) => flag.to_string(),
            Value::Datetime(time) => time.clone(),
            Value::List(_) | Value::Table(_) => return None,
        };
        Some(Text::of_scalar(text, self.span.clone()))
    }

    /// The flag; also from a text that a `${…}` made.
    pub fn as_boolean(&self) -> Option<bool> {
        match &self.value {
            Value::Boolean(flag) => Some(*flag),
            Value::Text(text) if text.has_substitution() => text.resolved()?.trim().parse().ok(),
            _ => None,
        }
    }

    /// The whole number from 0; also from a text that a `${…}` made.
    pub fn as_count(&self) -> Option<u64> {
        match &self.value {
            Value::Integer(n) => u64::try_from(*n).ok(),
            Value::Text(text) if text.has_substitution() => text.resolved()?.trim().parse().ok(),
            _ => None,
        }
    }

    /// Whether it is `false`, which switches an inherited value off.
    pub fn is_off(&self) -> bool {
        matches!(self.value, Value::Boolean(false))
    }

    /// The elements of a list, or the one value that stands for a list of one.
    pub fn one_or_many(&self) -> &[Node] {
        match &self.value {
            Value::List(nodes) => nodes,
            _ => std::slice::from_ref(self),
        }
    }
}

/// Where values of `${…}` come from.
pub struct Sources<'a> {
    /// Variables.
    pub env: &'a Env,
    /// Folder that paths of `${file:…}` are relative to.
    pub folder: &'a Path,
    /// Whether a missing one is an error.
    pub secrets: Secrets,
}

/// What the `${…}` of a file were. A file is named `file:PATH`.
#[derive(Debug, Default)]
pub struct Substituted {
    /// Names that have no value.
    pub missing: Vec<String>,
    /// Names and values that were brought in.
    pub found: Env,
}

/// Parses a file. Mistakes of syntax and of substitutions go to the diagnostics. None: the syntax is too broken to look
/// further.
pub fn parse(
    source: &str,
    sources: &Sources<'_>,
    diagnostics: &mut Diagnostics,
    substituted: &mut Substituted,
) -> Option<Table> {
    let (document, errors) = DeTable::parse_recoverable(source);
    if !errors.is_empty() && !report_syntax(source, &errors, diagnostics) {
        return None;
    }
    let mut reader = Reader { source, sources, diagnostics, substituted };
    Some(reader.table(document.get_ref()))
}

/// Reports mistakes of syntax. What follows one that breaks the structure (a list or table without an end) is its echo,
/// and is left out. False: the file's structure is not known.
fn report_syntax(source: &str, errors: &[toml::de::Error], diagnostics: &mut Diagnostics) -> bool {
    let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    let structural = errors.iter().find(|e| !is_unquoted(e) && e.message() != DUPLICATE).map(start);
    let mut told: Vec<&toml::de::Error> =
        errors.iter().filter(|e| structural.is_none_or(|cut| start(e) <= cut)).collect();
    told.sort_by_key(|e| start(e));
    let mut last_line = None;
    for error in told {
        let span = error.span().unwrap_or(0..0);
        let line = source[..span.start.min(source.len())].matches('\n').count();
        if last_line.replace(line) == Some(line) {
            continue;
        }
        let line_text = source.lines().nth(line).unwrap_or_default();
        if is_unquoted(error) && structural.is_some() && line_text.starts_with('[') {
            // A header was read as part of a list that goes on from above.
            diagnostics.error(span, "not valid TOML: a list above this header has no end").help("close it with `]`");
            break;
        }
        if is_unquoted(error) {
            let end = span.start + bare_len(&source[span.start..]);
            let help = unquoted_help(&source[span.start..end]);
            diagnostics.error(span.start..end, "not valid TOML: text must be in quotes").help(help);
        } else {
            let help = syntax_help(source, error, line_text);
            diagnostics.error(span, format!("not valid TOML: {}", error.message())).help_maybe(help);
        }
    }
    errors.iter().all(|e| e.message() == DUPLICATE)
}

/// The parser's words for a key that is there twice: the rest of the file can still be read.
const DUPLICATE: &str = "duplicate key";

fn is_unquoted(error: &toml::de::Error) -> bool {
    error.message().starts_with("string values must be quoted")
}

/// What to write for a value without quotes.
fn unquoted_help(value: &str) -> String {
    let quotes = ['“', '”', '„', '‘', '’', '«', '»'];
    let inner = value.trim_matches(|c: char| quotes.contains(&c) || c == '"');
    let kind = if value.starts_with(quotes) { "with straight quotes: " } else { "" };
    format!("write it {kind}\"{inner}\"").replace("write it \"", "write \"")
}

/// What to do about a mistake of syntax, where its place shows what was meant.
fn syntax_help(source: &str, error: &toml::de::Error, line: &str) -> Option<String> {
    if error.message() == DUPLICATE {
        return Some("the name stands above already: each key and each table is written once".to_owned());
    }
    let at = error.span().map_or(0, |span| span.start).min(source.len());
    let before = source[..at].rsplit('\n').next().unwrap_or_default();
    let value = line.split_once('=').map(|(_, value)| value.trim()).unwrap_or_default();
    if !line.contains('=') && line.contains(':') && !line.trim_start().starts_with('[') {
        return Some("a key and its value are joined by `=`, as in path = \"videos\"".to_owned());
    }
    if before.contains('"') && before.ends_with('\\') {
        return Some(
            "a backslash begins an escape: write the text in single quotes, as in 'C:\\data', or double it".to_owned(),
        );
    }
    match value {
        "True" | "TRUE" | "yes" | "on" => Some("write `true`".to_owned()),
        "False" | "FALSE" | "no" | "off" => Some("write `false`".to_owned()),
        "null" | "None" | "nil" | "~" => {
            Some("TOML has no null: leave the key out; `false` switches an inherited one off".to_owned())
        }
        _ => None,
    }
}

/// Length of a text that lacks its quotes.
fn bare_len(rest: &str) -> usize {
    rest.find(['\n', '\r', '#', ',', '}', ']']).map_or(rest.len(), |end| rest[..end].trim_end().len())
}

struct Reader<'a, 'd> {
    source: &'a str,
    sources: &'a Sources<'a>,
    diagnostics: &'d mut Diagnostics,
    substituted: &'d mut Substituted,
}

impl Reader<'_, '_> {
    fn table(&mut self, table: &DeTable<'_>) -> Table {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entry = |(key, value): (&Spanned<_>, _)| {
            let name: &std::borrow::Cow<'_, str> = key.get_ref();
            (Key { name: name.clone().into_owned(), span: key.span() }, self.node(value))
        };
        let entries = entries.into_iter().map(entry).collect();
        Table { entries }
    }

    fn node(&mut self, value: &Spanned<DeValue<'_>>) -> Node {
        let span = value.span();
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(self.text(text, span.clone())),
            DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
                Ok(n) => Value::Integer(n),
                Err(_) => {
                    self.diagnostics.error(span.clone(), "the number is too large");
                    Value::Integer(0)
                }
            },
            DeValue::Float(n) => Value::Float(n.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(flag) => Value::Boolean(*flag),
            DeValue::Datetime(time) => Value::Datetime(time.to_string()),
            DeValue::Array(nodes) => Value::List(nodes.iter().map(|n| self.node(n)).collect()),
            DeValue::Table(table) => Value::Table(self.table(table)),
        };
        Node { span, value }
    }

    fn text(&mut self, text: &str, span: Range<usize>) -> Text {
        let start = self.content_start(text, &span);
        let in_file = |part: &Range<usize>| match start {
            Some(start) => start + part.start..start + part.end,
            None => span.clone(),
        };
        let parts = match substitute::split(text) {
            Ok(parts) => parts,
            Err((part, message, help)) => {
                self.diagnostics.error(in_file(&part), message).help(help);
                return Text { pieces: vec![Piece::Missing { written: text.to_owned() }], span };
            }
        };
        let pieces = parts
            .into_iter()
            .map(|part| match part {
                Part::Written(range) => {
                    Piece::Written { text: text[range.clone()].to_owned(), start: start.map(|s| s + range.start) }
                }
                Part::Escaped => Piece::Value { text: "${".to_owned(), secret: false },
                Part::Variable { name, default, range } => {
                    self.variable(&name, default, &text[range.clone()], in_file(&range))
                }
                Part::File { path, member, range } => {
                    self.file(&path, member.as_deref(), &text[range.clone()], in_file(&range))
                }
            })
            .collect();
        Text { span, pieces }
    }

    /// Where the content of a text begins in the file, if its bytes are those of the file.
    fn content_start(&self, text: &str, span: &Range<usize>) -> Option<usize> {
        let raw = self.source.get(span.clone())?;
        let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
        let newline = match raw.get(quotes..)? {
            rest if quotes == 3 && rest.starts_with("\r\n") => 2,
            rest if quotes == 3 && rest.starts_with('\n') => 1,
            _ => 0,
        };
        let start = quotes + newline;
        (raw.get(start..start + text.len()) == Some(text)).then_some(span.start + start)
    }

    fn variable(&mut self, name: &str, default: Option<String>, written: &str, span: Range<usize>) -> Piece {
        if let Some(mask) = self.sources.env.mask(name) {
            return Piece::Missing { written: mask.to_owned() };
        }
        match (self.sources.env.get(name), default) {
            // As in a shell, `:-` also replaces an empty value.
            (Some(""), Some(default)) | (None, Some(default)) => Piece::Value { text: default, secret: false },
            (Some(value), _) => {
                self.substituted.found.insert(name, value);
                Piece::Value { text: value.to_owned(), secret: true }
            }
            (None, None) => {
                self.note_missing(name);
                if self.sources.secrets == Secrets::Required {
                    let help = suggest::did_you_mean(name, self.sources.env.names()).unwrap_or_else(|| {
                        format!("set it, put `{name}=…` into `.env`, or give a default: `${{{name}:-…}}`")
                    });
                    self.diagnostics.error(span, format!("the environment variable `{name}` is not set")).help(help);
                }
                Piece::Missing { written: written.to_owned() }
            }
        }
    }

    fn file(&mut self, path: &str, member: Option<&str>, written: &str, span: Range<usize>) -> Piece {
        let name = member.map_or_else(|| format!("file:{path}"), |member| format!("file:{path}#{member}"));
        if let Some(mask) = self.sources.env.mask(&name) {
            return Piece::Missing { written: mask.to_owned() };
        }
        let value = match self.sources.env.recorded_file(&name) {
            Some(recorded) => Ok(recorded.to_owned()),
            None => content_of(&self.sources.folder.join(path), path, member),
        };
        match value {
            Ok(value) => {
                self.substituted.found.insert(&name, &value);
                Piece::Value { text: value, secret: true }
            }
            Err(message) => {
                self.note_missing(&name);
                if self.sources.secrets == Secrets::Required {
                    self.diagnostics.error(span, message);
                }
                Piece::Missing { written: written.to_owned() }
            }
        }
    }

    fn note_missing(&mut self, name: &str) {
        if !self.substituted.missing.iter().any(|known| known == name) {
            self.substituted.missing.push(name.to_owned());
        }
    }
}

/// What a file says, without the line break at its end, or a member of it. The error is a sentence, and shows nothing of it.
fn content_of(file: &Path, path: &str, member: Option<&str>) -> Result<String, String> {
    let content = std::fs::read_to_string(file).map_err(|cause| format!("the file `{path}` can't be read: {cause}"))?;
    let Some(member) = member else {
        let value = content.strip_suffix('\n').unwrap_or(&content);
        return Ok(value.strip_suffix('\r').unwrap_or(value).to_owned());
    };
    let document: serde_json::Value = serde_json::from_str(&content)
        .map_err(|_| format!("the file `{path}` is not JSON, so it has no `{member}`"))?;
    let found = document.get(member).or_else(|| member.split('.').try_fold(&document, |value, name| value.get(name)));
    match found {
        Some(serde_json::Value::String(text)) => Ok(text.clone()),
        Some(value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => Ok(value.to_string()),
        Some(_) => Err(format!("`{member}` of the file `{path}` is neither a text nor a number")),
        None => Err(format!("the file `{path}` has no `{member}`")),
    }
}
