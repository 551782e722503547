//! The JSON Schema (draft 2020-12) of the two files, for editors.

use super::keys;
use super::spec::{Choice, Key, Kind, Table, Tagged};
use serde_json::{Map, Value, json};

/// A text that holds a `${…}` may stand for any value that is read from text.
const SUBSTITUTION: &str = r"\$\{";

/// What both schemas are written in.
pub const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of pipeline files.
pub fn pipeline() -> Value {
    document("Pintail pipeline", "One API: what all requests share, and the resources to load", &keys::PIPELINE)
}

/// The schema of the operator file.
pub fn config() -> Value {
    document("Pintail config.toml", "Where rows go and how runs behave", &keys::CONFIG)
}

fn document(title: &str, description: &str, spec: &Table) -> Value {
    let mut schema = table(spec);
    let mut head = Map::new();
    head.insert("$schema".into(), json!(DIALECT));
    head.insert("title".into(), json!(title));
    head.insert("description".into(), json!(description));
    head.append(&mut schema);
    Value::Object(head)
}

fn table(spec: &Table) -> Map<String, Value> {
    let mut schema = Map::new();
    let properties: Map<String, Value> = spec.keys.iter().map(|k| (k.name.to_owned(), key(k))).collect();
    schema.insert("type".into(), json!("object"));
    schema.insert("properties".into(), Value::Object(properties));
    let required: Vec<&str> = spec.keys.iter().filter(|k| k.required).map(|k| k.name).collect();
    if !required.is_empty() {
        schema.insert("required".into(), json!(required));
    }
    schema.insert("additionalProperties".into(), json!(false));
    schema
}

fn key(key: &Key) -> Value {
    let value = match (kind(&key.kind), key.off) {
        (schema, true) => json!({ "anyOf": [schema, { "const": false, "description": "switched off" }] }),
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

/// A default, which is written as TOML, as JSON.
fn default_value(toml: &str) -> Option<Value> {
    let document: toml::Table = toml::from_str(&format!("value = {toml}")).ok()?;
    serde_json::to_value(document.get("value")?).ok()
}

fn kind(kind: &Kind) -> Value {
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
            let one = self::kind(inner);
            json!({ "anyOf": [one, { "type": "array", "items": one }] })
        }
        Kind::List(inner) => json!({ "type": "array", "items": self::kind(inner) }),
        Kind::Map(inner) => json!({ "type": "object", "additionalProperties": self::kind(inner) }),
        Kind::Table(spec) => Value::Object(table(spec)),
        Kind::Tagged(spec) => tagged(spec),
        Kind::Either(kinds) => json!({ "anyOf": kinds.iter().map(self::kind).collect::<Vec<_>>() }),
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

fn tagged(spec: &Tagged) -> Value {
    // A type can stand alone when no key must come with it.
    let alone = spec.variants.iter().filter(|v| v.table.keys.iter().all(|k| !k.required));
    let mut forms: Vec<Value> = alone.map(|v| json!({ "const": v.name, "description": v.doc })).collect();
    for variant in spec.variants {
        let mut schema = table(&variant.table);
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.insert("type".into(), json!({ "const": variant.name }));
            properties.extend(spec.common.iter().map(|k| (k.name.to_owned(), key(k))));
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
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let client = &schema["properties"]["client"];
        assert_eq!(client["required"], json!(["base_url"]));
        assert_eq!(client["additionalProperties"], json!(false));
        assert_eq!(client["properties"]["concurrency"]["default"], json!(4));
        let retry = &client["properties"]["retry"]["properties"];
        assert_eq!(retry["statuses"]["default"], json!([408, 425, 429, 500, 502, 503, 504]));
        let resource = &schema["properties"]["resources"]["additionalProperties"]["properties"];
        assert_eq!(resource["primary_key"]["description"], "Fields that identify a record");
        assert_eq!(resource["primary_key"]["anyOf"][1]["const"], json!(false));
        let forms = resource["paginator"]["anyOf"][0]["anyOf"].as_array().unwrap();
        let cursor = forms.iter().find(|f| f["properties"]["type"]["const"] == "cursor").unwrap();
        assert_eq!(cursor["required"], json!(["type", "cursor_path"]));
        assert!(forms.iter().any(|f| f["const"] == "auto") && !forms.iter().any(|f| f["const"] == "cursor"));
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
