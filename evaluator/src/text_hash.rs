//! The hasher of this crate's lookup tables: xxh3, several times faster than the standard one on short text, and the
//! same in every process. Tables are filled from configuration only, so nobody from outside can pile up collisions.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64_with_seed;

pub(crate) type TextMap<V> = HashMap<Box<str>, V, BuildHasherDefault<TextHasher>>;
pub(crate) type TextSet = HashSet<Box<str>, BuildHasherDefault<TextHasher>>;

#[derive(Copy, Clone, Default)]
pub(crate) struct TextHasher(u64);

impl Hasher for TextHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    // `str` writes one byte after its text to keep neighbours apart; a key here is one text and has no neighbour.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
