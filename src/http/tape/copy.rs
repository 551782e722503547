//! A file copied onto a tape, without its secrets and without holding it in memory.

use super::mask;
use crate::secret;
use std::io::{Read, Result, Write};

/// Read at once, bytes.
const PIECE_BYTES: usize = 1 << 20;

/// Copies what is read, with all known secrets replaced, also those that lie across two pieces.
///
/// # Errors
/// One of the two fails.
pub(super) fn copy_masked(from: &mut impl Read, to: &mut impl Write) -> Result<()> {
    copy_in_pieces(from, to, PIECE_BYTES)
}

fn copy_in_pieces(from: &mut impl Read, to: &mut impl Write, piece_bytes: usize) -> Result<()> {
    let secrets = secret::replaced();
    let longest = secrets.iter().map(String::len).max().unwrap_or(0);
    let mut held = Vec::new();
    loop {
        let read = from.by_ref().take(piece_bytes as u64).read_to_end(&mut held)?;
        let end = if read == 0 { held.len() } else { whole_until(&held, &secrets, longest) };
        to.write_all(&mask::bytes(held.get(..end).unwrap_or_default()))?;
        held.drain(..end);
        if read == 0 {
            return Ok(());
        }
    }
}

/// Up to where no secret is cut in two, whatever comes next.
fn whole_until(held: &[u8], secrets: &[String], longest: usize) -> usize {
    let mut end = held.len().saturating_sub(longest.saturating_sub(1));
    loop {
        let across = secrets.iter().filter_map(|secret| {
            let start = end.saturating_sub(secret.len().saturating_sub(1));
            let around = held.get(start..(end + secret.len().saturating_sub(1)).min(held.len()))?;
            memchr::memmem::find(around, secret.as_bytes()).map(|at| start + at).filter(|at| *at < end)
        });
        match across.min() {
            Some(start) => end = start,
            None => return end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_replaced_wherever_a_piece_ends() {
        secret::register("tok-0a1b2c3d4e");
        secret::register("0a1b2c3d");
        let original = b"tok-0a1b2c3d4e,\xfftok-0a1b2c3d4etok-0a1b2c3d4e;0a1b2c3d.tok-0a1b2c";
        let expected = b"***,\xff******;***.tok-0a1b2c";
        for piece_bytes in 1..=original.len() + 1 {
            let mut copied = Vec::new();
            copy_in_pieces(&mut &original[..], &mut copied, piece_bytes).unwrap();
            assert_eq!(copied, expected, "in pieces of {piece_bytes}");
        }
    }
}
