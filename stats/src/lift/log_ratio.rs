//! The lift by the delta method on the logarithm of the ratio of means, L = ln((N + D)/D), turned back by exp(L) - 1.
//!
//! Var(L) = Var(N+D)/(N+D)^2 + v_D/D^2 - 2 Cov(N+D, D)/((N+D) D), Var(N+D) = v_N + v_D + 2 c, Cov(N+D, D) = c + v_D.
//! Assumes means above 0, several standard errors from it. Reference: Katz, Baptista, Azen, Pike (1978) for
//! proportions; the same expansion for any means.

use crate::{Effect, Estimate};

/// The lift with its interval, symmetric around the logarithm.
pub(super) fn lift(effect: &Effect, critical: f64) -> Option<Estimate> {
    let (control, treatment) = (effect.baseline, effect.difference + effect.baseline);
    if !(control > 0.0 && treatment > 0.0) {
        return None;
    }
    let of_treatment = effect.variance + effect.baseline_variance + 2.0 * effect.covariance;
    let together = effect.covariance + effect.baseline_variance;
    let variance = of_treatment / treatment / treatment + effect.baseline_variance / control / control
        - 2.0 * together / treatment / control;
    let half = critical * libm::sqrt(variance.max(0.0));
    let log = libm::log(treatment / control);
    let found = Estimate {
        value: effect.difference / control,
        lower: libm::expm1(log - half),
        upper: libm::expm1(log + half),
        se: None,
    };
    [found.value, found.lower, found.upper].iter().all(|number| number.is_finite()).then_some(found)
}
