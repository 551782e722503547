//! Values that must not be seen: the type that holds one, and the replacement of all of them in text output.
//!
//! A [`Secret`] prints as `***`. What leaves the program as text for people or logs also goes through [`redact`], because
//! a server may send a credential back in an error body. Data is never altered: rows go to the warehouse as they came.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::{OnceLock, RwLock};

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// Values shorter than this are not replaced in text: a port or a page size that comes from the environment would
/// otherwise blank out every number that looks like it. Held in a [`Secret`] they still don't print.
const SHORTEST_REPLACED: usize = 5;

/// A value that came from the environment or a mounted file. It has no way to print itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Holds a value, and has it replaced in all text output from now on.
    pub fn new(value: impl Into<String>) -> Self {
        let value = value.into();
        register(&value);
        Secret(value)
    }

    /// The value in clear. Only what builds a request may call this.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Every value that is a secret, however short.
fn held() -> &'static RwLock<HashSet<String>> {
    static HELD: OnceLock<RwLock<HashSet<String>>> = OnceLock::new();
    HELD.get_or_init(|| RwLock::new(HashSet::new()))
}

/// Whether a value was held as a secret, also one that is too short to be replaced in text.
pub fn is_secret(value: &str) -> bool {
    held().read().unwrap_or_else(std::sync::PoisonError::into_inner).contains(value)
}

fn known() -> &'static RwLock<Vec<String>> {
    static KNOWN: OnceLock<RwLock<Vec<String>>> = OnceLock::new();
    KNOWN.get_or_init(|| RwLock::new(Vec::new()))
}

/// Has a value replaced in all text output, also in the forms in which a URL or a Basic header shows it.
pub fn register(value: &str) {
    held().write().unwrap_or_else(std::sync::PoisonError::into_inner).insert(value.to_owned());
    if value.chars().count() < SHORTEST_REPLACED {
        return;
    }
    let forms = [
        value.to_owned(),
        percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string(),
        url::form_urlencoded::byte_serialize(value.as_bytes()).collect(),
        // As JSON text shows it.
        serde_json::Value::from(value).to_string().trim_matches('"').to_owned(),
    ];
    let mut known = known().write().unwrap_or_else(std::sync::PoisonError::into_inner);
    for form in forms {
        if !known.contains(&form) {
            known.push(form);
        }
    }
    // The longest first, so that a secret which contains another is replaced whole.
    known.sort_by_key(|s| std::cmp::Reverse(s.len()));
}

/// The text with every known secret replaced by `***`.
pub fn redact(text: &str) -> Cow<'_, str> {
    replace(text, |_| MASK.to_owned())
}

/// Every text that is replaced, the longest first.
pub fn replaced() -> Vec<String> {
    known().read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
}

/// The text with every known secret replaced by its mask.
pub fn replace(text: &str, mask: impl Fn(&str) -> String) -> Cow<'_, str> {
    let known = known().read().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut out = Cow::Borrowed(text);
    for secret in known.iter() {
        if out.contains(secret.as_str()) {
            out = Cow::Owned(out.replace(secret.as_str(), &mask(secret)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_stars_and_is_replaced_in_any_text() {
        let s = Secret::new("tuG4rqqTS_Df7Ma0/W73 é");
        assert_eq!(format!("{s} {s:?}"), "*** ***");
        assert_eq!(redact("a=tuG4rqqTS_Df7Ma0/W73 é&b"), "a=***&b");
        assert_eq!(redact("a=tuG4rqqTS%5FDf7Ma0%2FW73%20%C3%A9&b"), "a=***&b");
        assert_eq!(redact("a=tuG4rqqTS_Df7Ma0%2FW73+%C3%A9&b"), "a=***&b");
    }

    #[test]
    fn short_values_stay_in_text() {
        let s = Secret::new("100");
        assert_eq!(redact("limit=100"), "limit=100");
        assert!(is_secret("100"));
        assert_eq!(s.to_string(), "***");
    }
}
