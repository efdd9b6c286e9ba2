//! The difference of two means with unequal variances.
//!
//! t = (m_T - m_C)/sqrt(V_T + V_C), V = s^2/n, df = (V_T + V_C)^2 / (V_T^2/(n_T-1) + V_C^2/(n_C-1)); the normal
//! distribution above df 1e12. Assumes independent units and means that are near normal. One constant arm is
//! allowed: the other arm's variance carries the test. Reference: Welch (1947), Satterthwaite (1946).

use crate::{Estimate, Moments, special};

/// Above this the t and the normal distribution are the same to double precision. (Not at 1e6: there a p-value of
/// 1e-15 differs in the third digit.)
const NORMAL_FROM_DF: f64 = 1e12;

/// Welch's test and interval for treatment minus control.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Welch {
    /// Difference, its interval and its standard error.
    pub difference: Estimate,
    /// The t statistic.
    pub statistic: f64,
    /// Satterthwaite's degrees of freedom.
    pub df: f64,
    /// Two-sided.
    pub p_value: f64,
    /// Half the width of the interval in standard errors.
    pub critical: f64,
}

/// Compares two means; `alpha` is two-sided. `None` when an arm has fewer than two units, when both arms are
/// constant, or when a result is not finite.
pub fn welch(control: &Moments, treatment: &Moments, alpha: f64) -> Option<Welch> {
    let variance_treatment = treatment.variance()? / treatment.n as f64;
    let variance_control = control.variance()? / control.n as f64;
    let variance = variance_treatment + variance_control;
    if variance.is_nan() || variance <= 0.0 {
        return None;
    }
    // As shares, so that squares neither overflow nor vanish.
    let share = variance_treatment / variance;
    let rest = variance_control / variance;
    let df = 1.0 / (share * share / (treatment.n - 1) as f64 + rest * rest / (control.n - 1) as f64);
    let se = libm::sqrt(variance);
    let value = treatment.mean - control.mean;
    let statistic = value / se;
    let (p_value, critical) = if df > NORMAL_FROM_DF {
        (2.0 * special::normal_sf(statistic.abs()), -special::normal_quantile(0.5 * alpha))
    } else {
        (2.0 * special::t_sf(statistic.abs(), df), -special::t_quantile(0.5 * alpha, df))
    };
    let half = critical * se;
    let difference = Estimate { value, lower: value - half, upper: value + half, se: Some(se) };
    let is_finite = statistic.is_finite() && half.is_finite() && p_value.is_finite();
    is_finite.then_some(Welch { difference, statistic, df, p_value: p_value.min(1.0), critical })
}
