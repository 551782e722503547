//! A body that goes to a file as it arrives, and is never held in memory.

use super::transport::{TransportError, TransportErrorKind};
use super::unpack::Packing;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// Pieces of a body that wait to be written.
const QUEUE_PIECES: usize = 16;

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 64 << 10;

/// A body that is in a file, on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// The file.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its content, hexadecimal.
    pub sha256: String,
}

/// Writes a file on a thread of its own, so that a slow disk holds up no other request.
pub(super) struct Sink {
    pieces: mpsc::Sender<Bytes>,
    written: tokio::task::JoinHandle<Result<Downloaded, TransportError>>,
}

impl Sink {
    /// Begins a file, in place of what may be there. What comes is unpacked first.
    pub(super) fn create(path: &Path, packing: Option<Packing>) -> Sink {
        let (pieces, receiver) = mpsc::channel(QUEUE_PIECES);
        let path = path.to_owned();
        let body = Pieces { receiver, piece: Bytes::new() };
        Sink { pieces, written: tokio::task::spawn_blocking(move || write(path, body, packing)) }
    }

    /// Adds a piece; whether the file can still be written.
    pub(super) async fn push(&self, piece: Bytes) -> bool {
        self.pieces.send(piece).await.is_ok()
    }

    /// Ends the file. It is on disk then.
    ///
    /// # Errors
    /// [`TransportErrorKind::Storage`]: it could not be written. [`TransportErrorKind::Decode`]: it could not be unpacked.
    pub(super) async fn finish(self) -> Result<Downloaded, TransportError> {
        drop(self.pieces);
        let broken = |_| Err(TransportError::new(TransportErrorKind::Storage, "the thread that writes the file ended"));
        self.written.await.unwrap_or_else(broken)
    }
}

/// The pieces of a body, read one after the other.
struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let taken = self.piece.split_to(self.piece.len().min(buffer.len()));
        buffer[..taken.len()].copy_from_slice(&taken);
        Ok(taken.len())
    }
}

/// Writes a body that is there already.
///
/// # Errors
/// [`TransportErrorKind::Storage`]: it could not be written. [`TransportErrorKind::Decode`]: it could not be read.
pub(super) fn store(path: &Path, body: impl Read) -> Result<Downloaded, TransportError> {
    write(path.to_owned(), body, None)
}

fn write(path: PathBuf, body: impl Read, packing: Option<Packing>) -> Result<Downloaded, TransportError> {
    let failed = |kind| move |cause: io::Error| TransportError::new(kind, cause.to_string());
    let (storage, decode) = (failed(TransportErrorKind::Storage), failed(TransportErrorKind::Decode));
    let mut body = match packing {
        Some(packing) => packing.reader(body).map_err(decode)?,
        None => Box::new(body),
    };
    let mut file = File::create(&path).map_err(storage)?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; BUFFER_BYTES]);
    loop {
        let length = body.read(&mut buffer).map_err(decode)?;
        if length == 0 {
            break;
        }
        file.write_all(&buffer[..length]).map_err(storage)?;
        hash.update(&buffer[..length]);
        bytes += length as u64;
    }
    file.sync_all().map_err(storage)?;
    let sha256 = hash.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a `String` can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    Ok(Downloaded { path, bytes, sha256 })
}
