//! What a frame of the log carries: a head (first in every segment), admitted rows, the seal of a batch, events held in
//! quarantine, or the release of some of these, with the rows that they have become.
//! All but seals repeat the last seal's mark, so that a seal lost to damage is known from any record after it.

use liftgate_domain::{EventRow, Timestamp};

use crate::quarantine::QuarantineId;
use crate::row_codec;

const ROWS: u8 = 1;
const SEAL: u8 = 2;
const HEAD: u8 = 3;
const HELD: u8 = 4;
const RELEASED: u8 = 5;
/// The payload of the checkpoint file, which is no record of the log: see `checkpoint`.
pub(crate) const CHECKPOINT: u8 = 6;
/// Bytes of a payload before what its kind adds: kind, stamp and mark.
const PREFIX_BYTES: usize = 1 + 8 + 24;
const ID_BYTES: usize = 12;

/// The last seal: every row record up to `last` belongs to this batch or one before it.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Mark {
    /// The epoch that the sequence counts in.
    pub epoch: u64,
    /// The batch; 0 before the first of the epoch.
    pub sequence: u64,
    /// The number of its last row record.
    pub last: u64,
}

/// The seal of a batch: the row records `first..=mark.last`.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Seal {
    pub mark: Mark,
    pub first: u64,
    pub received_through: Timestamp,
}

/// What becomes of events that leave quarantine.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    /// They are the rows of the same record.
    Replayed,
    /// Nothing.
    Discarded,
}

/// Events of one environment that leave quarantine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Release {
    pub environment: u64,
    pub fate: Fate,
    pub ids: Vec<QuarantineId>,
}

/// A payload, read.
#[derive(Debug)]
pub(crate) enum Record<'a> {
    /// Opens a segment. `stamp` is the last one given out before it.
    Head { mark: Mark, stamp: Timestamp },
    /// Admitted rows, all received at `stamp`.
    Rows { mark: Mark, stamp: Timestamp, count: u32, rows: &'a [u8] },
    /// A sealed batch.
    Seal(Seal),
    /// Events held in quarantine, received at `stamp`.
    Held { mark: Mark, stamp: Timestamp, count: u32, entries: &'a [u8] },
    /// Events that left quarantine, and the rows that they are from now on.
    Released { mark: Mark, stamp: Timestamp, release: Release, count: u32, rows: &'a [u8] },
}

/// The encoded rows of a record.
#[derive(Copy, Clone, Debug)]
pub(crate) struct EncodedRows<'a> {
    pub stamp: Timestamp,
    pub count: u32,
    pub bytes: &'a [u8],
}

impl EncodedRows<'_> {
    /// `None` when they are not `count` whole rows.
    pub(crate) fn decode(self) -> Option<Vec<EventRow>> {
        let mut bytes = self.bytes;
        let mut rows = Vec::with_capacity((self.count as usize).min(bytes.len()));
        for _ in 0..self.count {
            rows.push(row_codec::decode(&mut bytes, self.stamp)?);
        }
        bytes.is_empty().then_some(rows)
    }
}

impl<'a> Record<'a> {
    /// The rows for the warehouse, of a record that has any.
    pub(crate) fn rows(&self) -> Option<EncodedRows<'a>> {
        match *self {
            Self::Rows { stamp, count, rows: bytes, .. } | Self::Released { stamp, count, rows: bytes, .. }
                if count > 0 =>
            {
                Some(EncodedRows { stamp, count, bytes })
            }
            _ => None,
        }
    }
}

/// Appends the payload of a rows record; `rows` are encoded by [`row_codec`].
pub(crate) fn put_rows(out: &mut Vec<u8>, mark: Mark, stamp: Timestamp, count: u32, rows: &[u8]) {
    out.reserve(PREFIX_BYTES + 4 + rows.len());
    put_prefix(out, ROWS, mark, stamp);
    put_counted(out, count, rows);
}

/// Appends the payload of a seal.
pub(crate) fn put_seal(out: &mut Vec<u8>, seal: &Seal) {
    put_prefix(out, SEAL, seal.mark, seal.received_through);
    out.extend_from_slice(&seal.first.to_le_bytes());
}

/// Appends the payload of a segment's head.
pub(crate) fn put_head(out: &mut Vec<u8>, mark: Mark, stamp: Timestamp) {
    put_prefix(out, HEAD, mark, stamp);
}

/// Appends the payload of a record of events held in quarantine, encoded by [`crate::quarantine::entry`].
pub(crate) fn put_held(out: &mut Vec<u8>, mark: Mark, stamp: Timestamp, count: u32, entries: &[u8]) {
    put_prefix(out, HELD, mark, stamp);
    put_counted(out, count, entries);
}

/// Appends the payload of a release with its rows.
pub(crate) fn put_released(
    out: &mut Vec<u8>,
    mark: Mark,
    stamp: Timestamp,
    release: &Release,
    count: u32,
    rows: &[u8],
) {
    put_prefix(out, RELEASED, mark, stamp);
    out.push(u8::from(release.fate == Fate::Discarded));
    out.extend_from_slice(&release.environment.to_le_bytes());
    let ids = u32::try_from(release.ids.len()).expect("a release names at most a page of events");
    out.extend_from_slice(&ids.to_le_bytes());
    for id in &release.ids {
        out.extend_from_slice(&id.record.to_le_bytes());
        out.extend_from_slice(&id.position.to_le_bytes());
    }
    put_counted(out, count, rows);
}

/// Reads a payload; `None` when it is none of ours.
pub(crate) fn read(payload: &[u8]) -> Option<Record<'_>> {
    let kind = *payload.first()?;
    let stamp = Timestamp(number(payload, 1)?.cast_signed());
    let mark = Mark { epoch: number(payload, 9)?, sequence: number(payload, 17)?, last: number(payload, 25)? };
    let rest = payload.get(PREFIX_BYTES..)?;
    match kind {
        ROWS => {
            let (count, rows) = counted(rest)?;
            Some(Record::Rows { mark, stamp, count, rows })
        }
        SEAL => Some(Record::Seal(Seal { mark, first: number(rest, 0)?, received_through: stamp })),
        HEAD => Some(Record::Head { mark, stamp }),
        HELD => {
            let (count, entries) = counted(rest)?;
            Some(Record::Held { mark, stamp, count, entries })
        }
        RELEASED => {
            let fate = if rest.first()? & 1 == 1 { Fate::Discarded } else { Fate::Replayed };
            let environment = number(rest, 1)?;
            let (ids, rest) = counted(&rest[9..])?;
            let (ids, rest) = rest.split_at_checked((ids as usize).checked_mul(ID_BYTES)?)?;
            let ids = ids.chunks_exact(ID_BYTES).map(id).collect::<Option<Vec<_>>>()?;
            let (count, rows) = counted(rest)?;
            Some(Record::Released { mark, stamp, release: Release { environment, fate, ids }, count, rows })
        }
        _ => None,
    }
}

fn put_prefix(out: &mut Vec<u8>, kind: u8, mark: Mark, stamp: Timestamp) {
    out.push(kind);
    out.extend_from_slice(&stamp.0.to_le_bytes());
    for part in [mark.epoch, mark.sequence, mark.last] {
        out.extend_from_slice(&part.to_le_bytes());
    }
}

fn put_counted(out: &mut Vec<u8>, count: u32, bytes: &[u8]) {
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(bytes);
}

fn counted(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (count, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*count), rest))
}

fn id(bytes: &[u8]) -> Option<QuarantineId> {
    let position = u32::from_le_bytes(bytes.get(8..ID_BYTES)?.try_into().ok()?);
    Some(QuarantineId { record: number(bytes, 0)?, position })
}

fn number(payload: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(payload.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_it_wrote() {
        let mark = Mark { epoch: 3, sequence: 4, last: 5 };
        let mut out = Vec::new();
        let seal = Seal { mark, first: 2, received_through: Timestamp(9) };
        put_seal(&mut out, &seal);
        assert!(matches!(read(&out), Some(Record::Seal(read)) if read == seal));
        out.clear();
        put_rows(&mut out, mark, Timestamp(8), 0, &[]);
        assert!(
            matches!(read(&out), Some(Record::Rows { mark: m, stamp: Timestamp(8), count: 0, rows: [] }) if m == mark)
        );
        out.clear();
        put_head(&mut out, mark, Timestamp(7));
        assert!(matches!(read(&out), Some(Record::Head { mark: m, stamp: Timestamp(7) }) if m == mark));
        out.clear();
        put_held(&mut out, mark, Timestamp(-6), 1, b"e");
        assert!(matches!(read(&out), Some(Record::Held { stamp: Timestamp(-6), count: 1, entries: b"e", .. })));
        for fate in [Fate::Replayed, Fate::Discarded] {
            let ids = vec![QuarantineId { record: 1, position: 2 }, QuarantineId { record: 3, position: 4 }];
            let released = Release { environment: 9, fate, ids };
            out.clear();
            put_released(&mut out, mark, Timestamp(5), &released, 2, b"rows");
            assert!(
                matches!(read(&out), Some(Record::Released { release, count: 2, rows: b"rows", .. }) if release == released)
            );
        }
    }

    proptest! {
        #[test]
        fn arbitrary_payloads_never_panic(mut payload in prop::collection::vec(any::<u8>(), 1..128), kind in 1_u8..7) {
            payload[0] = kind;
            let record = read(&payload);
            let _ = record.as_ref().and_then(Record::rows).and_then(EncodedRows::decode);
            if let Some(Record::Held { stamp, count, entries, .. }) = record {
                let _ = crate::quarantine::entry::read_all(entries, count, stamp);
            }
        }
    }
}
