//! What a merge is to a destination: which columns it looks at, which rows are marked as deleted, what a version of a record is.
//!
//! Rows of a load go into their tables as they come. What becomes of them and of those that they meet is decided set by set,
//! when the load is settled, so that it does not depend on pages, nor on how many rows were written at a time.

use super::bookkeeping::{CONTENT, ID, PARENT_ID, ROOT_ID};
use crate::error::{Error, Kind, Result};
use crate::schema::catalog::{Fitted, Source, Table};
use crate::schema::names;
use crate::schema::types::ColumnType;
use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type, Field, Float64Type, Int64Type, Schema};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// How the rows of a merge meet those of earlier loads.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MergeSpec {
    /// Which rows make way.
    pub rule: MergeRule,
    /// Path of the field that says that a record was deleted.
    pub hard_delete: Option<Vec<String>>,
}

/// Which rows make way for which.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum MergeRule {
    /// Stored rows for those with the same id.
    #[default]
    ById,
    /// Also all rows of earlier loads whose values in these columns occur in the load.
    ByColumns(Vec<Source>),
    /// Rows of the load for stored ones with the same id.
    KeepStored,
    /// None: the version of a record that was current is closed, and the new one added, if its content differs.
    Versions {
        /// What identifies a record.
        key: Vec<Source>,
        /// Whether records that the load does not bring are no longer current.
        retire_absent: bool,
    },
}

impl MergeRule {
    /// Whether rows carry the times between which they were current.
    pub fn keeps_versions(&self) -> bool {
        matches!(self, MergeRule::Versions { .. })
    }

    /// The columns by which records are told apart, beside their ids.
    pub fn key(&self) -> &[Source] {
        match self {
            MergeRule::ByColumns(key) | MergeRule::Versions { key, .. } => key,
            MergeRule::ById | MergeRule::KeepStored => &[],
        }
    }
}

/// What a load comes to: the rows that stay, and those that rules keep out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Rows that the load adds, by table, as they are counted in the tables.
    pub rows: Vec<(String, u64)>,
    /// Records whose key comes again later in the load.
    pub repeated: u64,
    /// Records whose key an earlier load had stored, where stored keys stay as they are.
    pub key_stored: u64,
    /// Records that are as they were.
    pub unchanged: u64,
    /// Records that are marked as deleted.
    pub deleted: u64,
}

impl Settled {
    /// Records left out, with the name of the rule.
    pub fn discarded(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let rules = [
            ("repeated_key", self.repeated),
            ("key_stored", self.key_stored),
            ("unchanged", self.unchanged),
            ("hard_deleted", self.deleted),
        ];
        rules.into_iter().filter(|(_, records)| *records > 0)
    }
}

/// The names of a table's columns that come from these sources. None: one of them has no column yet.
pub fn key_columns<'t>(table: &'t Table, key: &[Source]) -> Option<Vec<&'t str>> {
    key.iter().map(|source| table.columns.iter().find(|c| c.source == *source).map(|c| c.name.as_str())).collect()
}

/// Refuses rows in which a part of the key is null: such a record could not be told from others.
///
/// # Errors
/// [`Kind::Data`], with the field.
pub fn check_key(root: &Fitted, key: &[Source]) -> Result<()> {
    for source in key {
        let column = root.table.columns.iter().find(|c| c.source == *source);
        let is_null = |batch: &RecordBatch| {
            let values = column.and_then(|c| batch.column_by_name(&c.name));
            batch.num_rows() > 0 && values.is_none_or(|values| values.null_count() > 0)
        };
        if root.batches.iter().any(is_null) {
            let field = match source {
                Source::Field(path) => path.join("."),
                Source::Parent(name) => name.clone(),
                Source::Value => "value".to_owned(),
            };
            return Err(Error::new(Kind::Data, format!("the key `{field}` of a record is null or missing"))
                .with("table", &root.table.name)
                .hint("name fields that every record has, as plain values, in `primary_key` and `merge_key`"));
        }
    }
    Ok(())
}

/// The columns that say that a record was deleted: that of the field, or those of its parts. A path that names no field is
/// taken as the name of a column.
pub fn deletion_columns<'t>(table: &'t Table, path: &[String]) -> Vec<(&'t str, ColumnType)> {
    let described = |c: &'t crate::schema::catalog::Column| (c.name.as_str(), c.data_type());
    let of_field = table.columns.iter().filter(|c| matches!(&c.source, Source::Field(own) if own.starts_with(path)));
    let found: Vec<_> = of_field.map(described).collect();
    if !found.is_empty() {
        return found;
    }
    let name = names::column_name(path);
    table.columns.iter().filter(|c| c.name == name).map(described).collect()
}

/// Texts that say no, in a column that is text because its values were of several types.
pub const NOT_DELETED: [&str; 5] = ["", "false", "0", "null", "\"\""];

/// Whether a value of a deletion column says that the record was deleted: `true`, or a time or anything else that is not null,
/// false, zero or empty. The SQL of `load::duckdb` says the same.
pub fn says_deleted(values: &ArrayRef, row: usize) -> bool {
    if values.is_null(row) {
        return false;
    }
    match values.data_type() {
        DataType::Boolean => values.as_boolean().value(row),
        DataType::Int64 => values.as_primitive::<Int64Type>().value(row) != 0,
        DataType::Float64 => values.as_primitive::<Float64Type>().value(row) != 0.0,
        DataType::Decimal128(..) => values.as_primitive::<Decimal128Type>().value(row) != 0,
        DataType::Utf8 => !NOT_DELETED.contains(&values.as_string::<i32>().value(row)),
        _ => true,
    }
}

/// Gives the rows of a load ids of their own, so that a record that comes back to an earlier content is a version of its own
/// too. What the ids were, a hash of the content, becomes a column of the records.
///
/// # Errors
/// Only a broken invariant: rows without ids.
pub fn as_versions(fitted: Vec<Fitted>, load_id: &str) -> Result<Vec<Fitted>> {
    // The version and variant bits of a UUIDv8 (RFC 9562 section 5.8) stay.
    let mask = xxh3_128(load_id.as_bytes()) & !(0xF << 76) & !(0x3 << 62);
    let of_part = |part: Fitted| {
        let batches = part.batches.iter().map(|rows| version_batch(rows, part.table.is_root(), mask));
        Ok(Fitted { batches: batches.collect::<Result<_>>()?, ..part })
    };
    fitted.into_iter().map(of_part).collect()
}

fn version_batch(rows: &RecordBatch, root: bool, mask: u128) -> Result<RecordBatch> {
    let schema = rows.schema();
    let (mut fields, mut columns): (Vec<Arc<Field>>, Vec<ArrayRef>) = Default::default();
    for (field, values) in schema.fields().iter().zip(rows.columns()) {
        if root && field.name() == ID {
            fields.push(Arc::new(field.as_ref().clone().with_name(CONTENT)));
            columns.push(values.clone());
        }
        let is_id = [ID, PARENT_ID, ROOT_ID].contains(&field.name().as_str());
        columns.push(if is_id { masked(values, mask)? } else { values.clone() });
        fields.push(field.clone());
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|e| broken().source(e))
}

fn masked(ids: &ArrayRef, mask: u128) -> Result<ArrayRef> {
    let ids = ids.as_fixed_size_binary_opt().filter(|ids| ids.value_length() == 16).ok_or_else(broken)?;
    let mask = mask.to_be_bytes();
    let bytes: Vec<u8> = ids.iter().flatten().flat_map(|id| id.iter().zip(mask).map(|(b, m)| b ^ m)).collect();
    let masked = FixedSizeBinaryArray::try_new(16, bytes.into(), None).map_err(|e| broken().source(e))?;
    Ok(Arc::new(masked))
}

fn broken() -> Error {
    Error::new(Kind::Internal, "the rows of a load have no ids")
}

/// Refuses to go on with a table whose rows are of another kind than the load's.
///
/// # Errors
/// The table keeps versions and the load does not, or the other way round.
pub fn check_kind(table: &str, has_versions: bool, rule: &MergeRule) -> Result<()> {
    let message = match (has_versions, rule.keeps_versions()) {
        (true, false) => "the table keeps versions of its records, and the file no longer says `scd2`",
        (false, true) => "the table was not made for `scd2`: its rows do not say when they were current",
        _ => return Ok(()),
    };
    Err(Error::new(Kind::Destination, message)
        .with("table", table)
        .hint("change `merge_strategy` back, or make the table anew with `--full-refresh`; nothing was changed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
    };

    #[test]
    fn true_times_and_what_is_not_empty_say_deleted() {
        let cases: Vec<(ArrayRef, Vec<bool>)> = vec![
            (Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])), vec![true, false, false]),
            (Arc::new(Int64Array::from(vec![Some(1), Some(0), None])), vec![true, false, false]),
            (Arc::new(Float64Array::from(vec![Some(0.5), Some(0.0)])), vec![true, false]),
            (Arc::new(Decimal128Array::from(vec![Some(3), Some(0)])), vec![true, false]),
            (Arc::new(TimestampMicrosecondArray::from(vec![Some(0), None])), vec![true, false]),
            (
                Arc::new(StringArray::from(vec![Some("2026-01-02"), Some("false"), Some(""), Some("0"), None])),
                vec![true, false, false, false, false],
            ),
        ];
        for (values, expected) in cases {
            let found: Vec<bool> = (0..values.len()).map(|row| says_deleted(&values, row)).collect();
            assert_eq!(found, expected, "{}", values.data_type());
        }
    }

    #[test]
    fn versions_of_two_loads_differ_in_their_ids_and_agree_in_their_content() {
        let id: u128 = (0x8 << 76) | (0x2 << 62) | 7;
        let ids: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter([id.to_be_bytes()].iter()).unwrap());
        let fields = [ID, ROOT_ID].map(|name| Field::new(name, ids.data_type().clone(), false));
        let rows =
            RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), vec![ids.clone(), ids.clone()]).unwrap();
        let of = |load_id: &str| {
            let mask = xxh3_128(load_id.as_bytes()) & !(0xF << 76) & !(0x3 << 62);
            let root = version_batch(&rows, true, mask).unwrap();
            assert_eq!(root.column_by_name(CONTENT).unwrap(), &ids);
            assert_eq!(root.column_by_name(ID), root.column_by_name(ROOT_ID), "rows stay together");
            let bytes: [u8; 16] = root.column_by_name(ID).unwrap().as_fixed_size_binary().value(0).try_into().unwrap();
            u128::from_be_bytes(bytes)
        };
        let (first, second) = (of("load-1"), of("load-2"));
        assert_ne!(first, second);
        assert_eq!([(first >> 76) & 0xF, (first >> 62) & 0x3], [8, 2], "still a UUIDv8");
    }
}
