//! `cursor`, `json_link`, `header_link`: the server says where the next page is.

use super::super::envelope::Fact;
use super::announced::read_has_more;
use super::seen::{SeenTokens, repeated_token};
use super::{EndReason, Limits, Next, PageFacts, PageRequest, Progress, Warning};
use crate::error::{Error, Kind, Result};
use crate::http::HeaderMap;
use crate::plan::model::{CursorPaging, FieldPath};
use url::Url;

/// Empty pages in a row that are an error although each leads on: servers that filter after paging send many, but not
/// without end.
const EMPTY_PAGES_MAX: u32 = 100;

/// Rows that a full first page looks like: a multiple of this, at least this.
const ROUND_COUNT: u64 = 10;

/// What follows an answer in a `cursor` walk, and what is odd about it.
///
/// A cursor of 0 is an end unless has_more says otherwise: it would lead to the start of the list, where the first
/// request without a cursor was already (Redis' SCAN and Twitter end their lists this way).
pub(super) fn next_cursor(
    keys: &CursorPaging,
    facts: &PageFacts<'_>,
    progress: &Progress,
    limits: &Limits,
    seen: &mut SeenTokens,
) -> Result<(Next, Option<Warning>)> {
    let may_be_bare = facts.record_count == 0 && (limits.allow_missing || facts.envelope.root().is_none());
    let is_first = progress.page_count == 1 && !may_be_bare;
    let has_more = match &keys.has_more_path {
        Some(path) => read_has_more(path, facts, is_first)?,
        None => None,
    };
    let fact = facts.envelope.fact(&keys.cursor_path)?;
    let end = |reason| Ok((Next::End(reason), None));
    if has_more == Some(false) {
        return end(EndReason::NoMore);
    }
    if facts.record_count == 0 && keys.stop_on_empty_page {
        return end(EndReason::EmptyPage);
    }
    let cursor = match &fact {
        Some(fact) => fact.token("the cursor", &keys.cursor_path)?,
        None => None,
    };
    let cursor = match (cursor, has_more) {
        (Some(cursor), Some(true)) => cursor,
        (Some(cursor), _) if cursor != "0" => cursor,
        (None, Some(true)) => {
            return Err(Error::new(Kind::Paging, "the server says there is more but gives no cursor")
                .with("cursor expected at", &keys.cursor_path));
        }
        _ => {
            let warning = if fact.is_none() { round_first_page(facts, progress) } else { None };
            return Ok((Next::End(EndReason::NoCursor), warning));
        }
    };
    if !seen.insert(&cursor) {
        return Ok((repeated_token(limits.on_repeat, "a cursor", progress.page_count)?, None));
    }
    refuse_endless_emptiness(progress)?;
    let params = keys.cursor_param.iter().map(|name| (name.clone(), cursor.clone())).collect();
    Ok((Next::Page(PageRequest { params, cursor: Some(cursor), ..PageRequest::default() }), None))
}

/// The `next` URL of a body as it is written, and what is odd about its absence.
pub(super) fn json_link(
    path: &FieldPath,
    facts: &PageFacts<'_>,
    progress: &Progress,
) -> Result<(Option<String>, Option<Warning>)> {
    match facts.envelope.fact(path)? {
        None => Ok((None, round_first_page(facts, progress))),
        Some(Fact::Number(_)) => {
            Err(Error::new(Kind::Paging, format!("the next link at `{path}` is a number, not a URL"))
                .hint("a number of a page is followed by `paginator = { type = \"page_number\" }`"))
        }
        Some(fact) => Ok((fact.token("the next link", path)?, None)),
    }
}

/// The `next` URL of the headers as it is written.
pub(super) fn header_link(relation: &str, header: Option<&str>, headers: &HeaderMap) -> Option<String> {
    match header {
        Some(name) => headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned()),
        None => super::super::link::find(headers, relation),
    }
    .filter(|link| !link.is_empty())
}

/// What follows an answer whose next link is this.
pub(super) fn next_link(
    link: Option<String>,
    facts: &PageFacts<'_>,
    progress: &Progress,
    limits: &Limits,
    seen: &mut SeenTokens,
) -> Result<Next> {
    let Some(link) = link else { return Ok(Next::End(EndReason::NoNextLink)) };
    let link = resolve(facts.url, &link)?;
    // A link to the page in hand is a repetition too.
    seen.insert(facts.url.as_str());
    if !seen.insert(link.as_str()) {
        return repeated_token(limits.on_repeat, "a next link", progress.page_count);
    }
    refuse_endless_emptiness(progress)?;
    Ok(Next::Page(PageRequest { link: Some(link), ..PageRequest::default() }))
}

/// A link against the address of its answer (RFC 3986 section 5). Behind proxies that end TLS many APIs write their own
/// links with `http`: on the host that was asked over `https` they are taken as `https`.
fn resolve(base: &Url, link: &str) -> Result<Url> {
    let mut url =
        base.join(link.trim()).map_err(|cause| Error::new(Kind::Paging, "the next link is not a URL").source(cause))?;
    url.set_fragment(None);
    let is_downgrade = base.scheme() == "https" && url.scheme() == "http";
    if is_downgrade && base.host() == url.host() && base.port().is_none() && url.port().is_none() {
        // Both schemes are special ones, between which the change is allowed.
        let _ = url.set_scheme("https");
    }
    Ok(url)
}

fn refuse_endless_emptiness(progress: &Progress) -> Result<()> {
    if progress.empty_in_a_row < EMPTY_PAGES_MAX {
        return Ok(());
    }
    Err(Error::new(Kind::Paging, format!("{EMPTY_PAGES_MAX} empty pages in a row, each leading to another"))
        .hint("if an empty page is the end, say so: `stop_on = \"empty_page\"`"))
}

/// A warning if the only page looks like a full one.
pub(super) fn round_first_page(facts: &PageFacts<'_>, progress: &Progress) -> Option<Warning> {
    let record_count = facts.record_count;
    let is_round = record_count >= ROUND_COUNT && record_count.is_multiple_of(ROUND_COUNT);
    (progress.page_count == 1 && facts.is_list && is_round).then_some(Warning::RoundFirstPage { record_count })
}
