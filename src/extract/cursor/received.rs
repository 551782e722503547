//! Records that come twice in one run, because two requests share a bound: told by their identity.

use super::CursorValue;
use crate::error::{Error, Kind, Result};
use crate::plan::model::Notation;
use std::collections::HashMap;

/// Records at or beyond a bound that are remembered. An API that honours the bound has a handful of them.
const REMEMBERED_MAX: u64 = 1_000_000;

/// What tells records apart: the row's id, and a hash of the content.
pub type Identity = (u128, u128);

/// Records that were received and will come again with the next request, counted because records may be alike.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// Those that the request in hand may still bring again.
    expected: HashMap<Identity, u64>,
    /// Those that the next one will.
    remembered: HashMap<Identity, Remembered>,
    remembered_count: u64,
    /// Those that came in the walk in hand, where its window may turn out to hold too much.
    walked: HashMap<Identity, u64>,
    walked_count: u64,
    /// Those of a window that was split: its parts bring them again.
    of_split: HashMap<Identity, u64>,
}

/// Why a record was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// The request before shares a bound with this one.
    Shared,
    /// It came of the window that was split.
    OfSplit,
}

/// Alike records.
#[derive(Debug, Clone)]
struct Remembered {
    count: u64,
    /// Their cursor, if they have one.
    value: Option<CursorValue>,
}

impl Received {
    /// Whether the request in hand may bring again what was received.
    pub fn expects(&self) -> bool {
        !self.expected.is_empty() || !self.of_split.is_empty()
    }

    /// Whether a record was received before, and has not come again yet.
    pub fn meets_again(&mut self, identity: Identity) -> Option<Met> {
        for (records, met) in [(&mut self.expected, Met::Shared), (&mut self.of_split, Met::OfSplit)] {
            if let Some(left) = records.get_mut(&identity).filter(|left| **left > 0) {
                *left -= 1;
                return Some(met);
            }
        }
        None
    }

    /// Remembers a record for the next request.
    ///
    /// # Errors
    /// There are more of them than an API sends that honours the bound.
    pub fn remember(&mut self, identity: Identity, value: Option<&CursorValue>) -> Result<()> {
        let remembered =
            self.remembered.entry(identity).or_insert_with(|| Remembered { count: 0, value: value.cloned() });
        remembered.count += 1;
        self.remembered_count += 1;
        if self.remembered_count <= REMEMBERED_MAX {
            return Ok(());
        }
        Err(Error::new(Kind::Data, "over a million records lie at or beyond the end that was asked for").hint(
            "the API may ignore the end: check `end_param`, or load without `window`; `merge` needs no such memory",
        ))
    }

    /// Takes note of a record of a window that may have to be split.
    ///
    /// # Errors
    /// There are too many to be remembered.
    pub fn note_walked(&mut self, identity: Identity) -> Result<()> {
        *self.walked.entry(identity).or_default() += 1;
        self.walked_count += 1;
        if self.walked_count <= REMEMBERED_MAX {
            return Ok(());
        }
        Err(Error::new(Kind::Data, "a window that may have to be split has over a million records").hint(
            "`append` remembers them, because they would come again: make `window` shorter, or use `merge`, which need not",
        ))
    }

    /// Expects again all that came of a window, because its parts are asked for next.
    pub fn split(&mut self) {
        self.forget();
        for (identity, count) in self.expected.drain().chain(self.walked.drain()) {
            *self.of_split.entry(identity).or_default() += count;
        }
        self.walked_count = 0;
    }

    /// Ends the window that was split: all of its parts have come.
    pub fn end_split(&mut self) {
        self.of_split.clear();
    }

    /// Forgets what was remembered and lies before a value: requests no longer bring it.
    ///
    /// # Errors
    /// The values can't be compared.
    pub fn forget_before(&mut self, reach: &CursorValue, notation: &Notation) -> Result<()> {
        let mut kept = HashMap::new();
        let mut kept_count = 0;
        for (identity, remembered) in self.remembered.drain() {
            let is_before = match &remembered.value {
                Some(value) => value.order(reach, notation)?.is_lt(),
                None => false,
            };
            if !is_before {
                kept_count += remembered.count;
                kept.insert(identity, remembered);
            }
        }
        (self.remembered, self.remembered_count) = (kept, kept_count);
        Ok(())
    }

    fn forget(&mut self) {
        self.remembered.clear();
        self.remembered_count = 0;
    }

    /// Begins the next request, which brings again what is remembered.
    pub fn begin(&mut self) {
        self.expected = self.remembered.drain().map(|(identity, remembered)| (identity, remembered.count)).collect();
        self.remembered_count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_copies_are_met_again_as_were_received() {
        let mut received = Received::default();
        for identity in [(1, 1), (1, 1), (2, 1)] {
            assert_eq!(received.meets_again(identity), None);
            received.remember(identity, None).unwrap();
        }
        received.begin();
        let met: Vec<bool> =
            [(1, 1), (1, 2), (1, 1), (1, 1)].map(|identity| received.meets_again(identity).is_some()).into();
        assert_eq!(met, [true, false, true, false]);
        received.begin();
        assert!(received.meets_again((2, 1)).is_none(), "it was expected of one request only");
    }

    #[test]
    fn what_lies_before_the_next_start_is_forgotten() {
        let notation = Notation::default();
        let value = |text: &str| CursorValue::parse_text(text, &notation);
        let mut received = Received::default();
        for (identity, at) in [((1, 1), "1"), ((2, 1), "2"), ((3, 1), "3")] {
            received.remember(identity, Some(&value(at))).unwrap();
        }
        received.forget_before(&value("2"), &notation).unwrap();
        received.begin();
        assert_eq!(
            [(1, 1), (2, 1), (3, 1)].map(|identity| received.meets_again(identity).is_some()),
            [false, true, true]
        );
    }

    #[test]
    fn all_that_came_of_a_window_is_expected_of_its_parts() {
        let mut received = Received::default();
        received.remember((1, 1), None).unwrap();
        received.begin();
        // The first was shared with the window before and did not come yet; of the second two came.
        for identity in [(2, 1), (2, 1)] {
            received.note_walked(identity).unwrap();
        }
        received.split();
        received.begin();
        let first_half = [(1, 1), (2, 1)].map(|identity| received.meets_again(identity).is_some());
        received.begin();
        let second_half = [(2, 1), (2, 1)].map(|identity| received.meets_again(identity).is_some());
        assert_eq!((first_half, second_half), ([true, true], [true, false]));
        received.end_split();
        assert!(!received.expects());
    }
}
