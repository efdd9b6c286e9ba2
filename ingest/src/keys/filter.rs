//! A blocked Bloom filter: one cache line a look-up, no key it was given is ever denied. With 20 bits a key about one
//! unknown key in 5 000 passes. (Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient Bloom Filters, 2007.)
//!
//! A key chooses its block by its high half and one bit in each word by its low half. So keys that come sorted fill one
//! block after the other.

use super::Key;

/// Memory of the filter for each key, in bits.
const KEY_BITS: u64 = 20;
const BLOCK_BITS: u64 = 512;
/// Keys that are looked up together.
const PART_KEYS: usize = 64;
/// Bytes of a block.
pub(crate) const BLOCK_BYTES: usize = 64;

/// The filter of one run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Filter {
    blocks: Vec<Block>,
}

/// One cache line.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
#[repr(align(64))]
struct Block([u64; 8]);

impl Filter {
    /// An empty filter for at most `keys_max` keys.
    pub(crate) fn for_keys(keys_max: u64) -> Self {
        let blocks = (keys_max * KEY_BITS).div_ceil(BLOCK_BITS).max(1);
        Self { blocks: vec![Block::default(); usize::try_from(blocks).expect("a filter fits into memory")] }
    }

    pub(crate) fn insert(&mut self, key: Key) {
        let at = self.block_of(key);
        for (number, word) in self.blocks[at].0.iter_mut().enumerate() {
            *word |= 1 << bit_of(key, number);
        }
    }

    /// Calls `pass` with the places of the keys that may have been inserted; the others certainly were not.
    pub(crate) fn passing(&self, keys: &[Key], mut pass: impl FnMut(usize)) {
        for (part, keys) in keys.chunks(PART_KEYS).enumerate() {
            // Two bits of each first, in a loop so short and without branches that the processor loads the blocks of many
            // keys at once; the other bits only of the few that are left.
            let mut left = 0_u64;
            for (at, key) in keys.iter().enumerate() {
                let words = &self.blocks[self.block_of(*key)].0;
                let both = (words[0] >> bit_of(*key, 0)) & (words[1] >> bit_of(*key, 1)) & 1;
                left |= both << at;
            }
            while left > 0 {
                let at = left.trailing_zeros() as usize;
                left &= left - 1;
                let words = &self.blocks[self.block_of(keys[at])].0;
                if (2..8).all(|word| (words[word] >> bit_of(keys[at], word)) & 1 == 1) {
                    pass(part * PART_KEYS + at);
                }
            }
        }
    }

    pub(crate) fn block_count(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// Memory, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.blocks.capacity() * BLOCK_BYTES
    }

    /// The blocks as they are stored.
    pub(crate) fn encoded(&self) -> impl Iterator<Item = [u8; BLOCK_BYTES]> {
        self.blocks.iter().map(|block| {
            let mut bytes = [0; BLOCK_BYTES];
            for (bytes, word) in bytes.chunks_exact_mut(8).zip(block.0) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            bytes
        })
    }

    /// A filter without blocks, with room for as many: [`Filter::decode`] adds them.
    pub(crate) fn with_room(block_count: u64) -> Self {
        Self { blocks: Vec::with_capacity(usize::try_from(block_count).expect("a filter fits into memory")) }
    }

    /// Adds stored blocks; `bytes` are whole ones.
    pub(crate) fn decode(&mut self, bytes: &[u8]) {
        self.blocks.extend(bytes.chunks_exact(BLOCK_BYTES).map(|bytes| {
            let mut block = Block::default();
            for (word, bytes) in block.0.iter_mut().zip(bytes.chunks_exact(8)) {
                *word = u64::from_le_bytes(bytes.try_into().expect("the chunk has 8 bytes"));
            }
            block
        }));
    }

    fn block_of(&self, key: Key) -> usize {
        let high = (key >> 64) as u64;
        ((u128::from(high) * self.blocks.len() as u128) >> 64) as usize
    }
}

/// Which bit of a word: 6 bits of the key.
fn bit_of(key: Key, word: usize) -> u32 {
    ((key as u64 >> (6 * word)) & 63) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::key_of;

    #[test]
    fn every_key_passes_and_few_others_do() {
        let keys = 200_000;
        let mut filter = Filter::for_keys(keys);
        (0..keys).for_each(|n| filter.insert(key_of(n, "in")));
        let passing = |name: &str| {
            let asked: Vec<Key> = (0..keys).map(|n| key_of(n, name)).collect();
            let mut passed = 0;
            filter.passing(&asked, |_| passed += 1);
            passed
        };
        assert_eq!(passing("in"), keys);
        let passed = passing("out");
        assert!(passed > 0 && passed < 100, "{passed} of {keys} pass, fewer than 1 in 2000 should");
        assert!(filter.bytes() as u64 * 8 <= keys * KEY_BITS + BLOCK_BITS);
    }

    #[test]
    fn is_stored_and_read_as_it_was() {
        let mut filter = Filter::for_keys(100);
        (0..100).for_each(|n| filter.insert(key_of(n, "in")));
        let bytes: Vec<u8> = filter.encoded().flatten().collect();
        let mut read = Filter::with_room(filter.block_count());
        read.decode(&bytes);
        assert_eq!(read, filter);
    }
}
