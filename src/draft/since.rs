//! What changed since when: a parameter that asks for it, and a field that shows it.

use super::document::{Document, Operation, Parameter, Shape};
use super::words::{inline, normal, quoted};
use serde_json::Value;

/// Parameters that ask for what changed, whatever their description says.
const CHANGED_PARAMS: &[&str] = &[
    "updatedsince",
    "modifiedsince",
    "changedsince",
    "updatedafter",
    "modifiedafter",
    "changedafter",
    "updatedatmin",
    "updatedatgte",
    "updatedatgt",
    "updatedatafter",
    "updatedatfrom",
    "updatedgte",
    "updatedgt",
    "lastmodifiedafter",
    "lastmodifiedsince",
    "lastupdatedafter",
    "lastupdatedsince",
    "modifiedatgte",
    "modifiedgte",
    "modifiedfrom",
    "updatedfrom",
    "filterupdatedatgte",
    "filterupdatedsince",
    "ifmodifiedsince",
    "sinceupdated",
    "minupdatedat",
];
/// Parameters that ask for something since a time.
const SINCE_PARAMS: &[&str] = &["since", "after", "from", "startdate", "starttime", "fromdate", "sincedate", "mindate"];
const CREATED_PARAMS: &[&str] = &[
    "createdsince",
    "createdafter",
    "createdatmin",
    "createdatgte",
    "createdgte",
    "createdgt",
    "createdfrom",
    "createdatafter",
];
const CHANGED_FIELDS: &[&str] = &[
    "updatedat",
    "modifiedat",
    "lastmodifiedat",
    "lastupdatedat",
    "updated",
    "modified",
    "lastmodified",
    "lastupdated",
    "updatedon",
    "modifiedon",
    "dateupdated",
    "datemodified",
    "updatedtime",
    "updatetime",
    "modifiedtime",
    "lastmodifieddate",
    "lastmodifiedtime",
    "updateddate",
    "modifieddate",
    "changedat",
    "lastedited",
    "lasteditedtime",
    "changed",
];
const CREATED_FIELDS: &[&str] =
    &["createdat", "created", "createdon", "datecreated", "createdtime", "createtime", "creationdate", "createddate"];

/// `incremental`, as it was guessed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Since {
    /// Its value as TOML.
    Sure { table: String, param: String },
    /// Its value, and why it needs a look.
    Unsure { table: String, why: String },
    /// There is nothing.
    None,
}

/// Guesses.
pub(super) fn guess<'d>(
    document: &Document<'d>,
    operation: &Operation<'d>,
    item: &'d Value,
    taken: &[String],
) -> Since {
    let members = document.members(item);
    let field = |names: &[&str]| {
        names.iter().find_map(|wanted| members.all.iter().find(|(name, _)| normal(name) == *wanted)).copied()
    };
    let query: Vec<&Parameter<'_>> =
        operation.parameters.iter().filter(|p| p.place == "query" && !taken.iter().any(|t| t == p.name)).collect();
    let named = |names: &[&str]| names.iter().find_map(|n| query.iter().find(|p| normal(p.name) == *n)).copied();
    let changed = field(CHANGED_FIELDS);
    if let (Some(param), Some(field)) = (named(CHANGED_PARAMS), changed) {
        return sure(document, param, field);
    }
    if let Some(param) = named(SINCE_PARAMS).filter(|p| is_time(document, p)) {
        let words = param.description.to_lowercase();
        let is_of_changes = ["updat", "modif", "chang"].iter().any(|word| words.contains(word));
        return match (changed.filter(|_| is_of_changes), changed.or_else(|| field(CREATED_FIELDS))) {
            (Some(field), _) => sure(document, param, field),
            (None, Some(field)) => {
                let why = format!("does `{}` go by `{}`? the document doesn't say", param.name, field.0);
                Since::Unsure { table: table(document, param, field), why }
            }
            (None, None) => Since::None,
        };
    }
    if let (Some(param), Some(field)) = (named(CREATED_PARAMS), field(CREATED_FIELDS)) {
        let why = "only if records never change: they are asked for by when they were made".to_owned();
        return Since::Unsure { table: table(document, param, field), why };
    }
    Since::None
}

fn sure(document: &Document<'_>, param: &Parameter<'_>, field: (&str, &Value)) -> Since {
    Since::Sure { table: table(document, param, field), param: param.name.to_owned() }
}

/// Whether a parameter is a time: `after` and `from` are also tokens and offsets.
fn is_time(document: &Document<'_>, param: &Parameter<'_>) -> bool {
    let format = param.schema["format"].as_str().unwrap_or_default();
    let words = param.description.to_lowercase();
    let says_time = ["date", "time", "iso 8601", "epoch", "rfc 3339"].iter().any(|word| words.contains(word));
    format.starts_with("date") || (says_time && document.shape(param.schema) != Shape::Boolean)
}

fn table(document: &Document<'_>, param: &Parameter<'_>, (field, schema): (&str, &Value)) -> String {
    let mut entries = vec![("cursor_path".to_owned(), quoted(field)), ("start_param".to_owned(), quoted(param.name))];
    let is_number = |schema| matches!(document.shape(schema), Shape::Integer | Shape::Number);
    let is_text = document.shape(schema) == Shape::Text;
    // Where both are of a kind, the value is sent as it was seen.
    let format = match param.schema["format"].as_str() {
        Some("date") => Some("date"),
        _ if is_number(param.schema) && is_text => Some("epoch_s"),
        Some("date-time") if is_number(schema) => Some("iso8601"),
        _ => None,
    };
    entries.extend(format.map(|format| ("format".to_owned(), quoted(format))));
    inline(&entries)
}
