//! Conversion of arrays along the lattice: exact, or refused.

use super::number::Decimal;
use super::reading::Reading;
use super::temporal;
use super::types::{ColumnType, TextForm};
use crate::error::{Error, Kind, Result};
use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Float64Array, PrimitiveArray, StringArray, StringBuilder,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use std::sync::Arc;

const DAY_US: i64 = 86_400_000_000;

/// How the values of a column are converted when its type no longer holds all values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recast {
    /// Type before. A column that was always null is VARCHAR.
    pub from: ColumnType,
    /// Type after.
    pub to: ColumnType,
    /// How dates and times become text.
    pub text: TextForm,
    /// Of text and JSON that is there: its dates and times are made canonical.
    pub canonical: bool,
    /// In JSON, scalars are texts.
    pub quoted: bool,
}

impl Recast {
    /// Converts an array of type `from` into one of type `to`.
    ///
    /// # Errors
    /// See [`widen_array`].
    pub fn apply(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let own = match (self.from, self.canonical) {
            (ColumnType::Varchar, true) => canonical_text(array),
            _ => array.clone(),
        };
        match (self.from, self.to) {
            (ColumnType::Json, ColumnType::Json) => Ok(self.json_again(array)),
            (_, ColumnType::Json) => Ok(to_json(&own, self.from, self.text, self.quoted)),
            _ => widen_array(&own, self.from, self.to, self.text),
        }
    }

    /// JSON with its scalars in the form that they have now.
    fn json_again(&self, array: &ArrayRef) -> ArrayRef {
        if !self.canonical && !self.quoted {
            return array.clone();
        }
        let form = |json: &str| match json.as_bytes().first() {
            Some(b'"') if self.canonical => {
                let text: String = serde_json::from_str(json).unwrap_or_default();
                temporal::parse(text.as_bytes())
                    .map_or_else(|| json.to_owned(), |time| quote(&temporal::canonical(time)))
            }
            None | Some(b'{' | b'[' | b'"') => json.to_owned(),
            Some(_) if self.quoted => quote(json),
            Some(_) => json.to_owned(),
        };
        Arc::new(array.as_string::<i32>().iter().map(|json| json.map(form)).collect::<StringArray>())
    }
}

/// Converts values to a wider type of the lattice. `text` says how dates and times become text.
///
/// # Errors
/// The pair of types is not a widening, or a value would not come through unchanged: both are faults of the caller, who
/// joins what was seen before choosing the type.
pub fn widen_array(array: &ArrayRef, from: ColumnType, to: ColumnType, text: TextForm) -> Result<ArrayRef> {
    use ColumnType as T;
    if array.null_count() == array.len() {
        return Ok(new_null_array(&to.arrow(), array.len()));
    }
    if from == to {
        return Ok(array.clone());
    }
    let lossy = || Error::new(Kind::Internal, format!("a {from} value does not fit {to}"));
    match (from, to) {
        (T::BigInt, T::Double) => Ok(Arc::new(int64(array).unary::<_, Float64Type>(|v| v as f64))),
        (T::BigInt, T::HugeInt) => Ok(Arc::new(decimals(int64(array).unary(i128::from), 38, 0)?)),
        (T::BigInt, T::Decimal(p, s)) => scaled(array, |i| int64(array).value(i).to_string(), p, s).ok_or_else(lossy),
        (T::HugeInt, T::Double) => {
            let values = array.as_primitive::<Decimal128Type>();
            let doubles: Float64Array = values.iter().map(|v| v.map(|v| v as f64)).collect();
            Ok(Arc::new(doubles))
        }
        (T::HugeInt | T::Decimal(..), T::Decimal(p, s)) => {
            scaled(array, |i| decimal_text(array, i), p, s).ok_or_else(lossy)
        }
        (T::Double, T::Decimal(p, s)) => {
            scaled(array, |i| format!("{:e}", array.as_primitive::<Float64Type>().value(i)), p, s).ok_or_else(lossy)
        }
        (T::Date, T::Timestamp) => {
            let micros =
                array.as_primitive::<Date32Type>().unary::<_, TimestampMicrosecondType>(|d| i64::from(d) * DAY_US);
            Ok(Arc::new(micros))
        }
        (_, T::Varchar) => Ok(to_text(array, from, text)),
        _ => Err(Error::new(Kind::Internal, format!("{from} does not widen to {to}"))),
    }
}

/// Makes the dates and times in a text array canonical; other text stays as it is.
pub fn canonical_text(array: &ArrayRef) -> ArrayRef {
    let texts = array.as_string::<i32>();
    let canonical = texts
        .iter()
        .map(|t| t.map(|t| temporal::parse(t.as_bytes()).map_or_else(|| t.to_owned(), temporal::canonical)));
    Arc::new(StringArray::from_iter(canonical))
}

/// Writes every value as its canonical text.
fn to_text(array: &ArrayRef, from: ColumnType, form: TextForm) -> ArrayRef {
    let mut out = StringBuilder::with_capacity(array.len(), array.len() * 12);
    for i in 0..array.len() {
        if array.is_null(i) {
            out.append_null();
        } else {
            out.append_value(value_text(array, i, from, form));
        }
    }
    Arc::new(out.finish())
}

/// Writes every value as JSON: as a text, or as the number or boolean that it is.
fn to_json(array: &ArrayRef, from: ColumnType, form: TextForm, quoted: bool) -> ArrayRef {
    let json = |i: usize| {
        let text = value_text(array, i, from, form);
        if quoted { quote(&text) } else { text }
    };
    Arc::new((0..array.len()).map(|i| array.is_valid(i).then(|| json(i))).collect::<StringArray>())
}

/// A text as JSON.
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The canonical text of one value that is not null.
pub fn value_text(array: &ArrayRef, i: usize, from: ColumnType, form: TextForm) -> String {
    match from {
        ColumnType::Boolean => array.as_boolean().value(i).to_string(),
        ColumnType::BigInt => int64(array).value(i).to_string(),
        ColumnType::HugeInt | ColumnType::Decimal(..) => canonical_number(&decimal_text(array, i)),
        ColumnType::Double => {
            let value = array.as_primitive::<Float64Type>().value(i);
            Decimal::from_f64(value).map_or_else(|| value.to_string(), |d| d.canonical())
        }
        ColumnType::Date => temporal::format_date(array.as_primitive::<Date32Type>().value(i)),
        ColumnType::Timestamp => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(i);
            form.local.map_or_else(|| temporal::canonical_local(micros), |f| temporal::format_form(micros, f))
        }
        ColumnType::TimestampTz => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(i);
            form.zoned.map_or_else(|| temporal::canonical_zoned(micros), |f| temporal::format_form(micros, f))
        }
        ColumnType::Varchar | ColumnType::Json => array.as_string::<i32>().value(i).to_owned(),
    }
}

/// Reads texts as values of a declared type. Numbers come as their JSON text, so that a decimal never passes a float.
/// `reading` says what dates and times look like.
///
/// # Errors
/// The index of the first value that is not of the type.
pub fn parse_text(texts: &StringArray, to: ColumnType, reading: &Reading) -> Result<ArrayRef, usize> {
    fn collect<T: arrow::datatypes::ArrowPrimitiveType>(
        texts: &StringArray,
        parse: impl Fn(&str) -> Option<T::Native>,
    ) -> Result<PrimitiveArray<T>, usize> {
        let values = texts.iter().enumerate().map(|(i, t)| t.map(|t| parse(t).ok_or(i)).transpose());
        Ok(values.collect::<Result<Vec<_>, usize>>()?.into_iter().collect())
    }
    let scaled = |s: u8, digits: u8| {
        move |t: &str| {
            let value = Decimal::parse(t.trim().as_bytes())?.to_scaled_i128(s)?;
            (value.unsigned_abs() < 10u128.pow(u32::from(digits))).then_some(value)
        }
    };
    let refit = |array: Decimal128Array, p: u8, s: u8| decimals(array, p, s).map_err(|_| 0usize);
    Ok(match to {
        ColumnType::Boolean => {
            let values = texts.iter().enumerate().map(|(i, t)| t.map(|t| parse_bool(t).ok_or(i)).transpose());
            Arc::new(arrow::array::BooleanArray::from(values.collect::<Result<Vec<_>, usize>>()?))
        }
        ColumnType::BigInt => Arc::new(collect::<Int64Type>(texts, |t| {
            i64::try_from(Decimal::parse(t.trim().as_bytes())?.to_scaled_i128(0)?).ok()
        })?),
        ColumnType::HugeInt => Arc::new(refit(collect::<Decimal128Type>(texts, scaled(0, 38))?, 38, 0)?),
        ColumnType::Decimal(p, s) => Arc::new(refit(collect::<Decimal128Type>(texts, scaled(s, p))?, p, s)?),
        ColumnType::Double => Arc::new(collect::<Float64Type>(texts, parse_double)?),
        ColumnType::Date => Arc::new(collect::<Date32Type>(texts, |t| reading.date(t))?),
        ColumnType::Timestamp => Arc::new(collect::<TimestampMicrosecondType>(texts, |t| reading.local_us(t))?),
        ColumnType::TimestampTz => {
            let instants: TimestampMicrosecondArray =
                collect::<TimestampMicrosecondType>(texts, |t| reading.instant_us(t))?;
            Arc::new(instants.with_timezone("UTC"))
        }
        ColumnType::Varchar | ColumnType::Json => Arc::new(texts.clone()),
    })
}

/// Whether a text is a value of a declared type.
pub fn reads_as(text: &[u8], to: ColumnType, reading: &Reading) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| parse_text(&StringArray::from_iter_values([text]), to, reading).is_ok())
}

fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

fn parse_double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => Decimal::parse(text.trim().as_bytes()).map(|d| d.to_f64()),
    }
}

fn canonical_number(text: &str) -> String {
    Decimal::parse(text.as_bytes()).map_or_else(|| text.to_owned(), |d| d.canonical())
}

fn int64(array: &ArrayRef) -> &arrow::array::Int64Array {
    array.as_primitive::<Int64Type>()
}

fn decimal_text(array: &ArrayRef, i: usize) -> String {
    array.as_primitive::<Decimal128Type>().value_as_string(i)
}

fn decimals(array: Decimal128Array, precision: u8, scale: u8) -> Result<Decimal128Array> {
    array
        .with_precision_and_scale(precision, scale as i8)
        .map_err(|e| Error::new(Kind::Internal, "a decimal type is out of range").source(e))
}

/// Rescales through the exact decimal text. `None`: a value does not fit.
fn scaled(array: &ArrayRef, text: impl Fn(usize) -> String, precision: u8, scale: u8) -> Option<ArrayRef> {
    let mut values = Vec::with_capacity(array.len());
    for i in 0..array.len() {
        values.push(if array.is_null(i) {
            None
        } else {
            Some(Decimal::parse(text(i).as_bytes())?.to_scaled_i128(scale)?)
        });
    }
    let array: Decimal128Array = values.into_iter().collect();
    Some(Arc::new(decimals(array, precision, scale).ok()?))
}
