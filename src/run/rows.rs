//! Decoded rows on their way to the warehouse, and the rules that leave some of them out.

use crate::batch::Chunk;
use crate::batch::contract::Discarded;
use crate::batch::decode::retain;
use crate::error::Result;
use crate::extract::CursorValue;
use crate::load::RowId;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A decoded page on its way.
#[derive(Debug)]
pub struct PageRows {
    /// Rows by table, the record table first.
    pub chunks: Vec<Chunk>,
    /// For each row of the record table: whether the warehouse may already have it, unchanged. Empty: none.
    pub suspects: Vec<bool>,
    /// For each row of the record table the value of its cursor, where older rows than those stored are left out. Empty: all are
    /// taken.
    pub cursors: Vec<Option<CursorValue>>,
    /// What was kept out of the rows.
    pub kept_out: Vec<Discarded>,
    /// The place of its unit among those of a fan-out, which overlap; none: pages come in their order.
    pub rank: Option<u64>,
}

impl PageRows {
    /// Records of the page.
    pub(super) fn record_count(&self) -> u64 {
        self.chunks.first().filter(|c| c.table.is_empty()).map_or(0, |c| c.row_count as u64)
    }
}

/// Drops rows of a page's record table, with their child rows.
///
/// Records without a key that are alike have the same id, and so do their child rows. Of such copies any may go, as long as
/// as many of each table's rows go with them: the first ones do.
pub(super) fn leave_out(
    page: &mut PageRows,
    rows: &HashSet<usize>,
    rule: &'static str,
    discarded: &mut BTreeMap<&'static str, u64>,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    *discarded.entry(rule).or_default() += rows.len() as u64;
    let root_ids = page.chunks.first().map(|c| ids_of(&c.ids)).unwrap_or_default();
    let mut copies: HashMap<RowId, Copies> = HashMap::new();
    for (row, id) in root_ids.iter().enumerate() {
        let copies = copies.entry(*id).or_default();
        copies.count += 1;
        copies.dropped += usize::from(rows.contains(&row));
    }
    copies.retain(|_, c| c.dropped > 0);
    retain_rows(&mut page.suspects, rows);
    retain_rows(&mut page.cursors, rows);
    for chunk in std::mem::take(&mut page.chunks) {
        let owners = chunk.lineage.as_ref().map_or_else(|| root_ids.clone(), |l| ids_of(&l.root_ids));
        page.chunks.push(retain(chunk, &mask(&owners, &copies))?);
    }
    Ok(())
}

/// Drops what belongs to rows that go.
fn retain_rows<T>(of_rows: &mut Vec<T>, dropped: &HashSet<usize>) {
    let mut row = 0;
    of_rows.retain(|_| {
        row += 1;
        !dropped.contains(&(row - 1))
    });
}

/// Records of a page that are alike.
#[derive(Debug, Default)]
struct Copies {
    count: usize,
    dropped: usize,
}

/// Which rows of a table stay, given the record that each belongs to.
fn mask(owners: &[RowId], copies: &HashMap<RowId, Copies>) -> BooleanArray {
    let mut quota: HashMap<RowId, usize> = HashMap::new();
    for id in owners.iter().filter(|id| copies.contains_key(id)) {
        *quota.entry(*id).or_default() += 1;
    }
    for (id, rows) in &mut quota {
        let Some(Copies { count, dropped }) = copies.get(id) else { continue };
        *rows = *rows / count * dropped;
    }
    let stays = |id: &RowId| match quota.get_mut(id) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    };
    owners.iter().map(stays).map(Some).collect()
}

/// The ids of rows.
pub(super) fn ids_of(array: &ArrayRef) -> Vec<RowId> {
    let ids = array.as_fixed_size_binary();
    let mut bytes = [0; 16];
    (0..ids.len())
        .map(|row| {
            bytes.copy_from_slice(ids.value(row));
            RowId::from_be_bytes(bytes)
        })
        .collect()
}

/// Memory of a chunk, roughly.
pub(super) fn chunk_bytes(chunk: &Chunk) -> usize {
    chunk.row_count * 32 + chunk.columns.iter().map(|c| c.array.get_array_memory_size()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::decode::{DecodeSpec, Decoder};
    use crate::batch::shape::ShapeSpec;
    use crate::plan::model::OnCursorMissing;
    use crate::schema::catalog::Catalog;

    fn page(records: &str) -> PageRows {
        let spec = DecodeSpec {
            shape: ShapeSpec::default(),
            id_from_content: true,
            on_cursor_missing: OnCursorMissing::Include,
            wants_contents: false,
        };
        let decoded = Decoder::new(spec, &Catalog::default()).decode(&[records], &[]).unwrap();
        PageRows { chunks: decoded.chunks, suspects: Vec::new(), cursors: Vec::new(), kept_out: Vec::new(), rank: None }
    }

    #[test]
    fn of_records_that_are_alike_as_many_go_as_are_to_go_with_their_child_rows() {
        let records =
            r#"[{"u":5,"l":[1,{"m":[2]}]},{"u":6,"l":[1]},{"u":5,"l":[1,{"m":[2]}]},{"u":5,"l":[1,{"m":[2]}]}]"#;
        for (drop, left) in
            [(vec![], [4, 7, 3]), (vec![0], [3, 5, 2]), (vec![2, 3], [2, 3, 1]), (vec![0, 2, 3], [1, 1, 0])]
        {
            let mut page = page(records);
            let mut discarded = BTreeMap::new();
            leave_out(&mut page, &drop.iter().copied().collect(), "rule", &mut discarded).unwrap();
            assert_eq!(page.chunks.iter().map(|c| c.row_count).collect::<Vec<_>>(), left, "{drop:?}");
            assert_eq!(discarded.values().sum::<u64>(), drop.len() as u64);
        }
    }
}
