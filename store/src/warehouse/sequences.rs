//! Which batch sequences of one (node, epoch) are here: a few ranges, since nodes append in order.

/// A set of sequences, kept as ascending, disjoint, inclusive ranges that do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sequences {
    ranges: Vec<(u64, u64)>,
}

impl Sequences {
    /// Whether `sequence` is in the set.
    pub(super) fn contains(&self, sequence: u64) -> bool {
        let after = self.ranges.partition_point(|range| range.0 <= sequence);
        after > 0 && self.ranges[after - 1].1 >= sequence
    }

    /// Adds `sequence`; false when it was there.
    pub(super) fn insert(&mut self, sequence: u64) -> bool {
        if self.contains(sequence) {
            return false;
        }
        self.insert_range(sequence, sequence);
        true
    }

    /// Adds `first..=last`, merging what overlaps or touches.
    pub(super) fn insert_range(&mut self, first: u64, last: u64) {
        let from = self.ranges.partition_point(|range| range.1.saturating_add(1) < first);
        let to = self.ranges.partition_point(|range| range.0 <= last.saturating_add(1));
        let merged = match self.ranges.get(from..to) {
            Some([]) | None => (first, last),
            Some(touched) => (first.min(touched[0].0), last.max(touched[touched.len() - 1].1)),
        };
        self.ranges.splice(from..to, [merged]);
    }

    /// Adds everything in `other`.
    #[cfg_attr(not(feature = "parquet"), allow(dead_code, reason = "only durable engines merge sets"))]
    pub(super) fn extend(&mut self, other: &Self) {
        for (first, last) in &other.ranges {
            self.insert_range(*first, *last);
        }
    }

    /// The end of the first unbroken range; 0 when empty. A gap holds it back, so that a log is never released past
    /// a batch that has not arrived. It need not begin at 1: a log outlives a warehouse that was wiped.
    pub(super) fn through(&self) -> u64 {
        self.ranges.first().map_or(0, |range| range.1)
    }

    /// The ranges, ascending.
    #[cfg_attr(not(feature = "parquet"), allow(dead_code, reason = "only durable engines write them down"))]
    pub(super) fn ranges(&self) -> &[(u64, u64)] {
        &self.ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_in_any_order_and_is_held_back_by_a_gap() {
        let mut set = Sequences::default();
        assert_eq!(set.through(), 0);
        for (sequence, ranges, through) in [
            (2, vec![(2, 2)], 2),
            (4, vec![(2, 2), (4, 4)], 2),
            (1, vec![(1, 2), (4, 4)], 2),
            (9, vec![(1, 2), (4, 4), (9, 9)], 2),
            (3, vec![(1, 4), (9, 9)], 4),
        ] {
            assert!(set.insert(sequence), "{sequence} is new");
            assert!(!set.insert(sequence), "{sequence} is there now");
            assert_eq!((set.ranges(), set.through()), (ranges.as_slice(), through));
        }
        set.insert_range(3, 8);
        assert_eq!(set.ranges(), [(1, 9)]);
    }

    #[test]
    fn agrees_with_a_plain_set() {
        let mut set = Sequences::default();
        let mut plain = std::collections::BTreeSet::new();
        let mut state = 7_u64;
        for _ in 0..2_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let sequence = (state >> 33) % 300;
            assert_eq!(set.insert(sequence), plain.insert(sequence));
        }
        for sequence in 0..310 {
            assert_eq!(set.contains(sequence), plain.contains(&sequence), "{sequence}");
        }
    }
}
