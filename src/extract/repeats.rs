//! Primary keys that come again in one walk: the server's order has no tiebreaker, so that rows may be missing too.

use super::recent::Recent;
use crate::error::{Error, Kind, Result};
use crate::plan::model::{OnRepeatedKey, Resource};
use crate::words::counted;
use arrow::array::{Array, ArrayRef, FixedSizeBinaryArray};

/// The ids that a walk lately brought. Bounded, as rows that change places between two pages are not far from each other.
#[derive(Debug)]
pub(super) struct RepeatedKeys {
    /// None without a primary key: rows may then be alike by right.
    recent: Option<Recent>,
    on_repeated_key: OnRepeatedKey,
}

impl RepeatedKeys {
    pub(super) fn new(resource: &Resource) -> Self {
        let recent = (!resource.primary_key.is_empty()).then(Recent::default);
        RepeatedKeys { recent, on_repeated_key: resource.on_repeated_key }
    }

    /// Takes note of the ids of a page, which left out `repeated_within` records for others of their keys. Returns how many
    /// records have a key that came before.
    ///
    /// # Errors
    /// One has, and `on_repeated_key` is `fail`.
    pub(super) fn note(&mut self, ids: &ArrayRef, repeated_within: u64) -> Result<u64> {
        let Some(recent) = &mut self.recent else { return Ok(0) };
        let Some(ids) = ids.as_any().downcast_ref::<FixedSizeBinaryArray>() else { return Ok(0) };
        let ids = ids.iter().flatten().filter_map(|id| id.try_into().ok());
        let repeated_before = ids.filter(|id: &[u8; 16]| recent.note(u128::from_le_bytes(*id))).count() as u64;
        let repeated = repeated_before + repeated_within;
        match self.on_repeated_key {
            OnRepeatedKey::Fail if repeated > 0 => Err(repeated_key(repeated)),
            OnRepeatedKey::Fail | OnRepeatedKey::Warn => Ok(repeated),
        }
    }
}

fn repeated_key(count: u64) -> Error {
    Error::new(Kind::Data, "a primary key came again in one walk, and `on_repeated_key` is `fail`")
        .with("keys of this page", counted(count, "key"))
        .hint("have the server sort by something that differs in every record, such as the key itself")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::resource;
    use super::*;
    use crate::plan::model::{FieldPath, Paginator};
    use std::sync::Arc;

    fn ids(ids: &[u8]) -> ArrayRef {
        let ids = ids.iter().map(|id| vec![*id; 16]);
        Arc::new(FixedSizeBinaryArray::try_from_iter(ids).unwrap())
    }

    #[test]
    fn keys_that_come_again_are_counted_or_an_error() {
        let mut keyed = resource(Paginator::SinglePage);
        keyed.primary_key = vec![FieldPath(vec!["id".into()])];
        let mut keys = RepeatedKeys::new(&keyed);
        assert_eq!(keys.note(&ids(&[1, 2]), 0).unwrap(), 0);
        assert_eq!(keys.note(&ids(&[2, 3, 1, 3]), 1).unwrap(), 4);
        keyed.on_repeated_key = OnRepeatedKey::Fail;
        let mut keys = RepeatedKeys::new(&keyed);
        keys.note(&ids(&[1]), 0).unwrap();
        assert_eq!(keys.note(&ids(&[1]), 0).unwrap_err().context("keys of this page"), Some("1 key"));
    }

    #[test]
    fn rows_without_a_key_may_be_alike() {
        let mut keys = RepeatedKeys::new(&resource(Paginator::SinglePage));
        assert_eq!(keys.note(&ids(&[1, 1]), 0).unwrap(), 0);
    }
}
