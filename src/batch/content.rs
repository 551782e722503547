//! What values come to in hashes and keys.

use super::json::{Fault, Number, Scanner};
use crate::plan::model::FieldPath;
use crate::schema::number::{Decimal, Plain};
use serde_json::Value;
use std::borrow::Cow;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};

/// Whether a text is one JSON value.
pub(super) fn is_json(text: &[u8], depth: usize, scratch: &mut Vec<u8>) -> bool {
    let mut scan = Scanner::new(text);
    scan.skip(depth, scratch).is_ok() && scan.end().is_ok()
}

/// The JSON within a string token; none if the token is no string, or its text no JSON.
pub(super) fn json_in(token: &[u8], depth: usize, scratch: &mut Vec<u8>) -> Option<Vec<u8>> {
    if token.first() != Some(&b'"') {
        return None;
    }
    let text = Scanner::new(token).string(scratch).ok()?.trim_ascii().to_vec();
    is_json(&text, depth, scratch).then_some(text)
}

/// The hash of a value's content, if it is wanted; `kind` tells values of different kinds apart.
#[inline]
pub(super) fn content(wanted: bool, kind: u64, bytes: &[u8]) -> u128 {
    if wanted { xxh3_128_with_seed(bytes, kind) } else { 0 }
}

/// A hash with what it belongs to; nothing stays nothing.
pub(super) fn mix(value: u128, salt: u128) -> u128 {
    if value == 0 {
        return 0;
    }
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&value.to_le_bytes());
    bytes[16..].copy_from_slice(&salt.to_le_bytes());
    xxh3_128(&bytes)
}

/// Salt of a field, by its keys from the row's element.
pub(super) fn path_hash(path: &[String]) -> u64 {
    xxh3_64(path.join("\u{1f}").as_bytes())
}

/// What the member of an object adds to the content of the object: a sum, so that the order of keys does not matter. Null adds
/// nothing, so a new field changes no old row.
pub(super) fn of_member(value: u128, path_hash: u64) -> u128 {
    mix(value, u128::from(path_hash))
}

/// What an element of a list adds to the content of the list.
pub(super) fn of_element(value: u128, index: i64) -> u128 {
    mix(value.wrapping_add(1), index as u128 + 1)
}

/// The canonical text of a number's token.
pub(super) fn digits_of(token: &[u8]) -> Cow<'_, [u8]> {
    match Plain::parse(token) {
        Some(plain) => Cow::Borrowed(plain.canonical),
        None => Decimal::parse(token).map(|d| d.canonical()).unwrap_or_default().into_bytes().into(),
    }
}

/// The content of an object or list that is kept as it is: the same as if it had columns and tables.
pub(super) struct NestedContent<'e> {
    /// Keys from the element of the row in hand.
    pub(super) path: Vec<String>,
    /// Keys from the record.
    pub(super) full_path: Vec<String>,
    pub(super) exclude: &'e [FieldPath],
    pub(super) scratch: Vec<u8>,
}

impl NestedContent<'_> {
    pub(super) fn of(&mut self, scan: &mut Scanner<'_>, depth: usize) -> Result<u128, Fault> {
        match scan.peek() {
            Some(b'{') => self.of_object(scan, depth),
            Some(b'[') => self.of_list(scan, depth),
            Some(b'"') => Ok(content(true, 1, scan.string(&mut self.scratch)?)),
            Some(b'n') => scan.literal("null").map(|_| 0),
            Some(b @ (b't' | b'f')) => {
                scan.literal(if b == b't' { "true" } else { "false" })?;
                Ok(content(true, 2, &[b]))
            }
            _ => Ok(match scan.number()? {
                Number::Small(value) => content(true, 3, itoa::Buffer::new().format(value).as_bytes()),
                Number::Whole(token) | Number::Fraction(token) => content(true, 3, &digits_of(token)),
            }),
        }
    }

    fn of_object(&mut self, scan: &mut Scanner<'_>, depth: usize) -> Result<u128, Fault> {
        scan.open(depth)?;
        let mut sum = 0u128;
        if scan.take(b'}') {
            return Ok(sum);
        }
        loop {
            let key = String::from_utf8_lossy(scan.string(&mut self.scratch)?).into_owned();
            scan.expect(b':', "`:`")?;
            self.path.push(key.clone());
            self.full_path.push(key);
            if self.exclude.iter().any(|e| e.0 == self.full_path) {
                scan.skip(depth + 1, &mut self.scratch)?;
            } else {
                sum = sum.wrapping_add(of_member(self.of(scan, depth + 1)?, path_hash(&self.path)));
            }
            self.path.pop();
            self.full_path.pop();
            if !scan.more(b'}')? {
                return Ok(sum);
            }
        }
    }

    fn of_list(&mut self, scan: &mut Scanner<'_>, depth: usize) -> Result<u128, Fault> {
        scan.open(depth)?;
        let (mut index, mut sum) = (0i64, 0u128);
        if scan.take(b']') {
            return Ok(sum);
        }
        let path = std::mem::take(&mut self.path);
        loop {
            sum = sum.wrapping_add(of_element(self.of(scan, depth + 1)?, index));
            index += 1;
            if !scan.more(b']')? {
                self.path = path;
                return Ok(sum);
            }
        }
    }
}

/// The text by which a value counts in a key: the same for 5, 5.0 and "5".
pub(super) fn key_text(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Null => None,
        Value::String(s) => Some(s.clone().into_bytes()),
        Value::Number(n) => {
            let text = n.to_string();
            Some(Decimal::parse(text.as_bytes()).map_or(text, |d| d.canonical()).into_bytes())
        }
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Some(value.to_string().into_bytes()),
    }
}
