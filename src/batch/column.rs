//! One column of a page: a typed buffer that is converted in place when a value needs a wider type.

mod data;

use crate::error::{Error, Kind, Result};
use crate::schema::ColumnType;
use crate::schema::number::{Decimal, Plain};
use crate::schema::reading::Reading;
use crate::schema::temporal::{self, Temporal};
use crate::schema::types::{Numbers, Observed, Uniform};
use crate::schema::widen::{Recast, parse_text, quote, reads_as};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, Date32Array, Decimal128Array, Float64Array,
    Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use data::Data;
use std::sync::Arc;

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Fit {
    /// It is in the column.
    Fits,
    /// It is no value of the type that the column is held to. Nothing was added.
    Refused,
}

/// Values of one column, appended row by row.
#[derive(Debug)]
pub struct ColumnBuffer {
    observed: Observed,
    declared: Option<ColumnType>,
    /// What dates and times of a declared column look like.
    reading: Reading,
    data_type: ColumnType,
    data: Data,
    valid: BooleanBufferBuilder,
    /// Largest magnitude among the 64-bit integers since `observed` was brought up to date.
    magnitude_max: u64,
    touched: bool,
    /// Whether it keeps its type: a value that does not fit is refused.
    held: bool,
}

impl ColumnBuffer {
    /// An empty column of which this was seen before.
    pub fn new(observed: Observed, declared: Option<ColumnType>) -> Self {
        let data_type = declared.unwrap_or_else(|| observed.column_type());
        let data = Data::new(&observed, declared);
        ColumnBuffer {
            observed,
            declared,
            reading: Reading::default(),
            data_type,
            data,
            valid: BooleanBufferBuilder::new(0),
            magnitude_max: 0,
            touched: false,
            held: false,
        }
    }

    /// Has a declared column read its dates and times as the file says.
    #[must_use]
    pub fn reading(mut self, reading: Reading) -> Self {
        self.reading = reading;
        self
    }

    /// Has the column keep its type. One that was always null has none yet, and takes any.
    #[must_use]
    pub fn holding_its_type(mut self) -> Self {
        self.held = self.declared.is_some() || !self.observed.is_null();
        self
    }

    /// Its type so far.
    pub fn data_type(&self) -> ColumnType {
        self.data_type
    }

    /// Rows so far.
    #[inline]
    pub fn len(&self) -> usize {
        self.valid.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a row of this page named the field, if only with null.
    pub fn is_touched(&self) -> bool {
        self.touched
    }

    /// The declared type, if there is one.
    pub fn declared(&self) -> Option<ColumnType> {
        self.declared
    }

    /// Adds nulls up to a row.
    #[inline]
    pub fn pad_to(&mut self, row: usize) {
        let missing = row.saturating_sub(self.len());
        if missing > 0 {
            self.data.push_nulls(missing);
            self.valid.append_n(missing, false);
        }
    }

    /// Drops the rows from one on.
    pub fn truncate(&mut self, rows: usize) {
        if self.len() > rows {
            self.data.truncate(rows);
            self.valid.truncate(rows);
        }
    }

    /// Adds a null.
    #[inline]
    pub fn null(&mut self) {
        self.touched = true;
        self.data.push_nulls(1);
        self.valid.append(false);
    }

    /// Adds a boolean.
    ///
    /// # Errors
    /// The column's values can't be converted: a fault of the program.
    pub fn boolean(&mut self, value: bool) -> Result<Fit> {
        let text: &[u8] = if value { b"true" } else { b"false" };
        if !matches!(self.data, Data::Bool(_)) && self.is_refused(Observed::of_boolean(), text) {
            return Ok(Fit::Refused);
        }
        if !matches!(self.data, Data::Bool(_)) && self.declared.is_none() {
            self.see(Observed::of_boolean())?;
        }
        match &mut self.data {
            Data::Bool(values) => values.append(value),
            _ => self.push_text(text),
        }
        self.valid();
        Ok(Fit::Fits)
    }

    /// Adds a whole number of 64 bits; `token` is its text.
    ///
    /// # Errors
    /// As [`ColumnBuffer::boolean`].
    #[inline]
    pub fn int(&mut self, value: i64) -> Result<Fit> {
        if let Data::Int(values) = &mut self.data {
            values.push(value);
            self.magnitude_max = self.magnitude_max.max(value.unsigned_abs());
            if value.unsigned_abs() > 1 << 53 {
                self.see(Observed::of_numbers(Numbers::of_i64(value)))?;
            }
            self.valid();
            return Ok(Fit::Fits);
        }
        self.int_elsewhere(value)
    }

    fn int_elsewhere(&mut self, value: i64) -> Result<Fit> {
        if self.held && self.is_refused(Observed::of_numbers(Numbers::of_i64(value)), value.to_string().as_bytes()) {
            return Ok(Fit::Refused);
        }
        if self.declared.is_none() {
            self.see(Observed::of_numbers(Numbers::of_i64(value)))?;
        }
        let scale = self.scale();
        match &mut self.data {
            Data::Int(values) => values.push(value),
            Data::Double(values) => values.push(value as f64),
            Data::Wide(values) => values.push(i128::from(value) * 10i128.pow(u32::from(scale))),
            _ => self.push_text(value.to_string().as_bytes()),
        }
        self.valid();
        Ok(Fit::Fits)
    }

    /// Adds a number by its token.
    ///
    /// # Errors
    /// As [`ColumnBuffer::boolean`].
    pub fn number(&mut self, token: &[u8], fraction: bool) -> Result<Fit> {
        if self.declared.is_some() {
            if self.is_refused(Observed::default(), token) {
                return Ok(Fit::Refused);
            }
            self.push_text(token);
            self.valid();
            return Ok(Fit::Fits);
        }
        if let (Data::Double(values), Some(plain)) = (&mut self.data, Plain::parse(token)) {
            let seen = Numbers::of_plain(&plain);
            values.push(plain.value);
            if !self.observed.number.is_some_and(|known| known.covers(seen)) {
                self.observed = self.observed.join(Observed::of_numbers(seen));
            }
            self.valid();
            return Ok(Fit::Fits);
        }
        let broken = || Error::new(Kind::Internal, "a scanned number is not a number");
        let number = Decimal::parse(token).ok_or_else(broken)?;
        let seen = Numbers::of(&number, fraction);
        if let (Data::Double(values), true) = (&mut self.data, seen.double_exact) {
            values.push(number.to_f64());
            self.observed = self.observed.join(Observed::of_numbers(seen));
            self.valid();
            return Ok(Fit::Fits);
        }
        if self.is_refused(Observed::of_numbers(seen), token) {
            return Ok(Fit::Refused);
        }
        self.see(Observed::of_numbers(seen))?;
        let scale = self.scale();
        match &mut self.data {
            Data::Int(values) => {
                values.push(number.to_scaled_i128(0).and_then(|v| i64::try_from(v).ok()).ok_or_else(broken)?)
            }
            Data::Double(values) => values.push(number.to_f64()),
            Data::Wide(values) => values.push(number.to_scaled_i128(scale).ok_or_else(broken)?),
            _ => self.push_text(number.canonical().as_bytes()),
        }
        self.valid();
        Ok(Fit::Fits)
    }

    /// Adds a string.
    ///
    /// # Errors
    /// As [`ColumnBuffer::boolean`].
    #[inline]
    pub fn text(&mut self, text: &[u8]) -> Result<Fit> {
        if self.declared.is_some() {
            if self.reading.empty_is_null() && text.trim_ascii().is_empty() {
                self.null();
                return Ok(Fit::Fits);
            }
            if self.is_refused(Observed::default(), text) {
                return Ok(Fit::Refused);
            }
        }
        let temporal = if self.declared.is_some() { None } else { temporal::parse(text) };
        match (&mut self.data, temporal) {
            (Data::Text { ends, bytes }, None) if self.data_type != ColumnType::Json => {
                bytes.extend_from_slice(text);
                ends.push(bytes.len() as i32);
                self.observed.text |= self.declared.is_none();
            }
            (Data::Time(values), Some(Temporal::Zoned(micros, form))) if self.observed.zoned == Uniform::All(form) => {
                values.push(micros);
            }
            _ => return self.text_elsewhere(text, temporal),
        }
        self.valid();
        Ok(Fit::Fits)
    }

    fn text_elsewhere(&mut self, text: &[u8], temporal: Option<Temporal>) -> Result<Fit> {
        let seen = temporal.map_or(Observed { text: true, ..Observed::default() }, Observed::of_temporal);
        if self.declared.is_none() && self.is_refused(seen, text) {
            return Ok(Fit::Refused);
        }
        self.see(seen)?;
        match (&mut self.data, temporal) {
            (Data::Date(values), Some(Temporal::Date(days))) => values.push(days),
            (Data::Time(values), Some(Temporal::Date(days))) => values.push(i64::from(days) * 86_400_000_000),
            (Data::Time(values), Some(Temporal::Local(micros, _) | Temporal::Zoned(micros, _))) => values.push(micros),
            _ if self.data_type == ColumnType::Json && self.declared.is_none() => {
                let quoted = quote(&String::from_utf8_lossy(text));
                self.push_text(quoted.as_bytes());
            }
            _ => self.push_text(text),
        }
        self.valid();
        Ok(Fit::Fits)
    }

    /// Adds an object or a list that is kept as it is, by its JSON.
    ///
    /// # Errors
    /// As [`ColumnBuffer::boolean`].
    pub fn nested(&mut self, json: &str, is_list: bool) -> Result<Fit> {
        let seen = Observed::of_nested(is_list);
        match self.declared {
            None if self.is_refused(seen, json.as_bytes()) => return Ok(Fit::Refused),
            None => self.see(seen)?,
            Some(_) if self.is_refused(seen, json.as_bytes()) => return Ok(Fit::Refused),
            Some(_) => {}
        }
        self.push_text(json.as_bytes());
        self.valid();
        Ok(Fit::Fits)
    }

    /// Whether the column is held to a type that a value is not of: `seen` is what it shows, `text` how it is written.
    ///
    /// Values that fit one by one don't widen the column together either, so the order of values decides nothing.
    #[inline]
    fn is_refused(&self, seen: Observed, text: &[u8]) -> bool {
        self.held && self.would_widen(seen, text)
    }

    #[cold]
    fn would_widen(&self, seen: Observed, text: &[u8]) -> bool {
        match self.declared {
            Some(declared) => !reads_as(text, declared, &self.reading),
            None => self.settled().join(seen).column_type() != self.data_type,
        }
    }

    /// Adds the JSON text of a value, in a column that is declared as JSON.
    pub fn json(&mut self, token: &[u8]) {
        self.push_text(token);
        self.valid();
    }

    #[inline]
    fn valid(&mut self) {
        self.touched = true;
        self.valid.append(true);
    }

    fn push_text(&mut self, text: &[u8]) {
        if let Data::Text { ends, bytes } = &mut self.data {
            bytes.extend_from_slice(text);
            ends.push(bytes.len() as i32);
        } else {
            debug_assert!(false, "a text goes into a text buffer");
        }
    }

    fn scale(&self) -> u8 {
        match self.data_type {
            ColumnType::Decimal(_, scale) => scale,
            _ => 0,
        }
    }

    /// What was seen, with the integers that were only noted by their size.
    fn settled(&self) -> Observed {
        if self.magnitude_max == 0 && !matches!(self.data, Data::Int(_)) {
            return self.observed;
        }
        let largest = Numbers::of_i64(i64::try_from(self.magnitude_max).unwrap_or(i64::MIN));
        // Only integers beyond 2^53 can be inexact, and those were looked at one by one.
        self.observed.join(Observed::of_numbers(Numbers { double_exact: true, ..largest }))
    }

    /// Takes note of a value, and converts the buffer if its type changes.
    fn see(&mut self, seen: Observed) -> Result<()> {
        let joined = self.settled().join(seen);
        self.magnitude_max = 0;
        if joined == self.observed && !matches!(self.data, Data::Null) {
            return Ok(());
        }
        let to = joined.column_type();
        if to != self.data_type || matches!(self.data, Data::Null) {
            let from = self.data_type;
            let rows = self.len();
            let array = self.take_array();
            self.data = Data::new(&joined, None);
            self.valid = BooleanBufferBuilder::new(rows);
            let (text, quoted) = (joined.text_form(), joined.quotes_scalars());
            self.data.load(&Recast { from, to, text, canonical: false, quoted }.apply(&array)?);
            for row in 0..rows {
                self.valid.append(array.is_valid(row));
            }
        }
        self.observed = joined;
        self.data_type = to;
        Ok(())
    }

    /// The rows as an array, and what has been seen so far. The buffer is empty afterwards and keeps its type.
    ///
    /// # Errors
    /// A value is not of the column's declared type; the row is given.
    pub fn finish(&mut self, rows: usize) -> Result<(ArrayRef, Observed), usize> {
        self.pad_to(rows);
        self.touched = false;
        self.observed = self.settled();
        self.magnitude_max = 0;
        let array = self.take_array();
        let array = match self.declared {
            Some(declared) => parse_text(array.as_string::<i32>(), declared, &self.reading)?,
            None => array,
        };
        Ok((array, self.observed))
    }

    fn take_array(&mut self) -> ArrayRef {
        let rows = self.len();
        let valid = self.valid.finish();
        let nulls = Some(NullBuffer::new(valid)).filter(|n| n.null_count() > 0);
        let empty = Data::new(&self.observed, self.declared);
        match std::mem::replace(&mut self.data, empty) {
            Data::Null => Arc::new(StringArray::new_null(rows)),
            Data::Bool(mut values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Data::Int(values) => Arc::new(Int64Array::new(values.into(), nulls)),
            Data::Double(values) => Arc::new(Float64Array::new(values.into(), nulls)),
            Data::Wide(values) => {
                let array = Decimal128Array::new(values.into(), nulls);
                Arc::new(array.with_data_type(self.data_type.arrow()))
            }
            Data::Date(values) => Arc::new(Date32Array::new(values.into(), nulls)),
            Data::Time(values) => {
                let array = TimestampMicrosecondArray::new(values.into(), nulls);
                match self.data_type {
                    ColumnType::TimestampTz => Arc::new(array.with_timezone("UTC")),
                    _ => Arc::new(array),
                }
            }
            Data::Text { ends, bytes } => {
                // SAFETY: the ends grow and each piece was cut at character boundaries from a body that is valid UTF-8.
                Arc::new(unsafe { StringArray::new_unchecked(OffsetBuffer::new(ends.into()), bytes.into(), nulls) })
            }
        }
    }
}
