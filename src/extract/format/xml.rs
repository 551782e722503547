//! XML as JSON: an element with nothing but text is that text, any other an object of its attributes and elements.
//!
//! * The root element is the only key of the result, as in xmltodict. Names keep their prefixes; `xmlns` attributes are no
//!   data.
//! * Text beside attributes or elements is `value`; an empty element is null, as is one with `xsi:nil="true"`.
//! * Elements of one name are a list where there are several of them; where the file or the selector says so; and below
//!   `type="array"`.
//! * Everything is text. Entities that a document declares itself are refused, so nothing is fetched and nothing explodes.

use super::{Place, line_of, push_string};
use crate::batch::json::DEPTH_MAX;
use crate::error::{Error, Kind, Result};
use crate::plan::model::Step;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;
use std::collections::HashMap;

/// Key of an element's text, where it has attributes or elements too.
const TEXT_KEY: &str = "value";

/// An element that was read.
#[derive(Debug, Default)]
struct Element {
    attributes: Vec<(String, String)>,
    children: Vec<(String, Element)>,
    text: String,
    /// `type="array"`: its elements are lists.
    is_array: bool,
    /// `xsi:nil="true"`.
    is_nil: bool,
}

/// The document as a JSON object with one key, and that key. `lists` are names of elements that are lists; so is the element at `place`.
///
/// # Errors
/// The text is not well-formed XML, ends early, is nested too deep or uses an entity of its own.
pub(super) fn to_json(text: &str, lists: &[String], place: Place<'_>) -> Result<(Vec<u8>, String)> {
    let (name, root) = parse(text)?;
    let path = list_path(place.steps);
    let shape = Lists { names: lists, absent_is_empty: place.is_seen };
    let below = path.split_first().filter(|(first, rest)| first.name == name && !rest.is_empty()).map(|(_, rest)| rest);
    let mut out = Vec::with_capacity(text.len());
    out.push(b'{');
    push_string(&mut out, &name)?;
    out.push(b':');
    root.write(&mut out, &shape, below)?;
    out.push(b'}');
    Ok((out, name))
}

/// What makes lists of elements.
struct Lists<'l> {
    /// Elements that are lists wherever they are.
    names: &'l [String],
    /// Whether the list of records may have no element.
    absent_is_empty: bool,
}

/// A name on the way to the records.
struct PathStep<'s> {
    name: &'s str,
    /// Whether all elements of the name are meant.
    is_list: bool,
}

/// The way of a selector: the element at its end is a list, and so is one of which every element is meant.
fn list_path(steps: &[Step]) -> Vec<PathStep<'_>> {
    let mut path: Vec<PathStep<'_>> = Vec::new();
    for step in steps {
        match step {
            Step::Key(name) => path.push(PathStep { name, is_list: false }),
            Step::Index(_) | Step::Every => {
                if let Some(last) = path.last_mut() {
                    last.is_list = true;
                }
            }
        }
    }
    if let Some(last) = path.last_mut() {
        last.is_list = true;
    }
    path
}

fn parse(text: &str) -> Result<(String, Element)> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<(String, Element)> = Vec::new();
    let mut root = None;
    loop {
        let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let malformed = |what: String| Error::new(Kind::Body, what).with("at", format!("line {}", line_of(text, at)));
        let event = reader.read_event().map_err(|cause| malformed("the body is not XML".into()).source(cause))?;
        match event {
            Event::Start(tag) => {
                if open.len() >= DEPTH_MAX {
                    return Err(malformed(format!("the XML is nested deeper than {DEPTH_MAX} levels")));
                }
                open.push(element(&tag).map_err(malformed)?);
            }
            Event::Empty(tag) => close(element(&tag).map_err(malformed)?, &mut open, &mut root).map_err(malformed)?,
            Event::End(_) => {
                let ended = open.pop().ok_or_else(|| malformed("an element ends that did not begin".into()))?;
                close(ended, &mut open, &mut root).map_err(malformed)?;
            }
            Event::Text(content) => push_text(&content.xml10_content(), &mut open).map_err(malformed)?,
            Event::CData(content) => push_text(&content.xml10_content(), &mut open).map_err(malformed)?,
            Event::GeneralRef(reference) => {
                push_text(&entity(&reference).map_err(malformed)?, &mut open).map_err(malformed)?
            }
            Event::DocType(declaration) if declaration.contains("<!ENTITY") => {
                return Err(malformed("the XML declares entities of its own, which are not read".into()));
            }
            Event::DocType(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    match (root, open.last()) {
        (_, Some((name, _))) => Err(Error::new(Kind::Body, format!("the XML ends before its element `{name}` does"))),
        (None, None) => Err(Error::new(Kind::Body, "the body is empty, and not XML")),
        (Some(root), None) => Ok(root),
    }
}

/// The beginning of an element: its name and attributes. The error is the sentence.
fn element(tag: &BytesStart<'_>) -> Result<(String, Element), String> {
    let mut element = Element::default();
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|cause| format!("an attribute is not XML: {cause}"))?;
        let name: &str = attribute.key.as_ref();
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|cause| format!("an attribute is not XML: {cause}"))?;
        match name {
            "xmlns" => {}
            _ if name.starts_with("xmlns:") => {}
            "type" if value == "array" => element.is_array = true,
            "nil" | "xsi:nil" if matches!(&*value, "true" | "1") => element.is_nil = true,
            _ => element.attributes.push((name.to_owned(), value.into_owned())),
        }
    }
    let name = tag.name();
    let name: &str = name.as_ref();
    Ok((name.to_owned(), element))
}

/// Puts an element that ended below the one around it.
fn close(
    ended: (String, Element),
    open: &mut [(String, Element)],
    root: &mut Option<(String, Element)>,
) -> Result<(), String> {
    match (open.last_mut(), &root) {
        (Some((_, around)), _) => around.children.push(ended),
        (None, None) => *root = Some(ended),
        (None, Some(_)) => return Err("the XML has more than one root element".into()),
    }
    Ok(())
}

fn push_text(text: &str, open: &mut [(String, Element)]) -> Result<(), String> {
    match open.last_mut() {
        Some((_, element)) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err("the body is not XML: there is text outside of the root element".into()),
    }
    Ok(())
}

/// The character that a reference stands for: XML's own five, or one by its number.
fn entity(reference: &BytesRef<'_>) -> Result<String, String> {
    let by_number = reference.resolve_char_ref().map_err(|cause| format!("a character reference is wrong: {cause}"))?;
    if let Some(c) = by_number {
        return Ok(c.to_string());
    }
    let name: &str = reference;
    match quick_xml::escape::resolve_predefined_entity(name) {
        Some(text) => Ok(text.to_owned()),
        None => Err(format!("the XML uses the entity `{name}`, which it can't declare itself")),
    }
}

impl Element {
    /// Writes the element's value. `path` leads on to the element that is a list for the selector's sake.
    fn write(&self, out: &mut Vec<u8>, lists: &Lists<'_>, path: Option<&[PathStep<'_>]>) -> Result<()> {
        let text = self.text.trim();
        let has_members = !self.attributes.is_empty() || !self.children.is_empty();
        if !has_members && (self.is_nil || text.is_empty()) {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        if !has_members {
            return push_string(out, text);
        }
        let groups = self.groups();
        let mut object = Object { out, is_empty: true };
        for (name, value) in &self.attributes {
            let is_taken = groups.iter().any(|(child, _)| child == name);
            push_string(object.key(&if is_taken { format!("{name}_attribute") } else { name.clone() })?, value)?;
        }
        for (name, elements) in &groups {
            let next = path.and_then(|path| path.split_first()).filter(|(first, _)| first.name == *name);
            let is_wanted = next.is_some_and(|(step, _)| step.is_list);
            let below = next.map(|(_, rest)| rest).filter(|rest| !rest.is_empty());
            let is_list =
                elements.len() > 1 || self.is_array || is_wanted || lists.names.iter().any(|list| list == name);
            let out = object.key(name)?;
            if is_list {
                write_list(out, elements, lists, below)?;
            } else if let [element] = elements.as_slice() {
                element.write(out, lists, below)?;
            }
        }
        // Of an array that says so, and of a list that was seen before, no element means an empty list.
        if (self.is_array || lists.absent_is_empty)
            && let Some([last]) = path
            && !groups.iter().any(|(child, _)| *child == last.name)
        {
            object.key(last.name)?.extend_from_slice(b"[]");
        }
        if !text.is_empty() {
            push_string(object.key(&self.text_key())?, text)?;
        }
        out.push(b'}');
        Ok(())
    }

    /// The elements below, by name, in the order in which the names first come.
    fn groups(&self) -> Vec<(&str, Vec<&Element>)> {
        let mut groups: Vec<(&str, Vec<&Element>)> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (name, element) in &self.children {
            let place = *places.entry(name).or_insert_with(|| {
                groups.push((name, Vec::new()));
                groups.len() - 1
            });
            groups[place].1.push(element);
        }
        groups
    }

    /// `value`, or the same with as many underscores as nothing else has.
    fn text_key(&self) -> String {
        let mut key = TEXT_KEY.to_owned();
        let names = || self.attributes.iter().map(|(name, _)| name).chain(self.children.iter().map(|(name, _)| name));
        while names().any(|name| *name == key) {
            key = format!("text_{key}");
        }
        key
    }
}

fn write_list(
    out: &mut Vec<u8>,
    elements: &[&Element],
    lists: &Lists<'_>,
    path: Option<&[PathStep<'_>]>,
) -> Result<()> {
    out.push(b'[');
    for (at, element) in elements.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        element.write(out, lists, path)?;
    }
    out.push(b']');
    Ok(())
}

/// A JSON object that is being written.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl Object<'_> {
    /// Writes a key; its value comes next.
    fn key(&mut self, name: &str) -> Result<&mut Vec<u8>> {
        self.out.push(if self.is_empty { b'{' } else { b',' });
        self.is_empty = false;
        push_string(self.out, name)?;
        self.out.push(b':');
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str, lists: &[&str], path: &str) -> Result<String> {
        let lists: Vec<String> = lists.iter().map(|name| (*name).to_owned()).collect();
        let steps: Vec<Step> = path.split_whitespace().map(|key| Step::Key(key.to_owned())).collect();
        Ok(String::from_utf8(to_json(text, &lists, Place { steps: &steps, is_seen: false })?.0).unwrap())
    }

    #[test]
    fn elements_become_keys_and_text_stays_text() {
        for (text, expected) in [
            ("<a>1</a>", r#"{"a":"1"}"#),
            (
                "<?xml version=\"1.0\"?>\n<!DOCTYPE a>\n<!-- c --><a> <b>1</b>\n<c/> </a>\n",
                r#"{"a":{"b":"1","c":null}}"#,
            ),
            ("<a><b>1</b><b>2</b></a>", r#"{"a":{"b":["1","2"]}}"#),
            ("<a id='7'>x</a>", r#"{"a":{"id":"7","value":"x"}}"#),
            ("<a id='7'/>", r#"{"a":{"id":"7"}}"#),
            ("<a id='7'><id>8</id></a>", r#"{"a":{"id_attribute":"7","id":"8"}}"#),
            ("<a value='1'>x</a>", r#"{"a":{"value":"1","text_value":"x"}}"#),
            ("<a>x &lt; &#65;&#x42; <![CDATA[<b>&amp;</b>]]></a>", r#"{"a":"x < AB <b>&amp;</b>"}"#),
            ("<p>Hello <b>world</b>!</p>", r#"{"p":{"b":"world","value":"Hello !"}}"#),
            ("<s:a xmlns:s='urn:x'><s:b s:c='1'/></s:a>", r#"{"s:a":{"s:b":{"s:c":"1"}}}"#),
            ("<a><b xsi:nil='true'/></a>", r#"{"a":{"b":null}}"#),
            ("<a t='&quot;1&quot;'/>", r#"{"a":{"t":"\"1\""}}"#),
            ("<a><b>1</b><c>x</c><b>2</b></a>", r#"{"a":{"b":["1","2"],"c":"x"}}"#),
        ] {
            assert_eq!(json(text, &[], "").unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn one_element_is_a_list_where_something_says_so() {
        for (text, lists, path, expected) in [
            ("<a><b>1</b></a>", &["b"][..], "", r#"{"a":{"b":["1"]}}"#),
            ("<a><b>1</b></a>", &[], "a b", r#"{"a":{"b":["1"]}}"#),
            ("<a><x><b>1</b></x></a>", &[], "a x b", r#"{"a":{"x":{"b":["1"]}}}"#),
            ("<a><b>1</b></a>", &[], "b", r#"{"a":{"b":"1"}}"#),
            ("<a><b><b>1</b></b></a>", &[], "a b", r#"{"a":{"b":[{"b":"1"}]}}"#),
            ("<a type='array'><b>1</b></a>", &[], "", r#"{"a":{"b":["1"]}}"#),
            ("<a type='array' total='0'/>", &[], "a b", r#"{"a":{"total":"0","b":[]}}"#),
            ("<a type='array'/>", &[], "a b", r#"{"a":null}"#),
            ("<a/>", &[], "a b", r#"{"a":null}"#),
        ] {
            assert_eq!(json(text, lists, path).unwrap(), expected, "{text} {path}");
        }
    }

    #[test]
    fn what_is_no_whole_document_is_an_error() {
        let deep = "<a>".repeat(200);
        for (text, says) in [
            ("<a><b>1</b>", "ends before its element `a` does"),
            ("<a><b>1</a>", "not XML"),
            ("<a>1</a><b/>", "more than one root"),
            ("oops <a/>", "outside of the root"),
            ("", "empty"),
            ("<a>&nbsp;</a>", "entity `nbsp`"),
            ("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", "declares entities"),
            ("<a b=1/>", "attribute"),
            (deep.as_str(), "nested deeper"),
            ("<a", "not XML"),
        ] {
            let error = json(text, &[], "").unwrap_err();
            assert!(error.message().contains(says), "{text}: {error}");
        }
    }
}
