//! Batches into a DuckDB file, by its appender, or into Parquet files. Lists become a table of their own.

use crate::reader;
use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::sync::mpsc::Receiver;

/// Takes batches as they come and leaves a table, and one for its lists if it has any.
pub fn load(kind: &str, folder: &str, resource: &str, schema: &Schema, batches: Receiver<RecordBatch>) {
    let (rows, lists) = reader::split(&RecordBatch::new_empty(schema.clone().into()));
    let lists = lists.map(|lists| lists.schema());
    let child = format!("{resource}__responses");
    match kind {
        "duckdb" => duckdb(folder, resource, &child, &rows.schema(), lists.as_deref(), batches),
        "parquet" => {
            let mut table = writer(folder, resource, &rows.schema());
            let mut child = lists.map(|schema| writer(folder, &child, &schema));
            for batch in batches {
                let (rows, lists) = reader::split(&batch);
                table.write(&rows).unwrap();
                if let (Some(child), Some(lists)) = (&mut child, lists) {
                    child.write(&lists).unwrap();
                }
            }
            table.close().unwrap();
            child.map(|child| child.close().unwrap());
        }
        _ => panic!("neither duckdb nor parquet: {kind}"),
    }
}

fn duckdb(
    folder: &str,
    resource: &str,
    child: &str,
    rows: &Schema,
    lists: Option<&Schema>,
    batches: Receiver<RecordBatch>,
) {
    let connection = duckdb::Connection::open(format!("{folder}/out.duckdb")).unwrap();
    connection.execute_batch("SET threads = 2").unwrap();
    connection.execute_batch(&create_table(resource, rows)).unwrap();
    if let Some(schema) = lists {
        connection.execute_batch(&create_table(child, schema)).unwrap();
    }
    connection.execute_batch("BEGIN").unwrap();
    {
        let mut table = connection.appender(resource).unwrap();
        let mut child = lists.map(|_| connection.appender(child).unwrap());
        for batch in batches {
            let (rows, lists) = reader::split(&batch);
            table.append_record_batch(rows).unwrap();
            if let (Some(child), Some(lists)) = (&mut child, lists) {
                child.append_record_batch(lists).unwrap();
            }
        }
        table.flush().unwrap();
        if let Some(child) = &mut child {
            child.flush().unwrap();
        }
    }
    connection.execute_batch("COMMIT").unwrap();
}

fn create_table(name: &str, schema: &Schema) -> String {
    format!("CREATE TABLE {name} ({})", columns(schema.fields()))
}

fn columns(fields: &arrow::datatypes::Fields) -> String {
    let columns = fields.iter().map(|field| format!("\"{}\" {}", field.name(), sql_type(field.data_type())));
    columns.collect::<Vec<_>>().join(", ")
}

fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "VARCHAR".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Timestamp(_, _) => "TIMESTAMPTZ".to_owned(),
        DataType::Struct(fields) => format!("STRUCT({})", columns(fields)),
        other => panic!("no column of the benchmark is {other}"),
    }
}

fn writer(folder: &str, table: &str, schema: &Schema) -> ArrowWriter<File> {
    std::fs::create_dir_all(format!("{folder}/{table}")).unwrap();
    let file = File::create(format!("{folder}/{table}/0.parquet")).unwrap();
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    ArrowWriter::try_new(file, schema.clone().into(), Some(properties)).unwrap()
}
