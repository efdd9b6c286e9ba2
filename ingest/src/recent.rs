//! A bounded memory of what was seen lately: two generations of keys a shard, the older one forgotten when the younger is
//! full. Forgetting early only costs a repeated write, which the log's own index then finds.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::keys::{Key, KeyHasher};

/// Few enough to be small, enough that threads seldom meet.
const SHARDS: usize = 16;
/// Keys of one generation of one shard; about 1 M to 2 M keys in all.
const GENERATION_KEYS: usize = 65_536;

type Keys = HashSet<Key, BuildHasherDefault<KeyHasher>>;

/// The memory.
#[derive(Default)]
pub(crate) struct Recent {
    shards: [Mutex<Generations>; SHARDS],
}

#[derive(Default)]
struct Generations {
    young: Keys,
    old: Keys,
}

impl Recent {
    /// Remembers a key; whether it was new.
    pub(crate) fn insert(&self, key: Key) -> bool {
        let mut shard = self.shard(key);
        if shard.old.contains(&key) || !shard.young.insert(key) {
            return false;
        }
        if shard.young.len() >= GENERATION_KEYS {
            shard.old = std::mem::take(&mut shard.young);
        }
        true
    }

    pub(crate) fn remove(&self, key: Key) {
        let mut shard = self.shard(key);
        shard.young.remove(&key);
        shard.old.remove(&key);
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, Generations> {
        // The high bits: the low ones choose the place within a set.
        let shard = &self.shards[(key >> 64) as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_the_last_keys_within_its_bound() {
        let recent = Recent::default();
        let keys = (GENERATION_KEYS * 2 + 10) as u128;
        assert!((0..keys).all(|key| recent.insert(key)));
        assert!(!recent.insert(keys - 1), "the last one is remembered");
        assert!(recent.insert(0), "the first one is forgotten");
        recent.remove(keys - 1);
        assert!(recent.insert(keys - 1));
    }
}
