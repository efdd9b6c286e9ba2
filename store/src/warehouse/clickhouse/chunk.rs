//! A batch as inserts: one, but for batches that the server would refuse as a whole.

use std::collections::{BTreeSet, HashSet};

use liftgate_domain::{EventRow, SealedBatch};

/// Microseconds in 28 days: no such span touches more than two months, which are the table's partitions.
const SPAN_MICROS: i64 = 28 * 86_400 * 1_000_000;
/// Spans in one insert: at most 90 partitions, where a server allows 100.
const SPANS_MAX: usize = 45;
/// Text in one insert, in bytes. The server keeps what one insert brings together as one block up to 256 MiB.
const BYTES_MAX: usize = 64 << 20;

/// Rows that one insert brings.
pub(super) struct Chunk<'a> {
    /// Names the insert: the same rows have the same name whenever they are sent.
    pub(super) token: String,
    pub(super) rows: Vec<&'a EventRow>,
    /// About how much text and numbers they have, in bytes.
    pub(super) bytes: usize,
}

/// Cuts a batch into inserts. A function of the batch alone, so that a retry repeats every insert. A batch is a set of
/// events: of two rows with one identity the first is the event.
pub(super) fn chunks(batch: &SealedBatch) -> Vec<Chunk<'_>> {
    let mut seen = HashSet::with_capacity(batch.rows.len());
    let mut rows: Vec<&EventRow> = batch.rows.iter().collect();
    rows.retain(|row| seen.insert((row.environment, row.event_id.as_str(), row.unit_type.as_str())));
    let spans: BTreeSet<i64> = rows.iter().copied().map(span).collect();
    let spans: Vec<i64> = spans.into_iter().collect();
    let mut pieces: Vec<(Vec<&EventRow>, usize)> = Vec::new();
    for group in spans.chunks(SPANS_MAX) {
        let of_group = rows.iter().copied().filter(|row| group.binary_search(&span(row)).is_ok());
        let (mut piece, mut bytes) = (Vec::new(), 0);
        for row in of_group {
            let size = text_bytes(row);
            if bytes + size > BYTES_MAX && !piece.is_empty() {
                pieces.push((std::mem::take(&mut piece), std::mem::take(&mut bytes)));
            }
            piece.push(row);
            bytes += size;
        }
        pieces.push((piece, bytes));
    }
    let name = format!("{}-{}-{}", batch.node, batch.epoch, batch.sequence);
    let is_whole = pieces.len() == 1;
    let named = |(position, (rows, bytes))| Chunk {
        token: if is_whole { name.clone() } else { format!("{name}/{position}") },
        rows,
        bytes,
    };
    pieces.into_iter().enumerate().map(named).collect()
}

fn span(row: &EventRow) -> i64 {
    row.ts_client.as_micros().div_euclid(SPAN_MICROS)
}

/// About how much text a row has; what bounds the size of an insert, not what is sent.
fn text_bytes(row: &EventRow) -> usize {
    let properties = row.properties.iter().flatten().map(|(name, value)| name.len() + value_bytes(value));
    row.event_id.len() + row.unit_id.len() + row.name.len() + properties.sum::<usize>() + 200
}

fn value_bytes(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(value_bytes).sum(),
        Value::Object(map) => map.iter().map(|(name, value)| name.len() + value_bytes(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}

#[cfg(test)]
mod tests {
    use liftgate_domain::{RowKind, Timestamp};

    use super::*;

    fn row(id: usize, day: i64) -> EventRow {
        let at = Timestamp(day * 86_400_000_000);
        EventRow {
            event_id: format!("e{id}"),
            environment: 1,
            kind: RowKind::Metric,
            ts: at,
            ts_client: at,
            received_at: at,
            unit_index: 0,
            unit_type: "user".into(),
            unit_id: "u".into(),
            unit_hash: 1,
            name: "buy".into(),
            variation: None,
            run: None,
            stage: None,
            arm: None,
            bucket: None,
            value: None,
            properties: None,
            source: "native".into(),
            revision: 0,
        }
    }

    fn batch(rows: Vec<EventRow>) -> SealedBatch {
        SealedBatch { node: "n".into(), epoch: 2, sequence: 3, received_through: Timestamp(0), rows }
    }

    #[test]
    fn a_usual_batch_is_one_insert_in_its_order() {
        let batch = batch(vec![row(2, 20_000), row(1, 20_001), row(2, 20_002)]);
        let chunks = chunks(&batch);
        assert_eq!(chunks.len(), 1);
        let ids: Vec<_> = chunks[0].rows.iter().map(|row| row.event_id.as_str()).collect();
        assert_eq!((chunks[0].token.as_str(), ids), ("n-2-3", vec!["e2", "e1"]));
    }

    #[test]
    fn rows_of_many_months_are_cut_and_none_is_lost() {
        // Ten years before and after the epoch, a row every five days, in no order.
        let rows = (0..1_460_usize).map(|id| row(id, i64::try_from((id * 997) % 1_460).unwrap() * 5 - 3_650)).collect();
        let batch = batch(rows);
        let chunks = chunks(&batch);
        assert!(chunks.len() > 1);
        let tokens: HashSet<_> = chunks.iter().map(|chunk| chunk.token.as_str()).collect();
        assert_eq!(tokens.len(), chunks.len());
        assert_eq!(chunks.iter().map(|chunk| chunk.rows.len()).sum::<usize>(), 1_460);
        for chunk in &chunks {
            // A span of 28 days touches two months at most.
            assert!(chunk.rows.iter().copied().map(span).collect::<BTreeSet<_>>().len() <= 45);
        }
    }

    #[test]
    fn a_batch_of_great_size_is_cut() {
        let large = EventRow { name: "x".repeat(30 << 20), ..row(1, 1) };
        let rows = (0..4).map(|id| EventRow { event_id: id.to_string(), ..large.clone() }).collect();
        let batch = batch(rows);
        let sizes: Vec<_> = chunks(&batch).iter().map(|chunk| chunk.rows.len()).collect();
        assert_eq!(sizes, [2, 2]);
    }
}
