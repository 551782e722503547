//! The automatic choice of a selector. It never guesses: where two readings are possible, it lists them.
//!
//! In this order, for a root object (a root list is the records):
//! 1. the list under a well-known name (`data`, `results`, `items`, `records`, `value`, the resource's name), at
//!    depth 1 or, in an object without fields of its own, at depth 2;
//! 2. an object with fields of its own (scalars that are not about paging, the primary key) is the record itself;
//! 3. the only list of objects at depth 1 or 2, if everything beside it is about paging or the answer;
//! 4. an object of nothing but paging-like scalars (`{"total": 3, "count": 2}`) is the record itself.

use super::super::envelope::Node;
use super::super::raw::{self, Shape};
use super::display_steps;
use super::names::{is_error_name, is_list_name, is_meta};
use crate::error::{Error, Kind, Result};
use crate::plan::model::Step;

/// What the rules make of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The records are here.
    Steps(Vec<Step>),
    /// The answer has no record, and nothing that says where there would be one: the next answer is asked.
    NothingToChoose,
}

/// A place where the records might be.
struct Candidate<'a> {
    keys: Vec<&'a str>,
    node: &'a Node,
}

impl Candidate<'_> {
    fn steps(&self) -> Vec<Step> {
        self.keys.iter().map(|key| Step::Key((*key).to_owned())).collect()
    }

    fn is_empty_list(&self) -> bool {
        self.node.shape() == Shape::List && raw::first_element(self.node.text()).is_none()
    }

    fn is_list_of_objects(&self) -> bool {
        raw::first_element(self.node.text()).is_some_and(|element| element[0] == b'{')
    }

    fn describe(&self) -> String {
        let what = match self.node.shape() {
            Shape::List if self.is_list_of_objects() => "a list of objects".to_owned(),
            Shape::List if self.is_empty_list() => "an empty list".to_owned(),
            Shape::Object if self.keys.is_empty() => "the answer itself".to_owned(),
            other => other.to_string(),
        };
        format!("`{}`: {what}", display_steps(&self.steps()))
    }
}

/// Chooses a selector from an answer's root.
///
/// # Errors
/// More than one reading is possible, or the answer is an error message or a bare scalar.
pub fn choose(root: &Node, resource: &str, primary_key: &[Vec<String>], allow_missing: bool) -> Result<Choice> {
    match root.shape() {
        Shape::List => Ok(Choice::Steps(Vec::new())),
        Shape::Null => Ok(Choice::NothingToChoose),
        Shape::Object if root.members()?.is_empty() && allow_missing => Ok(Choice::NothingToChoose),
        Shape::Object => choose_in_object(root, resource, primary_key),
        shape => Err(Error::new(Kind::Body, format!("the answer is {shape}, neither records nor a record"))
            .hint("if it is one, say so with `data_selector = \"$\"`")),
    }
}

fn choose_in_object(root: &Node, resource: &str, primary_key: &[Vec<String>]) -> Result<Choice> {
    let has_key = has_primary_key(root, primary_key)?;
    let is_record = has_key || has_own_scalar(root)?;
    let mut lists = candidates(root, &[], Shape::List, resource)?;
    let objects = candidates(root, &[], Shape::Object, resource)?;
    if !is_record {
        for object in &objects {
            lists.extend(candidates(object.node, &object.keys, Shape::List, resource)?);
        }
    }
    let itself = Candidate { keys: Vec::new(), node: root };
    let (well_known, others): (Vec<_>, Vec<_>) =
        lists.into_iter().partition(|list| list.keys.last().is_some_and(|name| is_list_name(name, resource)));
    if !well_known.is_empty() {
        return choose_well_known(root, well_known, others, primary_key);
    }
    let lists_of_objects = others.iter().filter(|list| list.is_list_of_objects()).count();
    if is_record {
        // A declared key that the object lacks says that the object is not the record.
        if lists_of_objects > 0 && !primary_key.is_empty() && !has_key {
            return Err(ambiguous(std::iter::once(&itself).chain(&others)));
        }
        return Ok(Choice::Steps(Vec::new()));
    }
    if let [only] = others.as_slice()
        && only.is_list_of_objects()
        && stands_alone(root, only)?
    {
        return Ok(Choice::Steps(only.steps()));
    }
    if !others.is_empty() || !objects.is_empty() {
        let nothing = others.iter().all(Candidate::is_empty_list) && objects_are_hollow(&objects)?;
        return if nothing { Ok(Choice::NothingToChoose) } else { Err(ambiguous(others.iter().chain(&objects))) };
    }
    choose_among_meta(root)
}

/// A list of a well-known name wins, unless something speaks against it: a second one, the primary key beside it, or
/// its being empty while another list has objects.
fn choose_well_known(
    root: &Node,
    well_known: Vec<Candidate<'_>>,
    others: Vec<Candidate<'_>>,
    primary_key: &[Vec<String>],
) -> Result<Choice> {
    let [only] = well_known.as_slice() else { return Err(ambiguous(&well_known)) };
    let mut container = Candidate { keys: Vec::new(), node: root };
    for key in &only.keys[..only.keys.len() - 1] {
        if let Some(node) = container.node.member(key)? {
            container.node = node;
            container.keys.push(key);
        }
    }
    if has_primary_key(container.node, primary_key)? {
        return Err(ambiguous([&container, only]));
    }
    if only.is_empty_list() && others.iter().any(Candidate::is_list_of_objects) {
        return Err(ambiguous(std::iter::once(only).chain(&others)));
    }
    Ok(Choice::Steps(only.steps()))
}

/// An object of nothing but fields about the answer: a summary, or an error message.
fn choose_among_meta(root: &Node) -> Result<Choice> {
    let members = root.members()?;
    let says_error = |node: &Node| !matches!(&node.text()[..], b"null" | b"false" | b"\"\"" | b"[]" | b"{}" | b"0");
    if let Some((name, _)) = members.iter().find(|(name, node)| is_error_name(name) && says_error(node)) {
        return Err(Error::new(
            Kind::Body,
            format!("the answer looks like an error message: it has only `{name}` to say"),
        )
        .hint("`response_actions` say what such an answer means; if it is a record, `data_selector = \"$\"` says so"));
    }
    // A null of an unknown name may be the list that has no rows this time.
    if members.iter().any(|(name, node)| !is_meta(name) && node.shape() == Shape::Null) {
        return Ok(Choice::NothingToChoose);
    }
    if !members.is_empty() && members.iter().all(|(_, node)| is_scalar(node)) {
        return Ok(Choice::Steps(Vec::new()));
    }
    let keys = members.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    Err(Error::new(Kind::Body, "the answer has no records").with("found there", keys).hint(
        "say where they are with `data_selector`, or set `allow_missing = true` if such an answer is an empty page",
    ))
}

/// Members of a shape below an object. Those about the answer are left out, unless the resource has that very name.
fn candidates<'a>(object: &'a Node, above: &[&'a str], shape: Shape, resource: &str) -> Result<Vec<Candidate<'a>>> {
    let members = object.members()?.iter();
    Ok(members
        .filter(|(name, node)| node.shape() == shape && (!is_meta(name) || is_list_name(name, resource)))
        .map(|(name, node)| Candidate { keys: above.iter().copied().chain([name.as_str()]).collect(), node })
        .collect())
}

fn has_own_scalar(object: &Node) -> Result<bool> {
    Ok(object.members()?.iter().any(|(name, node)| !is_meta(name) && is_scalar(node) && node.shape() != Shape::Null))
}

fn is_scalar(node: &Node) -> bool {
    !matches!(node.shape(), Shape::List | Shape::Object)
}

/// Whether every field of the primary key is there, as a scalar that is not null.
fn has_primary_key(object: &Node, primary_key: &[Vec<String>]) -> Result<bool> {
    for path in primary_key {
        let mut node = Some(object);
        for name in path {
            node = match node {
                Some(node) => node.member(name)?,
                None => None,
            };
        }
        if !node.is_some_and(|node| is_scalar(node) && node.shape() != Shape::Null) {
            return Ok(false);
        }
    }
    Ok(!primary_key.is_empty())
}

/// Whether everything beside a list, at its own depth and above, is about the answer.
fn stands_alone(root: &Node, list: &Candidate<'_>) -> Result<bool> {
    let mut object = root;
    for key in &list.keys {
        if object.members()?.iter().any(|(name, _)| name != key && !is_meta(name)) {
            return Ok(false);
        }
        match object.member(key)? {
            Some(next) => object = next,
            None => return Ok(false),
        }
    }
    Ok(true)
}

/// Whether objects hold nothing but empty lists, nulls and what is about the answer.
fn objects_are_hollow(objects: &[Candidate<'_>]) -> Result<bool> {
    for object in objects {
        let hollow = object
            .node
            .members()?
            .iter()
            .all(|(name, node)| is_meta(name) || matches!(&node.text()[..], b"null") || raw_is_empty_list(node));
        if !hollow {
            return Ok(false);
        }
    }
    Ok(true)
}

fn raw_is_empty_list(node: &Node) -> bool {
    node.shape() == Shape::List && raw::first_element(node.text()).is_none()
}

fn ambiguous<'a, 'n: 'a>(candidates: impl IntoIterator<Item = &'a Candidate<'n>>) -> Error {
    let candidates: Vec<_> = candidates.into_iter().map(Candidate::describe).collect();
    let first = candidates.first().and_then(|c| c.split('`').nth(1)).unwrap_or("data").to_owned();
    Error::new(Kind::Body, "the answer does not say which of its parts are the records")
        .with("candidates", candidates.join("\n"))
        .hint(format!("say it with `data_selector`, for example `data_selector = \"{first}\"`"))
}

#[cfg(test)]
mod tests {
    use super::super::super::envelope::tests::envelope;
    use super::*;

    fn choice(body: &str, key: &[&str]) -> Result<String> {
        let key: Vec<_> = key.iter().map(|name| vec![(*name).to_owned()]).collect();
        let envelope = envelope(body);
        Ok(match choose(envelope.root().unwrap(), "video_views", &key, false)? {
            Choice::Steps(steps) => display_steps(&steps),
            Choice::NothingToChoose => "nothing".to_owned(),
        })
    }

    #[test]
    fn one_reading_is_chosen() {
        for (body, expected) in [
            (r#"[{"id":1}]"#, "$"),
            ("[]", "$"),
            (r#"{"data":[{"id":1}],"meta":{"total":1}}"#, "data"),
            (r#"{"object":"list","url":"/v1/x","data":[],"has_more":false}"#, "data"),
            (r#"{"team":"growth","results":[1,2]}"#, "results"),
            (r#"{"videoViews":[{"id":1}],"tags":[{"a":1}]}"#, "videoViews"),
            (r#"{"data":{"items":[{"id":1}],"next":null}}"#, "data.items"),
            (r#"{"response":{"video-views":[{"id":1}]}}"#, "response.video-views"),
            (r#"{"clips":[{"id":1}],"total":1,"next_page":null,"links":{"self":"/"}}"#, "clips"),
            (r#"{"type":"FeatureCollection","features":[{"id":1}],"bbox":[1,2]}"#, "features"),
            (r#"{"response":{"docs":[{"id":1}],"numFound":5,"start":0}}"#, "error"),
            (r#"{"response":{"docs":[{"id":1}],"start":0},"status":"ok"}"#, "response.docs"),
            (r#"{"id":1,"title":"x","interactions":[{"id":2}]}"#, "$"),
            (r#"{"id":1,"settings":{"items":[{"id":2}]}}"#, "$"),
            (r#"{"id":1,"next_billing_date":"2026-01-01","tags":[]}"#, "$"),
            (r#"{"total":3,"count":2}"#, "$"),
            (r#"{"clips":[],"total":0}"#, "nothing"),
            (r#"{"clips":null,"total":0}"#, "nothing"),
            (r#"{"data":{"clips":[],"total":0}}"#, "nothing"),
            ("null", "nothing"),
        ] {
            assert_eq!(choice(body, &[]).unwrap_or_else(|_| "error".into()), expected, "{body}");
        }
    }

    #[test]
    fn two_readings_are_an_error_that_lists_them() {
        for (body, key, candidates) in [
            (r#"{"clips":[{"id":1}],"tags":[{"id":2}]}"#, "", "`clips`: a list of objects\n`tags`: a list of objects"),
            (r#"{"data":[1],"items":[{"id":2}]}"#, "", "`data`: a list\n`items`: a list of objects"),
            (r#"{"data":[],"clips":[{"id":2}]}"#, "", "`data`: an empty list\n`clips`: a list of objects"),
            (r#"{"data":{"id":1,"name":"x"}}"#, "", "`data`: an object"),
            (r#"{"clips":[{"id":1}],"tags":["a"]}"#, "", "`clips`: a list of objects\n`tags`: a list"),
            (r#"{"ids":[1,2],"total":2}"#, "", "`ids`: a list"),
            (r#"{"team":"x","clips":[{"id":1}]}"#, "id", "`$`: the answer itself\n`clips`: a list of objects"),
            (r#"{"id":7,"total":3,"items":[{"id":1}]}"#, "id", "`$`: the answer itself\n`items`: a list of objects"),
        ] {
            let key: Vec<_> = key.split_whitespace().collect();
            let error = choice(body, &key).unwrap_err();
            assert_eq!(error.context("candidates"), Some(candidates), "{body}");
        }
    }

    #[test]
    fn error_messages_and_bare_scalars_are_not_rows() {
        for (body, message) in [
            (r#"{"error":"quota exceeded"}"#, "the answer looks like an error message: it has only `error` to say"),
            (
                r#"{"errors":[{"code":1}],"status":"x"}"#,
                "the answer looks like an error message: it has only `errors` to say",
            ),
            ("{}", "the answer has no records"),
            (r#"{"meta":{"total":0}}"#, "the answer has no records"),
            (r#""forbidden""#, "the answer is a text, neither records nor a record"),
        ] {
            assert_eq!(choice(body, &[]).unwrap_err().message(), message, "{body}");
        }
    }
}
