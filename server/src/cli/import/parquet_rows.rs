//! The rows of a Parquet file as events: each column is the field of its name. `unit_id` and `unit_type` may stand for
//! `unit`; `properties` and `attributes` may be JSON text; times without a zone are UTC.

use std::{fs::File, sync::atomic::AtomicU64, sync::atomic::Ordering};

use arrow::{
    array::RecordBatch,
    error::ArrowError,
    json::{WriterBuilder, writer::LineDelimited},
};
use parquet::{arrow::arrow_reader::ParquetRecordBatchReaderBuilder, errors::ParquetError};
use serde_json::{Map, Value, json};
use thiserror::Error;

/// Rows decoded at a time.
const ROWS_AT_A_TIME: usize = 4_096;
/// Naive times are taken as UTC, which the event format asks to be said.
const UTC: &str = "%Y-%m-%dT%H:%M:%S%.fZ";

/// Why the rows cannot be read.
#[derive(Debug, Error)]
pub enum Error {
    /// The file is damaged, or uses what this reader cannot do.
    #[error("not readable as Parquet: {0}")]
    Parquet(#[from] ParquetError),
    /// A column has no JSON form.
    #[error("a column cannot be read as JSON: {0}")]
    Arrow(#[from] ArrowError),
    /// A row did not become JSON.
    #[error("row {row} cannot be read as an event: {source}")]
    Row {
        /// The row, from 1.
        row: u64,
        /// Why.
        source: serde_json::Error,
    },
}

/// Gives each row to `sink` as (number from 1, JSON), and `None` at the end. `sink` answers whether to go on.
pub fn each(
    file: File,
    read: &AtomicU64,
    bytes: u64,
    mut sink: impl FnMut(Option<(u64, &[u8])>) -> bool,
) -> Result<(), Error> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0).max(1);
    let mut number = 0;
    for batch in builder.with_batch_size(ROWS_AT_A_TIME).build()? {
        for line in lines(&batch?)?.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            number += 1;
            let event = event(line).map_err(|source| Error::Row { row: number, source })?;
            // How far the rows are is how far the file is.
            read.store((u128::from(bytes) * u128::from(number) / u128::from(rows)) as u64, Ordering::Relaxed);
            if !sink(Some((number, &event))) {
                return Ok(());
            }
        }
    }
    sink(None);
    Ok(())
}

fn lines(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let builder = WriterBuilder::new().with_timestamp_format(UTC.to_owned());
    let mut writer = builder.build::<_, LineDelimited>(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    Ok(writer.into_inner())
}

fn event(line: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let mut fields: Map<String, Value> = serde_json::from_slice(line)?;
    for name in ["properties", "attributes"] {
        if let Some(Value::String(text)) = fields.get(name)
            && let Ok(parsed @ Value::Object(_)) = serde_json::from_str(text)
        {
            fields.insert(name.to_owned(), parsed);
        }
    }
    if !fields.contains_key("unit")
        && !fields.contains_key("units")
        && let Some(id) = fields.remove("unit_id")
    {
        let unit = match fields.remove("unit_type") {
            Some(kind) => json!({"type": kind, "id": id}),
            None => json!({"id": id}),
        };
        fields.insert("unit".to_owned(), unit);
    }
    serde_json::to_vec(&fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(line: &str) -> Value {
        serde_json::from_slice(&event(line.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn flat_units_and_json_texts_become_fields() {
        let row = r#"{"id":"e1","unit_id":"u1","unit_type":"account","properties":"{\"price\": 2.5}"}"#;
        assert_eq!(
            changed(row),
            json!({"id": "e1", "unit": {"type": "account", "id": "u1"}, "properties": {"price": 2.5}})
        );
        assert_eq!(changed(r#"{"unit_id":"u1"}"#), json!({"unit": {"id": "u1"}}));
    }

    #[test]
    fn what_has_the_right_form_stays() {
        let row = json!({"unit": {"id": "u1"}, "unit_id": "other", "properties": "no object"});
        assert_eq!(changed(&row.to_string()), row);
    }
}
