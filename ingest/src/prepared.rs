//! The events of a request, ready for the log: encoded before the door's lock is taken, sorted into those for the
//! warehouse and those for quarantine. Events stay in the order sent, and the rows of one stay together.

use liftgate_domain::EventRow;

use crate::keys::{self, Day, Key};
use crate::quarantine::{Charge, Doubt, QuarantineId, QuarantineReason, entry};
use crate::record::{Fate, Release};
use crate::row_codec;

/// Events ready for the log.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    /// One key an event, in the order sent.
    pub keys: Vec<Key>,
    pub content: Content,
    /// Where the rows of an event for the warehouse end, by event.
    ends: Vec<End>,
    /// The places of the events for quarantine among all, in order.
    held_places: Vec<usize>,
    /// Where the events come from when they leave quarantine: one an event then, else none.
    pub leaving: Vec<Leaving>,
}

/// An event that leaves quarantine to become rows.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Leaving {
    pub id: QuarantineId,
    /// When its id was last taken in. While that is known, it is known for this very event.
    pub day: Day,
}

/// Whether an event may enter.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// It is new.
    New,
    /// It is durable already, or on its way with this very request.
    Repeated,
    /// Another request is writing it; how that ends is not known.
    Pending,
}

/// What goes into the log.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// Rows for the warehouse.
    pub rows: Vec<EventRow>,
    /// The same, encoded.
    pub bytes: Vec<u8>,
    /// Events for quarantine.
    pub held: Vec<HeldEvent>,
    /// What these take in the log, in bytes.
    held_bytes: usize,
    /// Events that leave quarantine.
    pub releases: Vec<Release>,
}

/// An event for quarantine.
#[derive(Debug)]
pub(crate) struct HeldEvent {
    pub environment: u64,
    /// Its place in the record.
    pub position: u32,
    pub reason: QuarantineReason,
    /// Its entry.
    pub bytes: Vec<u8>,
    pub charge: Charge,
}

#[derive(Copy, Clone, Debug)]
struct End {
    rows: usize,
    bytes: usize,
}

impl Prepared {
    /// Adds an event that has one row. Its `received_at` is set by the door.
    pub(crate) fn push(&mut self, row: EventRow) {
        self.keys.push(keys::key_of(row.environment, &row.event_id));
        self.push_row(row);
        self.end_event();
    }

    /// Adds an event with a row for each unit, at least one.
    pub(crate) fn push_event(&mut self, rows: impl IntoIterator<Item = EventRow>) {
        for row in rows {
            if row.unit_index == 0 {
                self.keys.push(keys::key_of(row.environment, &row.event_id));
            }
            self.push_row(row);
        }
        self.end_event();
    }

    /// Adds an event that leaves quarantine.
    pub(crate) fn push_leaving(&mut self, leaving: Leaving, rows: impl IntoIterator<Item = EventRow>) {
        self.leaving.push(leaving);
        self.push_event(rows);
    }

    /// Adds an event for quarantine, encoded by [`Prepared::encode_held`].
    pub(crate) fn push_held(&mut self, key: Key, held: HeldEvent) {
        self.held_places.push(self.keys.len());
        self.keys.push(key);
        self.content.held_bytes += held.bytes.len();
        self.content.held.push(held);
    }

    /// An event as an entry of quarantine.
    pub(crate) fn encode_held(&self, doubt: Doubt, rows: &[EventRow]) -> (u32, Vec<u8>) {
        let position = u32::try_from(self.content.held.len()).expect("a request has fewer than 2^32 bytes");
        let mut bytes = Vec::new();
        entry::put_head(&mut bytes, position, doubt, rows.len());
        rows.iter().for_each(|row| row_codec::encode(row, &mut bytes));
        (position, bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.content.releases.is_empty()
    }

    /// What it takes in the log, in bytes.
    pub(crate) fn byte_count(&self) -> usize {
        self.content.byte_count()
    }

    /// Leaves only what is new; answers which of the events for quarantine are.
    pub(crate) fn keep_new(&mut self, verdicts: &[Verdict]) -> Vec<bool> {
        if let Some(environment) = self.content.rows.first().map(|row| row.environment)
            && !self.leaving.is_empty()
        {
            for (fate, verdict) in [(Fate::Replayed, Verdict::New), (Fate::Discarded, Verdict::Repeated)] {
                let of_fate = self.leaving.iter().zip(verdicts).filter(|(_, of)| **of == verdict);
                let ids: Vec<QuarantineId> = of_fate.map(|(leaving, _)| leaving.id).collect();
                if !ids.is_empty() {
                    self.content.releases.push(Release { environment, fate, ids });
                }
            }
        }
        let marked: Vec<bool> = verdicts.iter().map(|verdict| *verdict == Verdict::New).collect();
        self.keep(&marked)
    }

    fn keep(&mut self, marked: &[bool]) -> Vec<bool> {
        let held_marks: Vec<bool> = self.held_places.iter().map(|place| marked[*place]).collect();
        if marked.iter().all(|marked| *marked) {
            return held_marks;
        }
        let mut held_places = self.held_places.iter().copied().peekable();
        let row_marks =
            (0..marked.len()).filter(|place| held_places.next_if_eq(place).is_none()).map(|place| marked[place]);
        let mut bytes = Vec::with_capacity(self.content.bytes.len());
        let mut row_kept = Vec::with_capacity(self.content.rows.len());
        let mut start = End { rows: 0, bytes: 0 };
        for (end, keep) in self.ends.iter().zip(row_marks) {
            if keep {
                bytes.extend_from_slice(&self.content.bytes[start.bytes..end.bytes]);
            }
            row_kept.resize(end.rows, keep);
            start = *end;
        }
        self.content.bytes = bytes;
        retain_marked(&mut self.content.rows, &row_kept);
        retain_marked(&mut self.content.held, &held_marks);
        self.content.held_bytes = self.content.held.iter().map(|held| held.bytes.len()).sum();
        retain_marked(&mut self.keys, marked);
        held_marks
    }

    fn push_row(&mut self, row: EventRow) {
        row_codec::encode(&row, &mut self.content.bytes);
        self.content.rows.push(row);
    }

    fn end_event(&mut self) {
        self.ends.push(End { rows: self.content.rows.len(), bytes: self.content.bytes.len() });
    }
}

impl Content {
    /// What it takes in the log, in bytes.
    pub(crate) fn byte_count(&self) -> usize {
        self.bytes.len() + self.held_bytes
    }

    /// How many rows it has, as records count them.
    pub(crate) fn row_count(&self) -> u32 {
        u32::try_from(self.rows.len()).expect("a request's bytes are bounded below 2^32")
    }
}

fn retain_marked<T>(list: &mut Vec<T>, marked: &[bool]) {
    let mut marks = marked.iter();
    list.retain(|_| marks.next() == Some(&true));
}

#[cfg(test)]
mod tests {
    use liftgate_domain::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::quarantine::Room;
    use crate::record::EncodedRows;

    fn row(event: usize, unit_index: u8) -> EventRow {
        EventRow {
            event_id: format!("e{event}"),
            environment: 1,
            kind: liftgate_domain::RowKind::Metric,
            ts: Timestamp(1),
            ts_client: Timestamp(1),
            received_at: Timestamp(0),
            unit_index,
            unit_type: format!("type {unit_index}"),
            unit_id: "u".to_owned(),
            unit_hash: EventRow::unit_hash_of(1, &format!("type {unit_index}"), "u"),
            name: "n".to_owned(),
            variation: None,
            run: None,
            stage: None,
            arm: None,
            bucket: None,
            value: None,
            properties: None,
            source: "native".to_owned(),
            revision: 0,
        }
    }

    proptest! {
        /// Events are (rows, for quarantine, kept).
        #[test]
        fn what_is_kept_stays_in_order_and_whole(events in prop::collection::vec((1_u8..4, any::<bool>(), any::<bool>()), 0..20)) {
            let room = Room::new(1 << 20);
            let mut prepared = Prepared::default();
            let (mut kept_rows, mut kept_held, mut held_marks) = (Vec::new(), Vec::new(), Vec::new());
            for (event, (units, is_held, is_kept)) in events.iter().enumerate() {
                let rows: Vec<_> = (0..*units).map(|unit| row(event, unit)).collect();
                if *is_held {
                    let doubt = Doubt { reason: QuarantineReason::TimestampTooOld, limit: Timestamp(0) };
                    let (position, bytes) = prepared.encode_held(doubt, &rows);
                    let charge = room.charge(bytes.len()).unwrap();
                    let held = HeldEvent { environment: 1, position, reason: doubt.reason, bytes: bytes.clone(), charge };
                    prepared.push_held(event as Key, held);
                    held_marks.push(*is_kept);
                    kept_held.extend(is_kept.then_some(bytes));
                } else {
                    prepared.push_event(rows.clone());
                    kept_rows.extend(rows.into_iter().filter(|_| *is_kept));
                }
            }
            let marks: Vec<bool> = events.iter().map(|event| event.2).collect();
            prop_assert_eq!(prepared.keep(&marks), held_marks);
            prop_assert_eq!(prepared.keys.len(), marks.iter().filter(|mark| **mark).count());
            let encoded = EncodedRows { stamp: Timestamp(0), count: prepared.content.row_count(), bytes: &prepared.content.bytes };
            prop_assert_eq!(encoded.decode().unwrap(), kept_rows.clone());
            prop_assert_eq!(&prepared.content.rows, &kept_rows);
            let held: Vec<_> = prepared.content.held.iter().map(|held| held.bytes.clone()).collect();
            prop_assert_eq!(held, kept_held);
        }
    }
}
