//! `keyset`: a field of the last record says where the next page begins.

use super::super::envelope::{Fact, Node};
use super::announced::is_strict;
use super::seam::{Join, hash_of, join, records_of};
use super::seen::{SeenTokens, repeated_token};
use super::token::typed;
use super::{EndReason, Limits, Next, PageFacts, PageRequest, Progress, Warning};
use crate::error::{Error, Kind, Result};
use crate::plan::model::{FieldPath, Keyset};
use bytes::Bytes;
use std::collections::HashSet;

/// A `keyset` walk.
#[derive(Debug)]
pub(super) struct KeysetPaging {
    keys: Keyset,
    seen: SeenTokens,
    /// Hashes of the records at the end of the last page that have the value which is asked for: with `inclusive` they
    /// come again.
    boundary: HashSet<u128>,
    last_value: Option<String>,
    /// Records of the largest page.
    page_records_max: u64,
}

impl KeysetPaging {
    pub(super) fn new(keys: Keyset) -> Self {
        KeysetPaging {
            keys,
            seen: SeenTokens::default(),
            boundary: HashSet::new(),
            last_value: None,
            page_records_max: 0,
        }
    }

    /// Parameter that moves from page to page.
    pub(super) fn param(&self) -> &str {
        self.keys.param.as_deref().unwrap_or("page.cursor")
    }

    /// What of a page is new: with `inclusive` it begins with records of the page before.
    pub(super) fn join(&self, records: &[Bytes]) -> Join {
        if self.boundary.is_empty() {
            return Join::whole();
        }
        // A page that is not JSON goes to the decoder, which says so.
        let Ok(records) = records_of(records) else { return Join::whole() };
        let hashes: Vec<u128> = records.iter().map(hash_of).collect();
        let repeated = hashes.iter().take_while(|hash| self.boundary.contains(hash)).count();
        Join::Page(join(&records, &hashes, |at| at >= repeated, 0))
    }

    /// What follows an answer, and what is odd about it.
    pub(super) fn next(
        &mut self,
        facts: &PageFacts<'_>,
        progress: &mut Progress,
        limits: &Limits,
    ) -> Result<(Next, Option<Warning>)> {
        let size_before = self.page_records_max;
        self.page_records_max = size_before.max(facts.record_count);
        let is_strict = is_strict(facts, progress, limits);
        progress.announced.read(None, self.keys.has_more.as_ref(), facts, is_strict)?;
        if let Some(reason) = progress.announced.end() {
            return Ok((Next::End(reason), None));
        }
        let has_more = progress.announced.has_more;
        let is_new = facts.record_count > facts.joined.left_out;
        let records = records_of(facts.records)?;
        let Some(last) = records.last().filter(|_| is_new) else {
            return self.nothing_new(facts, has_more, size_before);
        };
        let fact = value_of(last, &self.keys.field)?;
        let value = match &fact {
            Fact::Text(text) | Fact::Number(text) => text.clone(),
            Fact::Null | Fact::Boolean(_) | Fact::Nested(_) => return Err(self.no_value(&fact.to_string())),
        };
        if value.is_empty() {
            return Err(self.no_value("an empty text"));
        }
        if self.keys.inclusive {
            self.note_boundary(&records, &fact)?;
        }
        // With `inclusive` a page may bring new records and end with the value that was asked for.
        if self.keys.inclusive && self.last_value.as_deref() == Some(&value) {
            if facts.record_count == size_before || has_more == Some(true) {
                let message = format!("more records have the same `{}` than fit on a page", self.keys.field);
                let hint = "ask for larger pages, or take a field that differs in every record";
                return Err(Error::new(Kind::Paging, message).hint(hint));
            }
            return Ok((Next::End(EndReason::NothingNew), None));
        }
        if !self.seen.insert(&value) {
            return Ok((repeated_token(limits.on_repeat, "a key", progress.page_count)?, None));
        }
        self.last_value = Some(value.clone());
        let params = self.keys.param.iter().map(|name| (name.clone(), value.clone())).collect();
        Ok((Next::Page(PageRequest { params, cursor: Some(typed(&fact)), ..PageRequest::default() }), None))
    }

    /// What a page means that has no record to go on from.
    fn nothing_new(
        &self,
        facts: &PageFacts<'_>,
        has_more: Option<bool>,
        size_before: u64,
    ) -> Result<(Next, Option<Warning>)> {
        if has_more == Some(true) && !self.keys.stop_on_empty_page {
            return Err(Error::new(Kind::Paging, "the server says there is more but the page has no new record")
                .hint("if an empty page is the end, say so: `stop_on = \"empty_page\"`"));
        }
        if facts.record_count == 0 {
            return Ok((Next::End(EndReason::EmptyPage), None));
        }
        // A full page of one value hides what comes behind it; whether it is full, only a larger one would tell.
        let may_be_full = facts.record_count > 1 && facts.record_count == size_before && self.keys.inclusive;
        let warning = may_be_full.then(|| Warning::OneValue { field: self.keys.field.to_string() });
        Ok((Next::End(EndReason::NothingNew), warning))
    }

    fn note_boundary(&mut self, records: &[Bytes], value: &Fact) -> Result<()> {
        self.boundary.clear();
        for record in records.iter().rev() {
            if value_of(record, &self.keys.field)? != *value {
                break;
            }
            self.boundary.insert(hash_of(record));
        }
        Ok(())
    }

    fn no_value(&self, found: &str) -> Error {
        Error::new(
            Kind::Paging,
            format!("the last record's `{}` is {found}: nothing says where to go on", self.keys.field),
        )
        .hint("`keyset` needs a field that every record has, in whose order the server sends them")
    }
}

/// The value of a record's field, as it is written there. What is not there counts as null.
fn value_of(record: &Bytes, field: &FieldPath) -> Result<Fact> {
    let node = Node::new(record.clone());
    Ok(node.at(&field.0)?.map_or(Fact::Null, Node::fact))
}
