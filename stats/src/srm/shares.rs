//! What every sample ratio test starts from: the units of each arm beside the shares they were promised, checked.

use serde::Serialize;

/// Why the shares could not be tested.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum SrmError {
    /// One count and one weight an arm are needed.
    #[error("`{counts}` counts but `{weights}` weights")]
    LengthMismatch {
        /// How many counts.
        counts: usize,
        /// How many weights.
        weights: usize,
    },
    /// A weight is negative or not finite, or their sum is not finite.
    #[error("weight `{weight}` of arm `{arm}` is not a share")]
    BadWeight {
        /// Position of the arm.
        arm: usize,
        /// The weight.
        weight: f64,
    },
    /// There is nothing to compare with fewer than two arms of positive weight.
    #[error("at least two arms of positive weight are needed")]
    TooFewArms,
    /// No unit was counted.
    #[error("no unit was counted")]
    NoUnits,
    /// An arm that must be empty is not: assignment is broken, whatever the other shares say.
    #[error("arm `{arm}` has weight 0 but `{units}` units")]
    UnitsInZeroWeightArm {
        /// Position of the arm.
        arm: usize,
        /// Its units.
        units: u64,
    },
}

/// Counts and promised shares that can be tested: at least two positive shares, at least one unit.
pub(super) struct Shares {
    /// Units of all arms.
    pub(super) units: f64,
    /// Arms of positive weight.
    pub(super) arms: usize,
    /// Share of units each arm got.
    pub(super) observed: Vec<f64>,
    /// Share of units each arm was promised; they sum to 1.
    pub(super) expected: Vec<f64>,
}

impl Shares {
    pub(super) fn of(counts: &[u64], weights: &[f64]) -> Result<Self, SrmError> {
        if counts.len() != weights.len() {
            return Err(SrmError::LengthMismatch { counts: counts.len(), weights: weights.len() });
        }
        // Scaled by the largest, so that no sum of finite weights overflows.
        let largest = weights.iter().copied().fold(0.0, f64::max);
        for (arm, &weight) in weights.iter().enumerate() {
            if !weight.is_finite() || weight < 0.0 {
                return Err(SrmError::BadWeight { arm, weight });
            }
        }
        for (arm, (&units, &weight)) in counts.iter().zip(weights).enumerate() {
            if weight / largest == 0.0 && units > 0 {
                return Err(SrmError::UnitsInZeroWeightArm { arm, units });
            }
        }
        let scaled: Vec<f64> = weights.iter().map(|weight| weight / largest).collect();
        let arms = scaled.iter().filter(|weight| **weight > 0.0).count();
        if arms < 2 {
            return Err(SrmError::TooFewArms);
        }
        let units: f64 = counts.iter().map(|&n| n as f64).sum();
        if units == 0.0 {
            return Err(SrmError::NoUnits);
        }
        let total: f64 = scaled.iter().sum();
        Ok(Self {
            units,
            arms,
            observed: counts.iter().map(|&n| n as f64 / units).collect(),
            expected: scaled.iter().map(|weight| weight / total).collect(),
        })
    }
}
