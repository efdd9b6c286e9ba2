//! The difference of two means with unequal variances.
//!
//! t = (m_T - m_C)/sqrt(V_T + V_C), V = s^2/n, df = (V_T + V_C)^2 / (V_T^2/(n_T-1) + V_C^2/(n_C-1)); the normal
//! distribution above df 1e12. Assumes independent units and means that are near normal. One constant arm is
//! allowed: the other arm's variance carries the test. Reference: Welch (1947), Satterthwaite (1946).

use crate::effect::NORMAL_FROM_DF;
use crate::{Effect, Estimate, Moments, special};

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
    let effect = Effect::of_means(control, treatment)?;
    let test = t_test(&effect, alpha)?;
    let half = test.critical * effect.se();
    let value = effect.difference;
    let difference = Estimate { value, lower: value - half, upper: value + half, se: Some(effect.se()) };
    let Test { statistic, p_value, critical } = test;
    half.is_finite().then_some(Welch { difference, statistic, df: effect.df, p_value, critical })
}

/// A t test of an effect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Test {
    pub(crate) statistic: f64,
    /// Two-sided.
    pub(crate) p_value: f64,
    /// Half the width of the interval in standard errors.
    pub(crate) critical: f64,
}

/// Tests that an effect is zero, with its degrees of freedom. `None` without variance or when a result is not finite.
pub(crate) fn t_test(effect: &Effect, alpha: f64) -> Option<Test> {
    let statistic = effect.statistic()?;
    let p_value = (2.0 * upper_tail(statistic.abs(), effect.df)).min(1.0);
    let critical = if effect.df > NORMAL_FROM_DF {
        -special::normal_quantile(0.5 * alpha)
    } else {
        -special::t_quantile(0.5 * alpha, effect.df)
    };
    (p_value.is_finite() && critical.is_finite()).then_some(Test { statistic, p_value, critical })
}

/// P(T > t), by the normal distribution where it is the same.
pub(crate) fn upper_tail(t: f64, df: f64) -> f64 {
    if df > NORMAL_FROM_DF { special::normal_sf(t) } else { special::t_sf(t, df) }
}
