//! Events of a file on their way to the server: as many as fit, with the places they came from.

use crate::body::BATCH_BYTES_MAX;

/// Room for the line ends of a batch.
const SPARE_BYTES: usize = 1024;
/// What a batch may hold unpacked.
pub const BYTES_MAX: usize = BATCH_BYTES_MAX - SPARE_BYTES;
/// The most events of a batch: an answer names each refused one.
const EVENTS_MAX: usize = 20_000;

/// One batch, as NDJSON.
#[derive(Debug, Default)]
pub struct Batch {
    /// The events, a line each.
    pub body: Vec<u8>,
    /// Where each event ends in `body`, and the line or row that it came from, from 1.
    places: Vec<(usize, u64)>,
    /// What was refused before it was sent, by line.
    pub refused: Vec<(u64, String)>,
    /// Bytes of the file that this batch stands for.
    pub source_bytes: u64,
}

impl Batch {
    /// Whether an event of this size must wait for the next batch.
    pub fn is_full_for(&self, bytes: usize) -> bool {
        !self.places.is_empty() && (self.body.len() + bytes + 1 > BYTES_MAX || self.places.len() == EVENTS_MAX)
    }

    /// Adds an event, which has no line end of its own.
    pub fn push(&mut self, line: u64, event: &[u8]) {
        self.body.extend_from_slice(event);
        self.body.push(b'\n');
        self.places.push((self.body.len(), line));
    }

    /// How many events it sends.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether it sends none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The line and the text of an event of this batch.
    pub fn event(&self, index: usize) -> Option<(u64, &[u8])> {
        let (end, line) = *self.places.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.places[before].0);
        Some((line, self.body[start..end].trim_ascii_end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_again_by_their_place_and_fill_a_batch_to_its_limit() {
        let mut batch = Batch::default();
        assert!(!batch.is_full_for(BYTES_MAX * 2), "an empty batch takes anything, or nothing ever would");
        batch.push(3, b"{\"id\":\"a\"}");
        batch.push(7, b"{}");
        assert_eq!(batch.event(0), Some((3, &b"{\"id\":\"a\"}"[..])));
        assert_eq!(batch.event(1), Some((7, &b"{}"[..])));
        assert_eq!(batch.event(2), None);
        assert!(!batch.is_full_for(BYTES_MAX - batch.body.len() - 1));
        assert!(batch.is_full_for(BYTES_MAX - batch.body.len()));
    }
}
