//! A body that goes to a file as it arrives, and is never held in memory.

use super::transport::{TransportError, TransportErrorKind};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// Pieces of a body that wait to be written.
const QUEUE_PIECES: usize = 16;

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
    written: tokio::task::JoinHandle<io::Result<Downloaded>>,
}

impl Sink {
    /// Begins a file, in place of what may be there.
    pub(super) fn create(path: &Path) -> Sink {
        let (pieces, receiver) = mpsc::channel(QUEUE_PIECES);
        let path = path.to_owned();
        Sink { pieces, written: tokio::task::spawn_blocking(move || write(path, receiver)) }
    }

    /// Adds a piece; whether the file can still be written.
    pub(super) async fn push(&self, piece: Bytes) -> bool {
        self.pieces.send(piece).await.is_ok()
    }

    /// Ends the file. It is on disk then.
    ///
    /// # Errors
    /// [`TransportErrorKind::Storage`]: it could not be written.
    pub(super) async fn finish(self) -> Result<Downloaded, TransportError> {
        drop(self.pieces);
        let failed = |cause: String| TransportError::new(TransportErrorKind::Storage, cause);
        match self.written.await {
            Ok(Ok(downloaded)) => Ok(downloaded),
            Ok(Err(cause)) => Err(failed(cause.to_string())),
            Err(_) => Err(failed("the thread that writes the file ended without an answer".to_owned())),
        }
    }
}

fn write(path: PathBuf, mut pieces: mpsc::Receiver<Bytes>) -> io::Result<Downloaded> {
    let mut file = File::create(&path)?;
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    while let Some(piece) = pieces.blocking_recv() {
        file.write_all(&piece)?;
        hash.update(&piece);
        bytes += piece.len() as u64;
    }
    file.sync_all()?;
    let sha256 = hash.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a `String` can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    Ok(Downloaded { path, bytes, sha256 })
}
