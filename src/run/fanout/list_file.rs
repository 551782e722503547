//! Files of partitions, read row by row: CSV with a header, JSON Lines, a JSON array, or one value per line.

use crate::error::{Error, Kind, Result};
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::Path;

/// The mark that some programs put at the beginning of UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a file is, by the ending of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv { delimiter: u8 },
    JsonLines,
    Json,
    Lines,
}

impl Format {
    fn of(path: &Path) -> Format {
        let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        match ending.as_str() {
            "csv" => Format::Csv { delimiter: b',' },
            "tsv" => Format::Csv { delimiter: b'\t' },
            "jsonl" | "ndjson" => Format::JsonLines,
            "json" => Format::Json,
            _ => Format::Lines,
        }
    }
}

/// The columns of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) names: Vec<String>,
    /// Whether other rows may have others: these are those of the first row.
    pub(super) open: bool,
}

/// A row as the file has it.
enum Row {
    Single(Value),
    Fields(BTreeMap<String, Value>),
}

/// The columns of a file; those of a file without rows are not known. `name` is the column of single values.
///
/// # Errors
/// The file can't be read, or is not what its ending says.
pub(super) fn columns(path: &Path, name: &str) -> Result<Columns> {
    if let Format::Csv { delimiter } = Format::of(path) {
        let mut reader = csv_reader(path, delimiter)?;
        let headers = reader.headers().map_err(|e| broken_csv(path, e))?;
        return Ok(Columns { names: headers.iter().map(str::to_owned).collect(), open: headers.is_empty() });
    }
    let mut found = Columns { names: Vec::new(), open: true };
    rows(path, &mut |_, row| {
        found = match row {
            Row::Single(_) => Columns { names: vec![name.to_owned()], open: false },
            Row::Fields(fields) => Columns { names: fields.into_keys().collect(), open: true },
        };
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}

/// Reads all rows: of each the values of `wanted` columns, null where it has none, and its number: of its line, in CSV of
/// its record, in a JSON array of its element. `name` is the column of single values.
///
/// # Errors
/// The file can't be read, or is not what its ending says, from some row on.
pub(super) fn read(
    path: &Path,
    name: &str,
    wanted: &[String],
    emit: &mut dyn FnMut(u64, Vec<Value>) -> ControlFlow<()>,
) -> Result<()> {
    if let Format::Csv { delimiter } = Format::of(path) {
        return read_csv(path, delimiter, wanted, emit);
    }
    rows(path, &mut |number, row| {
        let values = match row {
            Row::Single(value) => {
                wanted.iter().map(|column| if column == name { value.clone() } else { Value::Null }).collect()
            }
            Row::Fields(mut fields) => wanted.iter().map(|column| fields.remove(column).unwrap_or_default()).collect(),
        };
        Ok(emit(number, values))
    })
}

fn read_csv(
    path: &Path,
    delimiter: u8,
    wanted: &[String],
    emit: &mut dyn FnMut(u64, Vec<Value>) -> ControlFlow<()>,
) -> Result<()> {
    let mut reader = csv_reader(path, delimiter)?;
    let headers = reader.headers().map_err(|e| broken_csv(path, e))?;
    let positions: Vec<Option<usize>> = wanted.iter().map(|column| headers.iter().position(|h| h == column)).collect();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|e| broken_csv(path, e))? {
        let number = record.position().map_or(0, csv::Position::record);
        let value = |at: &Option<usize>| at.and_then(|at| record.get(at)).map_or(Value::Null, Value::from);
        if emit(number, positions.iter().map(value).collect()).is_break() {
            break;
        }
    }
    Ok(())
}

fn csv_reader(path: &Path, delimiter: u8) -> Result<csv::Reader<BufReader<File>>> {
    Ok(csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(open(path)?))
}

type Take<'t> = dyn FnMut(u64, Row) -> Result<ControlFlow<()>> + 't;

fn rows(path: &Path, take: &mut Take<'_>) -> Result<()> {
    let reader = open(path)?;
    match Format::of(path) {
        Format::Json => array(path, reader, take),
        Format::JsonLines => lines(path, reader, &mut |number, line| take(number, row_of(path, number, line)?)),
        Format::Lines | Format::Csv { .. } => {
            lines(path, reader, &mut |number, line| take(number, Row::Single(line.into())))
        }
    }
}

/// Lines with text in them, numbered from 1.
fn lines(
    path: &Path,
    mut reader: BufReader<File>,
    take: &mut dyn FnMut(u64, &str) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let (mut bytes, mut number) = (Vec::new(), 0);
    loop {
        bytes.clear();
        number += 1;
        if reader.read_until(b'\n', &mut bytes).map_err(|e| unreadable(path, e))? == 0 {
            return Ok(());
        }
        let line = std::str::from_utf8(&bytes).map_err(|e| broken(path, number, "is not UTF-8").source(e))?.trim();
        if !line.is_empty() && take(number, line)?.is_break() {
            return Ok(());
        }
    }
}

/// The elements of a JSON array, numbered from 1, one in memory at a time.
fn array(path: &Path, reader: BufReader<File>, take: &mut Take<'_>) -> Result<()> {
    struct Elements<'e, 't> {
        path: &'e Path,
        take: &'e mut Take<'t>,
        outcome: &'e mut Result<ControlFlow<()>>,
    }
    impl<'de> Visitor<'de> for Elements<'_, '_> {
        type Value = ();

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an array of rows")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
            let mut number = 0;
            while let Some(element) = elements.next_element::<Box<RawValue>>()? {
                number += 1;
                *self.outcome = row_of(self.path, number, element.get()).and_then(|row| (self.take)(number, row));
                if !matches!(self.outcome, Ok(ControlFlow::Continue(()))) {
                    // What is left of the array is not wanted; the outcome says why.
                    return Err(serde::de::Error::custom("ended early"));
                }
            }
            Ok(())
        }
    }
    impl<'de> DeserializeSeed<'de> for Elements<'_, '_> {
        type Value = ();

        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
            deserializer.deserialize_seq(self)
        }
    }
    let mut outcome = Ok(ControlFlow::Continue(()));
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let elements = Elements { path, take, outcome: &mut outcome };
    let done = elements.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match (outcome?, done) {
        (ControlFlow::Continue(()), Err(cause)) => {
            Err(Error::new(Kind::Config, "the file is not a JSON array").with("file", path.display()).source(cause))
        }
        _ => Ok(()),
    }
}

/// A row of JSON: a single value, or an object of columns.
fn row_of(path: &Path, number: u64, text: &str) -> Result<Row> {
    let wrong = |cause| broken(path, number, "is not JSON").source(cause);
    match text.as_bytes().first() {
        Some(b'{') => {
            let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).map_err(wrong)?;
            let exact = |(name, raw): (String, Box<RawValue>)| Ok((name, exact(raw.get()).map_err(wrong)?));
            Ok(Row::Fields(fields.into_iter().map(exact).collect::<Result<_>>()?))
        }
        Some(b'[') => Err(broken(path, number, "is a list, not a value or an object of columns")),
        _ => Ok(Row::Single(exact(text).map_err(wrong)?)),
    }
}

/// A JSON value. A whole number of more than 64 bits is its text: a float would not hold it.
fn exact(text: &str) -> Result<Value, serde_json::Error> {
    let value: Value = serde_json::from_str(text)?;
    let is_whole = !text.contains(['.', 'e', 'E']);
    Ok(if value.is_f64() && is_whole { Value::String(text.to_owned()) } else { value })
}

fn open(path: &Path) -> Result<BufReader<File>> {
    let mut reader = BufReader::new(File::open(path).map_err(|e| unreadable(path, e))?);
    if reader.fill_buf().map_err(|e| unreadable(path, e))?.starts_with(BYTE_ORDER_MARK) {
        reader.consume(BYTE_ORDER_MARK.len());
    }
    Ok(reader)
}

fn unreadable(path: &Path, cause: std::io::Error) -> Error {
    Error::new(Kind::Config, "a file of partitions can't be read").with("file", path.display()).source(cause)
}

fn broken(path: &Path, number: u64, what: &str) -> Error {
    Error::new(Kind::Config, format!("a row of a file of partitions {what}"))
        .with("file", path.display())
        .with("row", number)
}

fn broken_csv(path: &Path, cause: csv::Error) -> Error {
    Error::new(Kind::Config, "a file of partitions is not valid CSV").with("file", path.display()).source(cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rows_of(file: &str, content: &str, wanted: &[&str]) -> Result<Vec<(u64, Vec<Value>)>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file);
        std::fs::write(&path, content).unwrap();
        let wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
        let mut found = Vec::new();
        read(&path, "value", &wanted, &mut |number, values| {
            found.push((number, values));
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    #[test]
    fn every_format_gives_its_rows_without_empty_lines_marks_and_carriage_returns() {
        let two = |values: [Value; 2]| values.map(|v| vec![v]).to_vec();
        for (file, content, column, numbers, expected) in [
            ("a.txt", "\u{feff}a b\r\n\r\n  \n00123\r\n", "value", [1, 4], two([json!("a b"), json!("00123")])),
            ("ids", "a\nb", "value", [1, 2], two([json!("a"), json!("b")])),
            ("a.csv", "\u{feff}id,n\r\n\"x, y\",1\r\n\r\n007,\n", "id", [1, 2], two([json!("x, y"), json!("007")])),
            ("a.TSV", "n\tid\n1\ta,b\n2\tc\n", "id", [1, 2], two([json!("a,b"), json!("c")])),
            ("a.jsonl", "{\"id\":1}\r\n\n{\"n\":2}", "id", [1, 3], two([json!(1), Value::Null])),
            ("b.jsonl", "1\n\"1\"\n", "value", [1, 2], two([json!(1), json!("1")])),
            ("a.json", "\u{feff} [{\"id\":1.50},\n{\"id\":[1]}]\n", "id", [1, 2], two([json!(1.5), json!([1])])),
            (
                "b.json",
                "[123456789012345678901, true]",
                "value",
                [1, 2],
                two([json!("123456789012345678901"), json!(true)]),
            ),
        ] {
            let found = rows_of(file, content, &[column]).unwrap();
            let expected: Vec<_> = numbers.into_iter().zip(expected).collect();
            assert_eq!(found, expected, "{file}");
        }
    }

    #[test]
    fn a_broken_file_is_named_with_its_row() {
        for (file, content, message) in [
            ("a.csv", "id,n\n1\n", "a file of partitions is not valid CSV"),
            ("a.jsonl", "1\n{\"id\"}\n", "a row of a file of partitions is not JSON"),
            ("a.jsonl", "[1]\n", "a row of a file of partitions is a list, not a value or an object of columns"),
            ("a.json", "{\"ids\":[1]}", "the file is not a JSON array"),
            ("a.json", "[1, 2", "the file is not a JSON array"),
            ("a.json", "[1] 2", "the file is not a JSON array"),
        ] {
            assert_eq!(rows_of(file, content, &["id"]).unwrap_err().message(), message, "{content}");
        }
    }

    #[test]
    fn columns_are_those_of_the_header_or_of_the_first_row() {
        let folder = tempfile::tempdir().unwrap();
        for (file, content, names, open) in [
            ("a.csv", "id, region\n1,eu\n", vec!["id", "region"], false),
            ("a.txt", "a\n", vec!["value"], false),
            ("a.jsonl", "{\"b\":1,\"a\":2}\n{\"c\":3}\n", vec!["a", "b"], true),
            ("a.json", "[7, 8", vec!["value"], false),
            ("b.json", "[]", vec![], true),
        ] {
            let path = folder.path().join(file);
            std::fs::write(&path, content).unwrap();
            let names = names.into_iter().map(str::to_owned).collect();
            assert_eq!(columns(&path, "value").unwrap(), Columns { names, open }, "{file}");
        }
    }
}
