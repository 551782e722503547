//! Bodies in other charsets than UTF-8. Nothing is guessed from the text, and no byte is replaced: a body that is not in
//! its charset is an error.

use crate::error::{Error, Kind, Result};
use crate::plan::model::{Charset, FormatKind};
use bytes::Bytes;
use encoding_rs::{UTF_8, UTF_16BE, UTF_16LE};
use reqwest::header::{CONTENT_TYPE, HeaderMap};

/// Bytes of an XML declaration that are looked at.
const DECLARATION_BYTES_MAX: usize = 200;

/// The body in UTF-8. One that is in UTF-8 already is returned as it is, unchecked. `declared_charset` is the file's: only a
/// byte order mark says more.
///
/// # Errors
/// The charset is not known, or the body is not in it.
pub(super) fn to_utf8(
    declared_charset: Option<Charset>,
    headers: &HeaderMap,
    body: &Bytes,
    kind: FormatKind,
) -> Result<Bytes> {
    let charset = match (charset_by_mark(body), declared_charset.or_else(|| charset_by_zeros(body))) {
        (Some(charset), _) | (None, Some(charset)) => charset,
        (None, None) => match label(headers).or_else(|| (kind == FormatKind::Xml).then(|| declared(body)).flatten()) {
            Some(label) => charset_by_label(&label, body)?,
            None => return Ok(body.clone()),
        },
    };
    let text = match charset {
        Charset::Known(encoding) if encoding == UTF_8 => return Ok(body.clone()),
        Charset::Known(encoding) => {
            encoding.decode_without_bom_handling_and_without_replacement(body).map(|text| text.into_owned())
        }
        Charset::Utf32 { big_endian } => utf32(body, big_endian),
    };
    match text {
        Some(text) => Ok(text.trim_start_matches('\u{feff}').to_owned().into()),
        None => Err(Error::new(Kind::Body, format!("the body is not in its charset, {}", charset.name()))),
    }
}

/// A charset that a byte order mark tells.
fn charset_by_mark(body: &[u8]) -> Option<Charset> {
    let known = |encoding| Some(Charset::Known(encoding));
    match body {
        [0xEF, 0xBB, 0xBF, ..] => known(UTF_8),
        [0xFF, 0xFE, 0, 0, ..] => Some(Charset::Utf32 { big_endian: false }),
        [0, 0, 0xFE, 0xFF, ..] => Some(Charset::Utf32 { big_endian: true }),
        [0xFE, 0xFF, ..] => known(UTF_16BE),
        [0xFF, 0xFE, ..] => known(UTF_16LE),
        _ => None,
    }
}

/// A charset that zeros beside the first character tell, which is ASCII in JSON, CSV and XML (the rule of RFC 4627
/// section 3).
fn charset_by_zeros(body: &[u8]) -> Option<Charset> {
    match body {
        [0, 0, 0, 1..=255, ..] => Some(Charset::Utf32 { big_endian: true }),
        [1..=255, 0, 0, 0, ..] => Some(Charset::Utf32 { big_endian: false }),
        [0, 1..=255, ..] => Some(Charset::Known(UTF_16BE)),
        [1..=255, 0, ..] => Some(Charset::Known(UTF_16LE)),
        _ => None,
    }
}

fn charset_by_label(label: &str, body: &[u8]) -> Result<Charset> {
    match Charset::of_label(label) {
        Some(charset) => Ok(charset),
        None if std::str::from_utf8(body).is_ok() => Ok(Charset::Known(UTF_8)),
        None => Err(Error::new(Kind::Body, "the body is in a charset that is not known").with("charset", label)),
    }
}

/// The charset that the Content-Type names, lower case.
fn label(headers: &HeaderMap) -> Option<String> {
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let parameters = content_type.split(';').skip(1).filter_map(|p| p.split_once('='));
    let (_, value) = parameters.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    Some(value.trim().trim_matches(['"', '\'']).to_ascii_lowercase()).filter(|label| !label.is_empty())
}

/// The charset that an XML declaration names, lower case.
fn declared(body: &[u8]) -> Option<String> {
    let start = String::from_utf8_lossy(&body[..body.len().min(DECLARATION_BYTES_MAX)]).into_owned();
    let declaration = start.trim_start().strip_prefix("<?xml")?.split("?>").next()?.to_owned();
    let value = declaration.split("encoding").nth(1)?.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value[1..].split(quote).next().map(str::to_ascii_lowercase)
}

fn utf32(body: &[u8], big_endian: bool) -> Option<String> {
    let units = body.chunks_exact(4);
    if !units.remainder().is_empty() {
        return None;
    }
    let read = |unit: &[u8]| {
        let bytes: [u8; 4] = unit.try_into().ok()?;
        char::from_u32(if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    };
    units.map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn read(content_type: &str, body: &[u8], kind: FormatKind) -> Result<String> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
        let utf8 = to_utf8(None, &headers, &Bytes::copy_from_slice(body), kind)?;
        Ok(super::super::utf8(&utf8)?.to_owned())
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    fn utf32(text: &str, bytes: fn(u32) -> [u8; 4]) -> Vec<u8> {
        text.chars().flat_map(|c| bytes(u32::from(c))).collect()
    }

    #[test]
    fn a_charset_is_told_by_the_bytes_or_the_label() {
        let json = "application/json";
        let text = "[\"é€😀\"]";
        let marked = format!("\u{feff}{text}");
        for (name, content_type, body) in [
            ("UTF-8", json, text.as_bytes().to_vec()),
            ("UTF-8 with a mark", json, marked.as_bytes().to_vec()),
            ("UTF-16", json, utf16(text, u16::to_le_bytes)),
            ("UTF-16 BE", json, utf16(text, u16::to_be_bytes)),
            ("UTF-16 with a mark", json, utf16(&marked, u16::to_le_bytes)),
            ("UTF-16 BE with a mark", json, utf16(&marked, u16::to_be_bytes)),
            ("UTF-16 by label", "application/json; charset=utf-16le", utf16(text, u16::to_le_bytes)),
            ("UTF-32", json, utf32(text, u32::to_le_bytes)),
            ("UTF-32 BE", json, utf32(text, u32::to_be_bytes)),
            ("UTF-32 with a mark", json, utf32(&marked, u32::to_le_bytes)),
            ("UTF-32 BE with a mark", json, utf32(&marked, u32::to_be_bytes)),
            ("ASCII that is UTF-8", "application/json; charset=us-ascii", text.as_bytes().to_vec()),
            ("an unknown label on UTF-8", "application/json; charset=klingon", text.as_bytes().to_vec()),
        ] {
            assert_eq!(read(content_type, &body, FormatKind::Json).unwrap(), text, "{name}");
        }
        assert_eq!(read("text/csv; charset=ISO-8859-1", b"caf\xe9", FormatKind::Csv).unwrap(), "café");
        assert_eq!(read("text/csv; header=present; charset=\"windows-1252\"", b"\x80", FormatKind::Csv).unwrap(), "€");
        let xml = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>";
        assert!(read("text/xml", xml, FormatKind::Xml).unwrap().contains('é'));
    }

    #[test]
    fn no_byte_is_replaced() {
        for (content_type, body, says) in [
            ("application/json", &b"[\"\xff\"]"[..], "not UTF-8"),
            ("application/json; charset=utf-16le", b"[\0\"\0\x00\xd8\"\0]\0", "UTF-16LE"),
            ("application/json; charset=klingon", b"[\"\xff\"]", "not known"),
            ("application/json; charset=shift_jis", b"[\"\x81\"]", "Shift_JIS"),
            ("application/json", b"[\0\0\0\"\0", "UTF-32"),
        ] {
            let error = read(content_type, body, FormatKind::Json).unwrap_err();
            assert!(error.message().contains(says), "{content_type}: {error}");
        }
    }
}
