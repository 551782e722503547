//! Rate windows that outlast a run: the time of each request, milliseconds since 1970 as little-endian 64-bit integers.

use super::micros;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// Times that lie further ahead than this come from no clock: the file is corrupt.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(86_400);

/// Rounded up, so that a window never ends early.
pub(super) fn entry(sent_us: u64) -> [u8; 8] {
    sent_us.div_ceil(1000).to_le_bytes()
}

/// The requests of earlier runs that still count, oldest first.
pub(super) fn read_sent(path: &Path, now_us: u64, span_us: u64) -> std::io::Result<Vec<u64>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    // A last entry that a crash cut short is dropped: `as_chunks` leaves the rest aside.
    let sent_us: Vec<u64> = bytes.as_chunks().0.iter().map(|e| u64::from_le_bytes(*e).saturating_mul(1000)).collect();
    let latest_us = now_us + micros(CLOCK_SKEW_MAX);
    if !sent_us.is_sorted() || sent_us.last().is_some_and(|sent| *sent > latest_us) {
        tracing::warn!(file = %path.display(), "the file of the rate windows is corrupt; starting with empty windows");
        return Ok(Vec::new());
    }
    // Times ahead of us were written before the clock was set back.
    Ok(sent_us.into_iter().filter(|sent| sent + span_us > now_us).map(|sent| sent.min(now_us)).collect())
}

/// Replaces the file by one with these entries alone, and opens it for more.
pub(super) fn compact(path: &Path, sent_us: &VecDeque<u64>) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    std::fs::write(&fresh, sent_us.iter().flat_map(|sent| entry(*sent)).collect::<Vec<u8>>())?;
    std::fs::rename(&fresh, path)?;
    OpenOptions::new().append(true).open(path)
}
