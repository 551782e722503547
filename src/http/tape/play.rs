//! The player: a transport that answers from a tape.

use super::format::{Asked, Exchange, FailureKind, Header, Headers, Outcome, VERSION, Version};
use super::request::Identity;
use super::{EXCHANGES_FILE, mask, nearest};
use crate::config::Env;
use crate::error::{Error, Kind, Result};
use crate::http::download;
use crate::http::transport::{Transport, TransportError, TransportErrorKind, WireRequest, WireResponse};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A tape, opened: its header, and where each exchange stands. Answers are read when they are asked for, so a long tape
/// needs little memory.
#[derive(Debug)]
pub struct Tape {
    /// Of what run it is.
    pub header: Header,
    folder: PathBuf,
    file: File,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    identity: Identity,
    headers: Headers,
    position: u64,
    length: usize,
}

/// A line without what is only needed when it is asked for.
#[derive(Deserialize)]
struct Heading {
    request: Asked,
    #[serde(rename = "outcome")]
    _outcome: IgnoredAny,
}

/// The header of the tape in a folder.
///
/// # Errors
/// [`Kind::Config`]: there is no tape, it is no tape, or a newer program wrote it.
pub(super) fn read_header(folder: &Path) -> Result<Header> {
    let (file, path) = open_file(folder)?;
    let mut line = String::new();
    BufReader::new(file).read_line(&mut line).map_err(|e| unreadable(&path).source(e))?;
    header(&line, &path)
}

fn open_file(folder: &Path) -> Result<(File, PathBuf)> {
    let path = folder.join(EXCHANGES_FILE);
    match File::open(&path) {
        Ok(file) => Ok((file, path)),
        Err(e) => Err(Error::new(Kind::Config, "there is no tape")
            .with("file", path.display())
            .source(e)
            .hint("`pintail run PIPELINE --record DIR` records one")),
    }
}

fn unreadable(path: &Path) -> Error {
    Error::new(Kind::Config, "the tape can't be read").with("file", path.display())
}

fn header(line: &str, path: &Path) -> Result<Header> {
    let version: Version = serde_json::from_str(line).map_err(|e| unreadable(path).with("line", 1).source(e))?;
    if version.pintail_tape > VERSION {
        let message =
            format!("the tape has version {} of the format, this program reads up to {VERSION}", version.pintail_tape);
        return Err(Error::new(Kind::Config, message)
            .with("file", path.display())
            .hint("play it with the version of Pintail that recorded it or a later one, or record it anew"));
    }
    serde_json::from_str(line).map_err(|e| unreadable(path).with("line", 1).source(e))
}

impl Tape {
    /// Opens the tape in a folder. A last line that a killed run left unfinished is passed over.
    ///
    /// # Errors
    /// [`Kind::Config`]: there is none, it is damaged, or a newer program wrote it.
    pub fn open(folder: &Path) -> Result<Tape> {
        let (file, path) = open_file(folder)?;
        let mut reader = BufReader::new(&file);
        let (mut line, mut position, mut number) = (String::new(), 0, 0);
        let mut entries = Vec::new();
        let mut first = None;
        loop {
            line.clear();
            let length = reader.read_line(&mut line).map_err(|e| unreadable(&path).source(e))?;
            if length == 0 || !line.ends_with('\n') {
                break;
            }
            number += 1;
            if first.is_none() {
                first = Some(header(&line, &path)?);
            } else {
                entries.push(entry(&line, position).map_err(|e| e.with("file", path.display()).with("line", number))?);
            }
            position += length as u64;
        }
        let header = first.ok_or_else(|| unreadable(&path).hint("it is empty; record it anew"))?;
        Ok(Tape { header, folder: folder.to_owned(), file, entries })
    }

    /// The environment of the recorded run, with masks in the place of secrets.
    pub fn environment(&self) -> Env {
        Env::recorded(self.header.variables.clone(), self.header.secrets.clone())
    }

    /// Refuses the tape of another pipeline.
    ///
    /// # Errors
    /// [`Kind::Config`].
    pub fn check_pipeline(&self, name: &str) -> Result<()> {
        if self.header.pipeline == name {
            return Ok(());
        }
        Err(Error::new(Kind::Config, format!("the tape is not one of the pipeline `{name}`"))
            .with("folder", self.folder.display())
            .with("pipeline", &self.header.pipeline))
    }

    fn outcome(&self, entry: &Entry) -> Result<Outcome> {
        let mut line = vec![0; entry.length];
        self.file.read_exact_at(&mut line, entry.position).map_err(|e| unreadable(&self.folder).source(e))?;
        let exchange: Exchange = serde_json::from_slice(&line).map_err(|e| unreadable(&self.folder).source(e))?;
        Ok(exchange.outcome)
    }
}

fn entry(line: &str, position: u64) -> Result<Entry> {
    let damaged = || Error::new(Kind::Config, "a line of the tape is damaged");
    let Heading { request, .. } = serde_json::from_str(line).map_err(|e| damaged().source(e))?;
    let identity = Identity::of(&request).ok_or_else(|| damaged().with("url", &request.url))?;
    Ok(Entry { identity, headers: request.headers, position, length: line.len() })
}

/// Answers requests from a tape. Opens no socket.
pub struct Player {
    tape: Arc<Tape>,
    queues: Mutex<HashMap<String, Queue>>,
}

/// The exchanges of equal requests, in recorded order.
struct Queue {
    entries: Vec<usize>,
    taken: Vec<bool>,
}

impl Player {
    /// A player at the start of a tape.
    pub fn new(tape: Arc<Tape>) -> Player {
        let mut queues: HashMap<String, Queue> = HashMap::new();
        for (index, entry) in tape.entries.iter().enumerate() {
            let queue =
                queues.entry(entry.identity.key()).or_insert_with(|| Queue { entries: Vec::new(), taken: Vec::new() });
            queue.entries.push(index);
            queue.taken.push(false);
        }
        Player { tape, queues: Mutex::new(queues) }
    }

    /// Recorded exchanges that nobody has asked for.
    pub fn unused_count(&self) -> usize {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.values().flat_map(|queue| &queue.taken).filter(|taken| !**taken).count()
    }

    fn answer(&self, wire: &WireRequest) -> Result<WireResponse, TransportError> {
        let asked = mask::request(wire);
        let Some(identity) = Identity::of(&asked) else {
            return Err(TransportError::new(TransportErrorKind::NotOnTape, "its address can't be read"));
        };
        let entry = self.take(&identity, &asked)?;
        let replayed = |outcome| replayed(outcome, &self.tape.folder, wire.download.as_deref());
        let outcome = self.tape.outcome(entry).and_then(replayed);
        let unusable = |error: Error| Err(TransportError::new(TransportErrorKind::TapeUnusable, error.to_string()));
        outcome.unwrap_or_else(unusable)
    }

    /// The next exchange of a request: the first with the same headers that was not taken, else the first. A login may be
    /// asked for more often than it was recorded, because tokens don't expire at the recorded moments.
    fn take(&self, identity: &Identity, asked: &Asked) -> Result<&Entry, TransportError> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = queues.get_mut(&identity.key()) else {
            let recorded = self.tape.entries.iter().map(|entry| &entry.identity);
            let cause = nearest::explain(identity, recorded).join("\n");
            return Err(TransportError::new(TransportErrorKind::NotOnTape, cause));
        };
        let entry = |at: &usize| queue.entries.get(*at).and_then(|index| self.tape.entries.get(*index));
        let free = (0..queue.entries.len()).filter(|at| queue.taken.get(*at) == Some(&false));
        let same_headers = free.clone().find(|at| entry(at).is_some_and(|entry| entry.headers == asked.headers));
        let last_login = queue.entries.len().checked_sub(1).filter(|_| asked.login);
        let Some(at) = same_headers.or_else(|| free.clone().next()).or(last_login) else {
            let times = match queue.entries.len() {
                1 => "once".to_owned(),
                n => format!("{n} times"),
            };
            let cause = format!("it was recorded {times}, and is asked for once more");
            return Err(TransportError::new(TransportErrorKind::NotOnTape, cause));
        };
        let found = entry(&at);
        if let Some(taken) = queue.taken.get_mut(at) {
            *taken = true;
        }
        found.ok_or_else(|| TransportError::new(TransportErrorKind::TapeUnusable, "an exchange has no place"))
    }
}

impl Transport for Player {
    fn call(&self, request: WireRequest) -> BoxFuture<'_, Result<WireResponse, TransportError>> {
        Box::pin(std::future::ready(self.answer(&request)))
    }
}

/// What the network brought, from the tape. A success goes to the file that the request names, if it names one.
fn replayed(outcome: Outcome, folder: &Path, download: Option<&Path>) -> Result<Result<WireResponse, TransportError>> {
    let bytes = |body: Option<super::format::Body>| body.map(|body| body.bytes(folder)).transpose();
    match outcome {
        Outcome::Answer { status, headers, body } => {
            let headers = headers.to_map(folder)?;
            if let (Some(path), 200..300) = (download, status) {
                let body = body.map(|body| body.reader(folder)).transpose()?;
                let stored = download::store(path, body.unwrap_or_else(|| Box::new(std::io::empty())));
                return Ok(stored.map(|file| WireResponse { status, headers, body: Bytes::new(), file: Some(file) }));
            }
            let body = Bytes::from(bytes(body)?.unwrap_or_default());
            Ok(Ok(WireResponse { status, headers, body, file: None }))
        }
        Outcome::Failure { kind, cause, received } => {
            let mut error = TransportError::new(transport_kind(kind), cause);
            if let Some(received) = received {
                let body_start = bytes(received.body_start)?.unwrap_or_default();
                error = error.with_received(received.status, &body_start);
                if let Some(shown) = &mut error.received {
                    shown.bytes = received.bytes;
                }
            }
            Ok(Err(error))
        }
    }
}

fn transport_kind(kind: FailureKind) -> TransportErrorKind {
    match kind {
        FailureKind::Connect => TransportErrorKind::Connect,
        FailureKind::Tls => TransportErrorKind::Tls,
        FailureKind::Timeout => TransportErrorKind::Timeout,
        FailureKind::Reset => TransportErrorKind::Reset,
        FailureKind::Truncated => TransportErrorKind::Truncated,
        FailureKind::Decode => TransportErrorKind::Decode,
        FailureKind::TooLarge => TransportErrorKind::TooLarge,
        FailureKind::Unsendable => TransportErrorKind::Unsendable,
        FailureKind::Unknown => TransportErrorKind::Unknown,
    }
}
