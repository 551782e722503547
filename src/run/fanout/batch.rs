//! Several parents in one request.

use super::member::Member;
use crate::error::{Error, Kind, Result};
use crate::plan::model::{BodySpec, FieldPath, JsonTemplate, ParentBatch, RequestSpec, Resource, Text};
use crate::plan::template::{Template, text_of};
use serde_json::{Map, Value};

/// Bytes of values in the address of one request. Servers take some 8,000 bytes of address as a rule, and a value may stand
/// in it twice.
const URL_VALUES_BYTES_MAX: usize = 3000;

/// Gathers parents until there are enough for a request.
pub(super) struct Batch {
    spec: ParentBatch,
    /// Fields that go into the address.
    in_url: Vec<FieldPath>,
    /// Fields whose values are joined to a text somewhere.
    in_text: Vec<FieldPath>,
    members: Vec<Member>,
    url_bytes: usize,
}

impl Batch {
    pub(super) fn new(spec: ParentBatch, request: &RequestSpec) -> Self {
        let mut in_url = request.path.parent_fields();
        in_url.extend(request.params.iter().flat_map(|(_, texts)| texts).flat_map(fields_of));
        let mut in_text = request.path.joined_parent_fields();
        in_text.extend(request.params.iter().flat_map(|(_, texts)| texts).flat_map(joined_of));
        in_text.extend(request.headers.iter().flat_map(|(_, text)| joined_of(text)));
        match &request.body {
            Some(BodySpec::Json(template)) => joined_in(template, &mut in_text),
            Some(BodySpec::Form(fields)) => in_text.extend(fields.iter().flat_map(|(_, t)| t).flat_map(joined_of)),
            Some(BodySpec::Raw(text)) => in_text.extend(joined_of(text)),
            None => {}
        }
        Batch { spec, in_url, in_text, members: Vec::new(), url_bytes: 0 }
    }

    /// The batch of a resource that asks for several parents at a time.
    pub(super) fn of(resource: &Resource) -> Option<Self> {
        let spec = resource.parent.as_ref()?.batch.clone()?;
        Some(Batch::new(spec, &resource.request))
    }

    pub(super) fn separator(&self) -> &str {
        &self.spec.separator
    }

    /// Adds a parent. Gives those before it when the address would grow too long with it, or all when there are enough.
    ///
    /// # Errors
    /// A value holds the separator: the server would take it for two.
    pub(super) fn add(&mut self, member: Member) -> Result<Option<Vec<Member>>> {
        let of = |fields: &[FieldPath]| -> Vec<String> {
            let wanted = member.parent.iter().filter(|(name, _)| fields.contains(name));
            wanted.map(|(_, value)| text_of(value).into_owned()).collect()
        };
        if of(&self.in_text).iter().any(|text| text.contains(self.spec.separator.as_str())) {
            return Err(Error::new(Kind::Data, "a parent's value holds the separator of `parent_batch`")
                .with("parent", &member.identity)
                .with("separator", &self.spec.separator)
                .hint("choose another `separator`, or send the values as a list in `json`"));
        }
        // Percent-encoded, a byte takes up to three.
        let bytes: usize = of(&self.in_url).iter().map(|text| encoded_len(text) + self.spec.separator.len() * 3).sum();
        let is_too_long = !self.members.is_empty() && self.url_bytes + bytes > URL_VALUES_BYTES_MAX;
        let before = is_too_long.then(|| self.take());
        self.members.push(member);
        self.url_bytes += bytes;
        if before.is_none() && self.members.len() >= self.spec.size {
            return Ok(Some(self.take()));
        }
        Ok(before)
    }

    /// Those that are left.
    pub(super) fn take(&mut self) -> Vec<Member> {
        self.url_bytes = 0;
        std::mem::take(&mut self.members)
    }
}

/// Several members as one: each field has the list of their values.
pub(super) fn join(members: &[Member]) -> Option<Member> {
    let first = members.first()?;
    let values =
        |at: usize| Value::Array(members.iter().filter_map(|m| m.parent.get(at)).map(|(_, v)| v.clone()).collect());
    let parent: Vec<(FieldPath, Value)> =
        first.parent.iter().enumerate().map(|(at, (name, _))| (name.clone(), values(at))).collect();
    let identity: Map<String, Value> = first
        .identity
        .as_object()
        .into_iter()
        .flat_map(|object| object.keys())
        .map(|name| (name.clone(), members.iter().map(|m| m.identity[name.as_str()].clone()).collect()))
        .collect();
    Some(Member { parent, identity: identity.into(), columns: Vec::new(), from_warehouse: false, ..first.clone() })
}

fn fields_of(text: &Text) -> Vec<FieldPath> {
    text.template.parent_fields()
}

/// Fields whose values are joined to a text.
fn joined_of(text: &Text) -> Vec<FieldPath> {
    text.template.joined_parent_fields()
}

/// Fields that a JSON body joins to a text: an expression of its own keeps its list.
fn joined_in(template: &JsonTemplate, fields: &mut Vec<FieldPath>) {
    let is_list = |template: &Template| template.is_one_expression();
    match template {
        JsonTemplate::Literal(_) => {}
        JsonTemplate::Text(text) if is_list(&text.template) => {}
        JsonTemplate::Text(text) => fields.extend(joined_of(text)),
        JsonTemplate::Array(elements) => elements.iter().for_each(|e| joined_in(e, fields)),
        JsonTemplate::Object(members) => members.iter().for_each(|(_, m)| joined_in(m, fields)),
    }
}

fn encoded_len(text: &str) -> usize {
    text.bytes().map(|b| if b.is_ascii_alphanumeric() { 1 } else { 3 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn member(id: Value) -> Member {
        Member {
            parent: vec![(FieldPath(vec!["id".into()]), id.clone())],
            partition: Vec::new(),
            columns: Vec::new(),
            identity: json!({ "id": id }),
            from_warehouse: true,
            line: Default::default(),
        }
    }

    fn batch(size: usize, path: &str) -> Batch {
        let path = Template::parse(path).unwrap();
        let request = RequestSpec { method: "GET".into(), path, params: Vec::new(), headers: Vec::new(), body: None };
        Batch::new(ParentBatch { size, separator: ",".into() }, &request)
    }

    #[test]
    fn a_batch_is_full_at_its_size_and_the_rest_is_taken_at_the_end() {
        let mut batch = batch(2, "x?ids={{ parent.id }}");
        let sizes: Vec<Option<usize>> =
            (0..5).map(|id| batch.add(member(json!(id))).unwrap().map(|members| members.len())).collect();
        assert_eq!(sizes, [None, Some(2), None, Some(2), None]);
        assert_eq!(batch.take().len(), 1);
        assert_eq!(batch.take().len(), 0);
    }

    #[test]
    fn a_batch_is_full_before_its_address_grows_too_long() {
        let mut batch = batch(10_000, "x?ids={{ parent.id }}");
        let full = (0..1000).find_map(|id| batch.add(member(json!(format!("{id:0>97}")))).unwrap());
        assert_eq!(full.map(|members| members.len()), Some(30));
        let mut elsewhere = super::Batch { in_url: Vec::new(), ..batch };
        assert!((0..1000).all(|id| elsewhere.add(member(json!(format!("{id:0>97}")))).unwrap().is_none()));
    }

    #[test]
    fn a_value_with_the_separator_is_refused_where_values_are_joined() {
        assert!(batch(2, "x?ids={{ parent.id }}").add(member(json!("a,b"))).is_err());
        assert!(batch(2, "x").add(member(json!("a,b"))).is_ok());
        assert!(batch(2, "x?ids={{ parent.id | tojson }}").add(member(json!("a,b"))).is_ok());
    }

    #[test]
    fn joined_members_have_lists_of_values_with_their_types() {
        let joined = join(&[member(json!(1)), member(json!("b"))]).unwrap();
        assert_eq!(joined.parent, [(FieldPath(vec!["id".into()]), json!([1, "b"]))]);
        assert_eq!(joined.identity, json!({ "id": [1, "b"] }));
        assert!(!joined.from_warehouse);
    }
}
