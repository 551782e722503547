//! Pages for people where data was asked for: login pages, proxies, maintenance.

use super::media_type;
use crate::error::{Error, Kind, Result};
use reqwest::header::HeaderMap;

const HINT: &str = "is `base_url` the API's address, and is the credential accepted? A login page looks like this";

/// Refuses markup where JSON should be. JSON that is merely labelled `text/html`, as old PHP does, is JSON. `content` is not
/// empty.
pub(in crate::extract) fn refuse_markup(headers: &HeaderMap, content: &[u8]) -> Result<()> {
    let media_type = media_type(headers);
    let first = content.first();
    let labelled_html = media_type.starts_with("text/html") && !matches!(first, Some(b'[' | b'{'));
    if first != Some(&b'<') && !labelled_html {
        return Ok(());
    }
    let xml = content.starts_with(b"<?xml") || media_type.ends_with("xml");
    let language = if xml && !media_type.contains("html") { "XML" } else { "HTML" };
    let error = Error::new(Kind::Body, format!("the server sent {language}, not JSON"));
    Err(error.hint(if language == "XML" { "if it is meant to, set `format = \"xml\"`" } else { HINT }))
}

/// Refuses HTML where another format should be.
pub(super) fn refuse_html(media_type: &str, text: &str, wanted: &str) -> Result<()> {
    let start = text.trim_start().get(..14).unwrap_or(text.trim_start()).to_ascii_lowercase();
    let is_html = start.starts_with("<!doctype html") || start.starts_with("<html") || media_type == "text/html";
    if !is_html || (media_type == "text/html" && !start.starts_with('<')) {
        return Ok(());
    }
    Err(Error::new(Kind::Body, format!("the server sent HTML, not {wanted}")).hint(HINT))
}
