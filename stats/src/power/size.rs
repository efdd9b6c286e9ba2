//! Power at a size, and the smallest size with the power asked for.
//!
//! power(n) = Phi(distance sqrt(n/V) - c(n)): the chance of a success in the right direction at one look. A size is
//! enough when distance sqrt(n/V) - c(n) >= z_power. With a target of 1/2 or more this is false below one size and
//! true from it on, also for the sequential c: its square grows more slowly than n, since c^2 > x d(c^2)/dx.

use super::checks::{UNITS_MAX, UNITS_MIN};
use super::critical::Critical;
use super::design::{Contrast, Design};
use crate::special::normal_cdf;

/// Halvings from `UNITS_MAX` to a single unit.
const STEPS_MAX: u32 = 64;

impl Design {
    /// Power at `n` units in a treatment arm.
    pub(super) fn power_at(&self, n: u64, contrast: Contrast, critical: Critical) -> f64 {
        normal_cdf(self.z_at(n, contrast, critical))
    }

    /// The fewest units in a treatment arm that are enough; `None` when none within reach are.
    pub(super) fn units_needed(&self, contrast: Contrast, critical: Critical) -> Option<u64> {
        let target = self.z_power();
        let is_enough = |n: u64| self.z_at(n, contrast, critical) >= target;
        if is_enough(UNITS_MIN) {
            return Some(UNITS_MIN);
        }
        if !is_enough(UNITS_MAX) {
            return None;
        }
        let (mut too_few, mut enough) = (UNITS_MIN, UNITS_MAX);
        for _ in 0..STEPS_MAX {
            if enough - too_few <= 1 {
                break;
            }
            let middle = too_few + (enough - too_few) / 2;
            if is_enough(middle) {
                enough = middle;
            } else {
                too_few = middle;
            }
        }
        Some(enough)
    }

    fn z_at(&self, n: u64, contrast: Contrast, critical: Critical) -> f64 {
        let n = n as f64;
        contrast.distance * libm::sqrt(n / contrast.variance) - critical.at(self.compared_units(n))
    }
}
