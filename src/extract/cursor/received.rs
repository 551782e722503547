//! Records that come twice in one run, because two requests share a bound: told by their identity.

use crate::error::{Error, Kind, Result};
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
    remembered: HashMap<Identity, u64>,
    remembered_count: u64,
}

impl Received {
    /// Whether the request in hand may bring again what was received.
    pub fn expects(&self) -> bool {
        !self.expected.is_empty()
    }

    /// Whether a record was received by the last request, and has not come again yet.
    pub fn meets_again(&mut self, identity: Identity) -> bool {
        match self.expected.get_mut(&identity) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }

    /// Remembers a record for the next request.
    ///
    /// # Errors
    /// There are more of them than an API sends that honours the bound.
    pub fn remember(&mut self, identity: Identity) -> Result<()> {
        *self.remembered.entry(identity).or_default() += 1;
        self.remembered_count += 1;
        if self.remembered_count <= REMEMBERED_MAX {
            return Ok(());
        }
        Err(Error::new(Kind::Data, "over a million records lie at or beyond the end that was asked for").hint(
            "the API may ignore the end: check `end_param`, or load without `window`; `merge` needs no such memory",
        ))
    }

    /// Forgets what was remembered: the bound has moved beyond it.
    pub fn forget(&mut self) {
        self.remembered.clear();
        self.remembered_count = 0;
    }

    /// Begins the next request, which brings again what is remembered.
    pub fn begin(&mut self) {
        self.expected = std::mem::take(&mut self.remembered);
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
            assert!(!received.meets_again(identity));
            received.remember(identity).unwrap();
        }
        received.begin();
        let met: Vec<bool> = [(1, 1), (1, 2), (1, 1), (1, 1)].map(|identity| received.meets_again(identity)).into();
        assert_eq!(met, [true, false, true, false]);
        received.begin();
        assert!(!received.meets_again((2, 1)), "it was expected of one request only");
    }
}
