//! Units as their hashes: what files are bucketed and rows are joined by. A unit's hash is computed once a dictionary,
//! not once a row, and is not stored: it follows from environment, type and id.

use arrow::array::{Array, StringArray};
use xxhash_rust::xxh3::xxh3_64;

/// Hashes the units of one environment and type; the same hash as [`liftgate_domain::EventRow::unit_hash_of`].
pub(super) struct UnitHasher {
    bytes: Vec<u8>,
    prefix: usize,
}

impl UnitHasher {
    pub(super) fn new(environment: u64, unit_type: &str) -> Self {
        let mut bytes = environment.to_le_bytes().to_vec();
        bytes.push(0);
        bytes.extend_from_slice(unit_type.as_bytes());
        bytes.push(0);
        let prefix = bytes.len();
        Self { bytes, prefix }
    }

    pub(super) fn hash(&mut self, unit_id: &str) -> u64 {
        self.bytes.truncate(self.prefix);
        self.bytes.extend_from_slice(unit_id.as_bytes());
        xxh3_64(&self.bytes)
    }
}

/// Something known of each entry of a column's dictionary, as long as batch after batch has the same one.
pub(super) struct OfEntries<T> {
    /// Kept, so that no other dictionary can come to lie at its address.
    dictionary: Option<StringArray>,
    known: Vec<T>,
}

impl<T> Default for OfEntries<T> {
    fn default() -> Self {
        Self { dictionary: None, known: Vec::new() }
    }
}

impl<T: Copy> OfEntries<T> {
    /// What is known of each entry; `unknown` of all of them when the dictionary is another than before.
    pub(super) fn of(&mut self, dictionary: &StringArray, unknown: T) -> &mut [T] {
        let is_same = self.dictionary.as_ref().is_some_and(|last| {
            last.len() == dictionary.len()
                && last.value_offsets().as_ptr() == dictionary.value_offsets().as_ptr()
                && last.value_data().as_ptr() == dictionary.value_data().as_ptr()
        });
        if !is_same {
            self.dictionary = Some(dictionary.clone());
            self.known.clear();
            self.known.resize(dictionary.len(), unknown);
        }
        &mut self.known
    }
}

/// Units by their hashes, numbered from 0 in the order in which they were added. Half the size of a hash map: what is
/// looked up millions of times should fit the processor's cache.
#[derive(Clone, Debug, Default)]
pub(super) struct UnitIndex {
    /// A unit's number plus 1, at the first free place behind the one that its hash says; 0 is free. A power of two of
    /// them, at least half of them free.
    slots: Vec<u32>,
    hashes: Vec<u64>,
}

impl UnitIndex {
    const SLOTS_MIN: usize = 64;

    /// The hash of each unit.
    pub(super) fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    /// The memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u32>() + self.hashes.capacity() * size_of::<u64>()
    }

    #[inline]
    pub(super) fn get(&self, hash: u64) -> Option<u32> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut place = hash as usize & mask;
        loop {
            let unit = self.slots[place].checked_sub(1)?;
            if self.hashes[unit as usize] == hash {
                return Some(unit);
            }
            place = (place + 1) & mask;
        }
    }

    /// The number of a unit, which is added when it is new.
    #[inline]
    pub(super) fn get_or_add(&mut self, hash: u64) -> u32 {
        if let Some(unit) = self.get(hash) {
            return unit;
        }
        if (self.hashes.len() + 1) * 2 > self.slots.len() {
            self.slots = vec![0; (self.slots.len() * 2).max(Self::SLOTS_MIN)];
            for unit in 0..self.hashes.len() as u32 {
                self.settle(self.hashes[unit as usize], unit);
            }
        }
        let unit = self.hashes.len() as u32;
        self.hashes.push(hash);
        self.settle(hash, unit);
        unit
    }

    fn settle(&mut self, hash: u64, unit: u32) {
        let mask = self.slots.len() - 1;
        let mut place = hash as usize & mask;
        while self.slots[place] != 0 {
            place = (place + 1) & mask;
        }
        self.slots[place] = unit + 1;
    }
}

#[cfg(test)]
mod tests {
    use liftgate_domain::EventRow;

    use super::*;

    #[test]
    fn hashes_as_rows_do() {
        for (environment, unit_type, unit_id) in
            [(1, "user", "u-1"), (u64::MAX, "", ""), (7, "account", &"x".repeat(500))]
        {
            let mut hasher = UnitHasher::new(environment, unit_type);
            hasher.hash("another");
            assert_eq!(hasher.hash(unit_id), EventRow::unit_hash_of(environment, unit_type, unit_id), "{unit_id}");
        }
    }

    #[test]
    fn what_is_known_goes_with_its_dictionary() {
        let (one, two) = (StringArray::from(vec!["a", "b"]), StringArray::from(vec!["a", "b"]));
        let mut entries = OfEntries::default();
        entries.of(&one, 0)[1] = 5;
        assert_eq!(entries.of(&one.clone(), 0), [0, 5]);
        assert_eq!(entries.of(&two, 0), [0, 0]);
    }

    #[test]
    fn units_are_numbered_in_the_order_in_which_they_come() {
        let mut index = UnitIndex::default();
        assert_eq!(index.get(7), None);
        // Hashes that all want the same place, and others.
        let hashes: Vec<u64> = (0..500_u64).map(|number| if number % 2 == 0 { number << 40 } else { number }).collect();
        for (number, hash) in (0_u32..).zip(&hashes) {
            assert_eq!((index.get(*hash), index.get_or_add(*hash)), (None, number), "{hash}");
        }
        for (number, hash) in (0_u32..).zip(&hashes) {
            assert_eq!((index.get(*hash), index.get_or_add(*hash)), (Some(number), number), "{hash}");
        }
        assert_eq!(index.hashes(), hashes);
    }
}
