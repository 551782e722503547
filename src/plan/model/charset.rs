//! How characters are bytes.

use encoding_rs::{Encoding, UTF_8};

/// How the characters of a body are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// One that browsers know too (WHATWG Encoding Standard).
    Known(&'static Encoding),
    /// UTF-32, which they don't.
    Utf32 {
        /// Whether the highest byte of a character comes first.
        big_endian: bool,
    },
}

impl Charset {
    /// The charset of a label, such as `windows-1252`; none if it is not known.
    pub fn of_label(label: &str) -> Option<Charset> {
        let label = label.trim().to_ascii_lowercase();
        // ASCII is UTF-8, and what says ASCII and is none mostly is UTF-8 too. `encoding_rs` takes it for windows-1252.
        if matches!(label.as_str(), "us-ascii" | "ascii") {
            return Some(Charset::Known(UTF_8));
        }
        if label.starts_with("utf-32") || label.starts_with("utf32") {
            return Some(Charset::Utf32 { big_endian: !label.ends_with("le") });
        }
        Encoding::for_label(label.as_bytes()).map(Charset::Known)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Charset::Known(encoding) => encoding.name(),
            Charset::Utf32 { .. } => "UTF-32",
        }
    }
}
