//! The request of a resource, as the file describes it.

use super::{FieldPath, Poll, ResponseAction, Text};
use crate::error::Result;
use crate::plan::template::{Scope, Template};
use serde_json::{Map, Value};

/// A request as the file describes it. Names keep their order.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestSpec {
    /// HTTP method, upper case.
    pub method: String,
    /// Path below `base_url`, or an absolute URL. Each value of an expression is percent-encoded as one segment.
    pub path: Template,
    /// Query parameters: client < defaults < resource, merged by name. A list repeats the parameter.
    pub params: Vec<(String, Vec<Text>)>,
    /// Headers, merged likewise.
    pub headers: Vec<(String, Text)>,
    /// Body, if there is one.
    pub body: Option<BodySpec>,
}

/// A request that comes before the first page of a walk.
#[derive(Debug, Clone, PartialEq)]
pub struct Preparation {
    /// `before.NAME` of expressions.
    pub name: String,
    /// What is asked for.
    pub request: RequestSpec,
    /// Whether it is asked for until it is ready.
    pub poll: Option<Poll>,
    /// What answers mean: its own entries, then those of the resource.
    pub response_actions: Vec<ResponseAction>,
}

impl RequestSpec {
    /// The fields of the answer before that it shows (`page.body.FIELD`).
    pub fn page_body_fields(&self) -> Vec<FieldPath> {
        let mut fields = Vec::new();
        for template in self.templates() {
            for reference in template.references() {
                let [root, member, rest @ ..] = reference.path.as_slice() else { continue };
                let field = FieldPath(rest.to_vec());
                if root == "page" && member == "body" && !fields.contains(&field) {
                    fields.push(field);
                }
            }
        }
        fields
    }

    /// All texts that may hold expressions.
    fn templates(&self) -> Vec<&Template> {
        let mut templates = vec![&self.path];
        templates.extend(self.params.iter().flat_map(|(_, texts)| texts).map(|text| &text.template));
        templates.extend(self.headers.iter().map(|(_, text)| &text.template));
        match &self.body {
            Some(BodySpec::Json(json)) => json.add_templates(&mut templates),
            Some(BodySpec::Form(fields)) => {
                templates.extend(fields.iter().flat_map(|(_, texts)| texts).map(|text| &text.template));
            }
            Some(BodySpec::Raw(text)) => templates.push(&text.template),
            None => {}
        }
        templates
    }
}

/// The body of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum BodySpec {
    /// JSON: strings in it are templates; one that is exactly an expression keeps the value's JSON type.
    Json(JsonTemplate),
    /// `application/x-www-form-urlencoded`.
    Form(Vec<(String, Vec<Text>)>),
    /// Text as it is.
    Raw(Text),
}

/// A JSON value whose strings are templates.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonTemplate {
    /// A value as it is: null, a boolean, a number, a text without expressions.
    Literal(Value),
    /// A string.
    Text(Text),
    /// An array.
    Array(Vec<JsonTemplate>),
    /// An object, in order.
    Object(Vec<(String, JsonTemplate)>),
}

impl RequestSpec {
    /// Whether something of the request names the parent that it is for, with the values of `scope`; also if nothing is
    /// meant to. A parameter without a value is left out: if it was the only one, the request would ask for everything.
    ///
    /// # Errors
    /// An expression fails on its values.
    pub fn names_its_parent(&self, scope: &Scope) -> Result<bool> {
        let of_parent = |template: &&Template| template.references().iter().any(|r| r.path[0] == "parent");
        let forms = match &self.body {
            Some(BodySpec::Form(fields)) => fields.as_slice(),
            _ => &[],
        };
        let repeated = self.params.iter().chain(forms).flat_map(|(_, texts)| texts).map(|text| &text.template);
        let mut single: Vec<&Template> = self.headers.iter().map(|(_, text)| &text.template).collect();
        match &self.body {
            Some(BodySpec::Json(template)) => template.add_templates(&mut single),
            Some(BodySpec::Raw(text)) => single.push(&text.template),
            Some(BodySpec::Form(_)) | None => {}
        }
        // A path without a value is an error of its own.
        if of_parent(&&self.path) {
            return Ok(true);
        }
        let mut is_meant_to = false;
        for template in repeated.filter(of_parent) {
            is_meant_to = true;
            if !template.render_each(scope)?.is_empty() {
                return Ok(true);
            }
        }
        for template in single.into_iter().filter(of_parent) {
            is_meant_to = true;
            if template.render(scope)?.is_some() {
                return Ok(true);
            }
        }
        Ok(!is_meant_to)
    }
}

impl JsonTemplate {
    /// A value without expressions.
    pub fn constant(value: Value) -> JsonTemplate {
        match value {
            Value::Array(elements) => JsonTemplate::Array(elements.into_iter().map(Self::constant).collect()),
            Value::Object(members) => {
                JsonTemplate::Object(members.into_iter().map(|(name, value)| (name, Self::constant(value))).collect())
            }
            scalar => JsonTemplate::Literal(scalar),
        }
    }

    /// The member of an object.
    pub fn member(&self, name: &str) -> Option<&JsonTemplate> {
        match self {
            JsonTemplate::Object(members) => members.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            JsonTemplate::Literal(_) | JsonTemplate::Text(_) | JsonTemplate::Array(_) => None,
        }
    }

    /// Whether a `${…}` brought in something of it.
    pub fn is_secret(&self) -> bool {
        self.any_text(&|text| text.secret)
    }

    /// The value, if it needs nothing that only a run knows.
    pub fn known(&self) -> Option<Value> {
        let is_open = self.any_text(&|text| !text.template.references().is_empty());
        if is_open { None } else { self.render(&Scope::default()).ok().flatten() }
    }

    fn any_text(&self, holds: &dyn Fn(&Text) -> bool) -> bool {
        match self {
            JsonTemplate::Literal(_) => false,
            JsonTemplate::Text(text) => holds(text),
            JsonTemplate::Array(elements) => elements.iter().any(|element| element.any_text(holds)),
            JsonTemplate::Object(members) => members.iter().any(|(_, member)| member.any_text(holds)),
        }
    }

    fn add_templates<'t>(&'t self, templates: &mut Vec<&'t Template>) {
        match self {
            JsonTemplate::Literal(_) => {}
            JsonTemplate::Text(text) => templates.push(&text.template),
            JsonTemplate::Array(elements) => elements.iter().for_each(|element| element.add_templates(templates)),
            JsonTemplate::Object(members) => members.iter().for_each(|(_, member)| member.add_templates(templates)),
        }
    }

    /// The value; `None` where a text gives none. That drops the innermost member or element around it.
    ///
    /// # Errors
    /// An expression fails on its values.
    pub fn render(&self, scope: &Scope) -> Result<Option<Value>> {
        Ok(Some(match self {
            JsonTemplate::Literal(value) => value.clone(),
            JsonTemplate::Text(text) => return text.template.render_json(scope),
            JsonTemplate::Array(elements) => {
                let mut values = Vec::with_capacity(elements.len());
                for element in elements {
                    values.extend(element.render(scope)?);
                }
                Value::Array(values)
            }
            JsonTemplate::Object(members) => Value::Object(render_members(members, scope)?),
        }))
    }
}

/// The members of a JSON object; those without a value are left out.
///
/// # Errors
/// As [`JsonTemplate::render`].
pub fn render_members(members: &[(String, JsonTemplate)], scope: &Scope) -> Result<Map<String, Value>> {
    let mut object = Map::new();
    for (name, member) in members {
        if let Some(value) = member.render(scope)? {
            object.insert(name.clone(), value);
        }
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::model::FieldPath;
    use serde_json::json;

    fn text(source: &str) -> Text {
        Text { template: Template::parse(source).unwrap(), secret: false }
    }

    #[test]
    fn a_request_names_its_parent_if_one_of_its_expressions_has_a_value() {
        let scope = |member: bool| Scope {
            parent: [("id", json!(7)), ("member", json!(member)), ("none", json!([]))]
                .map(|(name, value)| (FieldPath(vec![name.to_owned()]), value))
                .to_vec(),
            ..Scope::default()
        };
        let only_members = "{{ parent.id if parent.member }}";
        for (path, param, expected) in [
            ("x", only_members, [true, false]),
            ("x", "{{ parent.none }}", [false, false]),
            ("x", "{{ parent.id }}", [true, true]),
            ("x", "all", [true, true]),
            ("x/{{ parent.id }}", only_members, [true, true]),
        ] {
            let request = |body| RequestSpec {
                method: "GET".into(),
                path: Template::parse(path).unwrap(),
                params: vec![("p".into(), vec![text(param)])],
                headers: Vec::new(),
                body,
            };
            let found = [true, false].map(|member| request(None).names_its_parent(&scope(member)).unwrap());
            assert_eq!(found, expected, "{path} {param}");
            let body = JsonTemplate::Object(vec![("id".into(), JsonTemplate::Text(text(only_members)))]);
            let body = RequestSpec { params: Vec::new(), ..request(Some(BodySpec::Json(body))) };
            assert_eq!(body.names_its_parent(&scope(false)).unwrap(), path != "x");
        }
    }
}
