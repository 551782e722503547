//! What a body is, and how it becomes JSON: everything behind this point (selectors, paging, the decoder) reads JSON only.

mod archive;
mod charset;
mod csv;
pub mod file;
mod html;
mod jsonl;
mod xml;

pub(super) use html::refuse_markup;

use super::envelope::Envelope;
use crate::error::{Error, Kind, Result};
use crate::plan::model::{BodyFormat, FormatKind, Step};
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap};

/// Media types of JSON values that follow one another: no registry has most of them, but servers send them all.
const JSONL_TYPES: [&str; 9] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonl",
    "application/jsonlines",
    "application/x-jsonlines",
    "application/json-seq",
    "application/stream+json",
    "text/jsonl",
];

/// Media types of CSV; the last one is separated by tabs.
const CSV_TYPES: [&str; 5] =
    ["text/csv", "application/csv", "text/x-csv", "text/comma-separated-values", "text/tab-separated-values"];

/// Where the records are, as far as it is known: a list of one element does not look like a list in XML, and one of none
/// does not look like anything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'s> {
    /// Steps of the selector.
    pub(super) steps: &'s [Step],
    /// Whether an earlier answer of the same walk had a list there.
    pub(super) is_seen: bool,
}

/// Reads a body of whatever format. Of an archive every member is one; more than `bytes_max` never come out of it.
///
/// # Errors
/// The body is not in its format or its charset, ends early, is a page for people, or an archive that can't be unpacked.
pub(super) fn read(
    format: &BodyFormat,
    place: Place<'_>,
    status: u16,
    headers: &HeaderMap,
    body: &Bytes,
    bytes_max: u64,
) -> Result<Envelope> {
    let media_type = media_type(headers);
    if !archive::is_archive(body) {
        return read_one(format, place, status, headers, &media_type, body);
    }
    let part = |member: archive::Member| {
        let media_type = member.media_type().unwrap_or(&media_type);
        read_one(format, place, status, headers, media_type, &member.body)
            .map_err(|error| error.with("member of the archive", &member.name))
    };
    let members = archive::members(body, bytes_max)?;
    Ok(Envelope::of_parts(members.into_iter().map(part).collect::<Result<_>>()?))
}

/// Reads a body that is no archive.
fn read_one(
    format: &BodyFormat,
    place: Place<'_>,
    status: u16,
    headers: &HeaderMap,
    media_type: &str,
    body: &Bytes,
) -> Result<Envelope> {
    let kind = kind_of(format, media_type, body);
    let body = charset::to_utf8(format.charset, headers, body, kind)?;
    if kind == FormatKind::Json || body.trim_ascii().is_empty() && is_without_body(status) {
        return Envelope::parse(status, headers, &body);
    }
    let text = utf8(&body)?;
    let json = match kind {
        FormatKind::Jsonl => {
            html::refuse_html(media_type, text, "JSON")?;
            jsonl::to_json(text)?
        }
        FormatKind::Csv => {
            html::refuse_html(media_type, text, "CSV")?;
            refuse_json(media_type, text, "CSV")?;
            let mut spec = format.csv.clone().unwrap_or_default();
            let is_tabbed = media_type == "text/tab-separated-values";
            spec.delimiter.get_or_insert(if is_tabbed { b'\t' } else { b',' });
            csv::to_json(text, &spec)?
        }
        FormatKind::Xml => {
            html::refuse_html(media_type, text, "XML")?;
            refuse_json(media_type, text, "XML")?;
            let lists = format.xml.as_ref().map(|xml| xml.lists.as_slice()).unwrap_or_default();
            let (json, root) = xml::to_json(text, lists, place)?;
            return Envelope::of_json(json.into(), Some(root));
        }
        FormatKind::Json | FormatKind::File => {
            return Err(Error::new(Kind::Internal, "a body was read in a format that has no records"));
        }
    };
    Envelope::of_json(json.into(), None)
}

/// What the body of an answer is. Of an archive, the format of its members is not looked at.
pub(super) fn kind_of_answer(format: &BodyFormat, headers: &HeaderMap, body: &[u8]) -> FormatKind {
    kind_of(format, &media_type(headers), body)
}

/// What a body is: what the file says, else what its Content-Type says, else JSON.
fn kind_of(format: &BodyFormat, media_type: &str, body: &[u8]) -> FormatKind {
    if let Some(kind) = format.kind {
        return kind;
    }
    let looks_like_json = matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
    let is_json = media_type.ends_with("/json") || media_type.ends_with("+json");
    let is_xml = matches!(media_type, "application/xml" | "text/xml") || media_type.ends_with("+xml");
    if JSONL_TYPES.contains(&media_type) {
        FormatKind::Jsonl
    } else if CSV_TYPES.contains(&media_type) {
        FormatKind::Csv
    } else if is_xml && media_type != "application/xhtml+xml" && !looks_like_json {
        FormatKind::Xml
    } else if is_json || looks_like_json {
        FormatKind::Json
    } else if format.csv.is_some() {
        FormatKind::Csv
    } else if format.xml.is_some() {
        FormatKind::Xml
    } else {
        FormatKind::Json
    }
}

/// The Content-Type without its parameters, lower case; empty when there is none.
fn media_type(headers: &HeaderMap) -> String {
    let content_type = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_without_body(status: u16) -> bool {
    super::envelope::STATUSES_WITHOUT_BODY.contains(&status)
}

/// A body that has to be UTF-8, without its byte order mark.
pub(super) fn utf8(body: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(body).map_err(|cause| {
        Error::new(Kind::Body, "the body is not UTF-8").with("byte offset", cause.valid_up_to()).source(cause)
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Error messages come as JSON also where tables are asked for.
fn refuse_json(media_type: &str, text: &str, wanted: &str) -> Result<()> {
    let is_json = media_type.ends_with("/json") || media_type.ends_with("+json");
    if is_json && text.trim_start().starts_with(['{', '[']) {
        return Err(Error::new(Kind::Body, format!("the server sent JSON, not {wanted}"))
            .hint("an error message often comes so; `response_actions` say what such an answer means"));
    }
    Ok(())
}

/// Appends a text as a JSON string.
fn push_string(out: &mut Vec<u8>, text: &str) -> Result<()> {
    serde_json::to_writer(out, text)
        .map_err(|cause| Error::new(Kind::Internal, "a text can't be written as JSON").source(cause))
}

/// The number of a line, from 1, in which a byte stands.
fn line_of(text: &str, byte: usize) -> usize {
    1 + text.as_bytes()[..byte.min(text.len())].iter().filter(|b| **b == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::model::{CsvFormat, XmlFormat};

    #[test]
    fn the_format_is_the_files_or_the_content_types_or_json() {
        let auto = BodyFormat::default();
        let csv = BodyFormat { csv: Some(CsvFormat::default()), ..BodyFormat::default() };
        let xml = BodyFormat { xml: Some(XmlFormat::default()), ..BodyFormat::default() };
        let jsonl = BodyFormat { kind: Some(FormatKind::Jsonl), ..BodyFormat::default() };
        for (format, media_type, body, expected) in [
            (&auto, "application/json", "a", FormatKind::Json),
            (&auto, "application/problem+json", "a", FormatKind::Json),
            (&auto, "text/plain", "[1]", FormatKind::Json),
            (&auto, "", "{}", FormatKind::Json),
            (&auto, "application/x-ndjson", "{}", FormatKind::Jsonl),
            (&auto, "application/json-seq", "{}", FormatKind::Jsonl),
            (&auto, "text/csv", "a", FormatKind::Csv),
            (&auto, "text/tab-separated-values", "a", FormatKind::Csv),
            (&auto, "application/atom+xml", "<a/>", FormatKind::Xml),
            (&auto, "text/xml", "<a/>", FormatKind::Xml),
            (&auto, "text/xml", " {}", FormatKind::Json),
            (&auto, "application/xhtml+xml", "<html/>", FormatKind::Json),
            (&csv, "application/octet-stream", "a;b", FormatKind::Csv),
            (&csv, "application/json", "{}", FormatKind::Json),
            (&csv, "text/plain", "{\"error\":1}", FormatKind::Json),
            (&xml, "text/plain", "<a/>", FormatKind::Xml),
            (&jsonl, "application/json", "{}", FormatKind::Jsonl),
        ] {
            assert_eq!(kind_of(format, media_type, body.as_bytes()), expected, "{media_type} {body}");
        }
    }
}
