//! What the file says of columns.

use super::scope::Scope;
use crate::config::tree::{Key, Node, Table};
use crate::plan::model::{ColumnHint, FieldPath, Incremental};
use crate::plan::suggest;
use crate::schema::reading::{FORMATS, Reading, TimeFormat};
use crate::schema::{ColumnType, names};

/// What the file says of columns.
pub(super) fn columns(node: Option<&Node>, scope: &mut Scope<'_>) -> Vec<ColumnHint> {
    let mut hints = Vec::new();
    for (key, node) in node.and_then(Node::as_table).map(|t| t.entries.as_slice()).unwrap_or_default() {
        check_column_name(key, scope);
        let Some(table) = node.as_table() else { continue };
        let declared = table.get("type").and_then(|n| column_type(n, scope));
        let reading = Reading {
            format: table.get("format").and_then(|n| format(n, scope)).unwrap_or_default(),
            timezone: table.get("timezone").and_then(|n| timezone(n, scope)),
        };
        let data_type = if table.get("type").is_some() { declared } else { implied_type(table, &reading) };
        check_reading(key, table, data_type, &reading, scope);
        hints.push(ColumnHint {
            name: key.name.clone(),
            data_type,
            reading,
            nullable: table.get("nullable").and_then(Node::as_boolean).unwrap_or(true),
            parse_json: table.get("parse").is_some(),
            description: table.get("description").and_then(Node::resolved),
        });
    }
    hints
}

/// Columns are named as they are in the warehouse.
pub(super) fn check_column_name(key: &Key, scope: &mut Scope<'_>) {
    let parts: Vec<String> = key.name.split(names::SEPARATOR).map(names::identifier).collect();
    let normal = names::column_name(&parts);
    if key.name != normal {
        let help = format!("in the warehouse it is `{normal}`");
        scope.found.error(key.span.clone(), format!("`{}` is not the name of a column", key.name)).help(help);
    }
}

/// A cursor is compared with what the API sends, so it can't be inside of a text that is unfolded.
pub(super) fn check_cursor(node: Option<&Node>, hints: &[ColumnHint], cursor: &Incremental, scope: &mut Scope<'_>) {
    let is_within = |path: &FieldPath, hint: &ColumnHint| {
        (1..=path.0.len()).any(|len| names::column_name(&path.0[..len]) == hint.name)
    };
    for (key, _) in node.and_then(Node::as_table).map(|t| t.entries.as_slice()).unwrap_or_default() {
        let unfolded = hints.iter().find(|hint| hint.parse_json && hint.name == key.name);
        if unfolded.is_some_and(|hint| cursor.record_paths().iter().any(|path| is_within(path, hint))) {
            let message = format!("the cursor can't be in `{}`, which is unfolded from text", key.name);
            scope.found.error(key.span.clone(), message).help("take another `cursor_path`, or leave `parse` out");
        }
    }
}

fn column_type(node: &Node, scope: &mut Scope<'_>) -> Option<ColumnType> {
    let text = node.resolved()?;
    let parsed = text.parse().ok();
    if parsed.is_none() {
        let help = match text.trim().to_ascii_uppercase().as_str() {
            "INTEGER" | "INT" | "SMALLINT" | "TINYINT" | "INT4" | "INT32" | "INT64" => "did you mean `BIGINT`?",
            "FLOAT" | "REAL" | "FLOAT4" => "did you mean `DOUBLE`?",
            "DECIMAL" | "NUMERIC" => "say how many digits: `DECIMAL(18,4)`",
            _ => {
                "known are BOOLEAN, BIGINT, HUGEINT, DOUBLE, DECIMAL(p,s), DATE, TIMESTAMP, TIMESTAMPTZ, VARCHAR and JSON"
            }
        };
        scope.found.error(node.span.clone(), format!("`{text}` is not a column type")).help(help);
    }
    parsed
}

fn format(node: &Node, scope: &mut Scope<'_>) -> Option<TimeFormat> {
    let text = node.resolved()?;
    let format = TimeFormat::named(&text);
    if format.is_none() {
        let known = FORMATS.iter().map(|(name, _)| *name);
        let help = suggest::did_you_mean(&text, known.clone())
            .unwrap_or_else(|| format!("known are {}, and strftime patterns such as `%d/%m/%Y`", suggest::list(known)));
        scope.found.error(node.span.clone(), format!("`{text}` is not a format of dates and times")).help(help);
    }
    format
}

fn timezone(node: &Node, scope: &mut Scope<'_>) -> Option<chrono_tz::Tz> {
    let text = node.resolved()?;
    let zone = text.parse().ok();
    if zone.is_none() {
        let help = suggest::did_you_mean(&text, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()))
            .unwrap_or_else(|| "write it as in `Europe/Berlin`".to_owned());
        scope.found.error(node.span.clone(), format!("`{text}` is not a time zone")).help(help);
    }
    zone
}

/// The type that a format or a zone stands for, where no type is given.
fn implied_type(table: &Table, reading: &Reading) -> Option<ColumnType> {
    if table.get("format").is_none() && reading.timezone.is_none() {
        return None;
    }
    let says = reading.format.says();
    Some(match (says.zone || reading.timezone.is_some(), says.time) {
        (true, _) => ColumnType::TimestampTz,
        (false, true) if reading.format == TimeFormat::Iso8601 => return None,
        (false, true) => ColumnType::Timestamp,
        (false, false) => ColumnType::Date,
    })
}

/// A format or a zone is for dates and times, and an instant needs a zone from somewhere.
fn check_reading(key: &Key, table: &Table, to: Option<ColumnType>, reading: &Reading, scope: &mut Scope<'_>) {
    use ColumnType::{Date, Timestamp, TimestampTz};
    let place = |name: &str| table.entry(name).map_or(key.span.clone(), |(key, _)| key.span.clone());
    if let Some(name) = ["format", "timezone"].into_iter().find(|name| table.get(name).is_some())
        && to.is_some_and(|to| !matches!(to, Date | Timestamp | TimestampTz))
    {
        let message = format!("`{name}` is for dates and times, and `{}` is none", key.name);
        scope.found.error(place(name), message).help("the type may be DATE, TIMESTAMP or TIMESTAMPTZ");
        return;
    }
    let TimeFormat::Pattern(_) = reading.format else { return };
    let says = reading.format.says();
    if to == Some(TimestampTz) && !says.zone && reading.timezone.is_none() {
        let message = format!("the times of `{}` name no zone", key.name);
        scope.found.error(place("format"), message).help("add `timezone`, such as `timezone = \"UTC\"`");
    }
    if matches!(to, Some(Date | Timestamp)) && says.zone && reading.timezone.is_none() {
        let message = format!("the times of `{}` are instants, and no zone says which clock they go by", key.name);
        scope.found.error(place("format"), message).help("declare it as TIMESTAMPTZ, or add `timezone`");
    }
}
