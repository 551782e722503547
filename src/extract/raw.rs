//! JSON text taken apart one level at a time: members and elements are slices of the body, nothing is copied or built.

use crate::error::{Error, Kind, Result};
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// What kind of JSON value a text is, told by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// A string.
    Text,
    /// An array.
    List,
    /// An object.
    Object,
}

impl Shape {
    /// The shape of a JSON text without white space around it. What no JSON value begins with counts as a number; the
    /// decoder refuses it.
    pub fn of(text: &[u8]) -> Shape {
        match text.first() {
            Some(b'n') => Shape::Null,
            Some(b't' | b'f') => Shape::Boolean,
            Some(b'"') => Shape::Text,
            Some(b'[') => Shape::List,
            Some(b'{') => Shape::Object,
            _ => Shape::Number,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Shape::Null => "null",
            Shape::Boolean => "a boolean",
            Shape::Number => "a number",
            Shape::Text => "a text",
            Shape::List => "a list",
            Shape::Object => "an object",
        })
    }
}

/// The members of an object, in order, duplicates included.
///
/// # Errors
/// The text is not an object. The whole text is validated.
pub fn members(object: &Bytes) -> Result<Vec<(String, Bytes)>> {
    let members: Members<'_> = serde_json::from_slice(object).map_err(not_json)?;
    Ok(members.0.into_iter().map(|(key, value)| (key, slice(object, value))).collect())
}

/// The elements of an array, in order.
///
/// # Errors
/// The text is not an array. The whole text is validated.
pub fn elements(array: &Bytes) -> Result<Vec<Bytes>> {
    let elements: Vec<&RawValue> = serde_json::from_slice(array).map_err(not_json)?;
    Ok(elements.into_iter().map(|value| slice(array, value)).collect())
}

/// Checks that a text is one JSON value.
///
/// # Errors
/// It is not.
pub fn validate(text: &[u8]) -> Result<()> {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).map(drop).map_err(not_json)
}

/// The text within an array that begins with its first element; `None` when it has none.
pub fn first_element(array: &[u8]) -> Option<&[u8]> {
    let rest = array.strip_prefix(b"[")?.trim_ascii_start();
    (!rest.is_empty() && rest[0] != b']').then_some(rest)
}

fn slice(whole: &Bytes, value: &RawValue) -> Bytes {
    whole.slice_ref(value.get().as_bytes())
}

fn not_json(cause: serde_json::Error) -> Error {
    Error::new(Kind::Body, "the body is not JSON").source(cause)
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
