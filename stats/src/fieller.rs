//! The interval of a lift, (m_T - m_C)/|m_C|, without dividing by an uncertain baseline.
//!
//! A = m_C^2 - c^2 V_C, B = m_C m_T, C = m_T^2 - c^2 V_T, R = (B +- sqrt(B^2 - A C))/A - 1; valid iff
//! g = c^2 V_C/m_C^2 < 1. With the critical value c of the absolute test, 0 is inside iff |d| < c SE, so lift and
//! difference never disagree. Assumes near-normal means. Reference: Fieller (1954); Franz (2007).

use crate::Estimate;

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

/// Lift of treatment over control with Fieller's interval at `critical` standard errors.
/// `None` when the baseline cannot be told from zero, or a number is not finite. A negative baseline is scaled
/// by its size, so that a lift above 0 is always an increase.
pub fn lift(control: ArmMean, treatment: ArmMean, critical: f64) -> Option<Estimate> {
    let g = baseline_uncertainty(control, critical);
    if g.is_nan() || g >= 1.0 || control.mean == 0.0 {
        return None;
    }
    // Everything in units of |m_C|: A = 1 - g, and lifts come out directly.
    let scale = control.mean.abs();
    let value = (treatment.mean - control.mean) / scale;
    let ratio = treatment.mean / control.mean;
    let v_treatment = (critical / scale) * (critical / scale) * treatment.variance;
    // B^2 - A C = c^2 (m_C^2 V_T + m_T^2 V_C) - c^4 V_C V_T, as 1 - g > 0 never negative.
    let root = libm::sqrt(v_treatment * (1.0 - g) + ratio * ratio * g);
    // B - A in these units is (R - 1) + g; the sign of the baseline turns R - 1 into the lift.
    let center = value + control.mean.signum() * g;
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
