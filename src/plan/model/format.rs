//! What bodies are, and how those that are no JSON are read.

use super::{Charset, FieldPath, Step};
use std::path::PathBuf;

/// What bodies are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BodyFormat {
    /// The format; none: by the answer's Content-Type.
    pub kind: Option<FormatKind>,
    /// How CSV is read, if the file says so; a body of a type that says nothing is then CSV.
    pub csv: Option<CsvFormat>,
    /// How XML is read, likewise.
    pub xml: Option<XmlFormat>,
    /// The charset of bodies, whatever their headers say.
    pub charset: Option<Charset>,
    /// The selector leads to an object of records: the column for the name of each.
    pub key_column: Option<String>,
    /// Records, or fields of them, are lists whose elements get names.
    pub record_columns: Option<RecordColumns>,
    /// Folder for bodies that are stored as files, if the file names one.
    pub files_path: Option<PathBuf>,
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatKind {
    /// One JSON value (RFC 8259).
    Json,
    /// JSON values, one after the other.
    Jsonl,
    /// Rows of cells (RFC 4180).
    Csv,
    /// XML 1.0.
    Xml,
    /// Anything: stored as a file.
    File,
}

impl FormatKind {
    /// Its name, as the file has it.
    pub fn name(self) -> &'static str {
        match self {
            FormatKind::Json => "json",
            FormatKind::Jsonl => "jsonl",
            FormatKind::Csv => "csv",
            FormatKind::Xml => "xml",
            FormatKind::File => "file",
        }
    }
}

/// How CSV is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvFormat {
    /// What separates cells; none: a tab where the Content-Type says so, else a comma.
    pub delimiter: Option<u8>,
    /// What encloses cells.
    pub quote: Option<u8>,
    /// Cells that mean null.
    pub nulls: Vec<String>,
    /// Where the names of columns are.
    pub header: CsvHeader,
    /// Whether cells that look like numbers and booleans are.
    pub infer: bool,
    /// With what lines begin that are left out.
    pub comment: Option<u8>,
    /// Lines before the header or the first row.
    pub skip_rows: u64,
}

impl Default for CsvFormat {
    fn default() -> Self {
        CsvFormat {
            delimiter: None,
            quote: Some(b'"'),
            nulls: vec![String::new()],
            header: CsvHeader::FirstRow,
            infer: false,
            comment: None,
            skip_rows: 0,
        }
    }
}

/// Where the names of CSV columns are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CsvHeader {
    /// In the first row.
    FirstRow,
    /// Nowhere: columns are numbered.
    None,
    /// In the pipeline file.
    Names(Vec<String>),
}

/// How XML is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct XmlFormat {
    /// Elements that are lists even where there is only one.
    pub lists: Vec<String>,
}

/// What of records is a list whose elements get names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordColumns {
    /// The records themselves.
    Records(ColumnNames),
    /// Fields of the records. Their elements stand in the place of the list.
    Fields(Vec<(FieldPath, ColumnNames)>),
}

/// Names of the elements of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnNames {
    /// These.
    Listed(Vec<String>),
    /// The body has them here: texts, or objects with a `name`.
    At(Vec<Step>),
}
