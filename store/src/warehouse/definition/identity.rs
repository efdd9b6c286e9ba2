//! Which rows are events: of several with one identity the first received.

use std::collections::BTreeMap;
use std::sync::Arc;

use liftgate_domain::{EventCounts, EventRow, RowKind, SealedBatch, Timestamp};

/// A row's identity within its environment: event id and unit type.
type Identity<'a> = (&'a str, &'a str);

/// What orders the rows of one identity: receipt, node, epoch, sequence.
type Rank<'a> = (Timestamp, &'a str, u64, u64);

/// One row an identity, in the order of event id and unit type: the one received first; of those the one of the
/// smallest (node, epoch, sequence).
pub(super) fn events(batches: &[Arc<SealedBatch>], environment: u64) -> Vec<&EventRow> {
    let mut rows: BTreeMap<Identity<'_>, (Rank<'_>, &EventRow)> = BTreeMap::new();
    for batch in batches {
        for row in batch.rows.iter().filter(|row| row.environment == environment) {
            let rank = (row.received_at, &*batch.node, batch.epoch, batch.sequence);
            let kept = rows.entry((&row.event_id, &row.unit_type)).or_insert((rank, row));
            if rank < kept.0 {
                *kept = (rank, row);
            }
        }
    }
    rows.into_values().map(|(_, row)| row).collect()
}

/// Counts the distinct events of an environment, of whose rows one has the unit index 0, and the rows stored beyond
/// the distinct ones.
pub(in super::super) fn counts(batches: &[Arc<SealedBatch>], environment: u64) -> EventCounts {
    let distinct = events(batches, environment);
    let stored = batches.iter().flat_map(|batch| &batch.rows).filter(|row| row.environment == environment).count();
    let of_kind = |kind| distinct.iter().filter(|row| row.kind == kind && row.unit_index == 0).count() as u64;
    EventCounts {
        exposures: of_kind(RowKind::Exposure),
        metrics: of_kind(RowKind::Metric),
        surplus: (stored - distinct.len()) as u64,
    }
}
