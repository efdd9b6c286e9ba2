//! A row as the table `events` holds it.

use clickhouse::Row;
use liftgate_domain::{EventRow, RowKind, SealedBatch};
use serde::Serialize;
use serde_json::Value;

/// The version of this form, kept in every row.
const SCHEMA_VERSION: u16 = 1;

/// A stored row. The columns' types are those of the table, which the client compares before the first row.
#[derive(Row, Serialize)]
pub(super) struct Record<'a> {
    environment: u64,
    /// As numbered by the table's enumeration.
    kind: i8,
    name: &'a str,
    unit_type: &'a str,
    unit_hash: u64,
    unit_id: &'a str,
    unit_index: u8,
    event_id: &'a str,
    /// A hash of the row's identity, event id and unit type: cheap to look for repeats by.
    event_hash: u64,
    /// Microseconds, as all instants.
    ts: i64,
    ts_client: i64,
    received_at: i64,
    variation: Option<&'a str>,
    run: Option<u64>,
    stage: Option<u32>,
    arm: Option<&'a str>,
    bucket: Option<u32>,
    value: Option<f64>,
    /// All properties as JSON; nothing reads it but people and later versions.
    properties: Option<String>,
    /// The properties that are JSON numbers.
    numbers: Vec<(&'a str, f64)>,
    /// Text, numbers and booleans among the properties: text as it is, the others as their JSON.
    texts: Vec<(&'a str, String)>,
    source: &'a str,
    revision: u64,
    node: &'a str,
    epoch: u64,
    sequence: u64,
    schema_version: u16,
}

impl<'a> Record<'a> {
    pub(super) fn of(row: &'a EventRow, batch: &'a SealedBatch) -> Self {
        let properties = row.properties.iter().flatten();
        let numbers = properties.clone().filter_map(|(name, value)| Some((name.as_str(), value.as_f64()?)));
        let texts = properties.filter_map(|(name, value)| match value {
            Value::String(text) => Some((name.as_str(), text.clone())),
            Value::Number(_) | Value::Bool(_) => Some((name.as_str(), value.to_string())),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        });
        Self {
            environment: row.environment,
            kind: match row.kind {
                RowKind::Exposure => 1,
                RowKind::Metric => 2,
            },
            name: &row.name,
            unit_type: &row.unit_type,
            unit_hash: row.unit_hash,
            unit_id: &row.unit_id,
            unit_index: row.unit_index,
            event_id: &row.event_id,
            event_hash: event_hash(row),
            ts: row.ts.as_micros(),
            ts_client: row.ts_client.as_micros(),
            received_at: row.received_at.as_micros(),
            variation: row.variation.as_deref(),
            run: row.run,
            stage: row.stage,
            arm: row.arm.as_deref(),
            bucket: row.bucket,
            value: row.value,
            // A map of JSON values with text as keys can always be written.
            properties: row.properties.as_ref().map(|map| serde_json::to_string(map).unwrap_or_default()),
            // Exposures are told apart by texts, metric events added up by numbers; nothing reads the other.
            numbers: if row.kind == RowKind::Metric { numbers.collect() } else { Vec::new() },
            texts: if row.kind == RowKind::Exposure { texts.collect() } else { Vec::new() },
            source: &row.source,
            revision: row.revision,
            node: &batch.node,
            epoch: batch.epoch,
            sequence: batch.sequence,
            schema_version: SCHEMA_VERSION,
        }
    }
}

fn event_hash(row: &EventRow) -> u64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3Default::new();
    hasher.update(row.event_id.as_bytes());
    hasher.update(b"\0");
    hasher.update(row.unit_type.as_bytes());
    hasher.digest()
}
