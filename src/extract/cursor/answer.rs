//! Cursors that an answer tells: a token in its body or a header, or the server's clock.

use super::CursorValue;
use crate::error::{Error, Kind, Result};
use crate::extract::envelope::Envelope;
use crate::http::HeaderMap;
use crate::plan::model::{CursorSource, FactPlace, Incremental};
use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;

/// What an answer tells of the cursor, if it is to be found there. Of the clock the first answer counts, less the whole seconds
/// that it was under way: its records may be as old as its request.
///
/// # Errors
/// The value is none that a request could show, or the server does not tell its time.
pub(super) fn told(
    incremental: &Incremental,
    page_number: u64,
    envelope: &Envelope,
    headers: &HeaderMap,
    took: Duration,
) -> Result<Option<CursorValue>> {
    let places = match &incremental.source {
        CursorSource::Response(places) => places,
        CursorSource::Clock if page_number == 1 => {
            let took = TimeDelta::seconds(i64::try_from(took.as_secs()).unwrap_or(i64::MAX / 1_000));
            let server_time = server_time(headers)?;
            let began = server_time.checked_sub_signed(took).unwrap_or(server_time);
            let text = began.format("%Y-%m-%dT%H:%M:%SZ").to_string();
            return Ok(Some(CursorValue::parse_text(&text, &Default::default())));
        }
        CursorSource::Clock | CursorSource::Record(_) | CursorSource::Window => return Ok(None),
    };
    for place in places {
        let Some(value) = told_at(place, envelope, headers)? else { continue };
        if !incremental.sends_start && !is_address(value.text()) {
            return Err(Error::new(Kind::Data, "no request shows the cursor that the answer gives")
                .with("cursor", value.text())
                .hint("add `start_param`, or use `{{ cursor.start }}`; only an address goes without"));
        }
        return Ok(Some(value));
    }
    Ok(None)
}

/// Whether a text can be asked for as it is.
pub fn is_address(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://") || text.starts_with('/')
}

/// What an answer tells at a place.
fn told_at(place: &FactPlace, envelope: &Envelope, headers: &HeaderMap) -> Result<Option<CursorValue>> {
    match place {
        FactPlace::Body(path) => match envelope.node(path)? {
            Some(node) => CursorValue::parse_json(node.text(), &Default::default())
                .map_err(|error| error.with("cursor_path", path)),
            None => Ok(None),
        },
        FactPlace::Header(name) => {
            let text = headers.get(name.as_str()).and_then(|value| value.to_str().ok()).map(str::trim);
            let text = text.filter(|text| !text.is_empty());
            Ok(text.map(|text| CursorValue { quoted: true, ..CursorValue::parse_text(text, &Default::default()) }))
        }
    }
}

/// The `Date` of an answer (RFC 9110 section 6.6.1).
fn server_time(headers: &HeaderMap) -> Result<DateTime<Utc>> {
    let text = headers.get("date").and_then(|value| value.to_str().ok()).unwrap_or_default();
    DateTime::parse_from_rfc2822(text).map(|at| at.with_timezone(&Utc)).map_err(|cause| {
        Error::new(Kind::Data, "the server does not tell its time, which is the cursor")
            .with("Date", if text.is_empty() { "missing" } else { text })
            .hint("take the cursor from records, or use `cursor_from = \"window\"`, which goes by our own clock")
            .source(cause)
    })
}
