//! What was seen before in one walk: cursors and links, and the records of pages.

use crate::error::{Error, Kind, Result};
use crate::plan::model::OnRepeat;
use bytes::Bytes;
use std::collections::HashSet;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Cursors and links seen, 16 bytes each.
#[derive(Debug, Default)]
pub(super) struct SeenTokens(HashSet<u128>);

impl SeenTokens {
    /// Notes a token. Whether it is new.
    pub(super) fn insert(&mut self, token: &str) -> bool {
        self.0.insert(xxh3_128(token.as_bytes()))
    }
}

/// What a token that was seen before means.
pub(super) fn repeated_token(on_repeat: OnRepeat, what: &str, page_count: u64) -> Result<super::Next> {
    match on_repeat {
        OnRepeat::Stop => Ok(super::Next::End(super::EndReason::RepeatedCursor)),
        OnRepeat::Error => {
            Err(Error::new(Kind::Paging, format!("page {page_count} gives {what} that was followed before"))
                .hint("the list would never end; `on_repeat = \"stop\"` takes this for the end of the list"))
        }
    }
}

/// Hashes of the first page and of the last one that had records: a server that ignores the paging parameter sends the
/// first again, one that is asked beyond the end may send the last again. Two are enough, whatever the number of pages.
#[derive(Debug, Default, Clone, Copy)]
pub struct SeenPages {
    first: Option<(u64, u128)>,
    last: Option<(u64, u128)>,
}

/// Whether a page's records came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageSeen {
    /// They are new.
    New,
    /// They are those of the page of this number.
    SameAs(u64),
}

impl SeenPages {
    /// Notes the records of a page that has some.
    pub fn note(&mut self, number: u64, records: &[Bytes]) -> PageSeen {
        let mut hasher = Xxh3::new();
        for slice in records {
            hasher.update(&(slice.len() as u64).to_le_bytes());
            hasher.update(slice);
        }
        let hash = hasher.digest128();
        if let Some((same, _)) = [self.last, self.first].into_iter().flatten().find(|(_, seen)| *seen == hash) {
            return PageSeen::SameAs(same);
        }
        self.first.get_or_insert((number, hash));
        self.last = Some((number, hash));
        PageSeen::New
    }
}
