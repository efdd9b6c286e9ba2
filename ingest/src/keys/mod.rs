//! Which event ids are known, exactly, within the window: on their way to disk, durable in the log only, or in runs.
//!
//! ```text
//! index (under the door's lock): pending -> recent -> frozen
//!                                                       | sorted and written, when full or before log is released
//! runs (beside it, immutable):      one file a day and write, merged so that a day has few
//! ```
//!
//! A [`run`] keeps a [`filter`] and the first key of each page in memory, about 2.6 bytes an id. The filter only saves reads; what is
//! on disk decides. What cannot be read is an error, never an answer. Whole days are forgotten at a time, so that no id
//! is forgotten early; and not on the first sight of a clock that has jumped, see [`horizon`].

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use liftgate_domain::Timestamp;
use xxhash_rust::xxh3::Xxh3Default;

pub(crate) mod filter;
pub(crate) mod horizon;
pub(crate) mod index;
pub(crate) mod keeper;
#[doc(hidden)]
pub mod measure;
pub(crate) mod merge;
pub(crate) mod probe;
pub(crate) mod run;
pub(crate) mod run_writer;
pub(crate) mod runs;
#[cfg(test)]
mod tests;

pub(crate) use horizon::{Horizon, Look};
pub(crate) use index::{KeyIndex, Known};
pub(crate) use keeper::Keeper;
pub(crate) use probe::Probed;
pub(crate) use runs::KeyRuns;

const DAY_MICROS: i64 = 86_400_000_000;

/// The identity of an event: xxh3-128 of (environment, event id). At a billion ids in the window two differing ones meet
/// with a chance of about 10^-21.
pub(crate) type Key = u128;

/// A day since the epoch.
pub(crate) type Day = i32;

/// Keys by the day that they came in.
pub(crate) type DayKeys = BTreeMap<Day, HashSet<Key, ByKey>>;

pub(crate) type ByKey = BuildHasherDefault<KeyHasher>;

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

/// The last instant of a day.
pub(crate) fn end_of(day: Day) -> Timestamp {
    Timestamp((i64::from(day) + 1) * DAY_MICROS - 1)
}

/// The first day that is still remembered at `now`.
pub(crate) fn first_day(now: Timestamp, window_ms: i64) -> Day {
    day_of(now.plus_millis(-window_ms))
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
