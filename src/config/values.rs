//! Values with units, as people write them.

use super::tree::{Node, Value};
use crate::plan::duration;
use std::time::Duration;

/// Units of sizes with their bytes, lower case.
const SIZES: [(&str, u64); 11] = [
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("bytes", 1),
];

/// Bytes of a size such as `256 MiB`; none if it is not one, or 0.
pub fn size_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = text[digits..].trim().to_ascii_lowercase();
    let count: u64 = text[..digits].parse().ok()?;
    let (_, factor) = SIZES.iter().find(|(name, _)| *name == unit)?;
    count.checked_mul(*factor).filter(|bytes| *bytes > 0)
}

/// Bytes of a size that is a number or a text.
pub fn size(node: &Node) -> Option<u64> {
    match &node.value {
        Value::Integer(n) => u64::try_from(*n).ok().filter(|n| *n > 0),
        _ => size_bytes(&node.resolved()?),
    }
}

/// The length of time of a text.
pub fn time(node: &Node) -> Option<Duration> {
    duration::parse_duration(&node.resolved()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        let cases = [
            ("256 MiB", Some(256 << 20)),
            ("1GB", Some(1_000_000_000)),
            ("4096", Some(4096)),
            ("0", None),
            ("1 MiBs", None),
            ("MiB", None),
            ("", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(size_bytes(text), bytes, "{text}");
        }
    }
}
