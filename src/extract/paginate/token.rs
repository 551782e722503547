//! `cursor`, `header_cursor`, `json_link`, `header_link`: the server says where the next page is.

use super::super::envelope::{Envelope, Fact, Node};
use super::super::raw::{self, Shape};
use super::announced::{header_fact, is_strict};
use super::seen::{SeenTokens, repeated_token};
use super::{EndReason, Limits, Next, PageFacts, PageRequest, Progress, Warning};
use crate::error::{Error, Kind, Result};
use crate::http::HeaderMap;
use crate::plan::model::{CursorPaging, EndSigns, FieldPath, HeaderLink, JsonLink, TokenPlace};
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
    if let Some(reason) = told_end(&keys.signs, facts, progress, limits)? {
        return Ok((Next::End(reason), None));
    }
    let has_more = progress.announced.has_more;
    let (fact, cursor) = cursor_of(&keys.cursor, facts)?;
    let cursor = match (cursor, has_more) {
        (Some(cursor), Some(true)) => cursor,
        (Some(cursor), _) if cursor != "0" => cursor,
        (None, Some(true)) => {
            return Err(nothing_leads_on("cursor", &shown(&keys.cursor)));
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

/// The end that an answer tells, whatever leads on.
fn told_end(
    signs: &EndSigns,
    facts: &PageFacts<'_>,
    progress: &mut Progress,
    limits: &Limits,
) -> Result<Option<EndReason>> {
    let is_strict = is_strict(facts, progress, limits);
    progress.announced.read(signs.total.as_ref(), signs.has_more.as_ref(), facts, is_strict)?;
    let is_empty = facts.record_count == 0 && signs.stop_on_empty_page;
    Ok(progress.announced.end().or(is_empty.then_some(EndReason::EmptyPage)))
}

/// The first cursor that says something; without one the last that is there, and so says that there is none.
fn cursor_of(place: &TokenPlace, facts: &PageFacts<'_>) -> Result<(Option<Fact>, Option<String>)> {
    let found: Vec<(Option<Fact>, FieldPath)> = match place {
        // A header has no null of its own: Salesforce writes one as text.
        TokenPlace::Header(name) => {
            let fact =
                header_fact(facts, name).map(|fact| if fact == Fact::Text("null".into()) { Fact::Null } else { fact });
            vec![(fact, FieldPath(vec![name.clone()]))]
        }
        TokenPlace::Body(paths) => {
            let at = |path: &FieldPath| Ok((facts.envelope.fact(path)?, path.clone()));
            paths.iter().map(at).collect::<Result<_>>()?
        }
    };
    let mut silent = None;
    for (fact, path) in found {
        let Some(fact) = fact else { continue };
        match fact.token("the cursor", &path)? {
            Some(cursor) => return Ok((Some(fact), Some(cursor))),
            None => silent = Some(fact),
        }
    }
    Ok((silent, None))
}

fn shown(place: &TokenPlace) -> String {
    match place {
        TokenPlace::Body(paths) => shown_paths(paths),
        TokenPlace::Header(name) => format!("header `{name}`"),
    }
}

fn shown_paths(paths: &[FieldPath]) -> String {
    paths.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ")
}

fn nothing_leads_on(what: &str, place: &str) -> Error {
    Error::new(Kind::Paging, format!("the server says there is more but gives no {what}"))
        .with(if what == "cursor" { "cursor expected at" } else { "link expected at" }, place)
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

/// What follows an answer in a `json_link` walk, and what is odd about it.
pub(super) fn next_json_link(
    keys: &JsonLink,
    facts: &PageFacts<'_>,
    progress: &mut Progress,
    limits: &Limits,
    seen: &mut SeenTokens,
) -> Result<(Next, Option<Warning>)> {
    if let Some(reason) = told_end(&keys.signs, facts, progress, limits)? {
        return Ok((Next::End(reason), None));
    }
    let (is_there, link) = json_link(keys, facts.envelope)?;
    if link.is_none() && progress.announced.has_more == Some(true) {
        return Err(nothing_leads_on("next link", &shown_paths(&keys.next_url_paths)));
    }
    let warning = if is_there { None } else { round_first_page(facts, progress) };
    Ok((next_link(link, facts, progress, limits, seen)?, warning))
}

/// The `next` URL of a body as it is written, at the first place that has one; and whether any place is there.
fn json_link(keys: &JsonLink, envelope: &Envelope) -> Result<(bool, Option<String>)> {
    let mut is_there = false;
    for path in &keys.next_url_paths {
        let Some(fact) = link_at(envelope, path, &keys.links_next_key)? else { continue };
        is_there = true;
        if let Fact::Number(_) = fact {
            return Err(Error::new(Kind::Paging, format!("the next link at `{path}` is a number, not a URL"))
                .hint("a number of a page is followed by `paginator = { type = \"page_number\" }`"));
        }
        if let Some(link) = fact.token("the next link", path)?.filter(|link| is_link(link)) {
            return Ok((is_there, Some(link)));
        }
    }
    Ok((is_there, None))
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
    .filter(|link| is_link(link))
}

/// Whether a text is a link, and not the word that some servers write for none.
fn is_link(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && !["null", "none", "false"].iter().any(|none| text.eq_ignore_ascii_case(none))
}

/// What follows an answer in a `header_link` walk.
pub(super) fn next_header_link(
    keys: &HeaderLink,
    facts: &PageFacts<'_>,
    progress: &mut Progress,
    limits: &Limits,
    seen: &mut SeenTokens,
) -> Result<Next> {
    if let Some(reason) = told_end(&keys.signs, facts, progress, limits)? {
        return Ok(Next::End(reason));
    }
    let link = header_link(&keys.links_next_key, keys.next_url_header.as_deref(), facts.headers);
    if link.is_none() && progress.announced.has_more == Some(true) {
        let place = match &keys.next_url_header {
            Some(name) => format!("header `{name}`"),
            None => format!("header `link`, relation `{}`", keys.links_next_key),
        };
        return Err(nothing_leads_on("next link", &place));
    }
    next_link(link, facts, progress, limits, seen)
}

/// What follows an answer whose next link is this.
fn next_link(
    link: Option<String>,
    facts: &PageFacts<'_>,
    progress: &Progress,
    limits: &Limits,
    seen: &mut SeenTokens,
) -> Result<Next> {
    let Some(link) = link else { return Ok(Next::End(EndReason::NoNextLink)) };
    let link = resolve(facts.url, &link)?;
    // A link to the page in hand is a repetition too.
    seen.insert(&identity(facts.url));
    if !seen.insert(&identity(&link)) {
        return repeated_token(limits.on_repeat, "a next link", progress.page_count);
    }
    refuse_endless_emptiness(progress)?;
    Ok(Next::Page(PageRequest { link: Some(link), ..PageRequest::default() }))
}

/// What two links to the same page have in common: parameters in whatever order, however they are encoded.
fn identity(link: &Url) -> String {
    let mut params: Vec<_> = link.query_pairs().collect();
    params.sort_unstable();
    let mut without_query = link.clone();
    without_query.set_query(None);
    format!("{without_query} {params:?}")
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
    // A total says whether there is more.
    let is_silent = progress.announced.total().is_none();
    (progress.page_count == 1 && facts.is_list && is_round && is_silent)
        .then_some(Warning::RoundFirstPage { record_count })
}
