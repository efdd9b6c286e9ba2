//! Which event ids are known: on their way to disk, or durable within the window. Whole days are forgotten at a time, so
//! that forgetting is cheap and no id is forgotten early. About 20 to 40 bytes of memory an event in the window.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use liftgate_domain::Timestamp;
use xxhash_rust::xxh3::Xxh3Default;

use crate::ticket::Ticket;

const DAY_MICROS: i64 = 86_400_000_000;

/// The identity of an event: xxh3-128 of (environment, event id). At a billion ids in the window two differing ones meet
/// with a chance of about 10^-21.
pub(crate) type Key = u128;

/// A day since the epoch.
pub(crate) type Day = i32;

type ByKey = BuildHasherDefault<KeyHasher>;

/// The known ids.
#[derive(Default)]
pub(crate) struct KeyIndex {
    pending: HashMap<Key, Ticket, ByKey>,
    days: BTreeMap<Day, HashSet<Key, ByKey>>,
}

/// What is known of an id.
pub(crate) enum Known {
    /// Nothing: the event is new.
    New,
    /// It is being written; whether it is a duplicate shows when that write is done.
    Pending(Ticket),
    /// It is on disk.
    Durable,
}

/// The key of an event.
pub(crate) fn key_of(environment: u64, event_id: &str) -> Key {
    let mut hasher = Xxh3Default::new();
    hasher.update(&environment.to_le_bytes());
    hasher.update(event_id.as_bytes());
    hasher.digest128()
}

/// The day that a stamp falls on.
pub(crate) fn day_of(stamp: Timestamp) -> Day {
    Day::try_from(stamp.0.div_euclid(DAY_MICROS)).expect("an i64 of microseconds has fewer than 2^28 days")
}

/// The first day that is still remembered at `now`.
pub(crate) fn first_day(now: Timestamp, window_ms: i64) -> Day {
    day_of(now.plus_millis(-window_ms))
}

impl KeyIndex {
    pub(crate) fn look_up(&self, key: Key) -> Known {
        if let Some(ticket) = self.pending.get(&key) {
            return Known::Pending(ticket.clone());
        }
        if self.days.values().rev().any(|keys| keys.contains(&key)) {
            return Known::Durable;
        }
        Known::New
    }

    pub(crate) fn begin(&mut self, key: Key, ticket: Ticket) {
        self.pending.insert(key, ticket);
    }

    /// The write of these keys succeeded.
    pub(crate) fn commit(&mut self, keys: &[Key], day: Day) {
        let durable = self.days.entry(day).or_default();
        durable.reserve(keys.len());
        for key in keys {
            self.pending.remove(key);
            durable.insert(*key);
        }
    }

    /// The write of these keys failed: they are unknown again.
    pub(crate) fn forget(&mut self, keys: &[Key]) {
        for key in keys {
            self.pending.remove(key);
        }
    }

    /// Forgets the days before `first`. The memory is given back by whoever drops the answer, outside of any lock.
    pub(crate) fn expire(&mut self, first: Day) -> impl Sized + use<> {
        let kept = self.days.split_off(&first);
        std::mem::replace(&mut self.days, kept)
    }

    /// How many durable ids are known.
    pub(crate) fn len(&self) -> usize {
        self.days.values().map(HashSet::len).sum()
    }
}

/// Keys are hashes already.
#[derive(Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_whole_days_and_never_early() {
        let mut index = KeyIndex::default();
        let key = key_of(1, "a");
        let admitted = Timestamp(10 * DAY_MICROS + 5);
        index.commit(&[key], day_of(admitted));
        let window_ms = 7 * 86_400_000;
        drop(index.expire(first_day(admitted.plus_millis(window_ms), window_ms)));
        assert!(matches!(index.look_up(key), Known::Durable));
        drop(index.expire(first_day(admitted.plus_millis(window_ms + 86_400_000), window_ms)));
        assert!(matches!(index.look_up(key), Known::New));
        assert_ne!(key_of(1, "a"), key_of(2, "a"));
    }
}
