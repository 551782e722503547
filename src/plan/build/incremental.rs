//! What is asked for since when.

use super::path;
use super::scope::{Scope, Use};
use crate::config::tree::{Node, Value};
use crate::plan::model::{CursorFormat, Incremental, Lag, OnCursorMissing};
use crate::plan::{duration, suggest};

/// Builds the cursor of a resource. `uses` are the names that the request's expressions use.
pub(super) fn incremental(node: &Node, uses: &[Use], scope: &mut Scope<'_>) -> Option<Incremental> {
    let table = node.as_table()?;
    let start_param = table.get("start_param").and_then(Node::resolved);
    if let (Some(used), Some(param)) = (uses.iter().find(|u| u.is("cursor", "start")), &start_param) {
        let message = format!("`cursor.start` is sent twice: by this expression and as `{param}`");
        scope.found.error(used.span.clone(), message).help("leave `start_param` out");
    }
    let on_missing = match table.get("on_cursor_value_missing").and_then(Node::resolved).as_deref() {
        Some("raise") => OnCursorMissing::Raise,
        Some("exclude") => OnCursorMissing::Exclude,
        _ => OnCursorMissing::Include,
    };
    let cursor_paths = path::fields(table.get("cursor_path"), scope);
    if let Some(list) = table.get("cursor_path").filter(|n| n.one_or_many().is_empty()) {
        scope.found.error(list.span.clone(), "`cursor_path` is an empty list");
    }
    Some(Incremental {
        cursor_paths,
        start_param,
        initial_value: table.get("initial_value").and_then(|n| initial_value(n, scope)),
        lag: table.get("lag").and_then(lag),
        format: table.get("format").and_then(|n| format(n, scope)),
        on_missing,
    })
}

fn initial_value(node: &Node, scope: &mut Scope<'_>) -> Option<String> {
    let text = node.as_scalar()?;
    if let Some(span) = text.expression_span() {
        scope
            .found
            .error(span, "`{{ … }}` can't be used in `initial_value`")
            .help("write the value itself, or bring it in with `${NAME:-default}`");
    }
    text.resolved()
}

fn lag(node: &Node) -> Option<Lag> {
    match &node.value {
        Value::Integer(n) => Some(Lag::Number(*n)),
        _ => {
            let text = node.resolved()?;
            duration::parse_duration(&text).map(Lag::Time).or_else(|| text.trim().parse().ok().map(Lag::Number))
        }
    }
}

const FORMATS: [(&str, CursorFormat); 4] = [
    ("iso8601", CursorFormat::Iso8601),
    ("date", CursorFormat::Date),
    ("epoch_s", CursorFormat::EpochSeconds),
    ("epoch_ms", CursorFormat::EpochMillis),
];

fn format(node: &Node, scope: &mut Scope<'_>) -> Option<CursorFormat> {
    let text = node.resolved()?;
    if let Some((_, format)) = FORMATS.iter().find(|(name, _)| *name == text) {
        return Some(format.clone());
    }
    let is_pattern = text.contains('%') && chrono::format::StrftimeItems::new(&text).parse().is_ok();
    if is_pattern {
        return Some(CursorFormat::Strftime(text));
    }
    let names = FORMATS.iter().map(|(name, _)| *name);
    let help = suggest::did_you_mean(&text, names.clone())
        .unwrap_or_else(|| format!("known are {}, and strftime patterns such as `%Y-%m-%d`", suggest::list(names)));
    scope.found.error(node.span.clone(), format!("`{text}` is not a format of times")).help(help);
    None
}
