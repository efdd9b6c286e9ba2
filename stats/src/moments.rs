//! The few numbers an arm is reduced to: how many units, their mean, their squared deviations.
//! Mergeable in any order. It never keeps raw sums of squares (at mean 1e9 and standard deviation 1
//! those lose every digit of the variance) and never sees a row again.
//!
//! Update: Welford (1962). Merge: Chan, Golub, LeVeque (1979).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Largest distance between `n * mean` and a whole number that still counts as a whole number.
const EVENTS_TOLERANCE_MIN: f64 = 1e-6;
const EVENTS_TOLERANCE_MAX: f64 = 0.1;
/// The same relative to the count, for the rounding of `n * mean` at large n.
const EVENTS_TOLERANCE_RELATIVE: f64 = 1e-10;
/// Whole numbers up to here are exact as `f64`, and so are sums of two of them.
const UNITS_MAX: u64 = 1 << 52;
/// Relative slack for the squared deviations of 0/1 data.
const SQUARES_TOLERANCE_RELATIVE: f64 = 1e-6;

/// Count, mean and sum of squared deviations from the mean, one value per unit.
///
/// A non-finite value pushed or merged stays visible as a non-finite mean; the methods refuse it by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Moments {
    /// Units.
    pub n: u64,
    /// Mean of the values; 0 when there are none.
    pub mean: f64,
    /// Sum of squared deviations from the mean.
    pub m2: f64,
}

impl Moments {
    /// The moments of these values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut moments = Self::default();
        for value in values {
            moments.push(value);
        }
        moments
    }

    /// The moments of `n` units of which `events` have the value 1 and the others 0.
    /// More events than units give a mean above 1, which no proportion method accepts.
    pub fn from_counts(n: u64, events: u64) -> Self {
        if n == 0 {
            return Self::default();
        }
        let (units, ones) = (n as f64, events as f64);
        Self { n, mean: ones / units, m2: ones * (units - ones) / units }
    }

    /// Adds one unit's value.
    pub fn push(&mut self, value: f64) {
        self.n = self.n.saturating_add(1);
        let delta = value - self.mean;
        self.mean += delta / self.n as f64;
        self.m2 += delta * (value - self.mean);
    }

    /// Adds the units of `other`.
    pub fn merge(&mut self, other: &Self) {
        if other.n == 0 {
            return;
        }
        if self.n == 0 {
            *self = *other;
            return;
        }
        let (a, b) = (self.n as f64, other.n as f64);
        let delta = other.mean - self.mean;
        // The lighter side moves the heavier one, so that both orders round alike.
        self.mean = if a >= b { self.mean + delta * (b / (a + b)) } else { other.mean - delta * (a / (a + b)) };
        self.m2 += other.m2 + delta * delta * (a * (b / (a + b)));
        self.n = self.n.saturating_add(other.n);
    }

    /// Sample variance `m2 / (n - 1)`; `None` below two units.
    pub fn variance(&self) -> Option<f64> {
        (self.n >= 2).then(|| self.m2 / (self.n - 1) as f64)
    }

    /// Whether the numbers can be moments at all: finite, and squares not negative.
    pub fn is_valid(&self) -> bool {
        self.n == 0 || (self.mean.is_finite() && self.m2.is_finite() && self.m2 >= 0.0)
    }

    /// How many of the units have the value 1, when the data are 0/1; `None` when they cannot be:
    /// `n * mean` is no whole number between 0 and n, or the squares are not those of 0/1 data. Above 2^52 units
    /// (4.5e15) counts are no longer exact, and `None` as well.
    pub fn events(&self) -> Option<u64> {
        if self.n == 0 {
            return Some(0);
        }
        if !self.is_valid() || self.n > UNITS_MAX {
            return None;
        }
        let units = self.n as f64;
        let product = units * self.mean;
        let ones = libm::round(product);
        let tolerance = (EVENTS_TOLERANCE_RELATIVE * ones).clamp(EVENTS_TOLERANCE_MIN, EVENTS_TOLERANCE_MAX);
        if (product - ones).abs() > tolerance || !(0.0..=units).contains(&ones) {
            return None;
        }
        let squares = ones * (units - ones) / units;
        ((self.m2 - squares).abs() <= SQUARES_TOLERANCE_RELATIVE * squares.max(1.0)).then_some(ones as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_variance_at_a_large_offset() {
        let moments = Moments::of([1e12 + 1.0, 1e12 + 2.0, 1e12 + 3.0, 1e12 + 4.0]);
        assert_eq!(moments.mean, 1e12 + 2.5);
        assert!((moments.m2 - 5.0).abs() < 1e-3, "{moments:?}");
    }

    #[test]
    fn has_no_variance_below_two_units() {
        assert_eq!(Moments::default().variance(), None);
        assert_eq!(Moments::of([3.0]).variance(), None);
        assert_eq!(Moments::of([3.0, 5.0]).variance(), Some(2.0));
    }

    #[test]
    fn counts_events_only_in_zero_one_data() {
        let check = |moments: Moments, expected| assert_eq!(moments.events(), expected, "{moments:?}");
        check(Moments::default(), Some(0));
        check(Moments::from_counts(7, 3), Some(3));
        check(Moments::from_counts(1_000_000_007, 333_333_333), Some(333_333_333));
        check(Moments::of([1.0, 0.0, 0.0]), Some(1));
        check(Moments::of([0.5, 0.0]), None);
        check(Moments::of([2.0, 0.0, 0.0, 0.0]), None);
        check(Moments::of([-1.0, 0.0]), None);
        check(Moments::of([f64::NAN]), None);
        check(Moments::from_counts(5, 6), None);
        check(Moments::from_counts(u64::MAX, u64::MAX), None);
    }
}
