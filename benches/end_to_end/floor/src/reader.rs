//! A schema-driven JSON reader: any serde Deserializer in, Arrow columns out, no value in between.

use arrow::array::{
    Array, ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, ListArray, StringBuilder, StructArray,
    TimestampMicrosecondBuilder,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use arrow::record_batch::RecordBatch;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::sync::Arc;

pub fn ts() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}

pub fn schema(resource: &str) -> Schema {
    let f = |n: &str, t: DataType| Field::new(n, t, true);
    let s = |n: &str| f(n, DataType::Utf8);
    let viewer = f("viewer", DataType::Struct(Fields::from(vec![s("id"), s("name"), s("email")])));
    use DataType::{Boolean, Float64, Int64};
    Schema::new(match resource {
        "interactions" => vec![
            s("id"),
            s("video_id"),
            s("title"),
            s("type"),
            f("created_at", ts()),
            f("updated_at", ts()),
            f("start_time", Float64),
            f("end_time", Float64),
            f("position", Int64),
            f("points", Int64),
            f("required", Boolean),
            f("visible", Boolean),
            s("notes"),
            viewer,
            f(
                "responses",
                DataType::List(Arc::new(f(
                    "item",
                    DataType::Struct(Fields::from(vec![
                        s("id"),
                        s("question"),
                        s("answer"),
                        f("correct", Boolean),
                        f("score", Float64),
                        f("answered_at", ts()),
                    ])),
                ))),
            ),
        ],
        "views" => vec![
            s("id"),
            s("video_id"),
            s("title"),
            f("created_at", ts()),
            f("updated_at", ts()),
            f("seconds_watched", Float64),
            f("percent_complete", Float64),
            f("play_count", Int64),
            f("score", Int64),
            f("completed", Boolean),
            f("embedded", Boolean),
            s("device"),
            s("browser"),
            s("country"),
            s("city"),
            s("referrer"),
            viewer,
        ],
        other => panic!("no schema for {other}"),
    })
}

pub enum Col {
    Str(StringBuilder),
    I64(Int64Builder),
    F64(Float64Builder),
    Bool(BooleanBuilder),
    Ts(TimestampMicrosecondBuilder),
    Struct(StructCol),
    List(ListCol),
}

pub struct StructCol {
    fields: Fields,
    cols: Vec<Col>,
    valid: Vec<bool>,
    seen: Vec<u32>,
    row: u32,
}

pub struct ListCol {
    field: Arc<Field>,
    offsets: Vec<i32>,
    valid: Vec<bool>,
    child: Box<Col>,
}

impl Col {
    pub fn new(t: &DataType) -> Col {
        match t {
            DataType::Utf8 => Col::Str(StringBuilder::new()),
            DataType::Int64 => Col::I64(Int64Builder::new()),
            DataType::Float64 => Col::F64(Float64Builder::new()),
            DataType::Boolean => Col::Bool(BooleanBuilder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Col::Ts(TimestampMicrosecondBuilder::new().with_timezone("+00:00"))
            }
            DataType::Struct(f) => Col::Struct(StructCol::new(f)),
            DataType::List(f) => Col::List(ListCol {
                field: f.clone(),
                offsets: vec![0],
                valid: vec![],
                child: Box::new(Col::new(f.data_type())),
            }),
            other => panic!("{other}: not a type of this reader"),
        }
    }

    fn null(&mut self) {
        match self {
            Col::Str(b) => b.append_null(),
            Col::I64(b) => b.append_null(),
            Col::F64(b) => b.append_null(),
            Col::Bool(b) => b.append_null(),
            Col::Ts(b) => b.append_null(),
            Col::Struct(s) => s.null(),
            Col::List(l) => {
                l.offsets.push(*l.offsets.last().unwrap());
                l.valid.push(false);
            }
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Col::Str(b) => Arc::new(b.finish()),
            Col::I64(b) => Arc::new(b.finish()),
            Col::F64(b) => Arc::new(b.finish()),
            Col::Bool(b) => Arc::new(b.finish()),
            Col::Ts(b) => Arc::new(b.finish()),
            Col::Struct(s) => Arc::new(s.finish()),
            Col::List(l) => {
                let offsets = std::mem::replace(&mut l.offsets, vec![0]);
                let valid = std::mem::take(&mut l.valid);
                Arc::new(ListArray::new(
                    l.field.clone(),
                    OffsetBuffer::new(offsets.into()),
                    l.child.finish(),
                    nulls(valid),
                ))
            }
        }
    }
}

fn nulls(valid: Vec<bool>) -> Option<NullBuffer> {
    if valid.iter().all(|v| *v) { None } else { Some(NullBuffer::from(valid)) }
}

impl StructCol {
    pub fn new(f: &Fields) -> Self {
        StructCol {
            fields: f.clone(),
            cols: f.iter().map(|f| Col::new(f.data_type())).collect(),
            valid: vec![],
            seen: vec![0; f.len()],
            row: 0,
        }
    }
    fn null(&mut self) {
        for c in &mut self.cols {
            c.null();
        }
        self.valid.push(false);
    }
    pub fn finish(&mut self) -> StructArray {
        let valid = std::mem::take(&mut self.valid);
        StructArray::new(self.fields.clone(), self.cols.iter_mut().map(Col::finish).collect(), nulls(valid))
    }
    pub fn rows(&self) -> usize {
        self.valid.len()
    }
    pub fn batch(&mut self) -> RecordBatch {
        RecordBatch::from(self.finish())
    }
    /// Reads `[{...}, ...]`.
    pub fn read<'de, D: Deserializer<'de>>(&mut self, d: D) -> Result<usize, D::Error> {
        let before = self.rows();
        d.deserialize_seq(Rows(self))?;
        Ok(self.rows() - before)
    }
}

struct Rows<'a>(&'a mut StructCol);

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array of objects")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut s: A) -> Result<(), A::Error> {
        while s.next_element_seed(RowSeed(self.0))?.is_some() {}
        Ok(())
    }
}

struct RowSeed<'a>(&'a mut StructCol);

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_map(StructVisit(self.0))
    }
}

struct Key<'a>(&'a Fields, usize);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = usize;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<usize, D::Error> {
        d.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = usize;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: Error>(self, k: &str) -> Result<usize, E> {
        // Keys mostly come in the order they came in before.
        if let Some(f) = self.0.get(self.1) {
            if f.name() == k {
                return Ok(self.1);
            }
        }
        Ok(self.0.iter().position(|f| f.name() == k).unwrap_or(usize::MAX))
    }
}

struct StructVisit<'a>(&'a mut StructCol);

impl<'de> Visitor<'de> for StructVisit<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object or null")
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.null();
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut m: A) -> Result<(), A::Error> {
        let s = self.0;
        s.row += 1;
        let (mut hint, mut n) = (0, 0);
        while let Some(i) = m.next_key_seed(Key(&s.fields, hint))? {
            if i == usize::MAX {
                m.next_value::<IgnoredAny>()?;
                continue;
            }
            if s.seen[i] == s.row {
                return Err(A::Error::custom("a key comes twice"));
            }
            s.seen[i] = s.row;
            n += 1;
            hint = i + 1;
            m.next_value_seed(ColSeed(&mut s.cols[i]))?;
        }
        if n < s.cols.len() {
            for (i, c) in s.cols.iter_mut().enumerate() {
                if s.seen[i] != s.row {
                    c.null();
                }
            }
        }
        s.valid.push(true);
        Ok(())
    }
}

struct ColSeed<'a>(&'a mut Col);

impl<'de> DeserializeSeed<'de> for ColSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        match self.0 {
            Col::Struct(s) => d.deserialize_any(StructVisit(s)),
            Col::List(l) => d.deserialize_any(ListVisit(l)),
            c => d.deserialize_any(Scalar(c)),
        }
    }
}

struct ListVisit<'a>(&'a mut ListCol);

impl<'de> Visitor<'de> for ListVisit<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array or null")
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.offsets.push(*self.0.offsets.last().unwrap());
        self.0.valid.push(false);
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut s: A) -> Result<(), A::Error> {
        let mut n = 0;
        while s.next_element_seed(ColSeed(&mut self.0.child))?.is_some() {
            n += 1;
        }
        self.0.offsets.push(self.0.offsets.last().unwrap() + n);
        self.0.valid.push(true);
        Ok(())
    }
}

struct Scalar<'a>(&'a mut Col);

impl<'de> Visitor<'de> for Scalar<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a scalar of the column's type")
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.null();
        Ok(())
    }
    fn visit_bool<E: Error>(self, v: bool) -> Result<(), E> {
        match self.0 {
            Col::Bool(b) => b.append_value(v),
            _ => return Err(E::custom("a boolean in a column of another type")),
        }
        Ok(())
    }
    fn visit_i64<E: Error>(self, v: i64) -> Result<(), E> {
        match self.0 {
            Col::I64(b) => b.append_value(v),
            Col::F64(b) => b.append_value(v as f64),
            _ => return Err(E::custom("a number in a column of another type")),
        }
        Ok(())
    }
    fn visit_u64<E: Error>(self, v: u64) -> Result<(), E> {
        self.visit_i64(v as i64)
    }
    fn visit_f64<E: Error>(self, v: f64) -> Result<(), E> {
        match self.0 {
            Col::F64(b) => b.append_value(v),
            _ => return Err(E::custom("a number with a fraction in a column of another type")),
        }
        Ok(())
    }
    fn visit_str<E: Error>(self, v: &str) -> Result<(), E> {
        match self.0 {
            Col::Str(b) => b.append_value(v),
            Col::Ts(b) => b.append_value(1000 * iso(v.as_bytes()).ok_or_else(|| E::custom("not a timestamp"))?),
            _ => return Err(E::custom("text in a column of another type")),
        }
        Ok(())
    }
}

/// `2024-01-01T00:00:00.000Z` (the fraction and the Z may be missing) to milliseconds.
pub fn iso(b: &[u8]) -> Option<i64> {
    if b.len() < 19 {
        return None;
    }
    let d = |i: usize| -> Option<i64> {
        let v = b[i].wrapping_sub(b'0');
        (v < 10).then_some(v as i64)
    };
    let n2 = |i: usize| Some(d(i)? * 10 + d(i + 1)?);
    let y = n2(0)? * 100 + n2(2)?;
    let (m, day) = (n2(5)?, n2(8)?);
    let yy = if m <= 2 { y - 1 } else { y };
    let era = yy / 400;
    let yoe = yy - era * 400;
    let doy = (153 * (if m > 2 { m - 3 } else { m + 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
    let mut ms = days * 86_400_000 + n2(11)? * 3_600_000 + n2(14)? * 60_000 + n2(17)? * 1000;
    if b.get(19) == Some(&b'.') {
        let (mut i, mut unit) = (20, 100);
        while i < b.len() && b[i].is_ascii_digit() {
            ms += unit * (b[i] - b'0') as i64;
            unit /= 10;
            i += 1;
        }
    }
    Some(ms)
}

/// Splits a batch with a `responses` list into parent (list left out) and child (with parent_id).
pub fn split(batch: &RecordBatch) -> (RecordBatch, Option<RecordBatch>) {
    use arrow::array::UInt32Array;
    let Ok(at) = batch.schema().index_of("responses") else { return (batch.clone(), None) };
    let list = batch.column(at).as_any().downcast_ref::<ListArray>().unwrap();
    let o = list.value_offsets();
    let mut parent = Vec::with_capacity(list.values().len());
    for i in 0..list.len() {
        for _ in o[i]..o[i + 1] {
            parent.push(i as u32);
        }
    }
    let ids = arrow::compute::take(batch.column(0), &UInt32Array::from(parent), None).unwrap();
    let vals = list.values().as_any().downcast_ref::<StructArray>().unwrap();
    let mut fields = vec![Arc::new(Field::new("parent_id", DataType::Utf8, true))];
    fields.extend(vals.fields().iter().cloned());
    let mut cols = vec![ids];
    cols.extend(vals.columns().iter().cloned());
    let child = RecordBatch::try_new(Arc::new(Schema::new(fields)), cols).unwrap();
    let keep: Vec<usize> = (0..batch.num_columns()).filter(|i| *i != at).collect();
    (batch.project(&keep).unwrap(), Some(child))
}
