//! Bodies that are compressed without saying so: `.json.gz` from a store of files comes without a Content-Encoding.

use super::transport::{TransportError, TransportErrorKind};
use bytes::Bytes;
use std::io::{self, Read};

/// The first bytes of gzip with its only method (RFC 1952 section 2.3.1).
const GZIP: [u8; 3] = [0x1F, 0x8B, 0x08];

/// The first bytes of a Zstandard frame (RFC 8878 section 3.1.1).
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// Whether a body is compressed. No text in any charset begins like this.
pub(super) fn is_packed(body: &[u8]) -> bool {
    body.starts_with(&GZIP) || body.starts_with(&ZSTD)
}

/// A compressed body as it was before. Several members or frames follow one another as one.
///
/// # Errors
/// [`TransportErrorKind::Decode`]: it is cut short or broken. [`TransportErrorKind::TooLarge`]: more than `bytes_max` come out
/// of it; not more than that is ever held.
pub(super) fn unpack(body: &[u8], bytes_max: u64) -> Result<Bytes, TransportError> {
    let unpacked = if body.starts_with(&GZIP) {
        read(flate2::read::MultiGzDecoder::new(body), bytes_max)
    } else {
        zstd::stream::read::Decoder::new(body).and_then(|decoder| read(decoder, bytes_max))
    };
    let bytes = unpacked.map_err(|cause| TransportError::new(TransportErrorKind::Decode, cause.to_string()))?;
    if bytes.len() as u64 > bytes_max {
        let cause = format!("more than {bytes_max} bytes after decompression");
        return Err(TransportError::new(TransportErrorKind::TooLarge, cause));
    }
    Ok(bytes.into())
}

fn read(decoder: impl Read, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    decoder.take(bytes_max.saturating_add(1)).read_to_end(&mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn packed_bodies_come_out_whole_or_not_at_all() {
        let members = [gzip(b"[1,"), gzip(b"2]")].concat();
        let frames = zstd::encode_all(&b"[1,2]"[..], 1).unwrap();
        for body in [&members, &frames] {
            assert!(is_packed(body));
            assert_eq!(&unpack(body, 5).unwrap()[..], b"[1,2]");
            assert_eq!(unpack(body, 4).unwrap_err().kind, TransportErrorKind::TooLarge);
            let cut = &body[..body.len() - 2];
            assert_eq!(unpack(cut, 5).unwrap_err().kind, TransportErrorKind::Decode);
        }
        let bomb = gzip(&vec![b' '; 1 << 20]);
        assert_eq!(unpack(&bomb, 1000).unwrap_err().kind, TransportErrorKind::TooLarge);
        assert!(!is_packed(b"[1]"));
    }
}
