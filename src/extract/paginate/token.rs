//! `cursor`, `header_cursor`, `json_link`, `header_link`: the server says where the next page is.

use super::super::envelope::{Envelope, Fact, Node};
use super::super::raw::{self, Shape};
use super::announced::{header_fact, is_strict};
use super::seen::{SeenTokens, repeated_token};
use super::{EndReason, Limits, Next, PageFacts, PageRequest, Progress, Warning};
use crate::error::{Error, Kind, Result};
use crate::http::HeaderMap;
use crate::plan::model::{CursorPaging, FactPlace, FieldPath, JsonLink};
use bytes::Bytes;
use serde_json::Value;
use url::Url;

/// Empty pages in a row that are an error although each leads on: servers that filter after paging send many, but not
/// without end.
const EMPTY_PAGES_MAX: u32 = 100;

/// Names under which an object holds a link.
const LINK_NAMES: [&str; 4] = ["href", "url", "link", "uri"];

/// Names under which an object says what its link is.
const RELATION_NAMES: [&str; 2] = ["rel", "relation"];

/// Rows that a full first page looks like: a multiple of this, at least this.
const ROUND_COUNT: u64 = 10;

/// What follows an answer in a `cursor` walk, and what is odd about it.
///
/// A cursor of 0 is an end unless has_more says otherwise: it would lead to the start of the list, where the first
/// request without a cursor was already (Redis' SCAN and Twitter end their lists this way).
pub(super) fn next_cursor(
    keys: &CursorPaging,
    facts: &PageFacts<'_>,
    progress: &mut Progress,
    limits: &Limits,
    seen: &mut SeenTokens,
) -> Result<(Next, Option<Warning>)> {
    let is_strict = is_strict(facts, progress, limits);
    progress.announced.read(keys.total.as_ref(), keys.has_more.as_ref(), facts, is_strict)?;
    let has_more = progress.announced.has_more;
    let fact = match &keys.cursor {
        FactPlace::Body(path) => facts.envelope.fact(path)?,
        FactPlace::Header(name) => header_fact(facts, name),
    };
    let end = |reason| Ok((Next::End(reason), None));
    if has_more == Some(false) {
        return end(EndReason::NoMore);
    }
    if facts.record_count == 0 && keys.stop_on_empty_page {
        return end(EndReason::EmptyPage);
    }
    let cursor = match &fact {
        Some(fact) => token(fact, &keys.cursor)?,
        None => None,
    };
    let cursor = match (cursor, has_more) {
        (Some(cursor), Some(true)) => cursor,
        (Some(cursor), _) if cursor != "0" => cursor,
        (None, Some(true)) => {
            return Err(Error::new(Kind::Paging, "the server says there is more but gives no cursor")
                .with("cursor expected at", shown(&keys.cursor)));
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
    let cursor = fact.as_ref().map(typed);
    Ok((Next::Page(PageRequest { params, cursor, ..PageRequest::default() }), None))
}

fn shown(place: &FactPlace) -> String {
    match place {
        FactPlace::Body(path) => format!("`{path}`"),
        FactPlace::Header(name) => format!("header `{name}`"),
    }
}

fn token(fact: &Fact, place: &FactPlace) -> Result<Option<String>> {
    match place {
        FactPlace::Body(path) => fact.token("the cursor", path),
        FactPlace::Header(name) => fact.token("the cursor", &FieldPath(vec![name.clone()])),
    }
}

/// A text or number as `page.cursor` shows it, of its own type. A number that JSON numbers of ours would not give back digit
/// by digit stays a text.
pub(super) fn typed(fact: &Fact) -> Value {
    let text = match fact {
        Fact::Text(text) => return Value::from(text.as_str()),
        Fact::Number(text) => text,
        Fact::Null | Fact::Boolean(_) | Fact::Nested(_) => return Value::Null,
    };
    let number = serde_json::from_str::<Value>(text).unwrap_or_default();
    let given_back = number.to_string();
    if given_back == *text { number } else { Value::from(text.as_str()) }
}

/// The `next` URL of a body as it is written, and what is odd about its absence.
pub(super) fn json_link(
    keys: &JsonLink,
    facts: &PageFacts<'_>,
    progress: &Progress,
) -> Result<(Option<String>, Option<Warning>)> {
    let path = &keys.next_url_path;
    match link_at(facts.envelope, path, &keys.links_next_key)? {
        None => Ok((None, round_first_page(facts, progress))),
        Some(Fact::Number(_)) => {
            Err(Error::new(Kind::Paging, format!("the next link at `{path}` is a number, not a URL"))
                .hint("a number of a page is followed by `paginator = { type = \"page_number\" }`"))
        }
        Some(fact) => Ok((fact.token("the next link", path)?, None)),
    }
}

/// The link at a path: its text, the link within an object (`{"href": …}`), or within the object of a list that has the
/// relation (`[{"rel": "next", "href": …}]`). A list without it has no link.
pub(super) fn link_at(envelope: &Envelope, path: &FieldPath, relation: &str) -> Result<Option<Fact>> {
    let Some(node) = envelope.node(path)? else { return Ok(None) };
    match node.shape() {
        Shape::Object => Ok(Some(link_in(node)?.unwrap_or_else(|| node.fact()))),
        Shape::List => {
            for element in raw::elements(node.text())? {
                if has_relation(&element, relation)? {
                    return link_in(&Node::new(element)).map(|link| Some(link.unwrap_or(Fact::Null)));
                }
            }
            Ok(Some(Fact::Null))
        }
        Shape::Null | Shape::Boolean | Shape::Number | Shape::Text => Ok(Some(node.fact())),
    }
}

fn link_in(object: &Node) -> Result<Option<Fact>> {
    for name in LINK_NAMES {
        if let Some(link) = object.member(name)? {
            return Ok(Some(link.fact()));
        }
    }
    Ok(None)
}

/// Whether an element of a list says that it is a link of a relation, perhaps among others.
fn has_relation(element: &Bytes, relation: &str) -> Result<bool> {
    let node = Node::new(element.clone());
    for name in RELATION_NAMES {
        if let Some(Fact::Text(text)) = node.member(name)?.map(Node::fact) {
            return Ok(text.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case(relation)));
        }
    }
    Ok(false)
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
pub(super) fn resolve(base: &Url, link: &str) -> Result<Url> {
    let mut url =
        base.join(link.trim()).map_err(|cause| Error::new(Kind::Paging, "the next link is not a URL").source(cause))?;
    url.set_fragment(None);
    // Credentials come from the file. Both calls fail only on URLs that can have none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let is_downgrade = base.scheme() == "https" && url.scheme() == "http";
    if is_downgrade && base.host() == url.host() && base.port() == url.port() {
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
