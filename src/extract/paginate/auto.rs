//! `auto`: what the first answer says about paging. It follows what can be followed without a guess; where the answer
//! says that there is more and that can't be followed it is an error, never a silent first page.
//!
//! The body is looked at only beside a list: a lone object's fields are its own.

use super::super::envelope::{Envelope, Fact};
use super::super::raw::Shape;
use super::names::*;
use super::token::{header_link, link_at};
use super::{PageFacts, PagingKind, Warning};
use crate::error::{Error, Kind, Result};
use crate::http::HeaderMap;
use crate::plan::model::{CursorPaging, EndSigns, FieldPath, HeaderLink, JsonLink, Step, TokenPlace};
use crate::words::counted;

/// The relation of the next page.
const NEXT: &str = "next";

/// What was found, and a warning if that is a page which may not be all.
pub(super) struct Found {
    pub(super) kind: PagingKind,
    pub(super) warning: Option<Warning>,
}

/// A sign that there is more.
struct More {
    path: String,
    says: String,
    paginator: String,
}

/// What the signs in an answer come to.
enum Signs {
    More(More),
    NoMore,
    Nothing,
}

/// Finds out how the list of a first answer goes on.
///
/// # Errors
/// There is more, and nothing to follow.
pub(super) fn find(facts: &PageFacts<'_>, request_has_body: bool) -> Result<Found> {
    let found = |kind| Ok(Found { kind, warning: None });
    if header_link(NEXT, None, facts.headers).is_some() {
        return found(PagingKind::HeaderLink(HeaderLink {
            links_next_key: NEXT.to_owned(),
            next_url_header: None,
            keep_params: true,
            signs: EndSigns::default(),
        }));
    }
    if !facts.is_list {
        return found(PagingKind::SinglePage);
    }
    let places = Places::new(facts);
    if let Some(next_url_path) = places.link()? {
        return found(PagingKind::JsonLink(JsonLink {
            next_url_paths: vec![next_url_path],
            links_next_key: NEXT.to_owned(),
            keep_params: true,
            signs: EndSigns::default(),
        }));
    }
    if let Some((cursor_path, param)) = places.cursor()? {
        if request_has_body {
            // Whether the API wants it in the query or in the body, nothing says.
            return Err(more_error(&More {
                path: cursor_path.to_string(),
                says: "holds a cursor".to_owned(),
                paginator: format!("type = \"cursor\", cursor_path = \"{cursor_path}\""),
            }));
        }
        return found(PagingKind::Cursor(CursorPaging {
            cursor: TokenPlace::Body(vec![cursor_path]),
            cursor_param: Some(param.to_owned()),
            signs: EndSigns::default(),
        }));
    }
    match signs(&places, facts)? {
        Signs::More(more) => Err(more_error(&more)),
        Signs::NoMore => found(PagingKind::SinglePage),
        Signs::Nothing => {
            let progress = super::Progress { page_count: 1, ..Default::default() };
            let warning = super::token::round_first_page(facts, &progress);
            Ok(Found { kind: PagingKind::SinglePage, warning })
        }
    }
}

/// Where in a body paging may be told: beside the records, and at the root.
struct Places<'a> {
    envelope: &'a Envelope,
    bases: Vec<Vec<String>>,
}

impl<'a> Places<'a> {
    fn new(facts: &PageFacts<'a>) -> Self {
        let beside = facts.steps.split_last().map_or(&[][..], |(_, before)| before);
        let keys: Vec<String> = beside
            .iter()
            .map_while(|step| match step {
                Step::Key(key) => Some(key.clone()),
                Step::Index(_) | Step::Every => None,
            })
            .collect();
        // The records' own object, then those around it.
        let bases = (0..=keys.len()).rev().map(|len| keys[..len].to_vec()).collect();
        Places { envelope: facts.envelope, bases }
    }

    /// All facts of these names, in the order of bases, containers and names.
    fn all(&self, names: &[&str]) -> Result<Vec<(FieldPath, Fact)>> {
        let mut found = Vec::new();
        for base in &self.bases {
            for container in CONTAINERS {
                for name in names {
                    let path = path(base, container, name);
                    if let Some(fact) = self.envelope.fact(&path)? {
                        found.push((path, fact));
                    }
                }
            }
        }
        Ok(found)
    }

    fn first(&self, names: &[&str], fits: impl Fn(&Fact) -> bool) -> Result<Option<FieldPath>> {
        Ok(self.all(names)?.into_iter().find(|(_, fact)| fits(fact)).map(|(path, _)| path))
    }

    /// A URL of the next page: under a name of its own, or in a list of links.
    fn link(&self) -> Result<Option<FieldPath>> {
        if let Some(path) = self.first(NEXT_LINKS, is_url)? {
            return Ok(Some(path));
        }
        for (path, fact) in self.all(LINK_LISTS)? {
            if matches!(fact, Fact::Nested(Shape::List))
                && link_at(self.envelope, &path, NEXT)?.as_ref().is_some_and(is_url)
            {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// A cursor whose parameter is known by convention.
    fn cursor(&self) -> Result<Option<(FieldPath, &'static str)>> {
        let graph = path(&[], "", GRAPH_CURSOR.0);
        if self.envelope.fact(&graph)?.as_ref().is_some_and(is_token) {
            return Ok(Some((graph, GRAPH_CURSOR.1)));
        }
        for (name, param) in NEXT_CURSORS {
            if let Some(path) = self.first(&[name], is_token)? {
                return Ok(Some((path, param)));
            }
        }
        Ok(None)
    }
}

fn path(base: &[String], container: &str, name: &str) -> FieldPath {
    let parts = container.split('.').chain(name.split('.')).filter(|part| !part.is_empty());
    FieldPath(base.iter().cloned().chain(parts.map(str::to_owned)).collect())
}

fn is_url(fact: &Fact) -> bool {
    matches!(fact, Fact::Text(text) if ["http://", "https://", "/", "?", "./"].iter().any(|start| text.starts_with(start)))
}

fn is_token(fact: &Fact) -> bool {
    matches!(fact, Fact::Text(text) | Fact::Number(text) if !text.is_empty() && text != "0")
}

/// Reads every sign. One that says "more" wins over those that say nothing.
fn signs(places: &Places<'_>, facts: &PageFacts<'_>) -> Result<Signs> {
    let mut told = false;
    for (path, fact) in places.all(HAS_MORE)? {
        if matches!(&fact, Fact::Boolean(true))
            || matches!(&fact, Fact::Text(t) | Fact::Number(t) if t == "true" || t == "1")
        {
            return Ok(more(&path, "says that there is more", goes_on(places, facts, &path)?));
        }
        told = true;
    }
    for (path, fact) in places.all(IS_LAST)? {
        if fact == Fact::Boolean(false) {
            return Ok(more(&path, "says that this is not the last page", "type = \"page_number\"".to_owned()));
        }
        told |= fact == Fact::Boolean(true);
    }
    for (path, fact) in places.all(UNNAMED_CURSORS)?.into_iter().chain(places.all(NEXT_LINKS)?) {
        if matches!(&fact, Fact::Text(_)) && is_token(&fact) {
            let paginator = format!("type = \"cursor\", cursor_path = \"{path}\", cursor_param = \"…\"");
            return Ok(more(&path, "holds a cursor", paginator));
        }
        told |= fact == Fact::Null;
    }
    for (path, fact) in places.all(NEXT_NUMBERS)? {
        if matches!(&fact, Fact::Number(_)) && is_token(&fact) {
            return Ok(more(&path, "holds the number of the next page", "type = \"page_number\"".to_owned()));
        }
    }
    for name in NEXT_HEADERS {
        match facts.headers.get(*name).map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned()) {
            Some(text) if !text.is_empty() && text != "0" => return Ok(Signs::More(header_sign(name, &text))),
            found => told |= found.is_some(),
        }
    }
    total_signs(places, facts, told)
}

/// The paginator to suggest where only `has_more` is told. Stripe and those who follow it (`"object": "list"`) go on behind the
/// last record.
fn goes_on(places: &Places<'_>, facts: &PageFacts<'_>, path: &FieldPath) -> Result<String> {
    let object = places.envelope.fact(&FieldPath(vec!["object".to_owned()]))?;
    Ok(if object == Some(Fact::Text("list".to_owned())) {
        format!("type = \"keyset\", field = \"id\", param = \"starting_after\", has_more_path = \"{path}\"")
    } else {
        format!("type = \"offset\", limit = {}, has_more_path = \"{path}\"", facts.record_count)
    })
}

/// A header that tells of a next page, by its number or by a token whose parameter nobody knows.
fn header_sign(name: &str, text: &str) -> More {
    let is_number = text.bytes().all(|c| c.is_ascii_digit());
    let paginator = if is_number {
        "type = \"page_number\"".to_owned()
    } else {
        format!("type = \"header_cursor\", cursor_key = \"{name}\", cursor_param = \"…\"")
    };
    let says = if is_number { "(a header) holds the number of the next page" } else { "(a header) holds a cursor" };
    More { path: name.to_owned(), says: says.to_owned(), paginator }
}

/// Totals of the body and of the headers.
fn total_signs(places: &Places<'_>, facts: &PageFacts<'_>, mut told: bool) -> Result<Signs> {
    let in_body = |names| -> Result<Vec<(FieldPath, u64)>> {
        Ok(places.all(names)?.into_iter().filter_map(|(path, fact)| Some((path, whole(&fact)?))).collect())
    };
    for (path, pages) in in_body(TOTAL_PAGES)? {
        if pages > 1 {
            let paginator = format!("type = \"page_number\", total_pages_path = \"{path}\"");
            return Ok(more(&path, &format!("announces {}", counted(pages, "page")), paginator));
        }
        told = true;
    }
    for (path, total) in in_body(TOTALS)? {
        if total > facts.record_count {
            let paginator =
                format!("type = \"offset\", limit = {}, total_path = \"{path}\"", facts.record_count.max(1));
            return Ok(more(&path, &format!("announces {}", counted(total, "record")), paginator));
        }
        told = true;
    }
    for (names, threshold, key) in
        [(TOTAL_PAGES_HEADERS, 1, "total_pages_header"), (TOTAL_HEADERS, facts.record_count, "total_header")]
    {
        if let Some((name, announced)) =
            names.iter().find_map(|name| Some((*name, header_number(facts.headers, name)?)))
        {
            if announced > threshold {
                let says = format!("(a header) announces {announced}");
                return Ok(Signs::More(More {
                    path: name.to_owned(),
                    says,
                    paginator: format!("type = \"page_number\", {key} = \"{name}\""),
                }));
            }
            told = true;
        }
    }
    Ok(if told { Signs::NoMore } else { Signs::Nothing })
}

fn more(path: &FieldPath, says: &str, paginator: String) -> Signs {
    Signs::More(More { path: path.to_string(), says: says.to_owned(), paginator })
}

fn more_error(more: &More) -> Error {
    Error::new(Kind::Paging, "there are more records, but nothing in the answer that leads to them without a guess")
        .with("sign", format!("`{}` {}", more.path, more.says))
        .with("found by", "paginator = \"auto\"")
        .hint(format!(
            "write the paginator, for example `paginator = {{ {} }}`; `paginator = \"single_page\"` takes this page as all",
            more.paginator
        ))
}

fn whole(fact: &Fact) -> Option<u64> {
    match fact {
        Fact::Number(text) | Fact::Text(text) => text.parse().ok(),
        Fact::Null | Fact::Boolean(_) | Fact::Nested(_) => None,
    }
}

fn header_number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}
