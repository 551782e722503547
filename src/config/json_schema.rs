//! The JSON Schema (draft 07, which every editor's TOML plugin reads) of the two files.

use super::keys;
use super::spec::{Choice, Key, Kind, Table, Tagged};
use serde_json::{Map, Value, json};

/// Tables that keys have in common, by name: each is written once, and the keys refer to it.
type Definitions = Map<String, Value>;

/// A text that holds a `${…}` may stand for any value that is read from text.
const SUBSTITUTION: &str = r"\$\{";

/// What both schemas are written in.
pub const DIALECT: &str = "http://json-schema.org/draft-07/schema#";

/// The schema of pipeline files.
pub fn pipeline() -> Value {
    document("Pintail pipeline", "One API: what all requests share, and the resources to load", &keys::PIPELINE)
}

/// The schema of the operator file.
pub fn config() -> Value {
    document("Pintail config.toml", "Where rows go and how runs behave", &keys::CONFIG)
}

/// Both, as members of one document.
pub fn both() -> Value {
    // References are made from the root of a document.
    let member = |name: &str, schema: Value| within(schema, &format!("#/{name}/definitions/"));
    json!({ "$schema": DIALECT, "pipeline": member("pipeline", pipeline()), "config": member("config", config()) })
}

/// A schema whose references lead to definitions elsewhere.
fn within(schema: Value, definitions: &str) -> Value {
    match schema {
        Value::Object(members) => {
            let moved = |(key, value): (String, Value)| match (key.as_str(), value) {
                ("$ref", Value::String(path)) => (key, json!(path.replacen("#/definitions/", definitions, 1))),
                (_, value) => (key, within(value, definitions)),
            };
            Value::Object(members.into_iter().map(moved).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(|item| within(item, definitions)).collect()),
        other => other,
    }
}

fn document(title: &str, description: &str, spec: &Table) -> Value {
    let mut definitions = Definitions::new();
    let mut schema = table(spec, &mut definitions);
    let mut head = Map::new();
    head.insert("$schema".into(), json!(DIALECT));
    head.insert("title".into(), json!(title));
    head.insert("description".into(), json!(description));
    head.append(&mut schema);
    head.insert("definitions".into(), Value::Object(definitions));
    Value::Object(head)
}

fn table(spec: &Table, definitions: &mut Definitions) -> Map<String, Value> {
    let mut schema = Map::new();
    let properties: Map<String, Value> = spec.keys.iter().map(|k| (k.name.to_owned(), key(k, definitions))).collect();
    schema.insert("type".into(), json!("object"));
    schema.insert("properties".into(), Value::Object(properties));
    let required: Vec<&str> = spec.keys.iter().filter(|k| k.required).map(|k| k.name).collect();
    if !required.is_empty() {
        schema.insert("required".into(), json!(required));
    }
    schema.insert("additionalProperties".into(), json!(false));
    schema
}

fn key(key: &Key, definitions: &mut Definitions) -> Value {
    let value = match (kind(&key.kind, key.name, definitions), key.off) {
        (schema, true) => json!({ "anyOf": [schema, { "const": false, "description": "switched off" }] }),
        // In draft 07, what stands beside a reference is not read.
        (schema, false) if schema.get("$ref").is_some() => json!({ "allOf": [schema] }),
        (schema, false) => schema,
    };
    let mut schema = match value {
        Value::Object(schema) => schema,
        _ => Map::new(),
    };
    schema.insert("description".into(), json!(key.doc));
    if let Some(default) = key.default.and_then(default_value) {
        schema.insert("default".into(), default);
    }
    Value::Object(schema)
}

/// A reference to a definition, which has the key's name; another table of that name gets a number.
fn shared(name: &str, schema: Value, definitions: &mut Definitions) -> Value {
    let names = std::iter::once(name.to_owned()).chain((2..).map(|n| format!("{name}_{n}")));
    for name in names {
        match definitions.get(&name) {
            Some(known) if *known != schema => {}
            _ => {
                let reference = json!({ "$ref": format!("#/definitions/{name}") });
                definitions.insert(name, schema);
                return reference;
            }
        }
    }
    schema
}

/// A default, which is written as TOML, as JSON.
fn default_value(toml: &str) -> Option<Value> {
    let document: toml::Table = toml::from_str(&format!("value = {toml}")).ok()?;
    serde_json::to_value(document.get("value")?).ok()
}

/// A kind as a schema; `name` is that of the key, for what is written once.
fn kind(kind: &Kind, name: &str, definitions: &mut Definitions) -> Value {
    match kind {
        Kind::Text | Kind::Template => json!({ "type": "string" }),
        Kind::Integer { min, max } => {
            let mut number = json!({ "type": "integer", "minimum": min });
            if *max != u64::MAX {
                number["maximum"] = json!(max);
            }
            or_substitution(number)
        }
        Kind::Boolean => or_substitution(json!({ "type": "boolean" })),
        Kind::Duration => {
            json!({ "type": "string", "pattern": format!(r"^\s*(\d+\s*(ms|s|m|h|d|w)\s*)+$|{SUBSTITUTION}") })
        }
        Kind::Size => json!({ "anyOf": [
            { "type": "integer", "minimum": 1 },
            { "type": "string", "pattern": format!(r"^\s*\d+\s*([KkMmGgTt][Ii]?)?[Bb]?(ytes)?\s*$|{SUBSTITUTION}") },
        ] }),
        Kind::Choice(choice) => or_substitution(words(choice)),
        Kind::Scalar => json!({ "type": ["string", "number", "boolean"] }),
        Kind::Json => json!({}),
        Kind::OneOrMany(inner) => {
            let one = self::kind(inner, name, definitions);
            json!({ "anyOf": [one, { "type": "array", "items": one }] })
        }
        Kind::List(inner) => json!({ "type": "array", "items": self::kind(inner, name, definitions) }),
        Kind::Map(inner) => json!({ "type": "object", "additionalProperties": self::kind(inner, name, definitions) }),
        Kind::Table(spec) => {
            let schema = Value::Object(table(spec, definitions));
            shared(name, schema, definitions)
        }
        Kind::Tagged(spec) => {
            let schema = tagged(spec, definitions);
            shared(name, schema, definitions)
        }
        Kind::Either(kinds) => {
            json!({ "anyOf": kinds.iter().map(|k| self::kind(k, name, definitions)).collect::<Vec<_>>() })
        }
    }
}

fn or_substitution(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "string", "pattern": SUBSTITUTION }] })
}

fn words(choice: &Choice) -> Value {
    let each = choice.words.iter().map(|(word, doc)| match *doc {
        "" => json!({ "const": word }),
        doc => json!({ "const": word, "description": doc }),
    });
    json!({ "anyOf": each.collect::<Vec<_>>() })
}

fn tagged(spec: &Tagged, definitions: &mut Definitions) -> Value {
    // A type can stand alone when no key must come with it.
    let alone = spec.variants.iter().filter(|v| v.table.keys.iter().all(|k| !k.required));
    let mut forms: Vec<Value> = alone.map(|v| json!({ "const": v.name, "description": v.doc })).collect();
    for variant in spec.variants {
        let mut schema = table(&variant.table, definitions);
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.insert("type".into(), json!({ "const": variant.name }));
            properties.extend(spec.common.iter().map(|k| (k.name.to_owned(), key(k, definitions))));
        }
        let required = ["type"].into_iter().chain(variant.table.keys.iter().filter(|k| k.required).map(|k| k.name));
        schema.insert("required".into(), json!(required.collect::<Vec<_>>()));
        schema.insert("description".into(), json!(variant.doc));
        forms.push(Value::Object(schema));
    }
    json!({ "anyOf": forms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_description_default_and_alternatives() {
        let schema = pipeline();
        assert_eq!(schema["$schema"], DIALECT);
        assert_eq!(schema["properties"]["client"]["allOf"][0]["$ref"], "#/definitions/client");
        let defined = |name: &str| &schema["definitions"][name];
        let client = defined("client");
        assert_eq!(client["required"], json!(["base_url"]));
        assert_eq!(client["additionalProperties"], json!(false));
        assert_eq!(client["properties"]["concurrency"]["default"], json!(4));
        assert_eq!(defined("retry")["properties"]["statuses"]["default"], json!([408, 425, 429, 500, 502, 503, 504]));
        let resource = &defined("resources")["properties"];
        assert_eq!(resource["primary_key"]["description"], "Fields that identify a record");
        assert_eq!(resource["primary_key"]["anyOf"][1]["const"], json!(false));
        assert_eq!(resource["paginator"]["anyOf"][0]["$ref"], "#/definitions/paginator");
        let forms = defined("paginator")["anyOf"].as_array().unwrap();
        let cursor = forms.iter().find(|f| f["properties"]["type"]["const"] == "cursor").unwrap();
        assert_eq!(cursor["required"], json!(["type", "cursor_path"]));
        assert!(forms.iter().any(|f| f["const"] == "auto") && !forms.iter().any(|f| f["const"] == "cursor"));
    }

    #[test]
    fn every_reference_leads_to_a_definition() {
        fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
            match value {
                Value::Object(members) => {
                    found.extend(members.get("$ref").and_then(Value::as_str));
                    members.values().for_each(|v| references(v, found));
                }
                Value::Array(items) => items.iter().for_each(|v| references(v, found)),
                _ => {}
            }
        }
        for schema in [pipeline(), config()] {
            let mut found = Vec::new();
            references(&schema, &mut found);
            assert!(!found.is_empty());
            for reference in found {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(schema.pointer(pointer).is_some(), "{reference}");
            }
        }
    }

    #[test]
    fn every_default_is_valid_toml_and_every_key_has_its_line() {
        fn walk(keys: &[Key]) {
            for key in keys {
                assert!(!key.doc.is_empty() && !key.doc.ends_with('.'), "{}", key.name);
                assert!(key.default.is_none_or(|d| default_value(d).is_some()), "{}", key.name);
                match key.kind {
                    Kind::Table(t) => walk(t.keys),
                    Kind::Map(Kind::Table(t)) | Kind::List(Kind::Table(t)) => walk(t.keys),
                    Kind::Tagged(t) => {
                        walk(t.common);
                        t.variants.iter().for_each(|v| walk(v.table.keys));
                    }
                    _ => {}
                }
            }
        }
        walk(keys::PIPELINE.keys);
        walk(keys::CONFIG.keys);
    }
}
