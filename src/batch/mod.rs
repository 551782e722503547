//! Page bytes to Arrow: one pass over the JSON text, straight into columns.
//!
//! [`decode::Decoder`] keeps the shape of a resource (which fields there are, what was seen of each) from page to page, so
//! that in the steady state a value goes from its bytes into a typed buffer without anything in between. A value that does
//! not fit its column's type converts that column's buffer once, for this page; the wider type is kept for the next ones.

pub mod column;
mod content;
pub mod contract;
pub mod decode;
mod excerpt;
pub mod json;
mod judge;
pub mod key;
pub mod nesting;
mod pass;
pub mod shape;
#[cfg(test)]
mod tests;

use crate::schema::ColumnType;
use crate::schema::catalog::{Source, TablePath};
use crate::schema::types::Observed;
use arrow::array::ArrayRef;
use contract::Discarded;
use std::collections::BTreeMap;
use std::ops::Range;

/// Rows of one table, decoded.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Which table of the resource.
    pub table: TablePath,
    /// Data columns.
    pub columns: Vec<ChunkColumn>,
    /// Number of rows.
    pub row_count: usize,
    /// `_pintail_id` of each row, 16 bytes each: FixedSizeBinary(16).
    pub ids: ArrayRef,
    /// For child tables: `_pintail_parent_id`, `_pintail_root_id`, `_pintail_list_index`.
    pub lineage: Option<Lineage>,
}

/// Where child rows belong.
#[derive(Debug, Clone)]
pub struct Lineage {
    /// FixedSizeBinary(16).
    pub parent_ids: ArrayRef,
    /// FixedSizeBinary(16).
    pub root_ids: ArrayRef,
    /// Int64, from 0.
    pub list_index: ArrayRef,
}

/// A column of a chunk.
#[derive(Debug, Clone)]
pub struct ChunkColumn {
    /// Where its values come from.
    pub source: Source,
    /// What was seen of it so far, in this chunk and before.
    pub observed: Observed,
    /// Its declared type, if the file has one.
    pub declared: Option<ColumnType>,
    /// Its values, of the Arrow type of [`ChunkColumn::data_type`].
    pub array: ArrayRef,
}

impl ChunkColumn {
    /// The type of `array`.
    pub fn data_type(&self) -> ColumnType {
        self.declared.unwrap_or_else(|| self.observed.column_type())
    }
}

/// Where a cursor value's JSON token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorToken {
    /// Which part of the page.
    pub part: usize,
    /// Its bytes.
    pub range: Range<usize>,
}

/// A page, decoded.
#[derive(Debug, Clone, Default)]
pub struct Decoded {
    /// Records received, those left out included.
    pub record_count: u64,
    /// Rows by table, the root table first. Tables without rows are left out.
    pub chunks: Vec<Chunk>,
    /// For each record that is not left out: the cursor value's token, if it has one.
    pub cursors: Vec<Option<CursorToken>>,
    /// For each of these records: its row in the root table's chunk; `None` when a later record of the page has its key, or
    /// the contract keeps it out.
    pub rows: Vec<Option<usize>>,
    /// For each of these records the hash of its content, if asked for.
    pub contents: Vec<u128>,
    /// Numbers, from 0, of the records received that are not among these: null, or left out for want of a cursor.
    pub skipped: Vec<u64>,
    /// Records left out, by rule.
    pub discarded: BTreeMap<&'static str, u64>,
    /// What was kept out, with what it was.
    pub kept_out: Vec<Discarded>,
}
