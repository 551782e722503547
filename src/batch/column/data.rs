//! The buffers of a column's values, one for each type.

use crate::schema::ColumnType;
use crate::schema::types::Observed;
use arrow::array::{ArrayRef, AsArray, BooleanBufferBuilder};
use arrow::datatypes::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};

/// The values of a column, in the buffer of their type.
#[derive(Debug)]
pub(super) enum Data {
    /// No value yet, only nulls.
    Null,
    Bool(BooleanBufferBuilder),
    Int(Vec<i64>),
    Double(Vec<f64>),
    Wide(Vec<i128>),
    Date(Vec<i32>),
    /// Microseconds, local or UTC.
    Time(Vec<i64>),
    Text {
        ends: Vec<i32>,
        bytes: Vec<u8>,
    },
}

impl Data {
    pub(super) fn new(observed: &Observed, declared: Option<ColumnType>) -> Data {
        if declared.is_some() {
            return Data::text();
        }
        if observed.is_null() {
            return Data::Null;
        }
        match observed.column_type() {
            ColumnType::Boolean => Data::Bool(BooleanBufferBuilder::new(0)),
            ColumnType::BigInt => Data::Int(Vec::new()),
            ColumnType::HugeInt | ColumnType::Decimal(..) => Data::Wide(Vec::new()),
            ColumnType::Double => Data::Double(Vec::new()),
            ColumnType::Date => Data::Date(Vec::new()),
            ColumnType::Timestamp | ColumnType::TimestampTz => Data::Time(Vec::new()),
            ColumnType::Varchar | ColumnType::Json => Data::text(),
        }
    }

    fn text() -> Data {
        Data::Text { ends: vec![0], bytes: Vec::new() }
    }

    pub(super) fn push_nulls(&mut self, count: usize) {
        match self {
            Data::Null => {}
            Data::Bool(values) => values.append_n(count, false),
            Data::Int(values) | Data::Time(values) => values.resize(values.len() + count, 0),
            Data::Double(values) => values.resize(values.len() + count, 0.0),
            Data::Wide(values) => values.resize(values.len() + count, 0),
            Data::Date(values) => values.resize(values.len() + count, 0),
            Data::Text { ends, bytes } => ends.resize(ends.len() + count, bytes.len() as i32),
        }
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        match self {
            Data::Null => {}
            Data::Bool(values) => values.truncate(rows),
            Data::Int(values) | Data::Time(values) => values.truncate(rows),
            Data::Double(values) => values.truncate(rows),
            Data::Wide(values) => values.truncate(rows),
            Data::Date(values) => values.truncate(rows),
            Data::Text { ends, bytes } => {
                ends.truncate(rows + 1);
                bytes.truncate(ends.last().map_or(0, |end| *end as usize));
            }
        }
    }

    /// Fills an empty buffer from an array of its own type.
    pub(super) fn load(&mut self, array: &ArrayRef) {
        match self {
            Data::Null => {}
            Data::Bool(values) => values.append_buffer(array.as_boolean().values()),
            Data::Int(values) => values.extend_from_slice(array.as_primitive::<Int64Type>().values()),
            Data::Double(values) => values.extend_from_slice(array.as_primitive::<Float64Type>().values()),
            Data::Wide(values) => values.extend_from_slice(array.as_primitive::<Decimal128Type>().values()),
            Data::Date(values) => values.extend_from_slice(array.as_primitive::<Date32Type>().values()),
            Data::Time(values) => values.extend_from_slice(array.as_primitive::<TimestampMicrosecondType>().values()),
            Data::Text { ends, bytes } => {
                for text in array.as_string::<i32>() {
                    bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
                    ends.push(bytes.len() as i32);
                }
            }
        }
    }
}
