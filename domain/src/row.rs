//! The canonical event row, and the sealed batch that carries rows to a warehouse.

use std::sync::Arc;

use liftgate_evaluator::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a row records.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowKind {
    /// A unit was served a variation.
    Exposure,
    /// A unit did something.
    Metric,
}

impl RowKind {
    /// The stored name, also a folder of the Parquet layout.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exposure => "exposure",
            Self::Metric => "metric",
        }
    }
}

/// One admitted event as it concerns one unit. The event's identity is (environment, event id), the row's that and the
/// unit type: a question about one unit type never sees an event twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventRow {
    /// The sender's id, at most 128 bytes.
    pub event_id: String,
    /// The number of the environment it belongs to.
    pub environment: u64,
    /// Exposure or metric event.
    pub kind: RowKind,
    /// When it happened, by the sender's clock as corrected with what the sender told of it.
    pub ts: Timestamp,
    /// When it happened as the sender wrote it: what a retry repeats, so partitions and sorting keys use it.
    pub ts_client: Timestamp,
    /// When this node admitted it.
    pub received_at: Timestamp,
    /// 0 for the event's first unit; 1, 2 ... for further units, each of which has a row of its own. Counts of events
    /// count rows with 0.
    #[serde(default)]
    pub unit_index: u8,
    /// The unit's type, such as `user`.
    pub unit_type: String,
    /// The unit's id.
    pub unit_id: String,
    /// [`EventRow::unit_hash_of`] environment, type and id.
    pub unit_hash: u64,
    /// The flag (exposures) or the event's name (metric events).
    pub name: String,
    /// The variation served, for exposures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variation: Option<String>,
    /// The run it belongs to, when attributed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// The run's stage at that instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<u32>,
    /// The arm; absent for a unit that was served but is not analysed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// The unit's bucket in that run, 0 to 99 999.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<u32>,
    /// The event's own value, finite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Further properties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties: Option<Map<String, Value>>,
    /// Who sent it: `native`, `server`.
    pub source: String,
    /// The ruleset revision that served it; 0 when unknown.
    #[serde(default)]
    pub revision: u64,
}

/// Rows in a fixed order under a name that a retry repeats: (node, epoch, sequence).
#[derive(Clone, Debug, PartialEq)]
pub struct SealedBatch {
    /// The node whose log sealed it.
    pub node: Arc<str>,
    /// The log's epoch: plus one whenever a node's log starts anew.
    pub epoch: u64,
    /// 1, 2, 3 ... within the epoch. An empty batch only moves the watermark and repeats the last sequence.
    pub sequence: u64,
    /// Everything this node admitted up to here is in this batch or one before it.
    pub received_through: Timestamp,
    /// The rows.
    pub rows: Vec<EventRow>,
}

impl EventRow {
    /// The hash that rows of a unit share: xxh3-64 over `environment \0 type \0 id`.
    pub fn unit_hash_of(environment: u64, unit_type: &str, unit_id: &str) -> u64 {
        let mut hasher = xxhash_rust::xxh3::Xxh3Default::new();
        hasher.update(&environment.to_le_bytes());
        hasher.update(b"\0");
        hasher.update(unit_type.as_bytes());
        hasher.update(b"\0");
        hasher.update(unit_id.as_bytes());
        hasher.digest()
    }
}
