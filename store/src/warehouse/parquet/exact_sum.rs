//! Sums that do not depend on the order of what is added: the exact sum, rounded once. So a unit's value has the same
//! bits however its events are stored, and nothing needs to be sorted or kept.
//!
//! Two numbers a unit hold the sum exactly as long as that is possible (Knuth's two-sum, 1969); where it is not, the
//! unit gets a list of partial sums that do not overlap (Shewchuk 1997).

use std::collections::HashMap;

/// Exact sums by position.
#[derive(Debug, Default)]
pub(super) struct ExactSums {
    /// The sum is `high + low`, unless it has spilled.
    high: Vec<f64>,
    low: Vec<f64>,
    spilled: HashMap<u32, Vec<f64>>,
}

impl ExactSums {
    /// So many sums of nothing.
    pub(super) fn new(count: usize) -> Self {
        Self { high: vec![0.0; count], low: vec![0.0; count], spilled: HashMap::new() }
    }

    /// Adds a finite number.
    #[inline]
    pub(super) fn add(&mut self, position: u32, value: f64) {
        let place = position as usize;
        let (high, error) = two_sum(self.high[place], value);
        let (low, lost) = two_sum(self.low[place], error);
        if lost == 0.0 && high.is_finite() {
            (self.high[place], self.low[place]) = (high, low);
        } else {
            self.spill(position, value);
        }
    }

    #[cold]
    fn spill(&mut self, position: u32, value: f64) {
        let place = position as usize;
        let (high, low) = (self.high[place], self.low[place]);
        if !(high + value).is_finite() {
            // Too large for a number, and stays so.
            (self.high[place], self.low[place]) = (f64::INFINITY, 0.0);
            self.spilled.remove(&position);
            return;
        }
        let partials = self.spilled.entry(position).or_default();
        for value in [low, high, value] {
            add_to(partials, value);
        }
        (self.high[place], self.low[place]) = (0.0, 0.0);
    }

    /// The sum; `None` when it is too large for a number.
    pub(super) fn get(&self, position: u32) -> Option<f64> {
        let place = position as usize;
        let (high, low) = (self.high[place], self.low[place]);
        let sum = match self.spilled.get(&position) {
            None => high + low,
            Some(_) if !high.is_finite() => high,
            Some(partials) => {
                let mut partials = partials.clone();
                add_to(&mut partials, low);
                add_to(&mut partials, high);
                rounded(&partials)
            }
        };
        // Adding 0 makes -0 of an empty list of summands the 0 that it is.
        sum.is_finite().then_some(sum + 0.0)
    }
}

/// The sum and what rounding lost of it.
#[inline]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let of_b = sum - a;
    (sum, (a - (sum - of_b)) + (b - of_b))
}

/// Adds to partial sums of ascending size that do not overlap.
fn add_to(partials: &mut Vec<f64>, value: f64) {
    let mut value = value;
    let mut kept = 0;
    for position in 0..partials.len() {
        let (sum, error) = two_sum(value, partials[position]);
        if error != 0.0 {
            partials[kept] = error;
            kept += 1;
        }
        value = sum;
    }
    partials.truncate(kept);
    partials.push(value);
}

/// The correctly rounded sum of partial sums: from the largest down until rounding loses something, which then decides
/// a tie (as `math.fsum` of CPython does).
fn rounded(partials: &[f64]) -> f64 {
    let mut rest = partials.iter().rev();
    let Some(mut sum) = rest.next().copied() else {
        return 0.0;
    };
    let mut lost = 0.0;
    for partial in rest.by_ref() {
        let (next, error) = two_sum(sum, *partial);
        sum = next;
        lost = error;
        if lost != 0.0 {
            break;
        }
    }
    if let Some(below) = rest.next()
        && ((lost < 0.0 && *below < 0.0) || (lost > 0.0 && *below > 0.0))
    {
        let doubled = lost * 2.0;
        let nudged = sum + doubled;
        if doubled == nudged - sum {
            sum = nudged;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(values: &[f64]) -> Option<f64> {
        let mut sums = ExactSums::new(2);
        values.iter().for_each(|value| sums.add(1, *value));
        assert_eq!(sums.get(0), Some(0.0));
        sums.get(1)
    }

    #[test]
    fn loses_nothing_between_large_and_small() {
        for (values, expected) in [
            (vec![], Some(0.0)),
            (vec![0.1; 10], Some(1.0)),
            (vec![1e100, 1.0, -1e100], Some(1.0)),
            (vec![1e100, 1.0, 1e-100, -1e100, -1.0], Some(1e-100)),
            (vec![1e16, 1.0, 1e-16], Some(10_000_000_000_000_002.0)),
            (vec![f64::MAX, f64::MAX], None),
            (vec![f64::MAX, f64::MAX, -f64::MAX, 1.0], None),
        ] {
            assert_eq!(sum(&values), expected, "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn the_order_of_summands_never_changes_a_bit(
            values in prop::collection::vec((-1e3_f64..1e3, -60_i32..60).prop_map(|(m, e)| m * 2_f64.powi(e * 5)), 0..40),
            turn in 0_usize..40,
        ) {
            let mut turned = values.clone();
            turned.rotate_left(turn.min(values.len()));
            let backwards: Vec<f64> = values.iter().rev().copied().collect();
            let expected = sum(&values).map(f64::to_bits);
            prop_assert_eq!(sum(&turned).map(f64::to_bits), expected);
            prop_assert_eq!(sum(&backwards).map(f64::to_bits), expected);
        }

        #[test]
        fn whole_numbers_are_exact(values in prop::collection::vec(-1_000_000_000_i64..1_000_000_000, 0..100)) {
            let floats: Vec<f64> = values.iter().map(|value| *value as f64).collect();
            prop_assert_eq!(sum(&floats), Some(values.iter().sum::<i64>() as f64));
        }
    }
}
