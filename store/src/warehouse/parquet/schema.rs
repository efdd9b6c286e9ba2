//! The columns of a data file. Environment, kind and day are in the path (hive style), not in the file.
//!
//! Times are UTC without a zone: DuckDB and others show them without a time zone database. What repeats is a
//! dictionary, in memory as on disk. What nearly follows from another column is stored as the difference: receipt as
//! microseconds after the event, the sender's own time only where it is another one.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, StringDictionaryBuilder, TimestampMicrosecondArray,
    TimestampMillisecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use liftgate_domain::{EventRow, SealedBatch, StoreError};

/// Goes up when a column changes its meaning.
pub(super) const SCHEMA_VERSION: u16 = 2;

pub(super) const EVENT_ID: &str = "event_id";
pub(super) const TS: &str = "ts";
pub(super) const TS_US: &str = "ts_us";
pub(super) const TS_CLIENT: &str = "ts_client";
pub(super) const RECEIVED_AFTER_US: &str = "received_after_us";
pub(super) const UNIT_INDEX: &str = "unit_index";
pub(super) const UNIT_TYPE: &str = "unit_type";
pub(super) const UNIT_ID: &str = "unit_id";
pub(super) const NAME: &str = "name";
pub(super) const VARIATION: &str = "variation";
pub(super) const RUN: &str = "run";
pub(super) const STAGE: &str = "stage";
pub(super) const ARM: &str = "arm";
pub(super) const BUCKET: &str = "bucket";
pub(super) const VALUE: &str = "value";
pub(super) const PROPERTIES: &str = "properties";
pub(super) const NODE: &str = "node";
pub(super) const EPOCH: &str = "epoch";
pub(super) const BATCH_SEQUENCE: &str = "batch_sequence";
pub(super) const REVISION: &str = "revision";
pub(super) const SOURCE: &str = "source";
pub(super) const VERSION: &str = "schema_version";

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| schema_with(dictionary()));
static PLAIN: LazyLock<SchemaRef> = LazyLock::new(|| schema_with(DataType::Utf8));

fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The columns, with texts that repeat as `text`.
fn schema_with(text: DataType) -> SchemaRef {
    let required = |column: &str, kind: &DataType| Field::new(column, kind.clone(), false);
    let optional = |column: &str, kind: &DataType| Field::new(column, kind.clone(), true);
    Arc::new(Schema::new(vec![
        required(EVENT_ID, &DataType::Utf8),
        required(TS, &DataType::Timestamp(TimeUnit::Millisecond, None)),
        required(TS_US, &DataType::UInt16),
        optional(TS_CLIENT, &DataType::Timestamp(TimeUnit::Microsecond, None)),
        required(RECEIVED_AFTER_US, &DataType::Int64),
        required(UNIT_INDEX, &DataType::UInt8),
        required(UNIT_TYPE, &text),
        required(UNIT_ID, &text),
        required(NAME, &text),
        optional(VARIATION, &text),
        optional(RUN, &DataType::UInt64),
        optional(STAGE, &DataType::UInt32),
        optional(ARM, &text),
        optional(BUCKET, &DataType::UInt32),
        optional(VALUE, &DataType::Float64),
        optional(PROPERTIES, &DataType::Utf8),
        required(SOURCE, &text),
        required(REVISION, &DataType::UInt64),
        required(NODE, &text),
        required(EPOCH, &DataType::UInt64),
        required(BATCH_SEQUENCE, &DataType::UInt64),
        required(VERSION, &DataType::UInt16),
    ]))
}

/// The schema of every data file and tail piece.
pub(super) fn schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

/// The same without dictionaries: for copying rows of files whose dictionaries differ.
pub(super) fn plain_schema() -> SchemaRef {
    Arc::clone(&PLAIN)
}

/// Rows of `batch` as columns.
pub(super) fn to_columns(batch: &SealedBatch, rows: &[&EventRow]) -> Result<RecordBatch, StoreError> {
    let column = |array: ArrayRef| array;
    let of_ts = |of: fn(i64) -> i64| rows.iter().map(move |row| of(row.ts.as_micros()));
    let ts_us = of_ts(|micros| micros.rem_euclid(1_000)).map(|micros| micros as u16);
    // Differences wrap: adding them back gives the instant again, whatever it is.
    let after = rows.iter().map(|row| row.received_at.as_micros().wrapping_sub(row.ts.as_micros()));
    let client = rows.iter().map(|row| (row.ts_client != row.ts).then_some(row.ts_client.as_micros()));
    let arrays = vec![
        column(Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.event_id)))),
        column(Arc::new(TimestampMillisecondArray::from_iter_values(of_ts(|micros| micros.div_euclid(1_000))))),
        column(Arc::new(UInt16Array::from_iter_values(ts_us))),
        column(Arc::new(client.collect::<TimestampMicrosecondArray>())),
        column(Arc::new(Int64Array::from_iter_values(after))),
        column(Arc::new(UInt8Array::from_iter_values(rows.iter().map(|row| row.unit_index)))),
        names(rows.iter().map(|row| Some(row.unit_type.as_str())))?,
        names(rows.iter().map(|row| Some(row.unit_id.as_str())))?,
        names(rows.iter().map(|row| Some(row.name.as_str())))?,
        names(rows.iter().map(|row| row.variation.as_deref()))?,
        column(Arc::new(rows.iter().map(|row| row.run).collect::<UInt64Array>())),
        column(Arc::new(rows.iter().map(|row| row.stage).collect::<UInt32Array>())),
        names(rows.iter().map(|row| row.arm.as_deref()))?,
        column(Arc::new(rows.iter().map(|row| row.bucket).collect::<UInt32Array>())),
        column(Arc::new(rows.iter().map(|row| row.value).collect::<Float64Array>())),
        column(Arc::new(rows.iter().map(|row| properties(row)).collect::<Result<StringArray, _>>()?)),
        names(rows.iter().map(|row| Some(row.source.as_str())))?,
        column(Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.revision)))),
        names(rows.iter().map(|_| Some(&*batch.node)))?,
        column(Arc::new(UInt64Array::from_value(batch.epoch, rows.len()))),
        column(Arc::new(UInt64Array::from_value(batch.sequence, rows.len()))),
        column(Arc::new(UInt16Array::from_value(SCHEMA_VERSION, rows.len()))),
    ];
    RecordBatch::try_new(schema(), arrays).map_err(|error| unusable(&error))
}

fn names<'a>(values: impl Iterator<Item = Option<&'a str>>) -> Result<ArrayRef, StoreError> {
    let mut builder = StringDictionaryBuilder::<Int32Type>::new();
    for value in values {
        match value {
            Some(value) => builder.append(value).map(|_| ()).map_err(|error| unusable(&error))?,
            None => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn properties(row: &EventRow) -> Result<Option<String>, StoreError> {
    let text = row.properties.as_ref().map(serde_json::to_string).transpose();
    text.map_err(|error| StoreError::Invalid(format!("properties of event `{}`: {error}", row.event_id)))
}

/// An error of Arrow itself, while columns are built or rearranged.
pub(super) fn unusable(error: &ArrowError) -> StoreError {
    StoreError::Invalid(format!("rows could not be laid out in columns: {error}"))
}
