//! The doors of multiplicity: a family of tests in, one adjusted result a test out, in the order given.
//!
//! A test is rejected exactly when its adjusted p-value is at most alpha. A missing value (a test that could not be
//! made) is never rejected and stays in the family's count: what is not known makes nothing else significant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::coverage::Coverage;
use super::step::{adjusted_log_e, adjusted_p};
use crate::Estimate;
use crate::special::normal_quantile;

/// How a family of tests is corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Correction {
    /// p m. Any false discovery, any dependence.
    Bonferroni,
    /// Holm (1979), step down: as safe as Bonferroni and never weaker.
    Holm,
    /// Hochberg (1988), step up: stronger than Holm, for independent or positively dependent tests.
    Hochberg,
    /// Benjamini and Hochberg (1995): false discovery rate, independent or positively dependent tests.
    Bh,
    /// Benjamini and Yekutieli (2001): false discovery rate, any dependence.
    By,
    /// Wang and Ramdas (2022): Benjamini-Hochberg on e-values, any dependence, valid at every look.
    EBh,
}

/// One test of the family, corrected.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Adjusted {
    /// The smallest alpha at which it would be rejected; absent when it could not be tested.
    pub p_adjusted: Option<f64>,
    /// For e-values: ln of the largest 1/alpha at which it would be rejected.
    pub log_e_adjusted: Option<f64>,
    /// Whether it stands at the family's alpha.
    pub rejected: bool,
    /// Draw this test's interval at level 1 - this alpha: then "no effect" lies outside exactly when `rejected`.
    pub interval_alpha: f64,
}

impl Adjusted {
    /// The interval that agrees with the decision, for an estimate whose p-value came from the normal distribution.
    /// Absent when `value` or `se` is not usable.
    pub fn normal_interval(&self, value: f64, se: f64) -> Option<Estimate> {
        let half_width = -normal_quantile(0.5 * self.interval_alpha) * se;
        let (lower, upper) = (value - half_width, value + half_width);
        let is_usable = se > 0.0 && value.is_finite() && lower.is_finite() && upper.is_finite();
        is_usable.then_some(Estimate { value, lower, upper, se: Some(se) })
    }
}

/// Why a family could not be corrected.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum MultiplicityError {
    /// `alpha` must lie between 0 and 1, both excluded.
    #[error("alpha `{0}` is not between 0 and 1")]
    Alpha(f64),
    /// A p-value lies outside [0, 1] or is not a number.
    #[error("p-value `{p_value}` of test `{test}` is not between 0 and 1")]
    PValue {
        /// Position of the test.
        test: usize,
        /// What was given.
        p_value: f64,
    },
    /// The logarithm of an e-value is not a number.
    #[error("the e-value of test `{test}` is not a number")]
    EValue {
        /// Position of the test.
        test: usize,
    },
    /// e-BH needs e-values, every other correction p-values.
    #[error("this correction does not work on these values: `e_bh` needs e-values, all others p-values")]
    WrongEvidence,
}

/// Corrects two-sided p-values; `None` for a test that could not be made.
///
/// # Errors
/// See [`MultiplicityError`]; nothing is decided then.
pub fn adjust_p_values(
    correction: Correction,
    p_values: &[Option<f64>],
    alpha: f64,
) -> Result<Vec<Adjusted>, MultiplicityError> {
    if correction == Correction::EBh {
        return Err(MultiplicityError::WrongEvidence);
    }
    for (test, p_value) in p_values.iter().enumerate() {
        if let Some(p_value) = *p_value
            && !(0.0..=1.0).contains(&p_value)
        {
            return Err(MultiplicityError::PValue { test, p_value });
        }
    }
    let order = order_by(p_values, |p_value| p_value);
    let sorted: Vec<f64> = order.iter().filter_map(|&test| p_values[test]).collect();
    let adjusted = adjusted_p(correction, &sorted, p_values.len());
    let results = adjusted.into_iter().map(|p_adjusted| (Some(p_adjusted), None));
    decide(correction, p_values.len(), alpha, order.into_iter().zip(results))
}

/// Corrects e-values by e-BH, given as natural logarithms; `None` for a test that could not be made. Intervals must be
/// those of the e-values, valid at every look, for `interval_alpha` to mean what it says.
///
/// # Errors
/// See [`MultiplicityError`]; nothing is decided then.
pub fn adjust_e_values(log_e_values: &[Option<f64>], alpha: f64) -> Result<Vec<Adjusted>, MultiplicityError> {
    if let Some(test) = log_e_values.iter().position(|log_e| log_e.is_some_and(f64::is_nan)) {
        return Err(MultiplicityError::EValue { test });
    }
    let order = order_by(log_e_values, |log_e| -log_e);
    // An e-value of 0 or infinity stays a number.
    let sorted: Vec<f64> =
        order.iter().filter_map(|&test| log_e_values[test]).map(|log_e| log_e.clamp(f64::MIN, f64::MAX)).collect();
    let results = adjusted_log_e(&sorted, log_e_values.len())
        .into_iter()
        .map(|log_e| (Some(libm::exp(-log_e).min(1.0)), Some(log_e)));
    decide(Correction::EBh, log_e_values.len(), alpha, order.into_iter().zip(results))
}

/// Positions of the tests that were made, strongest first; equals keep their order.
fn order_by(values: &[Option<f64>], key: impl Fn(f64) -> f64) -> Vec<usize> {
    let mut keyed: Vec<(usize, f64)> =
        values.iter().enumerate().filter_map(|(test, value)| value.map(|value| (test, key(value)))).collect();
    keyed.sort_by(|a, b| a.1.total_cmp(&b.1));
    keyed.into_iter().map(|(test, _)| test).collect()
}

/// Puts the adjusted values, strongest first, back in the order of the tests and decides each.
fn decide(
    correction: Correction,
    tests: usize,
    alpha: f64,
    strongest_first: impl Iterator<Item = (usize, (Option<f64>, Option<f64>))>,
) -> Result<Vec<Adjusted>, MultiplicityError> {
    // 1/alpha must be finite as well.
    if !(f64::MIN_POSITIVE..1.0).contains(&alpha) {
        return Err(MultiplicityError::Alpha(alpha));
    }
    let ranked: Vec<_> = strongest_first.collect();
    let is_rejected = |p_adjusted: Option<f64>| p_adjusted.is_some_and(|p_adjusted| p_adjusted <= alpha);
    let rejected = ranked.iter().filter(|(_, (p_adjusted, _))| is_rejected(*p_adjusted)).count();
    let coverage = Coverage { correction, tests, rejected, alpha };
    let undecided = Adjusted {
        p_adjusted: None,
        log_e_adjusted: None,
        rejected: false,
        interval_alpha: coverage.interval_alpha_of_others(),
    };
    let mut results = vec![undecided; tests];
    for (rank, (test, (p_adjusted, log_e_adjusted))) in ranked.into_iter().enumerate() {
        let rejected = is_rejected(p_adjusted);
        let interval_alpha =
            if rejected { coverage.interval_alpha_of_rejected(rank) } else { undecided.interval_alpha };
        results[test] = Adjusted { p_adjusted, log_e_adjusted, rejected, interval_alpha };
    }
    Ok(results)
}
