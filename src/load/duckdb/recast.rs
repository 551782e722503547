//! Changing a column's type without changing its values.
//!
//! What DuckDB casts exactly is left to DuckDB. Text is ours: the same canonical text that a value would have had if it had
//! come after the change. DuckDB calls back for it, chunk by chunk.

use super::session::Session;
use super::sql::name;
use crate::error::{Error, Kind, Result};
use crate::schema::reading::Reading;
use crate::schema::types::ColumnType;
use crate::schema::widen::{Recast, parse_text};
use ::duckdb::core::{DataChunkHandle, LogicalTypeHandle, LogicalTypeId};
use ::duckdb::vscalar::{ScalarFunctionSignature, VScalar};
use ::duckdb::vtab::arrow::{WritableVector, data_chunk_to_arrow, write_arrow_array_to_vector};
use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::Int64Type;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, PoisonError};

const FUNCTION: &str = "_pintail_text";

/// A column for the texts of a change. Data columns never begin like this.
const TEXTS: &str = "\"_pintail_texts\"";

/// The recasts of this process, by the number that SQL calls them by.
#[derive(Debug, Clone, Default)]
pub(super) struct Recasts(Arc<Mutex<Vec<Recast>>>);

impl Recasts {
    /// Makes the function known to a database. To be called before any transaction that is to see it.
    pub(super) fn register(session: &Session) -> Result<Self> {
        let recasts = Recasts::default();
        session
            .connection()
            .register_scalar_function_with_state::<CanonicalText>(FUNCTION, &recasts)
            .map_err(|e| Error::new(Kind::Destination, "DuckDB did not take the function for text").source(e))?;
        Ok(recasts)
    }

    /// The statements that widen a column of a (qualified) table. The column keeps its place.
    pub(super) fn widen(&self, table: &str, column: &str, recast: Recast) -> String {
        use ColumnType as T;
        let (column, to) = (name(column), recast.to);
        let change =
            |value: &str| format!("ALTER TABLE {table} ALTER COLUMN {column} SET DATA TYPE {to} USING ({value})");
        let text = match (recast.from, to) {
            (T::Varchar | T::Double | T::Date | T::Timestamp | T::TimestampTz, T::Varchar) => {
                self.text(&column, recast)
            }
            (T::HugeInt | T::Decimal(..), T::Varchar) => self.text(&format!("CAST({column} AS VARCHAR)"), recast),
            // What DuckDB writes as it is.
            (T::Boolean | T::BigInt, T::Json) => {
                self.text(&format!("CAST({column} AS VARCHAR)"), Recast { from: T::Varchar, ..recast })
            }
            (T::HugeInt | T::Decimal(..) | T::Json, T::Json) => {
                self.text(&format!("CAST({column} AS VARCHAR)"), recast)
            }
            (_, T::Json) => self.text(&column, recast),
            // A decimal is read from digits: from a double it would be off by the double's own rounding.
            (T::Double, T::Decimal(..)) => self.text(&column, Recast { to: T::Varchar, ..recast }),
            // Exact in DuckDB, or (from a VARCHAR that was always null) nothing to convert.
            _ => return change(&format!("CAST({column} AS {to})")),
        };
        // The write-ahead log keeps `ALTER … USING` as an expression and evaluates it again when it is replayed, perhaps by a
        // program without our function. So the texts are made as data first, in a column that lives only for this.
        format!(
            "ALTER TABLE {table} ADD COLUMN {TEXTS} VARCHAR; \
             UPDATE {table} SET {TEXTS} = {text} WHERE {column} IS NOT NULL; \
             {}; \
             ALTER TABLE {table} DROP COLUMN {TEXTS}",
            change(&format!("CAST({TEXTS} AS {to})")),
        )
    }

    fn text(&self, value: &str, recast: Recast) -> String {
        let mut recasts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = recasts.iter().position(|known| *known == recast).unwrap_or_else(|| {
            recasts.push(recast);
            recasts.len() - 1
        });
        format!("{FUNCTION}({value}, {number}::BIGINT)")
    }

    fn get(&self, number: i64) -> Option<Recast> {
        let recasts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        usize::try_from(number).ok().and_then(|i| recasts.get(i).copied())
    }
}

/// `_pintail_text(value, recast)`: the value's canonical text.
struct CanonicalText;

impl VScalar for CanonicalText {
    type State = Recasts;

    fn invoke(
        recasts: &Recasts,
        input: &mut DataChunkHandle,
        output: &mut dyn WritableVector,
    ) -> Result<(), Box<dyn StdError>> {
        let batch = data_chunk_to_arrow(input)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let number = batch.column(1).as_primitive_opt::<Int64Type>().ok_or("the recast has no number")?.value(0);
        let recast = recasts.get(number).ok_or("the recast is not known")?;
        write_arrow_array_to_vector(&recast.apply(&typed(batch.column(0), recast.from)?)?, output)
    }

    fn signatures() -> Vec<ScalarFunctionSignature> {
        use LogicalTypeId as T;
        [T::Double, T::Date, T::Timestamp, T::TimestampTZ, T::Varchar]
            .into_iter()
            .map(|from| {
                let parameters = vec![LogicalTypeHandle::from(from), LogicalTypeHandle::from(T::Bigint)];
                ScalarFunctionSignature::exact(parameters, LogicalTypeHandle::from(T::Varchar))
            })
            .collect()
    }
}

/// The array as the type it had in its column: wide numbers come as their digits.
fn typed(array: &ArrayRef, from: ColumnType) -> Result<ArrayRef, Box<dyn StdError>> {
    match (from, array.as_string_opt::<i32>()) {
        (ColumnType::HugeInt | ColumnType::Decimal(..), Some(digits)) => {
            parse_text(digits, from, &Reading::default()).map_err(|_| "a number could not be read back".into())
        }
        _ => Ok(Arc::clone(array)),
    }
}
