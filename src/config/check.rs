//! Holds a file against the description of its keys: unknown keys, keys of later versions, wrong types, wrong words.

use super::diagnostic::Diagnostics;
use super::keys;
use super::spec::{Choice, Key, Kind, Table, Tagged, Variant};
use super::tree::{self, Node, Value};
use crate::plan::duration;
use crate::plan::suggest;
use std::ops::Range;

/// Checks a table against its description. `span` is where a missing key is reported.
pub fn check_table(table: &tree::Table, spec: &Table, span: Range<usize>, found: &mut Diagnostics) {
    for (key, node) in &table.entries {
        match spec.key(&key.name) {
            Some(known) => check_key(node, known, key, found),
            None => report_unknown(key, spec.keys.iter(), spec.later, place_of(&key.name, spec), found),
        }
    }
    check_required(table, spec.keys, span, found);
}

/// Where a key of a pipeline file belongs that is unknown where it stands: under another table, or under another name.
fn place_of(name: &str, spec: &Table) -> Option<String> {
    let client = keys::PIPELINE.table("client")?;
    let resource = keys::PIPELINE.table("resources")?;
    let defaults = keys::PIPELINE.table("resource_defaults")?;
    let incremental = resource.table("incremental")?;
    // Other tables, such as those of the operator file, have keys of other names only.
    if ![&keys::PIPELINE, client, resource, defaults, incremental].iter().any(|table| table.has_keys_of(spec)) {
        return None;
    }
    if let Some((_, ours)) = OF_OTHERS.iter().find(|(other, _)| *other == name) {
        return Some((*ours).to_owned());
    }
    let holds = |table: &Table| table.key(name).is_some();
    if holds(&keys::PIPELINE) {
        return Some(format!("`{name}` stands at the top of the file, above every [table]"));
    }
    match (holds(client), holds(resource)) {
        (true, true) => Some(format!("`{name}` belongs under [client], [resource_defaults] or [resources.NAME]")),
        (true, false) => Some(format!("`{name}` belongs under [client]")),
        (false, true) => {
            Some(format!("`{name}` belongs under [resources.NAME], or [resource_defaults] for all of them"))
        }
        (false, false) if holds(incremental) => Some(format!("`{name}` belongs into `incremental` of a resource")),
        (false, false) => None,
    }
}

/// Words that files of other programs have for ours, with what to write.
const OF_OTHERS: [(&str, &str); 8] = [
    ("endpoint", "its keys stand in the resource itself: `path`, `params`, `paginator`, `incremental`, …"),
    ("streams", "write `[resources.NAME]` for each"),
    ("url", "`base_url` under [client], and `path` of each resource below it"),
    ("query", "query parameters are `params`, a body is `json`, `form` or `body`"),
    ("records_path", "it is `data_selector` here"),
    ("record_selector", "it is `data_selector` here"),
    ("cursor_field", "it is `cursor_path` in `incremental`"),
    ("requester", "`base_url` and `auth` stand under [client], `path` and `params` in the resource"),
];

fn check_required(table: &tree::Table, keys: &[Key], span: Range<usize>, found: &mut Diagnostics) {
    for key in keys.iter().filter(|k| k.required && table.get(k.name).is_none()) {
        found.error(span.clone(), format!("`{}` is missing", key.name)).help(format!(
            "{}: {}",
            key.name,
            lower(key.doc)
        ));
    }
}

/// A key's one line as the middle of a sentence.
fn lower(doc: &str) -> String {
    let mut letters = doc.chars();
    match (letters.next(), letters.as_str()) {
        (Some(first), rest) if rest.starts_with(char::is_lowercase) => first.to_lowercase().to_string() + rest,
        _ => doc.to_owned(),
    }
}

fn report_unknown<'k>(
    key: &tree::Key,
    known: impl Iterator<Item = &'k Key> + Clone,
    later: &[&str],
    elsewhere: Option<String>,
    found: &mut Diagnostics,
) {
    if later.contains(&key.name.as_str()) {
        found.error(key.span.clone(), format!("`{}` is not yet supported", key.name));
        return;
    }
    // What is a key elsewhere is no misspelling of one here.
    let help = elsewhere.or_else(|| suggest::did_you_mean(&key.name, known.clone().map(|k| k.name)));
    let help = help.unwrap_or_else(|| {
        let names: Vec<&str> = known.map(|k| k.name).collect();
        if names.is_empty() { "it takes no keys".into() } else { format!("known are {}", suggest::list(names)) }
    });
    found.error(key.span.clone(), format!("unknown key `{}`", key.name)).help(help);
}

fn check_key(node: &Node, known: &Key, key: &tree::Key, found: &mut Diagnostics) {
    if node.is_off() && known.off {
        return;
    }
    check(node, &known.kind, known.name, &key.span, found);
}

/// Checks a value. `name` is the key's, for messages; `owner` its place, where a missing key of a table is reported.
fn check(node: &Node, kind: &Kind, name: &str, owner: &Range<usize>, found: &mut Diagnostics) {
    if !accepts(kind, node) {
        let message = format!("`{name}` must be {}, not {}", kind.describe(), node.describe());
        found.error(node.span.clone(), message).help_maybe(type_help(kind, node).or_else(|| form_of(name)));
        return;
    }
    match (kind, &node.value) {
        (Kind::Text, Value::Text(text)) => check_plain(text, name, found),
        (Kind::Integer { min, max }, _) => check_integer(node, *min, *max, name, found),
        (Kind::Boolean, Value::Text(_)) => check_substituted(node, node.as_boolean().is_some(), kind, name, found),
        (Kind::Duration, Value::Text(text)) => {
            let valid = text.resolved().is_none_or(|t| duration::parse_duration(&t).is_some());
            if !valid {
                found.error(node.span.clone(), format!("`{name}` is not a duration")).help(duration::FORMS);
            }
        }
        (Kind::Size, Value::Text(text)) if text.resolved().is_some_and(|t| super::values::size_bytes(&t).is_none()) => {
            let help = "write a number of bytes, or a number with KB, MB, GB, KiB, MiB or GiB";
            found.error(node.span.clone(), format!("`{name}` is not a size")).help(help);
        }
        (Kind::Size, Value::Integer(n)) if *n <= 0 => {
            found.error(node.span.clone(), format!("`{name}` must be more than 0"));
        }
        (Kind::Choice(choice), _) => check_choice(node, choice, name, found),
        (Kind::OneOrMany(kind) | Kind::List(kind), Value::List(nodes)) => {
            nodes.iter().for_each(|n| check(n, kind, name, &n.span, found));
        }
        (Kind::OneOrMany(kind), _) => check(node, kind, name, owner, found),
        (Kind::Map(kind), Value::Table(table)) => {
            for (key, node) in &table.entries {
                check(node, kind, &key.name, &key.span, found);
            }
        }
        (Kind::Table(spec), Value::Table(table)) => check_table(table, spec, owner.clone(), found),
        (Kind::Tagged(tagged), _) => check_tagged(node, tagged, owner, found),
        (Kind::Either(kinds), _) => {
            if let Some(kind) = kinds.iter().find(|k| accepts(k, node)) {
                check(node, kind, name, owner, found);
            }
        }
        _ => {}
    }
}

/// Whether a value has the shape that a kind asks for. A text with a `${…}` may become a number or a flag.
fn accepts(kind: &Kind, node: &Node) -> bool {
    let substituted = || node.as_text().is_some_and(|t| t.has_substitution());
    match (kind, &node.value) {
        (Kind::Text | Kind::Template | Kind::Choice(_) | Kind::Duration, Value::Text(_)) => true,
        (Kind::Integer { .. } | Kind::Size, Value::Integer(_)) | (Kind::Boolean, Value::Boolean(_)) => true,
        (Kind::Integer { .. } | Kind::Boolean, Value::Text(_)) => substituted(),
        (Kind::Size, Value::Text(_)) => true,
        (Kind::Scalar, Value::List(_) | Value::Table(_)) => false,
        (Kind::Scalar | Kind::Json, _) => true,
        (Kind::OneOrMany(_) | Kind::List(_), Value::List(_)) => true,
        (Kind::OneOrMany(kind), _) => accepts(kind, node),
        (Kind::Map(_) | Kind::Table(_), Value::Table(_)) => true,
        (Kind::Tagged(_), Value::Table(_) | Value::Text(_)) => true,
        (Kind::Either(kinds), _) => kinds.iter().any(|k| accepts(k, node)),
        _ => false,
    }
}

/// How the value of a key looks that is often written in another form.
fn form_of(name: &str) -> Option<String> {
    let form = match name {
        "resources" => "write a table for each resource: [resources.NAME]",
        "timeout" => "as in timeout = { connect = \"10s\", read = \"60s\" }",
        "headers" => "as in headers = { Accept = \"application/json\" }",
        "params" => "as in params = { status = \"open\" }",
        "rate_limit" => "as in rate_limit = \"100/minute\"",
        "incremental" => "as in incremental = { cursor_path = \"updated_at\", start_param = \"since\" }",
        "retry" => "as in retry = { max_attempts = 3 }",
        "vars" => "as in [vars] and team = \"growth\" below it",
        "columns" => "as in columns.price = { type = \"DECIMAL(18,4)\" }",
        _ => return None,
    };
    Some(form.to_owned())
}

fn type_help(kind: &Kind, node: &Node) -> Option<String> {
    match (kind, &node.value) {
        (Kind::Integer { .. } | Kind::Boolean, Value::Text(text)) => {
            let inner = text.resolved()?;
            let fits = inner.parse::<u64>().is_ok() || inner.parse::<bool>().is_ok();
            fits.then(|| format!("write it without quotes: {inner}"))
        }
        (Kind::Duration, Value::Integer(n)) => Some(format!("write it with its unit, in quotes: \"{n}s\"")),
        (Kind::Text | Kind::Template | Kind::Choice(_), Value::Integer(n)) => {
            Some(format!("write it in quotes: \"{n}\""))
        }
        (Kind::List(_), Value::Text(_) | Value::Integer(_) | Value::Table(_)) => {
            Some("put it in brackets: [ … ]".into())
        }
        _ => None,
    }
}

/// Expressions are evaluated only where the description says so; elsewhere they would be taken as they are.
fn check_plain(text: &super::text::Text, name: &str, found: &mut Diagnostics) {
    if let Some(span) = text.expression_span() {
        found.error(span, format!("`{{{{ … }}}}` can't be used in `{name}`")).help(
            "expressions are evaluated in base_url, path, params, headers, json, form, body, add_columns, filter, parent_filter \
             and auth",
        );
    }
}

fn check_integer(node: &Node, min: u64, max: u64, name: &str, found: &mut Diagnostics) {
    let kind = Kind::Integer { min, max };
    match &node.value {
        Value::Text(_) => {
            let valid = node.as_count().is_some_and(|n| (min..=max).contains(&n));
            check_substituted(node, valid, &kind, name, found);
        }
        _ if node.as_count().is_some_and(|n| (min..=max).contains(&n)) => {}
        _ => {
            found.error(node.span.clone(), format!("`{name}` must be {}", kind.describe()));
        }
    }
}

/// A text that a `${…}` made must read as what is expected, unless its value is not known.
fn check_substituted(node: &Node, valid: bool, kind: &Kind, name: &str, found: &mut Diagnostics) {
    if !valid && node.resolved().is_some() {
        let message = format!("`{name}` must be {} once `${{…}}` is in place", kind.describe());
        found.error(node.span.clone(), message);
    }
}

fn check_choice(node: &Node, choice: &Choice, name: &str, found: &mut Diagnostics) {
    let Some(word) = node.resolved() else { return };
    if choice.words.iter().any(|(known, _)| *known == word) {
        return;
    }
    if choice.later.contains(&word.as_str()) {
        found.error(node.span.clone(), format!("`{name} = \"{word}\"` is not yet supported"));
        return;
    }
    let words = choice.words.iter().map(|(word, _)| *word);
    let help =
        suggest::did_you_mean(&word, words.clone()).unwrap_or_else(|| format!("known are {}", suggest::list(words)));
    found.error(node.span.clone(), format!("`{word}` is not a value of `{name}`")).help(help);
}

fn check_tagged(node: &Node, tagged: &Tagged, owner: &Range<usize>, found: &mut Diagnostics) {
    let empty = tree::Table::default();
    let (table, tag) = match &node.value {
        Value::Table(table) => (table, table.get("type")),
        _ => (&empty, Some(node)),
    };
    let what = tagged.what;
    let Some(tag) = tag else {
        let help = format!("known types are {}", suggest::list(tagged.variants.iter().map(|v| v.name)));
        found.error(owner.clone(), format!("`{what}` has no `type`")).help(help);
        return;
    };
    let word = tag.resolved();
    let variant = tagged.variants.iter().find(|v| word.as_deref() == Some(v.name));
    let (Some(word), Some(variant)) = (&word, variant) else {
        match &word {
            // What `${…}` brings in may be a secret, and is not told.
            _ if tag.as_text().is_some_and(|text| text.has_substitution()) => {
                report_substituted_type(tag, tagged, found)
            }
            Some(word) => report_unknown_type(tag, word, tagged, found),
            None => {
                found.error(tag.span.clone(), format!("`type` must be text, not {}", tag.describe()));
            }
        }
        return;
    };
    let known = || tagged.common.iter().chain(variant.table.keys);
    for (key, node) in table.entries.iter().filter(|(key, _)| key.name != "type") {
        match known().find(|k| k.name == key.name) {
            Some(spec) => check_key(node, spec, key, found),
            None => {
                let other = tagged.variants.iter().find(|v| v.table.key(&key.name).is_some());
                let elsewhere = other.map(|v| format!("it is a key of `{}`, not of `{word}`", v.name));
                report_unknown(key, known(), variant.table.later, elsewhere, found);
            }
        }
    }
    if table.entries.is_empty() && variant.table.keys.iter().any(|key| key.required) {
        report_bare_type(node, variant, what, found);
        return;
    }
    check_required(table, variant.table.keys, owner.clone(), found);
}

/// A text stands for a table that has only a `type`, and this type needs more.
fn report_bare_type(node: &Node, variant: &Variant, what: &str, found: &mut Diagnostics) {
    let required = variant.table.keys.iter().filter(|key| key.required);
    let keys: Vec<String> = required.clone().map(|key| format!("{} = \"…\"", key.name)).collect();
    let names = suggest::list(required.map(|key| key.name));
    let help = format!("as in {what} = {{ type = \"{}\", {} }}", variant.name, keys.join(", "));
    found.error(node.span.clone(), format!("`{}` needs {names}", variant.name)).help(help);
}

/// `auth = "${TOKEN}"`: what stands in the place of the type is a value.
fn report_substituted_type(tag: &Node, tagged: &Tagged, found: &mut Diagnostics) {
    let what = tagged.what;
    let names = suggest::list(tagged.variants.iter().map(|v| v.name));
    let help = match tagged.variants.first().and_then(|v| Some((v.name, v.table.keys.iter().find(|k| k.required)?))) {
        Some((name, key)) => {
            format!("as in {what} = {{ type = \"{name}\", {} = \"${{…}}\" }}; known types are {names}", key.name)
        }
        None => format!("known types are {names}"),
    };
    found.error(tag.span.clone(), format!("a `${{…}}` is no type of `{what}`")).help(help);
}

fn report_unknown_type(tag: &Node, word: &str, tagged: &Tagged, found: &mut Diagnostics) {
    let what = tagged.what;
    if tagged.later.contains(&word) {
        found.error(tag.span.clone(), format!("the {what} `{word}` is not yet supported"));
        return;
    }
    let names = tagged.variants.iter().map(|v| v.name);
    let help =
        suggest::did_you_mean(word, names.clone()).unwrap_or_else(|| format!("known are {}", suggest::list(names)));
    found.error(tag.span.clone(), format!("`{word}` is not a type of `{what}`")).help(help);
}
