//! What a page has in common with those before it, and what of it is new.

use super::super::raw::{self, Shape};
use super::super::recent::Recent;
use super::{EMPTY_PAGES_MAX, PageRequest};
use crate::error::{Error, Kind, Result};
use bytes::Bytes;
use std::cmp::Reverse;
use xxhash_rust::xxh3::xxh3_128;

/// Records of a page that came before, told from those that did not.
#[derive(Debug, Clone, Default)]
pub struct Joined {
    /// What is new, where that is less than all: slices as those of the page.
    pub records: Option<Vec<Bytes>>,
    /// Records that came before, unchanged.
    pub left_out: u64,
    /// Rows by which the list had moved since the page before.
    pub moved: u64,
    /// Hashes of the new records; empty where nobody wants them.
    hashes: Vec<u128>,
}

/// How a page follows those before it.
#[derive(Debug)]
pub enum Join {
    /// It does; these are its new records.
    Page(Joined),
    /// It does not: rows moved away. This page, which lies before it, is to be asked for first.
    Back(PageRequest),
}

impl Join {
    /// A page of which everything is new.
    pub(super) fn whole() -> Join {
        Join::Page(Joined::default())
    }
}

/// The records of a page, one by one.
///
/// # Errors
/// A slice is not JSON; the decoder says so too, and better.
pub(super) fn records_of(slices: &[Bytes]) -> Result<Vec<Bytes>> {
    let mut records = Vec::new();
    for slice in slices {
        match Shape::of(slice) {
            Shape::List => records.extend(raw::elements(slice)?),
            _ => records.push(slice.clone()),
        }
    }
    Ok(records)
}

pub(super) fn hash_of(record: &Bytes) -> u128 {
    xxh3_128(record)
}

/// The records of a page that are new, as one list. A record may itself be a list, so that it can't stand alone.
pub(super) fn join(records: &[Bytes], hashes: &[u128], is_new: impl Fn(usize) -> bool, moved: u64) -> Joined {
    let new: Vec<usize> = (0..records.len()).filter(|at| is_new(*at)).collect();
    let left_out = (records.len() - new.len()) as u64;
    let hashes = new.iter().map(|at| hashes[*at]).collect();
    if left_out == 0 {
        return Joined { records: None, left_out, moved, hashes };
    }
    let mut list = Vec::with_capacity(records.iter().map(|record| record.len() + 1).sum::<usize>() + 1);
    list.push(b'[');
    for (number, at) in new.iter().enumerate() {
        if number > 0 {
            list.push(b',');
        }
        list.extend_from_slice(&records[*at]);
    }
    list.push(b']');
    Joined { records: Some(vec![Bytes::from(list)]), left_out, moved, hashes }
}

/// The seams of an `offset` walk whose pages share a record. A row that is updated in a list ordered by its time of change
/// moves to the end, and those behind it move up by one: without a shared record nobody would notice.
#[derive(Debug, Default)]
pub(super) struct Seams {
    /// Records that were handed out.
    known: Recent,
    expects: Expects,
    /// Where in the list the last known record was, when it was read.
    last_at: u64,
    /// Records of the largest page.
    page_records_max: u64,
    is_back: bool,
}

/// What the next page begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Expects {
    /// It is the first page.
    #[default]
    Anything,
    /// The last record of the page before.
    Known,
    /// Nothing: the page before had one record, and the next one is asked for behind it.
    Nothing,
}

impl Seams {
    /// Whether the page that is asked for lies before one that did not follow.
    pub(super) fn is_back(&self) -> bool {
        self.is_back
    }

    /// What of the page at an offset is new. `None`: no record of it is known, so that rows between it and the page before
    /// moved away.
    ///
    /// # Errors
    /// The server's pages have one record.
    pub(super) fn join(&self, records: &[Bytes], offset: u64) -> Result<Option<Joined>> {
        // A page that is not JSON goes to the decoder, which says so.
        let Ok(records) = records_of(records) else { return Ok(Some(Joined::default())) };
        let hashes: Vec<u128> = records.iter().map(hash_of).collect();
        match self.expects {
            Expects::Anything => return Ok(Some(join(&records, &hashes, |_| true, 0))),
            Expects::Nothing if records.is_empty() => return Ok(Some(Joined::default())),
            Expects::Nothing => {
                return Err(Error::new(Kind::Paging, "the server's pages have one record, and can't overlap")
                    .hint("raise `limit`, or leave `overlap` out"));
            }
            Expects::Known => {}
        }
        // The newest of the known records: the one that was last may have moved away itself.
        let places = hashes.iter().enumerate().filter_map(|(at, hash)| Some((self.known.place(*hash)?, Reverse(at))));
        let Some((place, Reverse(seam))) = places.max() else { return Ok(None) };
        let expected_at = self.last_at.saturating_sub(self.known.noted_count().saturating_sub(place + 1));
        let moved = expected_at.abs_diff(offset.saturating_add(seam as u64));
        let is_new = |at: usize| at > seam || self.known.place(hashes[at]).is_none();
        Ok(Some(join(&records, &hashes, is_new, moved)))
    }

    /// Takes note of a page that was handed out. Returns how far the next one begins behind it.
    pub(super) fn settle(&mut self, joined: &Joined, offset: u64, record_count: u64) -> u64 {
        for hash in &joined.hashes {
            self.known.note(*hash);
        }
        self.is_back = false;
        self.page_records_max = self.page_records_max.max(record_count);
        let is_first = self.expects == Expects::Anything;
        match record_count {
            0 => 0,
            1 if is_first => {
                self.expects = Expects::Nothing;
                1
            }
            _ => {
                self.expects = Expects::Known;
                self.last_at = offset.saturating_add(record_count - 1);
                record_count - 1
            }
        }
    }

    /// The offset of the page to look at after one at `offset` that has no known record.
    ///
    /// # Errors
    /// There is none: what came before can't be recognised.
    pub(super) fn back(&mut self, offset: u64, initial_offset: u64) -> Result<u64> {
        let is_out_of_sight = self.last_at.saturating_sub(offset) > self.known.len() as u64;
        if offset <= initial_offset || is_out_of_sight {
            return Err(Error::new(Kind::Paging, "no record of the pages before comes again unchanged")
                .with("looked for from offset", self.last_at)
                .with("down to offset", offset)
                .hint(
                    "`overlap` recognises a record by its text: does it hold something that differs in every answer? \
                     Without `overlap` rows that move during the walk are not noticed",
                ));
        }
        self.is_back = true;
        let step = self.page_records_max.saturating_sub(1).max(1);
        Ok(offset.saturating_sub(step).max(initial_offset))
    }
}

/// The error of pages that bring nothing new, one after the other.
pub(super) fn nothing_new() -> Error {
    Error::new(Kind::Paging, format!("{EMPTY_PAGES_MAX} pages in a row have only records that came before"))
        .hint("the list changes faster than it is read; larger pages are read sooner")
}
