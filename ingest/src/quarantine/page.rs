//! Looking into quarantine, a page at a time.

use std::collections::BTreeSet;

use liftgate_domain::{EventRow, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::quarantine::{Entry, Held, QuarantineId, QuarantineReason};
use crate::segment::Segments;

/// The most events of a page.
pub const QUARANTINE_PAGE_MAX: usize = 1_000;

/// Which events to list.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct QuarantineFilter {
    /// Only those that are there for this reason.
    #[serde(default)]
    pub reason: Option<QuarantineReason>,
    /// Only those behind this one: the page before's `next`.
    #[serde(default)]
    pub after: Option<QuarantineId>,
    /// At most so many, 1 to [`QUARANTINE_PAGE_MAX`], which is what more means; 100 when absent.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// Events in quarantine, in order of arrival.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct QuarantinePage {
    /// The events.
    pub events: Vec<QuarantinedEvent>,
    /// What to continue after; absent on the last page.
    pub next: Option<QuarantineId>,
}

/// An event in quarantine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QuarantinedEvent {
    /// Its name in quarantine.
    pub id: QuarantineId,
    /// The stable reason.
    pub code: QuarantineReason,
    /// The reason in words.
    pub detail: String,
    /// When this node received it.
    pub received_at: Timestamp,
    /// When it happened, as corrected.
    pub ts: Timestamp,
    /// Its rows, one for each unit.
    pub rows: Vec<EventRow>,
}

impl QuarantineFilter {
    pub(crate) fn limit(&self) -> usize {
        self.limit.unwrap_or(100).clamp(1, QUARANTINE_PAGE_MAX)
    }
}

impl QuarantinedEvent {
    fn new(id: QuarantineId, entry: Entry) -> Option<Self> {
        let first = entry.rows.first()?;
        Some(Self {
            id,
            code: entry.doubt.reason,
            detail: entry.doubt.detail(first.ts, first.ts_client),
            received_at: first.received_at,
            ts: first.ts,
            rows: entry.rows,
        })
    }
}

/// Reads these events from disk, in their order; those that have left meanwhile are missing. Blocks.
pub(crate) fn read(held: &Held, log: &Segments, ids: &[QuarantineId]) -> Result<Vec<QuarantinedEvent>, Error> {
    let records: BTreeSet<u64> = ids.iter().map(|id| id.record).collect();
    let mut found = held.read(&records, log)?;
    let event = |id: &QuarantineId| {
        let entries = &mut found.get_mut(&id.record)?.1;
        let at = entries.iter().position(|entry| entry.position == id.position)?;
        QuarantinedEvent::new(*id, entries.swap_remove(at))
    };
    Ok(ids.iter().filter_map(event).collect())
}
