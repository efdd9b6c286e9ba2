//! A small table of results, encoded for programs: CSV, an Arrow stream, a Parquet file.

mod columns;

use std::sync::Arc;

use arrow::{error::ArrowError, ipc::writer::StreamWriter, record_batch::RecordBatch};
use parquet::{arrow::ArrowWriter, errors::ParquetError};
use thiserror::Error;

pub use columns::{Column, Kind, Value};

/// Why a table cannot be encoded.
#[derive(Debug, Error)]
pub enum Error {
    /// As Arrow.
    #[error("the table cannot be written as Arrow: {0}")]
    Arrow(#[from] ArrowError),
    /// As Parquet.
    #[error("the table cannot be written as Parquet: {0}")]
    Parquet(#[from] ParquetError),
}

/// RFC 4180 with a header; a missing value is empty. Text that a spreadsheet would take for a formula is quoted with an
/// apostrophe in front.
pub fn csv(columns: &[Column], rows: &[Vec<Value>]) -> Vec<u8> {
    let mut text = columns.iter().map(|column| column.name).collect::<Vec<_>>().join(",");
    text.push_str("\r\n");
    for row in rows {
        text.push_str(&row.iter().map(Value::to_csv).collect::<Vec<_>>().join(","));
        text.push_str("\r\n");
    }
    text.into_bytes()
}

/// An Arrow IPC stream of one batch.
pub fn arrow(columns: &[Column], rows: &[Vec<Value>]) -> Result<Vec<u8>, Error> {
    let batch = batch(columns, rows)?;
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}

/// A Parquet file of one row group.
pub fn parquet(columns: &[Column], rows: &[Vec<Value>]) -> Result<Vec<u8>, Error> {
    let batch = batch(columns, rows)?;
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None)?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}

fn batch(columns: &[Column], rows: &[Vec<Value>]) -> Result<RecordBatch, ArrowError> {
    let schema = Arc::new(columns::schema(columns));
    let arrays = columns.iter().enumerate().map(|(place, column)| columns::array(column, place, rows)).collect();
    RecordBatch::try_new(schema, arrays)
}

#[cfg(test)]
mod tests {
    use arrow::{array::Array, ipc::reader::StreamReader};
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    const COLUMNS: [Column; 3] = [
        Column { name: "name", kind: Kind::Text },
        Column { name: "n", kind: Kind::Whole },
        Column { name: "p", kind: Kind::Number },
    ];

    fn rows() -> Vec<Vec<Value>> {
        vec![
            vec![Value::text("a, \"b\""), Value::Whole(3), Value::Number(0.25)],
            vec![Value::text("=1+1"), Value::Missing, Value::Missing],
        ]
    }

    #[test]
    fn csv_quotes_and_disarms() {
        let text = String::from_utf8(csv(&COLUMNS, &rows())).unwrap();
        assert_eq!(text, "name,n,p\r\n\"a, \"\"b\"\"\",3,0.25\r\n'=1+1,,\r\n");
    }

    #[test]
    fn other_readers_find_the_same_rows() {
        let check = |batch: RecordBatch| {
            assert_eq!((batch.num_rows(), batch.num_columns()), (2, 3));
            assert!(batch.column(1).is_null(1) && batch.column(2).is_null(1) && !batch.column(1).is_null(0));
        };
        let stream = arrow(&COLUMNS, &rows()).unwrap();
        check(StreamReader::try_new(&stream[..], None).unwrap().next().unwrap().unwrap());
        let file = Bytes::from(parquet(&COLUMNS, &rows()).unwrap());
        check(ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().next().unwrap().unwrap());
    }
}
