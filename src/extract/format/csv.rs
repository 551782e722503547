//! CSV as a list of objects (RFC 4180, with the freedoms that real files take).

use super::{line_of, push_string};
use crate::batch::json::Scanner;
use crate::error::{Error, Kind, Result};
use crate::extract::record_columns::distinct;
use crate::plan::model::{CsvFormat, CsvHeader};
use ::csv::{Reader, ReaderBuilder, StringRecord};

/// The rows as a JSON list of objects.
///
/// # Errors
/// A row has more or fewer cells than there are columns, or the text ends within a quoted cell.
pub(super) fn to_json(text: &str, format: &CsvFormat) -> Result<Vec<u8>> {
    let skipped_bytes = skipped_len(text, format.skip_rows);
    let table = Table { text: &text[skipped_bytes..], first_line: 1 + line_of(text, skipped_bytes) as u64 - 1 };
    let mut reader = reader(table.text, format);
    let mut row = StringRecord::new();
    let mut keys = match &format.header {
        CsvHeader::FirstRow => match reader.read_record(&mut row) {
            Ok(true) => Some(keys_of(row.iter().map(str::to_owned).collect())?),
            Ok(false) => return Ok(b"[]".to_vec()),
            Err(cause) => return Err(unreadable(cause)),
        },
        CsvHeader::Names(names) => Some(keys_of(names.clone())?),
        CsvHeader::None => None,
    };
    let mut out = Vec::with_capacity(text.len() * 2);
    let mut last_row_at = 0;
    out.push(b'[');
    while reader.read_record(&mut row).map_err(unreadable)? {
        let keys = match &mut keys {
            Some(keys) => keys,
            None => keys.insert(keys_of(vec![String::new(); row.len()])?),
        };
        let (byte, line) = row.position().map_or((0, 0), |p| (p.byte() as usize, p.line()));
        last_row_at = byte;
        if row.len() != keys.len() {
            return Err(table.ragged(line, row.len(), keys.len()));
        }
        push_row(&mut out, &row, keys, format)?;
    }
    table.refuse_cut(last_row_at, format)?;
    out.push(b']');
    Ok(out)
}

/// The rows that are read, without the lines before them.
struct Table<'a> {
    text: &'a str,
    /// Number of its first line in the body.
    first_line: u64,
}

impl Table<'_> {
    fn ragged(&self, line: u64, cells: usize, columns: usize) -> Error {
        Error::new(Kind::Body, "a row of the CSV has another number of cells than there are columns")
            .with("at", format!("line {}: {cells} cells, {columns} columns", self.first_line + line.saturating_sub(1)))
            .hint("`csv` says which `delimiter` and `quote` there are, and how many lines come before (`skip_rows`)")
    }

    /// A quoted cell that never ends is a body that was cut short. The reader takes the rest for the cell.
    fn refuse_cut(&self, last_row_at: usize, format: &CsvFormat) -> Result<()> {
        let Some(quote) = format.quote else { return Ok(()) };
        let row = self.text.as_bytes().get(last_row_at..).unwrap_or_default();
        let is_start = |at: usize| at == 0 || row[at - 1] == format.delimiter.unwrap_or(b',');
        let has_quoted_cell = (0..row.len()).any(|at| row[at] == quote && is_start(at));
        let quote_count = row.iter().filter(|b| **b == quote).count();
        if has_quoted_cell && quote_count % 2 == 1 {
            let line = self.first_line + line_of(self.text, last_row_at) as u64 - 1;
            return Err(Error::new(Kind::Body, "the CSV ends within a quoted cell")
                .with("at", format!("the row that begins in line {line}")));
        }
        Ok(())
    }
}

/// Bytes of the lines that are left out at the beginning.
fn skipped_len(text: &str, lines: u64) -> usize {
    let count = usize::try_from(lines).unwrap_or(usize::MAX);
    text.split_inclusive('\n').take(count).map(str::len).sum()
}

fn reader<'t>(text: &'t str, format: &CsvFormat) -> Reader<&'t [u8]> {
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true).comment(format.comment);
    builder.delimiter(format.delimiter.unwrap_or(b','));
    match format.quote {
        Some(quote) => builder.quote(quote),
        None => builder.quoting(false),
    };
    builder.from_reader(text.as_bytes())
}

fn unreadable(cause: ::csv::Error) -> Error {
    Error::new(Kind::Body, "the CSV can't be read").source(cause)
}

/// Names of columns as keys of objects, each with its colon.
fn keys_of(names: Vec<String>) -> Result<Vec<Vec<u8>>> {
    let key = |name: &String| {
        let mut key = Vec::with_capacity(name.len() + 3);
        push_string(&mut key, name)?;
        key.push(b':');
        Ok(key)
    };
    distinct(names).iter().map(key).collect()
}

fn push_row(out: &mut Vec<u8>, row: &StringRecord, keys: &[Vec<u8>], format: &CsvFormat) -> Result<()> {
    if out.len() > 1 {
        out.push(b',');
    }
    out.push(b'{');
    for (at, (key, cell)) in keys.iter().zip(row).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(key);
        match literal(cell, format) {
            Some(literal) => out.extend_from_slice(literal.as_bytes()),
            None => push_string(out, cell)?,
        }
    }
    out.push(b'}');
    Ok(())
}

/// A cell that is no text: null, or what `infer` makes of it.
fn literal<'c>(cell: &'c str, format: &CsvFormat) -> Option<&'c str> {
    if format.nulls.iter().any(|null| null == cell) {
        return Some("null");
    }
    if !format.infer {
        return None;
    }
    if cell.eq_ignore_ascii_case("true") {
        return Some("true");
    }
    if cell.eq_ignore_ascii_case("false") {
        return Some("false");
    }
    let mut scan = Scanner::new(cell.as_bytes());
    (scan.number().is_ok() && scan.offset() == cell.len()).then_some(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str, format: &CsvFormat) -> String {
        String::from_utf8(to_json(text, format).unwrap()).unwrap()
    }

    #[test]
    fn rows_become_objects_of_texts() {
        let default = CsvFormat::default();
        for (text, expected) in [
            ("a,b\n1,x\n", r#"[{"a":"1","b":"x"}]"#),
            ("a,b\r\n1,x\r\n2,", r#"[{"a":"1","b":"x"},{"a":"2","b":null}]"#),
            ("a,b\n\"1,\"\"2\"\"\",\"x\ny\"\n", r#"[{"a":"1,\"2\"","b":"x\ny"}]"#),
            ("a,a,,\n1,2,3,4\n", r#"[{"a":"1","a_2":"2","column_3":"3","column_4":"4"}]"#),
            ("a\n5\" pipe\n", r#"[{"a":"5\" pipe"}]"#),
            ("a\n007\n", r#"[{"a":"007"}]"#),
            ("a\n\n1\n\n", r#"[{"a":"1"}]"#),
            ("a,b\n", "[]"),
            ("", "[]"),
        ] {
            assert_eq!(json(text, &default), expected, "{text:?}");
        }
    }

    #[test]
    fn the_file_says_how_cells_are_read() {
        let base = CsvFormat::default();
        let cases = [
            (CsvFormat { delimiter: Some(b';'), ..base.clone() }, "a;b\n1,5;2\n", r#"[{"a":"1,5","b":"2"}]"#),
            (CsvFormat { quote: None, ..base.clone() }, "a\n\"x\"\n", r#"[{"a":"\"x\""}]"#),
            (CsvFormat { quote: Some(b'\''), ..base.clone() }, "a,b\n'x,y',z\n", r#"[{"a":"x,y","b":"z"}]"#),
            (
                CsvFormat { nulls: vec!["NA".into(), "-".into()], ..base.clone() },
                "a,b,c\nNA,-,\n",
                r#"[{"a":null,"b":null,"c":""}]"#,
            ),
            (CsvFormat { header: CsvHeader::None, ..base.clone() }, "1,2\n", r#"[{"column_1":"1","column_2":"2"}]"#),
            (
                CsvFormat { header: CsvHeader::Names(vec!["x".into(), "y".into()]), ..base.clone() },
                "1,2\n",
                r#"[{"x":"1","y":"2"}]"#,
            ),
            (
                CsvFormat { comment: Some(b'#'), skip_rows: 2, ..base.clone() },
                "report\nof today\n#x\na\n#y\n1\n",
                r#"[{"a":"1"}]"#,
            ),
            (
                CsvFormat { infer: true, ..base },
                "a,b,c,d,e,f,g\n1,-2.50,TRUE,false,007,1e3,2024-01-02\n",
                r#"[{"a":1,"b":-2.50,"c":true,"d":false,"e":"007","f":1e3,"g":"2024-01-02"}]"#,
            ),
        ];
        for (format, text, expected) in cases {
            assert_eq!(json(text, &format), expected, "{text:?}");
        }
    }

    #[test]
    fn a_row_that_does_not_fit_is_an_error_with_its_line() {
        for (text, skip_rows, at) in [
            ("a,b\n1,2\n3\n", 0, "line 3: 1 cells, 2 columns"),
            ("x\na,b\n\"1\n1\",2\n3,4,5\n", 1, "line 5: 3 cells, 2 columns"),
            ("a,b\n1,2\n3,\"4\n5,6\n", 0, "the row that begins in line 3"),
        ] {
            let error = to_json(text, &CsvFormat { skip_rows, ..CsvFormat::default() }).unwrap_err();
            assert_eq!(error.context("at"), Some(at), "{text:?}");
        }
    }
}
