//! The recorder: a transport around another one that writes down what it brings.

use super::format::{Body, Exchange, FailureKind, Header, Outcome, Received, VERSION};
use super::play::read_header;
use super::{BODIES_FOLDER, EXCHANGES_FILE, copy, fault, mask};
use crate::config::Env;
use crate::error::{Error, Kind, Result};
use crate::http::transport::{Transport, TransportError, TransportErrorKind, WireRequest, WireResponse};
use crate::secret;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Brings what another transport brings, and writes it to a tape.
pub struct Recorder {
    inner: Arc<dyn Transport>,
    folder: PathBuf,
    file: Mutex<File>,
    /// Exchanges until now, which names the files of their bodies.
    count: AtomicU64,
}

impl Header {
    /// The header of a run that begins now. Secrets among the variables are masked.
    pub fn new(pipeline: &str, started_at: DateTime<Utc>, variables: &Env) -> Header {
        let mut header = Header {
            pintail_tape: VERSION,
            pipeline: pipeline.to_owned(),
            recorded_by: concat!("pintail ", env!("CARGO_PKG_VERSION")).to_owned(),
            started_at,
            variables: Default::default(),
            secrets: Default::default(),
        };
        for (name, value) in variables.iter() {
            if secret::is_secret(value) {
                header.secrets.insert(name.to_owned(), mask::of_secret(value));
            } else {
                header.variables.insert(name.to_owned(), mask::text(value).into_owned());
            }
        }
        header
    }
}

impl Recorder {
    /// Begins a tape in a folder, which is made if it isn't there. An earlier tape of the same pipeline is replaced.
    ///
    /// # Errors
    /// [`Kind::Config`]: the folder holds something else, or the tape of another pipeline. [`Kind::State`]: it can't be
    /// written.
    pub fn create(folder: &Path, header: &Header, inner: Arc<dyn Transport>) -> Result<Recorder> {
        clear(folder, &header.pipeline)?;
        let path = folder.join(EXCHANGES_FILE);
        let unwritable = |e: std::io::Error| fault("the tape can't be written", &path).source(e);
        fs::create_dir_all(folder).map_err(unwritable)?;
        let mut file = OpenOptions::new().create_new(true).append(true).open(&path).map_err(unwritable)?;
        file.write_all(&line(header).map_err(unwritable)?).map_err(unwritable)?;
        Ok(Recorder { inner, folder: folder.to_owned(), file: Mutex::new(file), count: AtomicU64::new(0) })
    }

    async fn exchange(&self, wire: WireRequest) -> Result<WireResponse, TransportError> {
        let request = mask::request(&wire);
        let result = self.inner.call(wire).await;
        let (number, is_login) = (self.count.fetch_add(1, Ordering::Relaxed) + 1, request.login);
        let written = match &result {
            Ok(answer) => self.answer(answer, is_login, number),
            Err(error) => match failure(error, is_login) {
                Some(failure) => Ok(failure),
                None => return result,
            },
        };
        let bytes = written.and_then(|outcome| line(&Exchange { request, outcome }));
        // The file system's cache takes a line in microseconds, so nothing is handed to another thread.
        let append = |bytes: Vec<u8>| self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&bytes);
        let written = bytes.and_then(append);
        match written {
            Ok(()) => result,
            Err(cause) => {
                let cause = format!("{} can't be written: {cause}", self.folder.join(EXCHANGES_FILE).display());
                Err(TransportError::new(TransportErrorKind::TapeUnusable, cause))
            }
        }
    }

    fn answer(&self, answer: &WireResponse, is_login: bool, number: u64) -> std::io::Result<Outcome> {
        let content_type = answer.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let name = format!("{BODIES_FOLDER}/{number:06}.{}", extension(content_type));
        let body = match &answer.file {
            Some(file) if Body::is_large(file.bytes) => {
                let mut stored = File::open(&file.path)?;
                write_whole(&self.folder.join(&name), |fresh| copy::copy_masked(&mut stored, fresh))?;
                Some(Body::File(name))
            }
            Some(file) => self.body(&fs::read(&file.path)?, is_login, name)?,
            None => self.body(&answer.body, is_login, name)?,
        };
        Ok(Outcome::Answer { status: answer.status, headers: mask::answer_headers(&answer.headers, is_login), body })
    }

    /// A body that is in memory, on its line or in a file of that name.
    fn body(&self, stored: &[u8], is_login: bool, name: String) -> std::io::Result<Option<Body>> {
        let bytes = mask::answer_body(stored, is_login);
        if !Body::is_large(bytes.len() as u64) {
            return Ok(Body::inline(&bytes));
        }
        write_whole(&self.folder.join(&name), |fresh| fresh.write_all(&bytes))?;
        Ok(Some(Body::File(name)))
    }
}

impl Transport for Recorder {
    fn call(&self, request: WireRequest) -> BoxFuture<'_, Result<WireResponse, TransportError>> {
        Box::pin(self.exchange(request))
    }
}

/// Makes room for a tape.
fn clear(folder: &Path, pipeline: &str) -> Result<()> {
    let path = folder.join(EXCHANGES_FILE);
    let unusable = |e| fault("the folder for the tape can't be used", folder).source(e);
    if path.is_file() {
        let found = read_header(folder)?;
        if found.pipeline != pipeline {
            return Err(Error::new(Kind::Config, "the folder holds the tape of another pipeline")
                .with("folder", folder.display())
                .with("pipeline", found.pipeline)
                .hint("record into a folder of its own"));
        }
        fs::remove_file(&path).map_err(unusable)?;
        return match fs::remove_dir_all(folder.join(BODIES_FOLDER)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(unusable(e)),
            _ => Ok(()),
        };
    }
    let is_empty = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => true,
        Err(e) => return Err(unusable(e)),
    };
    if is_empty {
        return Ok(());
    }
    Err(Error::new(Kind::Config, "the folder for the tape is not empty, and holds no tape")
        .with("folder", folder.display())
        .hint("record into a new folder, an empty one, or over an earlier tape of the pipeline"))
}

fn line(value: &impl serde::Serialize) -> std::io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Writes a file under another name first, so that a killed run leaves no half of one.
fn write_whole(path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let fresh = path.with_extension("new");
    write(&mut File::create(&fresh)?)?;
    fs::rename(&fresh, path)
}

/// The ending of a file's name by its content type, for people: `application/vnd.api+json; charset=utf-8` is `json`.
fn extension(content_type: &str) -> String {
    let media_type = content_type.split(';').next().unwrap_or_default();
    let subtype = media_type.rsplit(['/', '+']).next().unwrap_or_default();
    let ending: String = subtype.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    match ending.as_str() {
        "" | "octetstream" => "bin".to_owned(),
        "plain" => "txt".to_owned(),
        _ => ending.to_lowercase(),
    }
}

/// A failure as it is kept. None: it is none of the network's.
fn failure(error: &TransportError, is_login: bool) -> Option<Outcome> {
    let kind = match error.kind {
        TransportErrorKind::Connect => FailureKind::Connect,
        TransportErrorKind::Tls => FailureKind::Tls,
        TransportErrorKind::Timeout => FailureKind::Timeout,
        TransportErrorKind::Reset => FailureKind::Reset,
        TransportErrorKind::Truncated => FailureKind::Truncated,
        TransportErrorKind::Decode => FailureKind::Decode,
        TransportErrorKind::TooLarge => FailureKind::TooLarge,
        TransportErrorKind::Unsendable => FailureKind::Unsendable,
        TransportErrorKind::Unknown => FailureKind::Unknown,
        TransportErrorKind::Storage | TransportErrorKind::NotOnTape | TransportErrorKind::TapeUnusable => return None,
    };
    let received = error.received.as_ref().map(|received| Received {
        status: received.status,
        bytes: received.bytes,
        body_start: Body::inline(&mask::answer_body(&received.body_start, is_login)),
    });
    Some(Outcome::Failure { kind, cause: mask::text(&error.to_string()).into_owned(), received })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_follow_the_content_type() {
        for (content_type, ending) in [
            ("application/json", "json"),
            ("application/vnd.api+json; charset=utf-8", "json"),
            ("video/mp4", "mp4"),
            ("text/plain", "txt"),
            ("application/octet-stream", "bin"),
            ("", "bin"),
            ("x/../../etc", "etc"),
        ] {
            assert_eq!(extension(content_type), ending, "{content_type}");
        }
    }
}
