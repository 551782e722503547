//! An OpenAPI document, read: what `$ref` leads to, what a schema has, which GET operations there are. Swagger 2 has the same
//! in other places.

use crate::error::{Error, Kind, Result};
use serde_json::Value;

/// So deep are schemas looked into; they may refer to themselves.
const DEPTH_MAX: usize = 8;

/// A document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document<'d> {
    root: &'d Value,
    is_swagger: bool,
}

/// A GET operation.
#[derive(Debug, Clone)]
pub(super) struct Operation<'d> {
    pub(super) path: &'d str,
    pub(super) get: &'d Value,
    pub(super) parameters: Vec<Parameter<'d>>,
    /// Whether it, or its path, names a server of its own.
    pub(super) has_own_server: bool,
}

/// A parameter of an operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter<'d> {
    pub(super) name: &'d str,
    /// `query`, `path`, `header` or `cookie`.
    pub(super) place: &'d str,
    pub(super) required: bool,
    pub(super) description: &'d str,
    pub(super) schema: &'d Value,
    /// What the document gives as its value: a default, an example, the first of an enumeration.
    pub(super) example: Option<&'d Value>,
}

/// What a schema's values are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shape<'d> {
    List(&'d Value),
    Object,
    Text,
    Integer,
    Number,
    Boolean,
    Unknown,
}

/// The members of an object.
#[derive(Debug, Default)]
pub(super) struct Members<'d> {
    pub(super) all: Vec<(&'d str, &'d Value)>,
    required: Vec<&'d str>,
}

impl<'d> Members<'d> {
    pub(super) fn get(&self, name: &str) -> Option<&'d Value> {
        self.all.iter().find(|(known, _)| *known == name).map(|(_, schema)| *schema)
    }

    pub(super) fn is_required(&self, name: &str) -> bool {
        self.required.contains(&name)
    }
}

impl<'d> Document<'d> {
    /// # Errors
    /// It is no OpenAPI document, or of a version that is not known.
    pub(super) fn read(root: &'d Value) -> Result<Document<'d>> {
        let refuse = |message: String| Error::new(Kind::Config, message);
        if !root["paths"].is_object() && (root["openapi"].is_string() || root["swagger"].is_string()) {
            return Err(refuse("the OpenAPI document has no `paths`: nothing can be loaded".to_owned()));
        }
        match (root["openapi"].as_str(), root["swagger"].as_str()) {
            (Some(version), _) if version.starts_with("3.") => Ok(Document { root, is_swagger: false }),
            (_, Some("2.0")) => Ok(Document { root, is_swagger: true }),
            (Some(version), _) | (_, Some(version)) => {
                Err(refuse(format!("OpenAPI {version} is not known")).hint("3.0, 3.1 and Swagger 2.0 are"))
            }
            (None, None) => Err(refuse("this is no OpenAPI document: it has no `openapi` with a version".to_owned())
                .hint("the document is the JSON behind an API's reference pages, often `/openapi.json`")),
        }
    }

    pub(super) fn is_swagger(&self) -> bool {
        self.is_swagger
    }

    pub(super) fn root(&self) -> &'d Value {
        self.root
    }

    /// What a `$ref` leads to, or the value itself. References to other documents lead nowhere.
    pub(super) fn resolve(&self, value: &'d Value) -> &'d Value {
        let mut at = value;
        for _ in 0..DEPTH_MAX {
            let Some(reference) = at["$ref"].as_str() else { return at };
            let Some(pointer) = reference.strip_prefix('#') else { return &Value::Null };
            let decoded = percent_encoding::percent_decode_str(pointer).decode_utf8_lossy();
            at = self.root.pointer(&decoded).unwrap_or(&Value::Null);
        }
        &Value::Null
    }

    /// The GET operations, in the order of the document.
    pub(super) fn operations(&self) -> Vec<Operation<'d>> {
        let paths = self.root["paths"].as_object();
        let entries = paths.into_iter().flatten();
        entries.filter_map(|(path, item)| self.operation(path, self.resolve(item))).collect()
    }

    fn operation(&self, path: &'d str, item: &'d Value) -> Option<Operation<'d>> {
        let get = item.get("get").filter(|get| get.is_object())?;
        let mut parameters: Vec<Parameter<'d>> = Vec::new();
        // An operation's own come later, and win.
        for written in [&item["parameters"], &get["parameters"]].into_iter().flat_map(|p| p.as_array()).flatten() {
            let Some(parameter) = self.parameter(self.resolve(written)) else { continue };
            parameters.retain(|known| (known.name, known.place) != (parameter.name, parameter.place));
            parameters.push(parameter);
        }
        let has_own_server = [item, get].iter().any(|part| part["servers"].as_array().is_some_and(|s| !s.is_empty()));
        Some(Operation { path, get, parameters, has_own_server })
    }

    fn parameter(&self, written: &'d Value) -> Option<Parameter<'d>> {
        // Swagger 2 writes the keys of the schema beside those of the parameter.
        let schema = written.get("schema").map_or(written, |schema| self.resolve(schema));
        let first = |list: &'d Value| list.as_array().and_then(|values| values.first());
        let examples = written["examples"].as_object().and_then(|e| e.values().next());
        let items = schema.get("items").map(|items| self.resolve(items));
        let example = [
            schema.get("default"),
            written.get("example"),
            examples.and_then(|example| self.resolve(example).get("value")),
            schema.get("example"),
            first(&schema["enum"]),
            items.and_then(|items| items.get("default").or_else(|| first(&items["enum"]))),
        ];
        Some(Parameter {
            name: written["name"].as_str()?,
            place: written["in"].as_str()?,
            required: written["required"].as_bool().unwrap_or(false),
            description: written["description"].as_str().or(schema["description"].as_str()).unwrap_or_default(),
            schema,
            example: example.into_iter().flatten().find(|value| is_plain(value)),
        })
    }

    /// The JSON schema of an operation's good answer, and its headers' names; or what it answers instead.
    pub(super) fn answer(&self, get: &'d Value) -> Result<(&'d Value, Vec<&'d str>), String> {
        let responses = get["responses"].as_object().ok_or("describes no answer")?;
        let good = responses.iter().find(|(status, _)| *status == "200");
        let good = good.or_else(|| responses.iter().find(|(status, _)| status.starts_with('2')));
        let (_, written) =
            good.or_else(|| responses.iter().find(|(s, _)| *s == "default")).ok_or("describes no good answer")?;
        let response = self.resolve(written);
        let headers = response["headers"].as_object().map(|h| h.keys().map(String::as_str).collect());
        let headers: Vec<&str> = headers.unwrap_or_default();
        if let Some(schema) = response.get("schema") {
            return Ok((self.resolve(schema), headers));
        }
        let content = response["content"].as_object().filter(|c| !c.is_empty()).ok_or("describes no body")?;
        let json = content.iter().find(|(kind, _)| kind.to_lowercase().contains("json") || *kind == "*/*");
        let Some((_, body)) = json else {
            let kinds = content.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(format!("answers {kinds}, and not JSON"));
        };
        match body.get("schema") {
            Some(schema) => Ok((self.resolve(schema), headers)),
            None => Err("describes no fields of its answer".to_owned()),
        }
    }

    /// What a schema's values are.
    pub(super) fn shape(&self, schema: &'d Value) -> Shape<'d> {
        self.shape_within(schema, DEPTH_MAX)
    }

    fn shape_within(&self, schema: &'d Value, depth: usize) -> Shape<'d> {
        let schema = self.resolve(schema);
        let named = match &schema["type"] {
            Value::Array(names) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
            name => name.as_str(),
        };
        match named {
            Some("array") => Shape::List(&schema["items"]),
            Some("object") => Shape::Object,
            Some("string") => Shape::Text,
            Some("integer") => Shape::Integer,
            Some("number") => Shape::Number,
            Some("boolean") => Shape::Boolean,
            _ if schema["properties"].is_object() => Shape::Object,
            _ if depth == 0 => Shape::Unknown,
            _ => {
                let parts = ["allOf", "oneOf", "anyOf"].into_iter().filter_map(|k| schema[k].as_array()).flatten();
                let mut shapes = parts.map(|part| self.shape_within(part, depth - 1));
                shapes.find(|shape| *shape != Shape::Unknown).unwrap_or(Shape::Unknown)
            }
        }
    }

    /// The members of an object, with those of the schemas that it is made of.
    pub(super) fn members(&self, schema: &'d Value) -> Members<'d> {
        let mut members = Members::default();
        self.gather(schema, true, DEPTH_MAX, &mut members);
        members
    }

    fn gather(&self, schema: &'d Value, is_certain: bool, depth: usize, members: &mut Members<'d>) {
        let schema = self.resolve(schema);
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            if members.get(name).is_none() {
                members.all.push((name.as_str(), member));
            }
        }
        if is_certain {
            members.required.extend(schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str));
        }
        if depth == 0 {
            return;
        }
        for (key, holds) in [("allOf", is_certain), ("oneOf", false), ("anyOf", false)] {
            for part in schema[key].as_array().into_iter().flatten() {
                self.gather(part, holds, depth - 1, members);
            }
        }
    }

    /// The members of an object, by name and shape.
    pub(super) fn members_of(&self, schema: &'d Value) -> Vec<(&'d str, Shape<'d>)> {
        self.members(schema).all.into_iter().map(|(name, member)| (name, self.shape(member))).collect()
    }

    /// Whether a value may be null.
    pub(super) fn is_nullable(&self, schema: &'d Value) -> bool {
        let schema = self.resolve(schema);
        let of_type = schema["type"].as_array().is_some_and(|names| names.iter().any(|name| name == "null"));
        of_type || schema["nullable"] == true
    }
}

/// Whether a value can be written into a request as it is: a text, number or flag without an expression of ours.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty() && !text.contains("{{") && !text.contains("{%") && !text.contains("${"),
        Value::Number(_) | Value::Bool(_) => true,
        _ => false,
    }
}
