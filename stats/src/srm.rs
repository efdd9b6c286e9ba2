//! Sample ratio mismatch: did the arms get the shares of units they were promised? A mismatch means that
//! assignment or collection is broken, and that no comparison of these arms is to be believed.
//!
//! Pearson's chi-square over the arms of positive weight, df = arms - 1. For one look at a chosen time; looking
//! again and again spends the alarm level each time. Reference: Fabijan et al. (2019, KDD).

use crate::special::chi_square_sf;

/// Below this p-value the mismatch is an alarm.
pub const SRM_ALARM_P: f64 = 0.001;

/// The outcome of the test.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Srm {
    /// Pearson's statistic.
    pub statistic: f64,
    /// Arms of positive weight minus 1.
    pub df: u32,
    /// Probability of shares at least this far off when assignment works.
    pub p_value: f64,
    /// Share of units each arm got, in the order given.
    pub ratio_observed: Vec<f64>,
    /// Share of units each arm was promised.
    pub ratio_expected: Vec<f64>,
}

impl Srm {
    /// Whether the mismatch is an alarm.
    pub fn is_alarm(&self) -> bool {
        self.p_value < SRM_ALARM_P
    }
}

/// Why the shares could not be tested.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
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

/// Tests the units counted in each arm against the arms' weights (any scale; 0 for an arm that must be empty).
///
/// # Errors
/// See [`SrmError`]; nothing is tested then.
pub fn srm_chi_square(counts: &[u64], weights: &[f64]) -> Result<Srm, SrmError> {
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
    let ratio_expected: Vec<f64> = scaled.iter().map(|weight| weight / total).collect();
    let ratio_observed: Vec<f64> = counts.iter().map(|&n| n as f64 / units).collect();
    let statistic = counts
        .iter()
        .zip(&ratio_expected)
        .filter(|(_, share)| **share > 0.0)
        .map(|(&n, &share)| {
            let expected = units * share;
            let excess = n as f64 - expected;
            excess / expected * excess
        })
        .sum();
    let df = u32::try_from(arms - 1).unwrap_or(u32::MAX);
    let p_value = chi_square_sf(statistic, f64::from(df));
    Ok(Srm { statistic, df, p_value, ratio_observed, ratio_expected })
}
