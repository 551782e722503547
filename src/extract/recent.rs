//! A bounded memory of hashes: which of them came lately, and in which order.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// Hashes that are remembered, 40 bytes each.
pub(super) const REMEMBERED_MAX: usize = 131_072;

/// The last hashes that were noted.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent {
    order: VecDeque<u128>,
    /// For each of them, its place among all that were ever noted.
    places: HashMap<u128, u64, BuildHasherDefault<Hashed>>,
    noted_count: u64,
}

impl Recent {
    /// Notes a hash as the newest. Whether it was remembered already.
    pub(super) fn note(&mut self, hash: u128) -> bool {
        if self.order.len() == REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            // It may have been noted again since.
            let oldest_place = self.noted_count - REMEMBERED_MAX as u64;
            if self.places.get(&oldest) == Some(&oldest_place) {
                self.places.remove(&oldest);
            }
        }
        self.order.push_back(hash);
        let before = self.places.insert(hash, self.noted_count);
        self.noted_count += 1;
        before.is_some()
    }

    /// The place of a hash among all that were noted; none if it is not remembered.
    pub(super) fn place(&self, hash: u128) -> Option<u64> {
        self.places.get(&hash).copied()
    }

    /// How many were ever noted.
    pub(super) fn noted_count(&self) -> u64 {
        self.noted_count
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }
}

/// Takes a hash for what it is.
#[derive(Debug, Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hashes_are_remembered_with_their_places() {
        let mut recent = Recent::default();
        assert!(!recent.note(7) && recent.note(7) && !recent.note(8));
        assert_eq!((recent.place(7), recent.place(8), recent.place(9)), (Some(1), Some(2), None));
    }

    #[test]
    fn what_is_too_long_ago_is_forgotten_unless_it_came_again() {
        let mut recent = Recent::default();
        recent.note(1);
        recent.note(2);
        recent.note(1);
        for hash in 0..REMEMBERED_MAX as u128 - 1 {
            recent.note(hash + 1000);
        }
        assert_eq!((recent.len(), recent.place(1), recent.place(2)), (REMEMBERED_MAX, Some(2), None));
        recent.note(3);
        assert_eq!(recent.place(1), None);
    }
}
