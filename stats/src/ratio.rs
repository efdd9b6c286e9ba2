//! A ratio of two totals over units, such as errors a page view: r = mean(Y)/mean(D), the unit being the cluster.
//!
//! Unit influence e = (Y - r D)/mean(D), Var(r) = s_e^2/n = [s_Y^2 - 2 r s_YD + r^2 s_D^2]/(n mean(D)^2). As moments with
//! mean r and squares of e, a ratio goes wherever a mean goes: comparisons, sequences, guardrails. Assumes a
//! denominator whose mean is many standard errors from zero, and never request-level variance: requests of one unit
//! are not independent. Reference: Deng, Knoblich, Lu (2018, KDD), section 3.

use crate::{JointMoments, Moments};

/// The ratio as moments of one value a unit: its mean is r, its squared deviations those of the influence.
/// `joint` has the numerator first and the denominator second. `None` below two units, with a mean denominator of
/// zero, or when a number is not finite.
pub fn linearize(joint: &JointMoments) -> Option<Moments> {
    influence(joint).map(|joint| joint.moments(0))
}

/// Numerator and denominator replaced by the influence of their ratio; with four variables the covariate's numerator and
/// denominator likewise. `None` as in [`linearize`]; a covariate whose denominator is zero becomes a constant.
pub(crate) fn influence(joint: &JointMoments) -> Option<JointMoments> {
    let variables = joint.variables();
    if joint.n < 2 || variables < 2 {
        return None;
    }
    let pair = |first: usize| {
        let (numerator, denominator) = (joint.mean[first], joint.mean[first + 1]);
        let ratio = numerator / denominator;
        let is_usable = denominator != 0.0 && ratio.is_finite();
        is_usable.then(|| {
            let mut row = vec![0.0; variables];
            (row[first], row[first + 1]) = (1.0 / denominator, -ratio / denominator);
            (ratio, row)
        })
    };
    let mut means = Vec::with_capacity(2);
    let mut rows = Vec::with_capacity(2);
    let (ratio, row) = pair(0)?;
    means.push(ratio);
    rows.push(row);
    if variables >= 4 {
        let (ratio, row) = pair(2).unwrap_or_else(|| (0.0, vec![0.0; variables]));
        means.push(ratio);
        rows.push(row);
    }
    let mapped = joint.mapped(&rows, means);
    let is_finite = mapped.mean.iter().chain(&mapped.co).all(|number| number.is_finite());
    is_finite.then_some(mapped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_influence_has_the_variance_of_the_formula() {
        let rows = [[3.0, 5.0], [0.0, 2.0], [4.0, 4.0], [1.0, 9.0], [2.0, 3.0]];
        let mut joint = JointMoments::new(2);
        rows.iter().for_each(|row| joint.push(row));
        let ratio = 10.0 / 23.0;
        let squares: f64 = rows.iter().map(|[y, d]| ((y - ratio * d) / 4.6).powi(2)).sum();
        let found = linearize(&joint).expect("the denominator is positive");
        assert!((found.mean - ratio).abs() < 1e-15 && (found.m2 - squares).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn a_denominator_of_zero_has_no_ratio() {
        let mut joint = JointMoments::new(2);
        [[1.0, 0.0], [2.0, 0.0]].iter().for_each(|row| joint.push(row));
        assert_eq!(linearize(&joint), None);
        assert_eq!(linearize(&JointMoments::new(2)), None);
        assert_eq!(linearize(&JointMoments::new(1)), None);
    }
}
