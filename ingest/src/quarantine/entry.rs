//! One event in quarantine: why it is there, and how it is written in the log and in quarantine files.

use std::fmt;
use std::str::FromStr;

use liftgate_domain::{EventRow, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::row_codec::{self, read_varint, take, varint};

const TOO_OLD: u8 = 1;
const IN_FUTURE: u8 = 2;

/// Names an event in quarantine: the record of the log that it came in, and its place there. Order is order of arrival.
/// On the wire text such as `1734-2`.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct QuarantineId {
    /// The number of the record.
    pub record: u64,
    /// The place in it, from 0.
    pub position: u32,
}

/// Why a well-formed event is not believed.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum QuarantineReason {
    /// It happened before retention begins.
    TimestampTooOld,
    /// It happened more than a day after this node received it.
    TimestampInFuture,
}

/// Why an event is in quarantine, with the bound that it broke.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Doubt {
    pub reason: QuarantineReason,
    /// The earliest or latest time that would have been believed.
    pub limit: Timestamp,
}

/// An event in quarantine as it is on disk.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub position: u32,
    pub doubt: Doubt,
    /// A row for each unit.
    pub rows: Vec<EventRow>,
}

impl Doubt {
    /// The doubt in words.
    pub(crate) fn detail(&self, ts: Timestamp, ts_client: Timestamp) -> String {
        let limit = self.limit;
        let (is_as_sent, why) = match self.reason {
            QuarantineReason::TimestampTooOld => (ts_client < limit, format!("before {limit}, where retention begins")),
            QuarantineReason::TimestampInFuture => {
                (ts_client > limit, format!("after {limit}, a day ahead of this node's clock"))
            }
        };
        if is_as_sent {
            format!("`timestamp` {ts_client} is {why}")
        } else {
            format!("`timestamp` {ts_client}, corrected by `sent_at` to {ts}, is {why}")
        }
    }
}

/// Appends an entry without its rows; `rows` of them have to follow, each by [`row_codec::encode`].
pub(crate) fn put_head(out: &mut Vec<u8>, position: u32, doubt: Doubt, rows: usize) {
    varint(u64::from(position), out);
    out.push(match doubt.reason {
        QuarantineReason::TimestampTooOld => TOO_OLD,
        QuarantineReason::TimestampInFuture => IN_FUTURE,
    });
    out.extend_from_slice(&doubt.limit.0.to_le_bytes());
    varint(rows as u64, out);
}

/// Appends an entry.
pub(crate) fn put(out: &mut Vec<u8>, entry: &Entry) {
    put_head(out, entry.position, entry.doubt, entry.rows.len());
    for row in &entry.rows {
        row_codec::encode(row, out);
    }
}

/// Decodes entries received at `stamp`; `None` when they are not `count` whole ones.
pub(crate) fn read_all(mut bytes: &[u8], count: u32, stamp: Timestamp) -> Option<Vec<Entry>> {
    let mut entries = Vec::with_capacity((count as usize).min(bytes.len()));
    for _ in 0..count {
        entries.push(read(&mut bytes, stamp)?);
    }
    bytes.is_empty().then_some(entries)
}

fn read(bytes: &mut &[u8], stamp: Timestamp) -> Option<Entry> {
    let position = u32::try_from(read_varint(bytes)?).ok()?;
    let reason = match take(bytes, 1)?[0] {
        TOO_OLD => QuarantineReason::TimestampTooOld,
        IN_FUTURE => QuarantineReason::TimestampInFuture,
        _ => return None,
    };
    let limit = Timestamp(i64::from_le_bytes(take(bytes, 8)?.try_into().ok()?));
    let count = usize::try_from(read_varint(bytes)?).ok().filter(|&count| count > 0)?;
    let mut rows = Vec::with_capacity(count.min(bytes.len()));
    for _ in 0..count {
        rows.push(row_codec::decode(bytes, stamp)?);
    }
    Some(Entry { position, doubt: Doubt { reason, limit }, rows })
}

impl fmt::Display for QuarantineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.record, self.position)
    }
}

impl FromStr for QuarantineId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts =
            text.split_once('-').and_then(|(record, position)| Some((record.parse().ok()?, position.parse().ok()?)));
        let (record, position) = parts.ok_or_else(|| {
            format!("`{text}` is not the id of an event in quarantine: expected one such as `1734-2`")
        })?;
        Ok(Self { record, position })
    }
}

impl Serialize for QuarantineId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for QuarantineId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_is_read_as_it_was_written(record in any::<u64>(), position in any::<u32>()) {
            let id = QuarantineId { record, position };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256), count in 0_u32..4) {
            let _ = read_all(&bytes, count, Timestamp(0));
        }
    }
}
