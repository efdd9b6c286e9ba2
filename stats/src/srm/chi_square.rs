//! Sample ratio mismatch at one look.
//!
//! Pearson's chi-square over the arms of positive weight, df = arms - 1. For one look at a chosen time; looking
//! again and again spends the alarm level each time. Reference: Fabijan et al. (2019, KDD).

use super::shares::{Shares, SrmError};
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

/// Tests the units counted in each arm against the arms' weights (any scale; 0 for an arm that must be empty).
///
/// # Errors
/// See [`SrmError`]; nothing is tested then.
pub fn srm_chi_square(counts: &[u64], weights: &[f64]) -> Result<Srm, SrmError> {
    let Shares { units, arms, observed, expected } = Shares::of(counts, weights)?;
    let statistic = counts
        .iter()
        .zip(&expected)
        .filter(|(_, share)| **share > 0.0)
        .map(|(&n, &share)| {
            let expected = units * share;
            let excess = n as f64 - expected;
            excess / expected * excess
        })
        .sum();
    let df = u32::try_from(arms - 1).unwrap_or(u32::MAX);
    let p_value = chi_square_sf(statistic, f64::from(df));
    Ok(Srm { statistic, df, p_value, ratio_observed: observed, ratio_expected: expected })
}
