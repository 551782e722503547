//! What bodies are, and how those that are no JSON are read.

use super::FieldPath;
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
    /// Records are lists, with these names.
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

/// Names of the elements of records that are lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordColumns {
    /// These.
    Names(Vec<String>),
    /// The body has them here: a list of texts, or of objects with a `name`.
    At(FieldPath),
}
