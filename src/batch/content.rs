//! What values come to in hashes and keys.

use super::json::Scanner;
use crate::schema::number::Decimal;
use serde_json::Value;
use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

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
