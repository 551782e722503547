//! Ids that follow from keys.

use super::content::key_text;
use super::decode::uuid8;
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

/// The id of a record whose key has these texts: each counts with its length.
pub(super) fn id_of_texts<'t>(texts: impl Iterator<Item = &'t [u8]>) -> u128 {
    let mut bytes = Vec::with_capacity(32);
    for text in texts {
        bytes.extend_from_slice(&(text.len() as u32).to_be_bytes());
        bytes.extend_from_slice(text);
    }
    uuid8(xxh3_128(&bytes))
}

/// The id of a record whose key has these values; none if one of them is null.
pub fn id_of_values<'v>(values: impl Iterator<Item = &'v Value>) -> Option<u128> {
    let texts: Option<Vec<Vec<u8>>> = values.map(key_text).collect();
    Some(id_of_texts(texts?.iter().map(Vec::as_slice)))
}
