//! The columns of a data file. Environment, kind and day are in the path (hive style), not in the file.
//!
//! Times are microseconds without a zone, UTC by definition: DuckDB and others show them without a time zone
//! database. Names that repeat are dictionaries, in memory as on disk.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, Float64Array, RecordBatch, StringArray, StringDictionaryBuilder, TimestampMicrosecondArray, UInt16Array,
    UInt32Array, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use liftgate_domain::{EventRow, SealedBatch, StoreError};

/// Goes up when a column changes its meaning.
const SCHEMA_VERSION: u16 = 1;

pub(super) const EVENT_ID: &str = "event_id";
pub(super) const TS: &str = "ts";
pub(super) const RECEIVED_AT: &str = "received_at";
pub(super) const UNIT_TYPE: &str = "unit_type";
pub(super) const UNIT_ID: &str = "unit_id";
pub(super) const UNIT_HASH: &str = "unit_hash";
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

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let name = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let time = || DataType::Timestamp(TimeUnit::Microsecond, None);
    let required = |column: &str, kind| Field::new(column, kind, false);
    let optional = |column: &str, kind| Field::new(column, kind, true);
    Arc::new(Schema::new(vec![
        required(EVENT_ID, DataType::Utf8),
        required(TS, time()),
        required(RECEIVED_AT, time()),
        required(UNIT_TYPE, name()),
        required(UNIT_ID, DataType::Utf8),
        required(UNIT_HASH, DataType::UInt64),
        required(NAME, name()),
        optional(VARIATION, name()),
        optional(RUN, DataType::UInt64),
        optional(STAGE, DataType::UInt32),
        optional(ARM, name()),
        optional(BUCKET, DataType::UInt32),
        optional(VALUE, DataType::Float64),
        optional(PROPERTIES, DataType::Utf8),
        required("source", name()),
        required("revision", DataType::UInt64),
        required(NODE, name()),
        required(EPOCH, DataType::UInt64),
        required(BATCH_SEQUENCE, DataType::UInt64),
        required("schema_version", DataType::UInt16),
    ]))
});

/// The schema of every data file and tail piece.
pub(super) fn schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

/// Rows of `batch` as columns.
pub(super) fn to_columns(batch: &SealedBatch, rows: &[&EventRow]) -> Result<RecordBatch, StoreError> {
    let column = |array: ArrayRef| array;
    let micros = |of: fn(&EventRow) -> i64| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| of(row))))
    };
    let arrays = vec![
        column(Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.event_id)))),
        micros(|row| row.ts.as_micros()),
        micros(|row| row.received_at.as_micros()),
        names(rows.iter().map(|row| Some(row.unit_type.as_str())))?,
        column(Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.unit_id)))),
        column(Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.unit_hash)))),
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
