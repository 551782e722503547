//! Row ids in files: reading them, and sets of them.

use super::rows;
use crate::error::{Error, Kind, Result};
use crate::load::RowId;
use arrow::array::{Array, ArrayRef, FixedSizeBinaryArray};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::Path;

/// A map by row id.
pub(super) type IdMap<V> = HashMap<RowId, V, BuildHasherDefault<IdHasher>>;

/// Row ids are hashes already: folding one is enough to place it.
#[derive(Debug, Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, id: u128) {
        self.0 = fold(id);
    }
}

/// Mixes the halves, so that ids that differ in some bits only are spread too.
pub(super) fn fold(id: RowId) -> u64 {
    ((id >> 64) as u64 ^ id as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Calls `each` with the row number and the id of every row of a file.
pub(super) fn for_each(path: &Path, column: &str, mut each: impl FnMut(u64, RowId)) -> Result<()> {
    let mut row = 0;
    for batch in rows::batches(path, Some(&[column]))? {
        let batch = batch?;
        let ids = id_array(batch.column_by_name(column), path)?;
        for i in 0..ids.len() {
            each(row, id_at(ids, i));
            row += 1;
        }
    }
    Ok(())
}

/// A column of ids. `path`: where it is from.
pub(super) fn id_array<'a>(column: Option<&'a ArrayRef>, path: &Path) -> Result<&'a FixedSizeBinaryArray> {
    column
        .and_then(|c| c.as_any().downcast_ref::<FixedSizeBinaryArray>())
        .filter(|ids| ids.value_length() == 16 && ids.null_count() == 0)
        .ok_or_else(|| {
            Error::new(Kind::Destination, "a Parquet file has no row ids")
                .with("path", path.display())
                .hint("was the file put there by hand? The table's folder belongs to Pintail")
        })
}

/// An id of a column of ids.
pub(super) fn id_at(ids: &FixedSizeBinaryArray, i: usize) -> RowId {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(ids.value(i));
    RowId::from_be_bytes(bytes)
}
