//! Row files: writing them within bounds of rows, bytes and memory, and reading them batch by batch.

use super::files::{broken_rows, failed};
use super::{Compression, Options};
use crate::error::Result;
use crate::load::bookkeeping as book;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::ZstdLevel;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Encoded size at which a row group ends, whatever its rows.
const ROW_GROUP_BYTES_MAX: usize = 64 << 20;
/// Rows that are read at once.
const READ_ROWS: usize = 8192;

/// A finished file of rows.
#[derive(Debug, Clone)]
pub(super) struct RowFile {
    pub(super) path: PathBuf,
    pub(super) rows: u64,
}

/// Writes rows of one schema to files in a folder, a new one whenever one is full. The files are on disk when
/// [`RowWriter::finish`] returns.
pub(super) struct RowWriter {
    folder: PathBuf,
    stem: String,
    schema: SchemaRef,
    file_rows: u64,
    properties: WriterProperties,
    open: Option<OpenFile>,
    done: Vec<RowFile>,
}

struct OpenFile {
    path: PathBuf,
    writer: ArrowWriter<File>,
    rows: u64,
}

impl RowWriter {
    /// Will write `FOLDER/STEM-NUMBER.part`. The folder has to be there.
    pub(super) fn new(folder: &Path, stem: &str, schema: SchemaRef, options: &Options) -> Self {
        RowWriter {
            folder: folder.to_owned(),
            stem: stem.to_owned(),
            schema,
            file_rows: options.file_rows.max(1) as u64,
            properties: properties(options),
            open: None,
            done: Vec::new(),
        }
    }

    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let mut offset = 0;
        while offset < rows.num_rows() {
            let file_rows = self.file_rows;
            let file = self.open_file()?;
            let room = usize::try_from(file_rows - file.rows).unwrap_or(usize::MAX);
            let count = room.min(rows.num_rows() - offset);
            file.writer.write(&rows.slice(offset, count)).map_err(|e| broken_rows("write", &file.path, e))?;
            file.rows += count as u64;
            offset += count;
            if file.rows == file_rows {
                self.close_file()?;
            }
        }
        Ok(())
    }

    /// Bytes held until the row group in hand is complete.
    pub(super) fn memory_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |file| file.writer.memory_size())
    }

    /// Ends the row group in hand, to free memory.
    pub(super) fn flush(&mut self) -> Result<()> {
        match &mut self.open {
            Some(file) => file.writer.flush().map_err(|e| broken_rows("write", &file.path, e)),
            None => Ok(()),
        }
    }

    /// Ends the last file and gives all of them, in order.
    pub(super) fn finish(mut self) -> Result<Vec<RowFile>> {
        self.close_file()?;
        Ok(self.done)
    }

    /// Like [`RowWriter::finish`], but without rows there is a file too, that has none.
    pub(super) fn finish_with_a_file(mut self) -> Result<Vec<RowFile>> {
        if self.done.is_empty() {
            self.open_file()?;
        }
        self.finish()
    }

    fn open_file(&mut self) -> Result<&mut OpenFile> {
        let file = match self.open.take() {
            Some(file) => file,
            None => self.new_file()?,
        };
        Ok(self.open.insert(file))
    }

    fn new_file(&self) -> Result<OpenFile> {
        let path = self.folder.join(format!("{}-{:05}.part", self.stem, self.done.len()));
        let file = File::create_new(&path).map_err(|e| failed("make", &path, e))?;
        let writer = ArrowWriter::try_new(file, self.schema.clone(), Some(self.properties.clone()))
            .map_err(|e| broken_rows("write", &path, e))?;
        Ok(OpenFile { path, writer, rows: 0 })
    }

    fn close_file(&mut self) -> Result<()> {
        let Some(OpenFile { path, writer, rows }) = self.open.take() else { return Ok(()) };
        let file = writer.into_inner().map_err(|e| broken_rows("write", &path, e))?;
        file.sync_all().map_err(|e| failed("sync", &path, e))?;
        self.done.push(RowFile { path, rows });
        Ok(())
    }
}

fn properties(options: &Options) -> WriterProperties {
    let compression = match options.compression {
        Compression::Zstd => parquet::basic::Compression::ZSTD(ZstdLevel::default()),
        Compression::Snappy => parquet::basic::Compression::SNAPPY,
        Compression::None => parquet::basic::Compression::UNCOMPRESSED,
    };
    let builder = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(options.row_group_rows.max(1)))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES_MAX))
        .set_created_by(concat!("pintail version ", env!("CARGO_PKG_VERSION")).to_owned());
    // Ids hardly repeat, or side by side, where compression finds them: a dictionary of them is wasted, and was half of the
    // work. Their bounds tell nothing.
    let of_ids = [book::ID, book::PARENT_ID, book::ROOT_ID].map(ColumnPath::from);
    let plain = of_ids.into_iter().fold(builder, |builder, column| {
        builder
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_statistics_enabled(column, EnabledStatistics::None)
    });
    plain.build()
}

/// Opens a file for reading.
pub(super) fn reader(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let file = File::open(path).map_err(|e| failed("open", path, e))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| broken_rows("read", path, e))?;
    Ok(builder.with_batch_size(READ_ROWS))
}

/// Rows of a file, by its own account.
pub(super) fn count(path: &Path) -> Result<u64> {
    Ok(u64::try_from(reader(path)?.metadata().file_metadata().num_rows()).unwrap_or(0))
}

/// The batches of a file: of some columns, or of all.
pub(super) fn batches<'a>(
    path: &'a Path,
    columns: Option<&[&str]>,
) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<'a>> {
    let builder = reader(path)?;
    let mask = match columns {
        Some(names) => ProjectionMask::columns(builder.parquet_schema(), names.iter().copied()),
        None => ProjectionMask::all(),
    };
    read(path, builder.with_projection(mask))
}

/// The batches that a reader gives.
pub(super) fn read(
    path: &Path,
    builder: ParquetRecordBatchReaderBuilder<File>,
) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<'_>> {
    let reader: ParquetRecordBatchReader = builder.build().map_err(|e| broken_rows("read", path, e))?;
    Ok(reader.map(move |batch| batch.map_err(|e| broken_rows("read", path, e))))
}
