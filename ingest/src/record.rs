//! What a frame of the log carries: a head (first in every segment), admitted rows, or the seal of a batch.
//! Rows and heads repeat the last seal's mark, so that a seal lost to damage is known from any record after it.

use liftgate_domain::{EventRow, Timestamp};

use crate::row_codec;

const ROWS: u8 = 1;
const SEAL: u8 = 2;
const HEAD: u8 = 3;
/// Bytes of a rows payload before the rows.
const ROWS_PREFIX_BYTES: usize = 1 + 8 + 24 + 4;

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

/// A payload, read.
#[derive(Debug)]
pub(crate) enum Record<'a> {
    /// Opens a segment. `stamp` is the last one given out before it.
    Head { mark: Mark, stamp: Timestamp },
    /// Admitted rows, all received at `stamp`.
    Rows { mark: Mark, stamp: Timestamp, count: u32, rows: &'a [u8] },
    /// A sealed batch.
    Seal(Seal),
}

/// Appends the payload of a rows record; `rows` are encoded by [`row_codec`].
pub(crate) fn put_rows(out: &mut Vec<u8>, mark: Mark, stamp: Timestamp, count: u32, rows: &[u8]) {
    out.reserve(ROWS_PREFIX_BYTES + rows.len());
    out.push(ROWS);
    out.extend_from_slice(&stamp.0.to_le_bytes());
    put_mark(out, mark);
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(rows);
}

/// Appends the payload of a seal.
pub(crate) fn put_seal(out: &mut Vec<u8>, seal: &Seal) {
    out.push(SEAL);
    out.extend_from_slice(&seal.received_through.0.to_le_bytes());
    put_mark(out, seal.mark);
    out.extend_from_slice(&seal.first.to_le_bytes());
}

/// Appends the payload of a segment's head.
pub(crate) fn put_head(out: &mut Vec<u8>, mark: Mark, stamp: Timestamp) {
    out.push(HEAD);
    out.extend_from_slice(&stamp.0.to_le_bytes());
    put_mark(out, mark);
}

/// Reads a payload; `None` when it is none of ours.
pub(crate) fn read(payload: &[u8]) -> Option<Record<'_>> {
    let kind = *payload.first()?;
    let stamp = Timestamp(i64::from_le_bytes(payload.get(1..9)?.try_into().ok()?));
    let mark = Mark { epoch: number(payload, 9)?, sequence: number(payload, 17)?, last: number(payload, 25)? };
    match kind {
        ROWS => {
            let count = u32::from_le_bytes(payload.get(33..ROWS_PREFIX_BYTES)?.try_into().ok()?);
            Some(Record::Rows { mark, stamp, count, rows: &payload[ROWS_PREFIX_BYTES..] })
        }
        SEAL => Some(Record::Seal(Seal { mark, first: number(payload, 33)?, received_through: stamp })),
        HEAD => Some(Record::Head { mark, stamp }),
        _ => None,
    }
}

/// Decodes the rows of a rows record; `None` when they are not `count` whole rows.
pub(crate) fn rows(mut bytes: &[u8], count: u32, stamp: Timestamp) -> Option<Vec<EventRow>> {
    let mut rows = Vec::with_capacity((count as usize).min(bytes.len()));
    for _ in 0..count {
        rows.push(row_codec::decode(&mut bytes, stamp)?);
    }
    bytes.is_empty().then_some(rows)
}

fn put_mark(out: &mut Vec<u8>, mark: Mark) {
    for part in [mark.epoch, mark.sequence, mark.last] {
        out.extend_from_slice(&part.to_le_bytes());
    }
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
    }

    proptest! {
        #[test]
        fn arbitrary_payloads_never_panic(payload in prop::collection::vec(any::<u8>(), 0..128)) {
            if let Some(Record::Rows { stamp, count, rows: bytes, .. }) = read(&payload) {
                let _ = rows(bytes, count, stamp);
            }
        }
    }
}
