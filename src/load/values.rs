//! Warehouse values as JSON values, for the requests that a parent's fields go into.

use crate::error::{Error, Kind, Result};
use crate::schema::types::{ColumnType, TextForm};
use crate::schema::widen::value_text;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, TimeUnit};
use serde_json::{Number, Value};

/// The type of a data column, from the Arrow type in which a warehouse gives it back. JSON comes as text.
///
/// # Errors
/// No data column has that type.
pub fn column_type(data_type: &DataType) -> Result<ColumnType> {
    Ok(match data_type {
        DataType::Boolean => ColumnType::Boolean,
        DataType::Int64 => ColumnType::BigInt,
        DataType::Float64 => ColumnType::Double,
        DataType::Decimal128(38, 0) => ColumnType::HugeInt,
        DataType::Decimal128(p, s) => ColumnType::Decimal(*p, u8::try_from(*s).unwrap_or_default()),
        DataType::Date32 => ColumnType::Date,
        DataType::Timestamp(TimeUnit::Microsecond, None) => ColumnType::Timestamp,
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => ColumnType::TimestampTz,
        DataType::Utf8 => ColumnType::Varchar,
        other => {
            return Err(Error::new(Kind::Destination, "a parent's column has a type that Pintail does not write")
                .with("type", other));
        }
    })
}

/// One value as JSON: booleans, integers of 64 bits and fractions that a double holds as such, everything else as its
/// canonical text. A whole number is the same value whatever the column's type has become.
pub fn json_value(array: &ArrayRef, row: usize, data_type: ColumnType) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    let text = value_text(array, row, data_type, TextForm::default());
    match data_type {
        ColumnType::Boolean => Value::Bool(array.as_boolean().value(row)),
        ColumnType::BigInt | ColumnType::HugeInt | ColumnType::Decimal(..) => {
            text.parse::<i64>().map_or_else(|_| Value::String(text), |n| Value::Number(n.into()))
        }
        ColumnType::Double => match text.parse::<i64>() {
            Ok(n) => Value::Number(n.into()),
            Err(_) => Number::from_f64(array.as_primitive::<Float64Type>().value(row))
                .map_or_else(|| Value::String(text), Value::Number),
        },
        ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampTz | ColumnType::Varchar | ColumnType::Json => {
            Value::String(text)
        }
    }
}
