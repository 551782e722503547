//! The body of an answer as JSON text, and what stands in it beside the records: cursors, links, totals.
//!
//! A root array is not parsed here at all; the decoder validates it. A root object is read once, which validates it,
//! and its members are kept as slices of the body.

use super::format;
use super::raw::{self, Shape};
use crate::error::{Error, Kind, Result};
use crate::plan::model::FieldPath;
use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::fmt;
use std::sync::OnceLock;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Statuses without a body: No Content and Reset Content (RFC 9110 sections 15.3.5 and 15.3.6).
pub(super) const STATUSES_WITHOUT_BODY: [u16; 2] = [204, 205];

/// An answer's body, checked.
#[derive(Debug)]
pub struct Envelope {
    root: Option<Node>,
    /// The key that the format puts around every answer: the root element of XML.
    wrapper: Option<String>,
    /// The other bodies of the same answer: further members of an archive.
    further: Vec<Envelope>,
}

/// A value within the body. Members, or elements, are read when they are first asked for, and kept.
#[derive(Debug)]
pub struct Node {
    text: Bytes,
    members: OnceLock<Vec<(String, Node)>>,
}

/// A value beside the records, as paging decisions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// `null`.
    Null,
    /// A boolean.
    Boolean(bool),
    /// A number, as it is written.
    Number(String),
    /// A string.
    Text(String),
    /// An array or an object.
    Nested(Shape),
}

impl Envelope {
    /// Checks a body that should be JSON, and reads the members of a root object.
    ///
    /// # Errors
    /// The body is empty although the status allows one, is HTML or XML, is not UTF-8, ends early, or is an object that
    /// is not valid JSON.
    pub fn parse(status: u16, headers: &HeaderMap, body: &Bytes) -> Result<Envelope> {
        let content = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body).trim_ascii();
        if content.is_empty() {
            if STATUSES_WITHOUT_BODY.contains(&status) {
                return Ok(Envelope::nothing());
            }
            return Err(
                Error::new(Kind::Body, "the body is empty").hint("an answer without rows is `[]`, or status 204")
            );
        }
        format::refuse_markup(headers, content)?;
        format::utf8(body)?;
        refuse_cut(content)?;
        let root = Node::new(body.slice_ref(content));
        match root.shape() {
            Shape::Object => {
                root.members()?;
            }
            Shape::List => {}
            Shape::Null | Shape::Boolean | Shape::Number | Shape::Text => raw::validate(&root.text)?,
        }
        Ok(Envelope { root: Some(root), wrapper: None, further: Vec::new() })
    }

    /// JSON that was made of another format. `wrapper` is the key that the format puts around every answer.
    ///
    /// # Errors
    /// It is no JSON: a fault of the program.
    pub(super) fn of_json(json: Bytes, wrapper: Option<String>) -> Result<Envelope> {
        let root = Node::new(json);
        if root.shape() == Shape::Object {
            root.members()?;
        }
        Ok(Envelope { root: Some(root), wrapper, further: Vec::new() })
    }

    /// An answer without a body.
    pub(super) fn nothing() -> Envelope {
        Envelope { root: None, wrapper: None, further: Vec::new() }
    }

    /// Several bodies of one answer, in their order.
    pub(super) fn of_parts(parts: Vec<Envelope>) -> Envelope {
        let mut parts = parts.into_iter();
        match parts.next() {
            Some(first) => Envelope { further: parts.collect(), ..first },
            None => Envelope::nothing(),
        }
    }

    /// The bodies of the answer: mostly one.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Envelope> {
        std::iter::once(self).chain(&self.further)
    }

    /// The key that the format puts around every answer, and is no name that an API chose for its records.
    pub(super) fn wrapper(&self) -> Option<&str> {
        self.wrapper.as_deref()
    }

    /// The root value of the (first) body; `None` for an answer without one.
    pub fn root(&self) -> Option<&Node> {
        self.root.as_ref()
    }

    /// The value at a path below a root object; `None` when there is none.
    ///
    /// # Errors
    /// An object on the way has the key twice.
    pub fn fact(&self, path: &FieldPath) -> Result<Option<Fact>> {
        Ok(self.node(path)?.map(Node::fact))
    }

    /// The node at a path below a root object; of several bodies, the first that has one.
    ///
    /// # Errors
    /// As [`Envelope::fact`].
    pub fn node(&self, path: &FieldPath) -> Result<Option<&Node>> {
        for root in self.parts().filter_map(|part| part.root.as_ref()) {
            if let Some(node) = root.at(&path.0)? {
                return Ok(Some(node));
            }
        }
        Ok(None)
    }
}

impl Node {
    /// A value of its JSON text.
    pub fn new(text: Bytes) -> Node {
        Node { text, members: OnceLock::new() }
    }

    /// The value's JSON text, a slice of the body.
    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// What kind of value it is.
    pub fn shape(&self) -> Shape {
        Shape::of(&self.text)
    }

    /// An element of a list; `None` when the value is not a list or is shorter.
    ///
    /// # Errors
    /// The list is not JSON.
    fn element(&self, index: usize) -> Result<Option<&Node>> {
        if self.shape() != Shape::List {
            return Ok(None);
        }
        if self.members.get().is_none() {
            let elements = raw::elements(&self.text)?.into_iter();
            let named = elements.enumerate().map(|(at, text)| (FieldPath::index(at), Node::new(text))).collect();
            self.members.get_or_init(|| named);
        }
        Ok(self.members.get().and_then(|elements| elements.get(index)).map(|(_, node)| node))
    }

    /// The members of an object, in order.
    ///
    /// # Errors
    /// The value is not an object.
    pub fn members(&self) -> Result<&[(String, Node)]> {
        if let Some(members) = self.members.get() {
            return Ok(members);
        }
        let members = raw::members(&self.text)?.into_iter().map(|(key, text)| (key, Node::new(text))).collect();
        Ok(self.members.get_or_init(|| members))
    }

    /// A member by its name, or an element of a list by its index; `None` when there is no such thing.
    ///
    /// # Errors
    /// The key comes twice: which of them counts is not for a reader to guess.
    pub fn member(&self, name: &str) -> Result<Option<&Node>> {
        if self.shape() != Shape::Object {
            return FieldPath::index_of(name).map_or(Ok(None), |index| self.element(index));
        }
        let mut found = self.members()?.iter().filter(|(key, _)| key == name).map(|(_, node)| node);
        match (found.next(), found.next()) {
            (first, None) => Ok(first),
            (_, Some(_)) => Err(Error::new(Kind::Body, format!("the answer has the key `{name}` twice"))),
        }
    }

    /// The value at a path. A name may hold dots of its own (`@odata.nextLink`): the longest run of steps that is a key
    /// wins only where the shorter ones are no keys.
    pub fn at(&self, path: &[String]) -> Result<Option<&Node>> {
        if path.is_empty() {
            return Ok(Some(self));
        }
        for len in 1..=path.len() {
            if let Some(member) = self.member(&path[..len].join("."))?
                && let Some(found) = member.at(&path[len..])?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The value for a request, each number as it is written: one that JSON numbers of ours would not give back digit by
    /// digit is a text.
    ///
    /// # Errors
    /// The value is not JSON, or nested deeper than anything that belongs into a request.
    pub fn value(&self) -> Result<Value> {
        // The parser's own limit of depth holds for what follows too.
        serde_json::from_slice::<Value>(&self.text)
            .map_err(|cause| Error::new(Kind::Body, "a value of the answer can't be read").source(cause))?;
        self.exact()
    }

    fn exact(&self) -> Result<Value> {
        Ok(match self.shape() {
            Shape::List => {
                let elements = raw::elements(&self.text)?.into_iter();
                Value::Array(elements.map(|text| Node::new(text).exact()).collect::<Result<_>>()?)
            }
            Shape::Object => {
                let members = self.members()?.iter().map(|(name, node)| Ok((name.clone(), node.exact()?)));
                Value::Object(members.collect::<Result<_>>()?)
            }
            Shape::Number => {
                let text = String::from_utf8_lossy(&self.text);
                let number: Value = serde_json::from_str(&text).unwrap_or_default();
                if number.to_string() == text { number } else { Value::from(text.into_owned()) }
            }
            Shape::Null | Shape::Boolean | Shape::Text => serde_json::from_slice(&self.text).unwrap_or_default(),
        })
    }

    /// The value, as paging decisions need it.
    pub fn fact(&self) -> Fact {
        let text = || String::from_utf8_lossy(&self.text).into_owned();
        match self.shape() {
            Shape::Null => Fact::Null,
            Shape::Boolean => Fact::Boolean(self.text.first() == Some(&b't')),
            Shape::Number => Fact::Number(text()),
            Shape::Text => Fact::Text(serde_json::from_slice(&self.text).unwrap_or_else(|_| text())),
            shape @ (Shape::List | Shape::Object) => Fact::Nested(shape),
        }
    }
}

impl Fact {
    /// The fact as a token or URL: a text or a number that says something. Null, `false` and `""` say that there is
    /// none.
    ///
    /// # Errors
    /// It is `true`, a list or an object; `what` names it in the sentence.
    pub fn token(&self, what: &str, path: &FieldPath) -> Result<Option<String>> {
        match self {
            Fact::Null | Fact::Boolean(false) => Ok(None),
            Fact::Text(text) | Fact::Number(text) => Ok((!text.is_empty()).then(|| text.clone())),
            Fact::Boolean(true) | Fact::Nested(_) => {
                Err(Error::new(Kind::Paging, format!("{what} at `{path}` is {self}, not a text or a number")))
            }
        }
    }
}

impl fmt::Display for Fact {
    /// The kind of the value, never the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = match self {
            Fact::Null => Shape::Null,
            Fact::Boolean(_) => Shape::Boolean,
            Fact::Number(_) => Shape::Number,
            Fact::Text(_) => Shape::Text,
            Fact::Nested(shape) => *shape,
        };
        shape.fmt(f)
    }
}

/// A body that stops in the middle is found before it is decoded, so that the request can be sent again.
fn refuse_cut(content: &[u8]) -> Result<()> {
    let last = content[content.len() - 1];
    match content[0] {
        b'[' if content.len() < 2 || last != b']' => Err(Error::new(Kind::Body, "the body ends before its list does")),
        b'{' if content.len() < 2 || last != b'}' => {
            Err(Error::new(Kind::Body, "the body ends before its object does"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use reqwest::header::{CONTENT_TYPE, HeaderValue};

    /// An envelope of a JSON text, as the other tests of this module need it.
    pub(crate) fn envelope(text: &str) -> Envelope {
        Envelope::parse(200, &HeaderMap::new(), &Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    /// A dotted path.
    pub(crate) fn path(text: &str) -> FieldPath {
        FieldPath(text.split('.').map(str::to_owned).collect())
    }

    fn parse(status: u16, content_type: &'static str, body: &'static [u8]) -> Result<Envelope> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Envelope::parse(status, &headers, &Bytes::from_static(body))
    }

    #[test]
    fn bodies_that_cannot_be_json_are_refused_by_what_they_are() {
        let cases: [(u16, &'static str, &'static [u8], &str); 12] = [
            (200, "text/plain", b"OK", "the body is not JSON"),
            (200, "application/json", b"", "the body is empty"),
            (200, "application/json", b" \n", "the body is empty"),
            (200, "text/html; charset=utf-8", b"<!doctype html><p>login", "the server sent HTML, not JSON"),
            (200, "application/json", b"\n <html></html>", "the server sent HTML, not JSON"),
            (200, "text/html", b"Service down", "the server sent HTML, not JSON"),
            (200, "application/xml", b"<?xml version='1.0'?><a/>", "the server sent XML, not JSON"),
            (200, "application/json", b"{\"a\":\"\xff\"}", "the body is not UTF-8"),
            (200, "application/json", b"[{\"a\":1},{\"a\"", "the body ends before its list does"),
            (200, "application/json", b"[", "the body ends before its list does"),
            (200, "application/json", b"{\"data\":[1,2", "the body ends before its object does"),
            (200, "application/json", b"{\"data\":[1,}", "the body is not JSON"),
        ];
        for (status, content_type, body, message) in cases {
            let error = parse(status, content_type, body).unwrap_err();
            assert_eq!(error.message(), message);
            assert_eq!(error.kind(), Kind::Body);
        }
    }

    #[test]
    fn a_wrong_byte_is_named_by_its_offset() {
        let error = parse(200, "application/json", b"{\"a\":\"\xff\"}").unwrap_err();
        assert_eq!(error.context("byte offset"), Some("6"));
    }

    #[test]
    fn json_is_taken_under_other_labels_and_behind_a_byte_order_mark() {
        for (content_type, body) in [
            ("text/plain", b"[1]".as_slice()),
            ("text/html", b"{\"a\":1}"),
            ("application/json", b"\xEF\xBB\xBF [1]\n"),
        ] {
            let envelope = parse(200, content_type, body).unwrap();
            assert!(envelope.root().is_some());
        }
        assert_eq!(&parse(200, "text/plain", b"\xEF\xBB\xBF [1]\n").unwrap().root().unwrap().text()[..], b"[1]");
        assert!(parse(204, "text/plain", b"").unwrap().root().is_none());
        assert!(parse(205, "text/plain", b"").unwrap().root().is_none());
    }

    #[test]
    fn facts_are_found_by_path_also_under_keys_with_dots() {
        let e = envelope(
            r#"{"@odata.nextLink":"/n","meta":{"total":"12","more":true,"none":null,"a.b":{"c":1}},"data":[1,2],"x":"\u00e9"}"#,
        );
        let cases = [
            ("@odata.nextLink", Some(Fact::Text("/n".into()))),
            ("meta.total", Some(Fact::Text("12".into()))),
            ("meta.more", Some(Fact::Boolean(true))),
            ("meta.none", Some(Fact::Null)),
            ("meta.a.b.c", Some(Fact::Number("1".into()))),
            ("meta", Some(Fact::Nested(Shape::Object))),
            ("data", Some(Fact::Nested(Shape::List))),
            ("x", Some(Fact::Text("é".into()))),
            ("meta.total.x", None),
            ("absent", None),
            ("data.0", None),
        ];
        for (at, expected) in cases {
            assert_eq!(e.fact(&path(at)).unwrap(), expected, "{at}");
        }
        assert_eq!(envelope("[1]").fact(&path("total")).unwrap(), None);
    }

    #[test]
    fn steps_of_indexes_lead_into_lists_and_are_names_elsewhere() {
        let e = envelope(r#"{"a":[{"b":1},[2,3]],"[0]":"name","o":{"x":1}}"#);
        let at = |steps: &[&str]| e.fact(&FieldPath(steps.iter().map(|s| (*s).to_owned()).collect())).unwrap();
        assert_eq!(at(&["a", "[0]", "b"]), Some(Fact::Number("1".into())));
        assert_eq!(at(&["a", "[1]", "[1]"]), Some(Fact::Number("3".into())));
        assert_eq!(at(&["[0]"]), Some(Fact::Text("name".into())));
        for absent in [&["a", "[2]"][..], &["o", "[0]"], &["a", "b"], &["a", "[0]", "b", "[0]"]] {
            assert_eq!(at(absent), None, "{absent:?}");
        }
    }

    #[test]
    fn values_for_requests_keep_their_digits_and_have_a_depth() {
        let value = |text: &str| Node::new(Bytes::copy_from_slice(text.as_bytes())).value();
        let big = value(r#"{"n":9007199254740993,"m":[18446744073709551616,1.10,null,true,"x"]}"#).unwrap();
        assert_eq!(big.to_string(), r#"{"n":9007199254740993,"m":["18446744073709551616","1.10",null,true,"x"]}"#);
        assert!(value(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).is_err());
    }

    #[test]
    fn a_key_that_comes_twice_is_an_error_when_it_is_asked_for() {
        let e = envelope(r#"{"next":"/a","next":"/b","total":1}"#);
        assert_eq!(e.fact(&path("total")).unwrap(), Some(Fact::Number("1".into())));
        assert_eq!(e.fact(&path("next")).unwrap_err().message(), "the answer has the key `next` twice");
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(Envelope::parse(200, &HeaderMap::new(), &Bytes::from(deep)).is_ok());
    }
}
