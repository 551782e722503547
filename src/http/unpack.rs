//! Bodies in gzip and Zstandard, whether a header says so or not: `.json.gz` from a store of files comes without a
//! Content-Encoding.
//!
//! reqwest undoes Brotli and deflate. Of a gzip body it reads the first member only and drops the others without a word, so
//! those two are undone here.

use super::transport::{TransportError, TransportErrorKind};
use bytes::Bytes;
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use std::io::{self, Read};

/// What is asked for, unless a pipeline's `headers` ask for something else.
pub(super) const ACCEPTED: &str = "gzip, zstd, br, deflate";

/// The first bytes of gzip with its only method (RFC 1952 section 2.3.1).
const GZIP: [u8; 3] = [0x1F, 0x8B, 0x08];

/// The first bytes of a Zstandard frame (RFC 8878 section 3.1.1).
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Packing {
    /// What the headers say, which then say it no more.
    pub(super) fn take(headers: &mut HeaderMap) -> Option<Packing> {
        let encoding = headers.get(CONTENT_ENCODING)?.to_str().ok()?.trim().to_ascii_lowercase();
        let packing = match encoding.as_str() {
            "gzip" | "x-gzip" => Packing::Gzip,
            "zstd" => Packing::Zstd,
            _ => return None,
        };
        headers.remove(CONTENT_ENCODING);
        headers.remove(CONTENT_LENGTH);
        Some(packing)
    }

    /// What the first bytes of a body say. No text in any charset begins like this.
    pub(crate) fn of(body: &[u8]) -> Option<Packing> {
        if body.starts_with(&GZIP) {
            return Some(Packing::Gzip);
        }
        body.starts_with(&ZSTD).then_some(Packing::Zstd)
    }

    /// What the bytes were before. Several members or frames follow one another as one.
    ///
    /// # Errors
    /// No memory is left for it.
    pub(crate) fn reader<'r>(self, bytes: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
        Ok(match self {
            Packing::Gzip => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
            Packing::Zstd => Box::new(zstd::stream::read::Decoder::new(bytes)?),
        })
    }

    /// A body as it was before.
    ///
    /// # Errors
    /// [`TransportErrorKind::Truncated`]: it is cut short. [`TransportErrorKind::Decode`]: it is broken. [`TransportErrorKind::TooLarge`]: more than `bytes_max` come
    /// out of it; not more than that is ever held.
    pub(super) fn unpack(self, body: &[u8], bytes_max: u64) -> Result<Bytes, TransportError> {
        let mut bytes = Vec::new();
        let read = self.reader(body).and_then(|r| r.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes));
        read.map_err(|cause| {
            let is_cut = cause.kind() == io::ErrorKind::UnexpectedEof;
            let kind = if is_cut { TransportErrorKind::Truncated } else { TransportErrorKind::Decode };
            TransportError::new(kind, cause.to_string())
        })?;
        if bytes.len() as u64 > bytes_max {
            let cause = format!("more than {bytes_max} bytes after decompression");
            return Err(TransportError::new(TransportErrorKind::TooLarge, cause));
        }
        Ok(bytes.into())
    }
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
            let packing = Packing::of(body).unwrap();
            assert_eq!(&packing.unpack(body, 5).unwrap()[..], b"[1,2]");
            assert_eq!(packing.unpack(body, 4).unwrap_err().kind, TransportErrorKind::TooLarge);
            let cut = &body[..body.len() - 2];
            assert_eq!(packing.unpack(cut, 5).unwrap_err().kind, TransportErrorKind::Truncated);
        }
        let bomb = gzip(&vec![b' '; 1 << 20]);
        assert_eq!(Packing::Gzip.unpack(&bomb, 1000).unwrap_err().kind, TransportErrorKind::TooLarge);
        assert_eq!(Packing::of(b"[1]"), None);
        assert_eq!(Packing::Gzip.unpack(b"[1,2,3,4,5,6,7]", 20).unwrap_err().kind, TransportErrorKind::Decode);
    }
}
