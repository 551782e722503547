//! What bodies are: format, and how CSV, XML and records that are lists are read.

use super::layers::Layers;
use super::path;
use super::scope::Scope;
use crate::config::tree::{Key, Node, Table, Value};
use crate::plan::model::{
    BodyFormat, Charset, ColumnNames, CsvFormat, CsvHeader, FieldPath, FormatKind, Paginator, RecordColumns, XmlFormat,
};
use crate::plan::suggest;
use std::path::Path;

/// Keys that a resource whose bodies are files has no use for.
const NOT_FOR_FILES: [&str; 8] =
    ["data_selector", "record_columns", "key_column", "allow_missing", "encoding", "csv", "xml", "poll"];

/// Charsets that a mistyped one is held against.
const CHARSETS: [&str; 8] =
    ["utf-8", "utf-16le", "windows-1250", "windows-1251", "windows-1252", "iso-8859-1", "iso-8859-15", "shift_jis"];

/// Builds what bodies are. `file` is the pipeline file.
pub(super) fn format(own: &Layers<'_>, file: &Path, scope: &mut Scope<'_>) -> BodyFormat {
    let table = |name: &str| own.get(name).and_then(Node::as_table);
    let kind = own.get("format").and_then(Node::resolved).and_then(|word| match word.as_str() {
        "json" => Some(FormatKind::Json),
        "jsonl" => Some(FormatKind::Jsonl),
        "csv" => Some(FormatKind::Csv),
        "xml" => Some(FormatKind::Xml),
        "file" => Some(FormatKind::File),
        _ => None,
    });
    let folder = file.parent().unwrap_or(Path::new(""));
    let format = BodyFormat {
        kind,
        csv: table("csv").map(|table| csv(table, scope)),
        xml: table("xml").map(xml),
        charset: own.get("encoding").and_then(|node| charset(node, scope)),
        key_column: own.get("key_column").and_then(|node| key_column(node, own, scope)),
        record_columns: own.get("record_columns").and_then(|node| record_columns(node, scope)),
        files_path: own.get("files_path").and_then(Node::resolved).map(|path| folder.join(path)),
    };
    refuse_unused(&format, own, scope);
    format
}

/// A key that says how another format is read is a mistake: it would do nothing.
fn refuse_unused(format: &BodyFormat, own: &Layers<'_>, scope: &mut Scope<'_>) {
    let nearest = own.0.first();
    let is_own = |name: &str| nearest.is_some_and(|table| table.get(name).is_some_and(|node| !node.is_off()));
    let mut refuse = |name: &str, message: String| {
        if let Some((key, _)) = own.entry(name).filter(|_| is_own(name)) {
            scope.found.error(key.span.clone(), message);
        }
    };
    match format.kind {
        None => {}
        Some(FormatKind::File) => {
            for name in NOT_FOR_FILES {
                refuse(name, format!("`{name}` has no meaning with `format = \"file\"`: the body is stored as it is"));
            }
        }
        Some(kind) => {
            for (name, of) in [("csv", FormatKind::Csv), ("xml", FormatKind::Xml), ("files_path", FormatKind::File)] {
                if kind != of {
                    refuse(name, format!("`{name}` has no effect: the format of this resource is another one"));
                }
            }
        }
    }
}

/// A file is one answer: there is nothing to page through.
pub(super) fn file_paginator(paginator: Paginator, own: &Layers<'_>, key: &Key, scope: &mut Scope<'_>) -> Paginator {
    if !matches!(paginator, Paginator::Auto | Paginator::SinglePage) {
        let span = own.entry("paginator").map_or(key.span.clone(), |(key, _)| key.span.clone());
        let help = "set `paginator = \"single_page\"`; a file per record of another resource is a child of it";
        scope.found.error(span, "a resource with `format = \"file\"` has one page").help(help);
    }
    Paginator::SinglePage
}

fn csv(table: &Table, scope: &mut Scope<'_>) -> CsvFormat {
    let default = CsvFormat::default();
    let quote = match table.get("quote") {
        Some(node) if node.is_off() => None,
        Some(node) => character(node, scope),
        None => default.quote,
    };
    let nulls = match table.get("null") {
        Some(node) if node.is_off() => Vec::new(),
        Some(node) => node.one_or_many().iter().filter_map(Node::resolved).collect(),
        None => default.nulls,
    };
    let format = CsvFormat {
        delimiter: table.get("delimiter").and_then(|node| character(node, scope)),
        quote,
        nulls,
        header: table.get("header").map_or(CsvHeader::FirstRow, |node| header(node, scope)),
        infer: table.get("infer").and_then(Node::as_boolean).unwrap_or(false),
        comment: table.get("comment").and_then(|node| character(node, scope)),
        skip_rows: table.get("skip_rows").and_then(Node::as_count).unwrap_or(0),
    };
    let roles = [format.delimiter.or(Some(b',')), format.quote, format.comment];
    let is_double = |at: usize| roles[at].is_some() && roles[..at].contains(&roles[at]);
    if (1..roles.len()).any(is_double)
        && let Some((key, _)) = table.entries.first()
    {
        scope.found.error(key.span.clone(), "delimiter, quote and comment of `csv` have to be different characters");
    }
    format
}

fn header(node: &Node, scope: &mut Scope<'_>) -> CsvHeader {
    match &node.value {
        Value::List(names) if names.is_empty() => {
            scope
                .found
                .error(node.span.clone(), "`header` names no column")
                .help("`false` says that no row names them");
            CsvHeader::None
        }
        Value::List(names) => CsvHeader::Names(names.iter().filter_map(Node::resolved).collect()),
        _ if node.as_boolean() == Some(false) => CsvHeader::None,
        _ => CsvHeader::FirstRow,
    }
}

/// One ASCII character.
fn character(node: &Node, scope: &mut Scope<'_>) -> Option<u8> {
    let text = node.resolved()?;
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\r' | b'\n') => Some(*byte),
        _ => {
            let help = "write one ASCII character, such as \";\" or \"\\t\"";
            scope.found.error(node.span.clone(), format!("`{text}` is not one character")).help(help);
            None
        }
    }
}

fn xml(table: &Table) -> XmlFormat {
    let lists = table.get("lists").map(Node::one_or_many).unwrap_or_default();
    XmlFormat { lists: lists.iter().filter_map(Node::resolved).collect() }
}

fn charset(node: &Node, scope: &mut Scope<'_>) -> Option<Charset> {
    let label = node.resolved()?;
    let charset = Charset::of_label(&label);
    if charset.is_none() {
        let help = suggest::did_you_mean(&label, CHARSETS).unwrap_or_else(|| {
            "charsets are those of the WHATWG Encoding Standard, such as `windows-1252` or `shift_jis`".into()
        });
        scope.found.error(node.span.clone(), format!("`{label}` is not a charset that is known")).help(help);
    }
    charset
}

/// The column for the names of records. The selector has to say where their object is.
fn key_column(node: &Node, own: &Layers<'_>, scope: &mut Scope<'_>) -> Option<String> {
    let column = node.resolved()?;
    if column.trim().is_empty() {
        scope.found.error(node.span.clone(), "`key_column` names no column");
        return None;
    }
    if own.get("data_selector").is_none() {
        let help = "say where the object of records is, as in `data_selector = \"rates\"`";
        scope.found.error(node.span.clone(), "`key_column` needs a `data_selector`").help(help);
    }
    Some(column)
}

fn record_columns(node: &Node, scope: &mut Scope<'_>) -> Option<RecordColumns> {
    let Some(table) = node.as_table() else { return column_names(node, scope).map(RecordColumns::Records) };
    if table.entries.is_empty() {
        scope.found.error(node.span.clone(), "`record_columns` names no field");
    }
    let mut fields: Vec<(FieldPath, ColumnNames)> = Vec::new();
    for (key, node) in &table.entries {
        let field = path::field_of_key(key, scope);
        let (Some(field), Some(names)) = (field, column_names(node, scope)) else { continue };
        refuse_name_twice(node, &field, &names, &fields, scope);
        fields.push((field, names));
    }
    Some(RecordColumns::Fields(fields))
}

fn column_names(node: &Node, scope: &mut Scope<'_>) -> Option<ColumnNames> {
    match &node.value {
        Value::List(names) if names.is_empty() => {
            scope.found.error(node.span.clone(), "`record_columns` names no column");
            None
        }
        Value::List(names) => Some(ColumnNames::Listed(names.iter().filter_map(Node::resolved).collect())),
        _ => path::steps(node, scope).map(ColumnNames::At),
    }
}

/// Elements of several lists of one object become fields beside each other.
fn refuse_name_twice(
    node: &Node,
    field: &FieldPath,
    names: &ColumnNames,
    others: &[(FieldPath, ColumnNames)],
    scope: &mut Scope<'_>,
) {
    let object_of = |field: &FieldPath| field.0[..field.0.len().saturating_sub(1)].to_vec();
    let listed = |names: &ColumnNames| match names {
        ColumnNames::Listed(names) => names.clone(),
        ColumnNames::At(_) => Vec::new(),
    };
    let beside = others.iter().filter(|(other, _)| object_of(other) == object_of(field));
    let taken: Vec<String> = beside.flat_map(|(_, names)| listed(names)).collect();
    if let Some(name) = listed(names).iter().find(|name| taken.contains(name)) {
        let message = format!("two lists of a record name a column `{name}`");
        scope.found.error(node.span.clone(), message).help("give one of them another name");
    }
}
