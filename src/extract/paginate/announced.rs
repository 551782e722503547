//! Totals and "has more" that the file declares, read from an answer.

use super::super::envelope::Fact;
use super::{EndReason, Limits, PageFacts, Progress};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{FactPlace, MoreSpec, TotalSpec};

/// What the server announced, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Announced {
    /// The total that the last answer with one told.
    total: Option<Total>,
    /// The total of the first answer that told.
    total_first: Option<Total>,
    /// The largest total that was told.
    total_max: Option<Total>,
    /// The first page has more than the total: whatever that counts, it is not what is in the list.
    is_refuted: bool,
    /// What this answer says.
    pub(super) has_more: Option<bool>,
    /// Whether it says so by telling which page is the last.
    tells_last: bool,
}

/// An announced total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Total {
    /// Of records.
    Records(u64),
    /// Of pages.
    Pages(u64),
}

impl Announced {
    /// The total, if one is known.
    pub(super) fn total(&self) -> Option<Total> {
        self.total
    }

    /// The total by which a page ends the list or does not. Behind a page with records it is the largest one told: a list that
    /// shrank has an empty page at its end, and some servers count what is left.
    pub(super) fn ending(&self, record_count: u64) -> Option<Total> {
        let total = if record_count == 0 { self.total } else { self.total_max };
        total.filter(|_| !self.is_refuted)
    }

    /// Holds the first page against the total.
    pub(super) fn weigh(&mut self, page_count: u64, record_count: u64) {
        if page_count == 1 {
            self.is_refuted = match self.total {
                Some(Total::Records(total)) => record_count > total,
                Some(Total::Pages(total)) => record_count > 0 && total == 0,
                None => false,
            };
        }
    }

    /// The total of records that was told last.
    pub(super) fn records(&self) -> Option<u64> {
        records(self.total)
    }

    /// The total of records that was told first.
    pub(super) fn records_first(&self) -> Option<u64> {
        records(self.total_first)
    }

    /// Reads an answer. `is_strict`: it is the first one, which must have what the file declares.
    ///
    /// # Errors
    /// A declared fact is missing from the first answer, or is not what it should be.
    pub(super) fn read(
        &mut self,
        total: Option<&TotalSpec>,
        has_more: Option<&MoreSpec>,
        facts: &PageFacts<'_>,
        is_strict: bool,
    ) -> Result<()> {
        if let Some(spec) = total
            && let Some(total) = read_total(spec, facts, is_strict)?
        {
            self.total = Some(total);
            self.total_first.get_or_insert(total);
            self.total_max = self.total_max.max(Some(total));
        }
        self.has_more = match has_more {
            Some(spec) => read_has_more(spec, facts, is_strict)?,
            None => None,
        };
        self.tells_last = has_more.is_some_and(|spec| spec.is_last);
        Ok(())
    }

    /// The end, if this answer says that there is no more.
    pub(super) fn end(&self) -> Option<EndReason> {
        let reason = if self.tells_last { EndReason::LastPage } else { EndReason::NoMore };
        (self.has_more == Some(false)).then_some(reason)
    }
}

/// A first answer must have the facts that the file declares, unless it may be an answer without anything.
pub(super) fn is_strict(facts: &PageFacts<'_>, progress: &Progress, limits: &Limits) -> bool {
    let may_be_bare = facts.record_count == 0 && (limits.allow_missing || facts.envelope.root().is_none());
    progress.page_count == 1 && !may_be_bare
}

fn records(total: Option<Total>) -> Option<u64> {
    match total {
        Some(Total::Records(count)) => Some(count),
        Some(Total::Pages(_)) | None => None,
    }
}

/// A total. Null, an empty text and negative numbers are unknown.
fn read_total(spec: &TotalSpec, facts: &PageFacts<'_>, is_strict: bool) -> Result<Option<Total>> {
    let text = match &spec.place {
        FactPlace::Body(path) => match facts.envelope.fact(path)? {
            Some(Fact::Number(text) | Fact::Text(text)) => text,
            Some(Fact::Null) => return Ok(None),
            Some(other) => {
                return Err(Error::new(Kind::Paging, format!("the total at `{path}` is {other}, not a number")));
            }
            None if is_strict => return Err(missing("total", &format!("`{path}` in the body"))),
            None => return Ok(None),
        },
        FactPlace::Header(name) => match facts.headers.get(name.as_str()) {
            // `Content-Range: items 0-99/1234` tells the total behind the slash (RFC 9110 section 14.4).
            Some(value) => value.to_str().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned(),
            None if is_strict => return Err(missing("total", &format!("header `{name}`"))),
            None => return Ok(None),
        },
    };
    let text = text.trim();
    if text.is_empty() || text == "*" || text.starts_with('-') {
        return Ok(None);
    }
    let whole =
        text.split_once('.').filter(|(_, zeros)| zeros.bytes().all(|c| c == b'0')).map_or(text, |(whole, _)| whole);
    let count = whole
        .parse::<u64>()
        .map_err(|cause| Error::new(Kind::Paging, "the total is not a whole number").source(cause))?;
    Ok(Some(if spec.pages { Total::Pages(count) } else { Total::Records(count) }))
}

/// Whether the server says that there is more; null says nothing.
fn read_has_more(spec: &MoreSpec, facts: &PageFacts<'_>, is_strict: bool) -> Result<Option<bool>> {
    let MoreSpec { place, is_last } = spec;
    let what = if *is_last { "last_page" } else { "has_more" };
    let (fact, shown) = match place {
        FactPlace::Body(path) => (facts.envelope.fact(path)?, format!("`{path}`")),
        FactPlace::Header(name) => (header_fact(facts, name), format!("header `{name}`")),
    };
    let Some(fact) = fact else {
        let place = if let FactPlace::Body(_) = place { format!("{shown} in the body") } else { shown };
        return if is_strict { Err(missing(what, &place)) } else { Ok(None) };
    };
    let holds = match &fact {
        Fact::Null => None,
        Fact::Boolean(flag) => Some(*flag),
        Fact::Number(text) | Fact::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Some(true),
            "false" | "0" | "no" => Some(false),
            // An empty text is a flag that is not set; that a page is not the last one it does not say.
            "" => (!is_last).then_some(false),
            _ => return Err(Error::new(Kind::Paging, format!("{what} at {shown} is neither true nor false"))),
        },
        Fact::Nested(shape) => {
            let message = format!("{what} at {shown} is {shape}, neither true nor false");
            return Err(Error::new(Kind::Paging, message));
        }
    };
    Ok(holds.map(|holds| holds != *is_last))
}

/// A header as a fact; `None` if the answer does not have it.
pub(super) fn header_fact(facts: &PageFacts<'_>, name: &str) -> Option<Fact> {
    let value = facts.headers.get(name)?;
    Some(Fact::Text(String::from_utf8_lossy(value.as_bytes()).trim().to_owned()))
}

fn missing(what: &str, place: &str) -> Error {
    Error::new(Kind::Paging, format!("the first answer has no {what}, which the paginator declares"))
        .with("expected at", place)
        .hint(format!("correct where `{what}` is told, or leave it out: an empty page then is the end"))
}
