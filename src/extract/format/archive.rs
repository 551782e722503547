//! ZIP archives (PKWARE's APPNOTE, version 6.3): every member is a body of its own.

use crate::error::{Error, Kind, Result};
use crate::http::Packing;
use bytes::Bytes;
use std::io::{self, Cursor, Read};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

/// The first bytes of a member, with which an archive begins.
const MEMBER: &[u8] = b"PK\x03\x04";

/// The first bytes of an archive without members.
const EMPTY: &[u8] = b"PK\x05\x06";

/// Bytes by which a compression is known.
const MAGIC_BYTES: u64 = 4;

/// Endings of names, with the media types that they stand for.
const ENDINGS: [(&str, &str); 6] = [
    ("csv", "text/csv"),
    ("json", "application/json"),
    ("jsonl", "application/jsonl"),
    ("ndjson", "application/x-ndjson"),
    ("tsv", "text/tab-separated-values"),
    ("xml", "application/xml"),
];

/// A file in an archive, unpacked.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) body: Bytes,
}

impl Member {
    /// What its name says that it is.
    pub(super) fn media_type(&self) -> Option<&'static str> {
        let name = self.name.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
        let (_, ending) = name.rsplit_once('.')?;
        ENDINGS.iter().find(|(known, _)| *known == ending).map(|(_, media_type)| *media_type)
    }
}

/// Whether a body is an archive. No text in any charset begins like one.
pub(super) fn is_archive(body: &[u8]) -> bool {
    body.starts_with(MEMBER) || body.starts_with(EMPTY)
}

/// The files of an archive in its order, those in gzip or Zstandard unpacked too.
///
/// # Errors
/// The archive is broken or cut short, a member is encrypted or compressed in a way that is not supported, or more than
/// `bytes_max` come out of all; not more than that is ever held.
pub(super) fn members(body: &Bytes, bytes_max: u64) -> Result<Vec<Member>> {
    let mut archive = ZipArchive::new(Cursor::new(body)).map_err(unreadable)?;
    if archive.has_duplicate_names() {
        return Err(Error::new(Kind::Body, "two members of the ZIP archive have the same name"));
    }
    let (mut members, mut left) = (Vec::with_capacity(archive.len()), bytes_max);
    for number in 0..archive.len() {
        let head = archive.by_index_raw(number).map_err(unreadable)?;
        let name = head.name().map_err(unreadable)?.into_owned();
        if head.is_dir() {
            continue;
        }
        refuse_unsupported(head.encrypted(), head.compression())
            .map_err(|error| error.with("member of the archive", &name))?;
        drop(head);
        let member = archive.by_index(number).map_err(unreadable).and_then(|file| content(file, left, bytes_max));
        let body = member.map_err(|error| error.with("member of the archive", &name))?;
        left -= body.len() as u64;
        members.push(Member { name, body });
    }
    Ok(members)
}

/// Refuses what this version does not unpack.
fn refuse_unsupported(is_encrypted: bool, compression: CompressionMethod) -> Result<()> {
    if is_encrypted {
        return Err(Error::new(Kind::Body, "a member of the ZIP archive is encrypted, which is not yet supported"));
    }
    match compression {
        CompressionMethod::Stored | CompressionMethod::Deflated => Ok(()),
        other => Err(Error::new(Kind::Body, "the ZIP archive is packed in a way that is not yet supported")
            .with("compression", other)),
    }
}

/// What is in a file of an archive: at most `left` bytes.
fn content(mut file: impl Read, left: u64, bytes_max: u64) -> Result<Bytes> {
    let read = |file: &mut dyn Read| -> io::Result<Vec<u8>> {
        let mut start = Vec::new();
        file.take(MAGIC_BYTES).read_to_end(&mut start)?;
        let packing = Packing::of(&start);
        let whole = Cursor::new(start).chain(file);
        let mut unpacked: Box<dyn Read + '_> = match packing {
            Some(packing) => packing.reader(whole)?,
            None => Box::new(whole),
        };
        let mut bytes = Vec::new();
        unpacked.by_ref().take(left.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read(&mut file).map_err(|cause| broken().source(cause))?;
    if bytes.len() as u64 > left {
        return Err(Error::new(Kind::Body, "the ZIP archive holds more than `max_response_bytes`")
            .with("unpacked", format!("more than {bytes_max} bytes")));
    }
    if is_archive(&bytes) {
        return Err(Error::new(Kind::Body, "a ZIP archive is in the ZIP archive, which is not yet supported"));
    }
    Ok(bytes.into())
}

fn broken() -> Error {
    Error::new(Kind::Body, "the ZIP archive is broken or cut short")
}

fn unreadable(cause: ZipError) -> Error {
    match cause {
        ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => {
            Error::new(Kind::Body, "the ZIP archive is packed in a way that is not yet supported").source(cause)
        }
        other => broken().source(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    fn archive(files: &[(&str, &[u8])]) -> Bytes {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (number, (name, content)) in files.iter().enumerate() {
            let method = if number % 2 == 0 { CompressionMethod::Deflated } else { CompressionMethod::Stored };
            let options = SimpleFileOptions::default().compression_method(method);
            match name.strip_suffix('/') {
                Some(folder) => writer.add_directory(folder, options).unwrap(),
                None => {
                    writer.start_file(*name, options).unwrap();
                    writer.write_all(content).unwrap();
                }
            }
        }
        writer.finish().unwrap().into_inner().into()
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn members_come_in_order_and_unpacked() {
        let packed = gzip(b"id\n2\n");
        let body = archive(&[("b/", b""), ("b/1.csv", b"id\n1\n"), ("a.csv.gz", &packed), ("empty.json", b"")]);
        assert!(is_archive(&body));
        let members = members(&body, 100).unwrap();
        let found: Vec<_> = members.iter().map(|m| (m.name.as_str(), &m.body[..], m.media_type())).collect();
        let csv = Some("text/csv");
        assert_eq!(
            found,
            [
                ("b/1.csv", &b"id\n1\n"[..], csv),
                ("a.csv.gz", b"id\n2\n", csv),
                ("empty.json", b"", Some("application/json"))
            ]
        );
        assert!(super::members(&archive(&[]), 100).unwrap().is_empty());
    }

    #[test]
    fn no_more_comes_out_than_is_allowed() {
        let bomb = gzip(&vec![b' '; 1 << 20]);
        for body in [
            archive(&[("a", &[b' '; 11])]),
            archive(&[("a", &[b' '; 6]), ("b", &[b' '; 5])]),
            archive(&[("a.gz", &bomb)]),
            archive(&[("a", &vec![b' '; 1 << 20])]),
        ] {
            assert!(members(&body, 10).err().unwrap().message().contains("more than `max_response_bytes`"));
        }
        assert_eq!(members(&archive(&[("a", &[b' '; 6]), ("b", &[b' '; 4])]), 10).unwrap().len(), 2);
    }

    #[test]
    fn what_can_not_be_unpacked_is_named() {
        let whole = archive(&[("a.csv", b"id\n1\n2\n3\n")]);
        let mut encrypted = whole.to_vec();
        // Bit 0 of the flags, in the local header and in the directory (sections 4.4.4 and 4.3.12).
        let directory = whole.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
        encrypted[6] |= 1;
        encrypted[directory + 8] |= 1;
        let mut unknown = whole.to_vec();
        unknown[8] = 12;
        unknown[directory + 10] = 12;
        let mut damaged = whole.to_vec();
        damaged[38] ^= 0x55;
        let nested = archive(&[("a.zip", &whole)]);
        for (body, says) in [
            (whole.slice(..whole.len() - 10), "broken or cut short"),
            (encrypted.into(), "encrypted"),
            (unknown.into(), "not yet supported"),
            (damaged.into(), "broken or cut short"),
            (nested, "a ZIP archive is in the ZIP archive"),
        ] {
            let error = members(&body, 1000).err().unwrap();
            assert!(error.message().contains(says), "{says}: {error}");
        }
    }
}
