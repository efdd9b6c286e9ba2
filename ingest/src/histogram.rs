//! How long something took, counted in fixed buckets: fine enough to tell a slow disk from a fast one.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Where buckets end, in microseconds, inclusive; the last bucket has no end.
pub const HISTOGRAM_BOUNDS_US: [u64; 9] = [250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000];
const BUCKETS: usize = HISTOGRAM_BOUNDS_US.len() + 1;

/// A reading.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// How often it took no longer than each of [`HISTOGRAM_BOUNDS_US`] and longer than the one before; then how often
    /// longer than all.
    pub buckets: [u64; BUCKETS],
    /// All times together, in microseconds.
    pub sum_us: u64,
    /// The longest, in microseconds.
    pub max_us: u64,
}

/// The cells behind a [`Histogram`].
#[derive(Debug, Default)]
pub(crate) struct HistogramCells {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
    max_us: AtomicU64,
}

impl HistogramCells {
    pub(crate) fn record(&self, us: u64) {
        let bucket = HISTOGRAM_BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
        self.max_us.fetch_max(us, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Histogram {
        Histogram {
            buckets: std::array::from_fn(|i| self.buckets[i].load(Ordering::Relaxed)),
            sum_us: self.sum_us.load(Ordering::Relaxed),
            max_us: self.max_us.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_falls_into_the_bucket_that_ends_at_or_behind_it() {
        let cells = HistogramCells::default();
        [0, 250, 251, 1_000_000, 1_000_001].iter().for_each(|us| cells.record(*us));
        let read = cells.read();
        assert_eq!(read.buckets, [2, 1, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!((read.sum_us, read.max_us), (2_000_502, 1_000_001));
    }
}
