//! Bodies that are stored as files: where they go, what they are called, and the row that describes each.
//!
//! A body is written under a temporary name, and gets its own only when it is whole and on disk, before its row commits. So
//! a killed run leaves no half file under a name that a row could mean; its temporary files are removed by the next run. A
//! name ends with a part of the content's hash: the same content again is the same file, and another one never replaces it.

use crate::error::{Error, Kind, Result};
use crate::http::{Downloaded, Response};
use crate::plan::template::Scope;
use chrono::{DateTime, SecondsFormat, Utc};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// How temporary names begin.
const PARTIAL_PREFIX: &str = ".partial-";

/// Characters of a part of a file's name.
const NAME_CHARS_MAX: usize = 80;

/// Hexadecimal digits of the hash in a file's name.
const HASH_DIGITS: usize = 16;

/// Bytes of the hash of a parent's values, where the name needs it.
const VALUES_HASH_BYTES: usize = 6;

/// Content types whose files have no name with an ending, with the ending.
const ENDINGS: [(&str, &str); 12] = [
    ("application/gzip", "gz"),
    ("application/json", "json"),
    ("application/pdf", "pdf"),
    ("application/zip", "zip"),
    ("audio/mpeg", "mp3"),
    ("audio/wav", "wav"),
    ("image/jpeg", "jpg"),
    ("image/png", "png"),
    ("text/csv", "csv"),
    ("text/plain", "txt"),
    ("video/mp4", "mp4"),
    ("video/webm", "webm"),
];

/// Where the files of one resource go, in one run.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    /// The folder as rows name it.
    shown: String,
    cleaned: OnceLock<()>,
    begun_count: AtomicU64,
}

/// A file that is not whole yet. Dropping it removes it.
#[derive(Debug)]
pub(in crate::extract) struct Partial {
    /// Its temporary name.
    pub(in crate::extract) path: PathBuf,
}

impl Drop for Partial {
    fn drop(&mut self) {
        // It may never have been made, or have its own name by now.
        let _ = fs::remove_file(&self.path);
    }
}

impl Files {
    /// Files of a resource in a folder that the pipeline file names.
    pub fn at(folder: PathBuf) -> Files {
        let shown = folder.to_string_lossy().into_owned();
        Files { folder, shown, cleaned: OnceLock::new(), begun_count: AtomicU64::new(0) }
    }

    /// Files of a resource beside the warehouse, which is in `base`. Rows name them from there, so that warehouse and files
    /// can be moved together.
    pub fn beside(base: &Path, dataset: &str, table: &str) -> Files {
        let shown = format!("files/{dataset}/{table}");
        Files {
            folder: base.join("files").join(dataset).join(table),
            shown,
            cleaned: OnceLock::new(),
            begun_count: AtomicU64::new(0),
        }
    }

    /// The same files, named alike, in another folder.
    #[must_use]
    pub fn kept_in(self, folder: PathBuf) -> Files {
        Files { folder, ..self }
    }

    /// A name for the next body.
    ///
    /// # Errors
    /// The folder can't be made, or what an earlier run left there can't be removed.
    pub(in crate::extract) fn begin(&self) -> Result<Partial> {
        fs::create_dir_all(&self.folder).map_err(|cause| self.failed("can't be made", cause))?;
        if self.cleaned.set(()).is_ok() {
            self.remove_partial().map_err(|cause| self.failed("can't be cleaned", cause))?;
        }
        let number = self.begun_count.fetch_add(1, Ordering::Relaxed);
        Ok(Partial { path: self.folder.join(format!("{PARTIAL_PREFIX}{}-{number}", std::process::id())) })
    }

    /// Removes what a run left that was killed. The pipeline's lock is held, so no other run writes there.
    fn remove_partial(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(PARTIAL_PREFIX) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Gives a body that arrived whole its name; its row, as JSON.
    ///
    /// # Errors
    /// The file can't be renamed.
    pub(in crate::extract) fn keep(
        &self,
        downloaded: &Downloaded,
        response: &Response,
        scope: &Scope,
    ) -> Result<Value> {
        let original = original_name(response);
        let name = file_name(original.as_deref(), response.header("content-type"), &downloaded.sha256, scope);
        let place = self.folder.join(&name);
        let is_there = fs::metadata(&place).is_ok_and(|there| there.is_file() && there.len() == downloaded.bytes);
        if !is_there {
            fs::rename(&downloaded.path, &place).map_err(|cause| self.failed("can't take the file", cause))?;
            let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
            synced.map_err(|cause| self.failed("can't be brought to disk", cause))?;
        }
        Ok(json!({
            "path": format!("{}/{name}", self.shown),
            "file_name": original,
            "bytes": downloaded.bytes,
            "sha256": downloaded.sha256,
            "content_type": response.header("content-type"),
            "url": address(response),
            "etag": response.header("etag"),
            "last_modified": response.header("last-modified").and_then(time),
        }))
    }

    fn failed(&self, what: &str, cause: io::Error) -> Error {
        Error::new(Kind::Destination, format!("the folder for files {what}"))
            .with("folder", self.folder.display())
            .source(cause)
    }
}

/// The URL without its query, in which signed links carry their credential.
fn address(response: &Response) -> String {
    let mut url = response.url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

fn time(http_date: &str) -> Option<String> {
    let time: DateTime<Utc> = httpdate::parse_http_date(http_date).ok()?.into();
    Some(time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// The name that the server gives the file: in Content-Disposition, else at the end of the URL.
fn original_name(response: &Response) -> Option<String> {
    let disposition = response.header("content-disposition").unwrap_or_default();
    let in_url = || {
        let last = response.url.path_segments()?.rfind(|segment| !segment.is_empty())?;
        Some(percent_decode_str(last).decode_utf8_lossy().into_owned())
    };
    disposition_name(disposition).or_else(in_url)
}

/// `filename*` (RFC 8187) before `filename` of a Content-Disposition (RFC 6266 section 4.3).
fn disposition_name(disposition: &str) -> Option<String> {
    let parameter = |wanted: &str| {
        let parameters = disposition.split(';').skip(1).filter_map(|p| p.split_once('='));
        let found = parameters.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.trim().trim_matches('"').to_owned()).filter(|value| !value.is_empty())
    };
    let extended = parameter("filename*").and_then(|value| {
        let (_charset, rest) = value.split_once('\'')?;
        let (_language, name) = rest.split_once('\'')?;
        Some(percent_decode_str(name).decode_utf8_lossy().into_owned())
    });
    extended.or_else(|| parameter("filename"))
}

/// `PARENT-NAME-HASH.ENDING`, of harmless characters only.
fn file_name(original: Option<&str>, content_type: Option<&str>, sha256: &str, scope: &Scope) -> String {
    let values = scope.parent.iter().map(|(_, value)| value).chain(scope.partition.iter().map(|(_, value)| value));
    let scalars = values.filter_map(|value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    });
    let of_parent = name_of_values(&scalars.collect::<Vec<_>>());
    // Only what comes behind the last separator is a name.
    let original = original.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    let (stem, ending) = match original.rsplit_once('.') {
        Some((stem, ending)) if is_ending(ending) => (stem, Some(ending.to_owned())),
        _ => (original, None),
    };
    let media_type = content_type.and_then(|t| t.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
    let known = || ENDINGS.iter().find(|(name, _)| *name == media_type).map(|(_, ending)| (*ending).to_owned());
    let parts = [of_parent, harmless(stem), sha256.chars().take(HASH_DIGITS).collect()];
    let name = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    match ending.or_else(known) {
        Some(ending) => format!("{name}.{}", ending.to_ascii_lowercase()),
        None => name,
    }
}

/// The values with a dash between them. Where the name doesn't tell which values they are, because characters were replaced or
/// cut off or a value has a dash itself, a part of their hash follows: files of other values must not share the name.
fn name_of_values(values: &[String]) -> String {
    let joined = values.join("-");
    let name = harmless(&joined);
    let tells = name == joined && (values.len() < 2 || values.iter().all(|value| !value.contains('-')));
    if tells { name } else { format!("{name}-{}", hash_of_values(values)) }
}

/// Of the values and their lengths, so that no two lists of values are hashed as the same text.
fn hash_of_values(values: &[String]) -> String {
    let mut hash = Sha256::new();
    for value in values {
        hash.update(format!("{}:{value}", value.len()));
    }
    hash.finalize().iter().take(VALUES_HASH_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

fn is_ending(text: &str) -> bool {
    (1..=8).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric())
}

/// Letters, digits, `_`, `-` and `.`; anything else is `_`. No name begins with a dot.
fn harmless(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    text.trim().trim_start_matches('.').chars().map(plain).take(NAME_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::model::FieldPath;

    const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn names_are_harmless_and_end_with_the_hash() {
        let cases = [
            (Some("talk.mp4"), None, "talk-ba7816bf8f01cfea.mp4"),
            (Some("../../etc/passwd"), None, "passwd-ba7816bf8f01cfea"),
            (Some("..\\x.PDF"), None, "x-ba7816bf8f01cfea.pdf"),
            (Some(".hidden"), None, "ba7816bf8f01cfea.hidden"),
            (Some("Über größe.txt"), None, "_ber_gr__e-ba7816bf8f01cfea.txt"),
            (Some("download"), Some("video/mp4; codecs=x"), "download-ba7816bf8f01cfea.mp4"),
            (None, None, "ba7816bf8f01cfea"),
        ];
        for (original, content_type, expected) in cases {
            assert_eq!(file_name(original, content_type, HASH, &Scope::default()), expected, "{original:?}");
        }
        let parent = vec![(FieldPath(vec!["id".into()]), json!("a/b")), (FieldPath(vec!["n".into()]), json!(7))];
        let scope = Scope { parent, ..Scope::default() };
        let name = file_name(Some("x.mp3"), None, HASH, &scope);
        assert!(name.starts_with("a_b-7-") && name.ends_with("-x-ba7816bf8f01cfea.mp3"), "{name}");
        let long = "x".repeat(500);
        assert!(file_name(Some(&long), None, HASH, &scope).len() < 200);
    }

    #[test]
    fn other_values_are_another_name() {
        let name = |values: &[&str]| name_of_values(&values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            (name(&["7f3a"]), name(&["eu-1"]), name(&["eu", "7"])),
            ("7f3a".into(), "eu-1".into(), "eu-7".into())
        );
        let long = "x".repeat(NAME_CHARS_MAX);
        let alike: [(&[&str], &[&str]); 5] = [
            (&["ü"], &["ö"]),
            (&["b/c"], &["b_c"]),
            (&["b/c"], &["b:c"]),
            (&["a-b", "c"], &["a", "b-c"]),
            (&[&format!("{long}1")], &[&format!("{long}2")]),
        ];
        for (one, other) in alike {
            assert_ne!(name(one), name(other), "{one:?} {other:?}");
        }
        assert_eq!(name(&["ü"]), name(&["ü"]));
    }

    #[test]
    fn the_server_says_what_a_file_is_called() {
        for (disposition, expected) in [
            ("attachment; filename=\"talk.mp4\"", Some("talk.mp4")),
            ("attachment; filename=talk.mp4", Some("talk.mp4")),
            ("attachment; filename=\"x.mp4\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.mp4", Some("größe.mp4")),
            ("inline", None),
            ("", None),
        ] {
            assert_eq!(disposition_name(disposition).as_deref(), expected, "{disposition}");
        }
        assert_eq!(time("Wed, 21 Oct 2015 07:28:00 GMT").as_deref(), Some("2015-10-21T07:28:00Z"));
    }
}
