//! The interval of a lift by Fieller's theorem, without dividing by an uncertain baseline.
//!
//! The lift L = N/|D| is inside iff |N - L |D|| < z SE(N - L |D|): with s = |D|, sigma the sign of D, n = N/s,
//! g = z^2 v_D/s^2, k = z^2 c/s^2, w = z^2 v_N/s^2,
//! L = [(n - sigma k) +- sqrt(g (n - sigma k/g)^2 + (1 - g)(w - k^2/g))]/(1 - g), valid iff g < 1.
//! With the critical value z of the absolute test, 0 is inside iff |N| < z SE, so lift and difference never disagree.
//! Assumes near-normal means. Reference: Fieller (1954); Franz (2007).

use crate::{Effect, Estimate};

/// An arm's mean and the variance of that mean (s^2/n).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArmMean {
    /// The mean.
    pub mean: f64,
    /// Its squared standard error.
    pub variance: f64,
}

/// How uncertain the baseline is: g = c^2 V/m^2; at 1 or more the baseline cannot be told from zero.
pub fn baseline_uncertainty(control: ArmMean, critical: f64) -> f64 {
    let relative = critical / control.mean;
    relative * relative * control.variance
}

/// The same of an effect.
pub(crate) fn baseline_uncertainty_of(effect: &Effect, critical: f64) -> f64 {
    baseline_uncertainty(ArmMean { mean: effect.baseline, variance: effect.baseline_variance }, critical)
}

/// Lift of treatment over control, two independent arms, with Fieller's interval at `critical` standard errors.
/// `None` when the baseline cannot be told from zero, or a number is not finite.
pub fn lift(control: ArmMean, treatment: ArmMean, critical: f64) -> Option<Estimate> {
    lift_of(
        &Effect {
            difference: treatment.mean - control.mean,
            variance: treatment.variance + control.variance,
            baseline: control.mean,
            baseline_variance: control.variance,
            covariance: -control.variance,
            df: f64::INFINITY,
            units: 0.0,
        },
        critical,
    )
}

/// The lift of any effect, likewise.
pub(super) fn lift_of(effect: &Effect, critical: f64) -> Option<Estimate> {
    let g = baseline_uncertainty_of(effect, critical);
    if g.is_nan() || g >= 1.0 || effect.baseline == 0.0 {
        return None;
    }
    // Everything in units of |D|: lifts come out directly.
    let scale = effect.baseline.abs();
    let sign = effect.baseline.signum();
    let value = effect.difference / scale;
    let square = |variance: f64| (critical / scale) * (critical / scale) * variance;
    let (k, w) = (square(effect.covariance), square(effect.variance));
    let center = value - sign * k;
    let under = if g > 0.0 {
        let shifted = value - sign * (k / g);
        // w - k^2/g is not negative by Cauchy and Schwarz; rounding may say otherwise.
        g * shifted * shifted + (1.0 - g) * (w - k * (k / g)).max(0.0)
    } else {
        w
    };
    let root = libm::sqrt(under);
    let lower = (center - root) / (1.0 - g);
    let upper = (center + root) / (1.0 - g);
    let is_finite = value.is_finite() && lower.is_finite() && upper.is_finite();
    is_finite.then_some(Estimate { value, lower, upper, se: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contains_zero_exactly_when_the_difference_does() {
        let control = ArmMean { mean: 10.0, variance: 0.5 };
        for (treatment, inside) in [(10.1, true), (11.9, true), (12.1, false), (8.1, true), (7.9, false)] {
            let treatment = ArmMean { mean: treatment, variance: 0.5 };
            let found = lift(control, treatment, 2.0).expect("the baseline is far from zero");
            assert_eq!(found.contains(0.0), inside, "{found:?}");
        }
    }

    #[test]
    fn mirrors_a_negative_baseline() {
        let lift_of = |sign: f64| {
            let arm = |mean: f64| ArmMean { mean: sign * mean, variance: 0.2 };
            lift(arm(10.0), arm(12.0), 1.96).expect("the baseline is far from zero")
        };
        let (up, down) = (lift_of(1.0), lift_of(-1.0));
        assert_eq!((up.value, up.lower, up.upper), (-down.value, -down.upper, -down.lower));
    }

    #[test]
    fn refuses_a_baseline_near_zero() {
        let near = ArmMean { mean: 0.1, variance: 1.0 };
        let zero = ArmMean { mean: 0.0, variance: 0.0 };
        let treatment = ArmMean { mean: 3.0, variance: 1.0 };
        assert_eq!(lift(near, treatment, 1.96), None);
        assert_eq!(lift(zero, treatment, 1.96), None);
    }
}
