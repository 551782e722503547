//! What a tape looks like: a folder with `tape.jsonl`, and large bodies in `bodies/`.
//!
//! The first line of `tape.jsonl` is the [`Header`], every other line an [`Exchange`], in the order in which the exchanges
//! ended. A line is appended as a whole, so a killed run leaves a tape that lacks its last line at most.

use super::{BODIES_FOLDER, fault};
use crate::error::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

/// The version of the format that is written, and the newest that is read.
pub const VERSION: u32 = 1;

/// Bodies up to this size are part of their line.
const INLINE_BYTES_MAX: u64 = 64 << 10;

/// The first line of a tape: of what run it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format.
    pub pintail_tape: u32,
    /// Name of the pipeline.
    pub pipeline: String,
    /// The program that recorded it.
    pub recorded_by: String,
    /// When the recorded run began, which is what its requests may name.
    pub started_at: DateTime<Utc>,
    /// What `${…}` brought in, files as `file:PATH`.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// What stands for each `${…}` that was a secret.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
}

/// The version alone, which every version of the format can be asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    pub(super) pintail_tape: u32,
}

/// A request and what became of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Exchange {
    pub(super) request: Asked,
    pub(super) outcome: Outcome,
}

/// A request without its secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Secret parameters have the value `***`.
    pub(super) url: String,
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub(super) headers: Headers,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<String>,
    /// It asked for credentials: its body and the texts of its answer are masked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) login: bool,
}

/// What became of a request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// A whole answer.
    Answer {
        status: u16,
        #[serde(default)]
        headers: Headers,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<Body>,
    },
    /// No whole answer.
    Failure {
        kind: FailureKind,
        cause: String,
        /// The start of an answer, if its head arrived.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        received: Option<Received>,
    },
}

/// The part of an answer that arrived.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Received {
    pub(super) status: u16,
    pub(super) bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body_start: Option<Body>,
}

/// A failure that a network can bring; the others are no exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FailureKind {
    Connect,
    Tls,
    Timeout,
    Reset,
    Truncated,
    Decode,
    TooLarge,
    Unsendable,
    Unknown,
}

/// A body, as legible as it can be without changing a byte.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Body {
    /// A JSON object or list on one line, as it came.
    Json(Box<RawValue>),
    /// Any other UTF-8.
    Text(String),
    /// What is no text.
    Base64(String),
    /// A file below the folder of the tape.
    File(String),
}

impl Body {
    /// A body that has a place on a line. None: there is nothing to keep.
    pub(super) fn inline(bytes: &[u8]) -> Option<Body> {
        if bytes.is_empty() {
            return None;
        }
        let Ok(text) = std::str::from_utf8(bytes) else { return Some(Body::Base64(BASE64.encode(bytes))) };
        let is_document = text.starts_with(['{', '[']) && text.ends_with(['}', ']']) && !text.contains(['\n', '\r']);
        let json = is_document.then(|| RawValue::from_string(text.to_owned()).ok()).flatten();
        Some(json.map_or_else(|| Body::Text(text.to_owned()), Body::Json))
    }

    /// Whether a body of so many bytes goes to a file of its own.
    pub(super) fn is_large(bytes: u64) -> bool {
        bytes > INLINE_BYTES_MAX
    }

    /// The bytes, to be read one after the other: those of a file are never all in memory.
    ///
    /// # Errors
    /// As those of [`Body::bytes`].
    pub(super) fn reader(&self, folder: &Path) -> Result<Box<dyn Read>> {
        let Body::File(name) = self else { return Ok(Box::new(Cursor::new(self.bytes(folder)?))) };
        let path = body_file(folder, name)?;
        let file = File::open(&path).map_err(|e| fault("a body of the tape can't be read", &path).source(e))?;
        Ok(Box::new(file))
    }

    /// The bytes.
    ///
    /// # Errors
    /// A file of the tape can't be read or leads out of it, or the Base64 is not valid.
    pub(super) fn bytes(&self, folder: &Path) -> Result<Vec<u8>> {
        match self {
            Body::Json(json) => Ok(json.get().as_bytes().to_vec()),
            Body::Text(text) => Ok(text.as_bytes().to_vec()),
            Body::Base64(text) => {
                BASE64.decode(text).map_err(|e| fault("a body of the tape is not valid Base64", folder).source(e))
            }
            Body::File(name) => {
                let path = body_file(folder, name)?;
                std::fs::read(&path).map_err(|e| fault("a body of the tape can't be read", &path).source(e))
            }
        }
    }
}

/// The file of a body. A tape may come from anywhere, so its names lead to nothing but its own folder of bodies.
fn body_file(folder: &Path, name: &str) -> Result<std::path::PathBuf> {
    let inside = name.strip_prefix(BODIES_FOLDER).and_then(|rest| rest.strip_prefix('/'));
    match inside {
        Some(file) if !file.is_empty() && !file.starts_with('.') && !file.contains(['/', '\\']) => {
            Ok(folder.join(BODIES_FOLDER).join(file))
        }
        _ => Err(fault("the tape names a body outside of its folder", folder).with("body", name)),
    }
}

/// Headers by name: one value as text, several as a list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Headers(BTreeMap<String, Values>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Many(Vec<String>),
}

impl Headers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The headers, each value as `text` gives it. Bytes that are not UTF-8 are replaced: a header can't be relied on for
    /// them.
    pub(super) fn of(map: &HeaderMap, text: impl Fn(&HeaderName, &HeaderValue, &str) -> String) -> Headers {
        let mut headers = BTreeMap::new();
        for name in map.keys() {
            let values = map.get_all(name).iter();
            let mut values: Vec<String> =
                values.map(|value| text(name, value, &String::from_utf8_lossy(value.as_bytes()))).collect();
            let values = match (values.len(), values.pop()) {
                (1, Some(value)) => Values::One(value),
                (_, last) => Values::Many(values.into_iter().chain(last).collect()),
            };
            headers.insert(name.as_str().to_owned(), values);
        }
        Headers(headers)
    }

    /// The headers of an answer.
    ///
    /// # Errors
    /// A name or value that no header can have.
    pub(super) fn to_map(&self, folder: &Path) -> Result<HeaderMap> {
        let mut map = HeaderMap::new();
        for (name, values) in &self.0 {
            let values = match values {
                Values::One(value) => std::slice::from_ref(value),
                Values::Many(values) => values,
            };
            for value in values {
                let unusable = || fault("the tape has a header that can't be one", folder).with("header", name);
                let key = HeaderName::from_bytes(name.as_bytes()).map_err(|e| unusable().source(e))?;
                map.append(key, HeaderValue::from_bytes(value.as_bytes()).map_err(|e| unusable().source(e))?);
            }
        }
        Ok(map)
    }
}
