//! Variance reduction by covariates from before the first exposure (CUPED): what the unit did earlier explains part of
//! what it does now, and that part cannot be an effect.
//!
//! theta = pooled Cov(Y, X)/Var(X), pooled within arms (sums over arms of products of deviations; several covariates by
//! Cholesky). N = d_Y - theta d_X; V_a = (s_Y^2 - 2 theta s_XY + theta^2 s_X^2)/n; the lift stays relative to the
//! unadjusted control mean D, with c = Cov(N, D) = -(s_YC^2 - theta s_XYC)/n_C. Ratios: the same on the influence functions
//! of both ratios. Assumes covariates that the treatment cannot have moved. A covariate that differs between the arms
//! by more than chance says that it was moved or that assignment is broken: hence the imbalance test. Reference: Deng,
//! Xu, Kohavi, Walker (2013, WSDM).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::effect::satterthwaite;
use crate::welch::welch;
use crate::{Effect, JointMoments};

/// A covariate whose part that the others do not explain is smaller than this share of it adds nothing but noise.
const PIVOT_MIN: f64 = 1e-10;
/// Below this p-value the covariate differs between the arms by more than chance.
pub const IMBALANCE_P: f64 = 0.001;

/// What the covariates did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cuped {
    /// The coefficient of each covariate; 0 for one that is constant or a copy of earlier ones.
    pub theta: Vec<f64>,
    /// Share of the difference's variance that is gone: 1 - adjusted/unadjusted. Negative when the arms correlate so
    /// differently that one coefficient serves neither.
    pub variance_reduction: f64,
    /// Multiple correlation of outcome and covariates within arms, 0 to 1.
    pub correlation: f64,
    /// Smallest p-value of a difference of a covariate's means (Welch), times the number of covariates. Absent when
    /// no covariate varies.
    pub imbalance_p_value: Option<f64>,
}

impl Cuped {
    /// Whether the arms differed before the experiment by more than chance.
    pub fn is_imbalanced(&self) -> bool {
        self.imbalance_p_value.is_some_and(|p| p < IMBALANCE_P)
    }

    /// Whether any covariate is used at all.
    pub fn is_used(&self) -> bool {
        self.theta.iter().any(|theta| *theta != 0.0)
    }
}

/// The adjusted effect. Variable 0 of the joint moments is the outcome, the others are covariates (of a ratio: the
/// influence of both ratios). `None` when an arm has fewer than two units, the arms have different variables, or a number
/// is not finite.
pub fn adjust(control: &JointMoments, treatment: &JointMoments) -> Option<(Effect, Cuped)> {
    let variables = control.variables();
    if variables == 0 || treatment.variables() != variables || control.n < 2 || treatment.n < 2 {
        return None;
    }
    if !control.is_valid() || !treatment.is_valid() {
        return None;
    }
    let theta = coefficients(control, treatment);
    let arm = |joint: &JointMoments| {
        let (mut squares, mut with_outcome) = (joint.co(0, 0), joint.co(0, 0));
        for (i, theta_i) in theta.iter().enumerate() {
            with_outcome -= theta_i * joint.co(i + 1, 0);
            squares -= 2.0 * theta_i * joint.co(i + 1, 0);
            for (j, theta_j) in theta.iter().enumerate() {
                squares += theta_i * theta_j * joint.co(i + 1, j + 1);
            }
        }
        let of_mean = |squares: f64| squares / (joint.n - 1) as f64 / joint.n as f64;
        Arm { adjusted: of_mean(squares.max(0.0)), plain: of_mean(joint.co(0, 0)), crossed: of_mean(with_outcome) }
    };
    let (of_control, of_treatment) = (arm(control), arm(treatment));
    let shift: f64 =
        theta.iter().enumerate().map(|(i, theta)| theta * (treatment.mean[i + 1] - control.mean[i + 1])).sum();
    let effect = Effect {
        difference: treatment.mean[0] - control.mean[0] - shift,
        variance: of_treatment.adjusted + of_control.adjusted,
        baseline: control.mean[0],
        baseline_variance: of_control.plain,
        covariance: -of_control.crossed,
        df: satterthwaite(&[
            (of_treatment.adjusted, (treatment.n - 1) as f64),
            (of_control.adjusted, (control.n - 1) as f64),
        ]),
        units: control.n as f64 + treatment.n as f64,
    };
    let effect = effect.checked()?;
    let plain = of_treatment.plain + of_control.plain;
    let mut cuped = report(theta, control, treatment);
    if plain > 0.0 {
        cuped.variance_reduction = 1.0 - effect.variance / plain;
    }
    Some((effect, cuped))
}

/// Variances and the covariance of one arm's means.
struct Arm {
    adjusted: f64,
    plain: f64,
    /// Cov(adjusted outcome, outcome).
    crossed: f64,
}

fn pooled(control: &JointMoments, treatment: &JointMoments, i: usize, j: usize) -> f64 {
    control.co(i, j) + treatment.co(i, j)
}

fn report(theta: Vec<f64>, control: &JointMoments, treatment: &JointMoments) -> Cuped {
    let total = pooled(control, treatment, 0, 0);
    let explained: f64 = theta.iter().enumerate().map(|(i, t)| t * pooled(control, treatment, i + 1, 0)).sum();
    let share = if total > 0.0 { (explained / total).clamp(0.0, 1.0) } else { 0.0 };
    let tests = (1..=theta.len())
        .filter_map(|i| welch(&control.moments(i), &treatment.moments(i), 0.05))
        .map(|found| found.p_value);
    let smallest = tests.fold(None, |least: Option<f64>, p| Some(least.map_or(p, |least| least.min(p))));
    Cuped {
        correlation: libm::sqrt(share),
        variance_reduction: 0.0,
        imbalance_p_value: smallest.map(|p| (p * theta.len() as f64).min(1.0)),
        theta,
    }
}

/// theta by the Cholesky factor of the pooled covariate squares; a covariate without a part of its own is left out.
fn coefficients(control: &JointMoments, treatment: &JointMoments) -> Vec<f64> {
    let count = control.variables() - 1;
    let s = |i: usize, j: usize| pooled(control, treatment, i + 1, j + 1);
    let mut factor = vec![vec![0.0; count]; count];
    let mut solved = vec![0.0; count];
    for i in 0..count {
        for j in 0..i {
            let known: f64 = (0..j).map(|k| factor[i][k] * factor[j][k]).sum();
            factor[i][j] = if factor[j][j] > 0.0 { (s(i, j) - known) / factor[j][j] } else { 0.0 };
        }
        let own = s(i, i) - factor[i][..i].iter().map(|entry| entry * entry).sum::<f64>();
        if own > PIVOT_MIN * s(i, i) && own.is_finite() {
            factor[i][i] = libm::sqrt(own);
            let known: f64 = (0..i).map(|k| factor[i][k] * solved[k]).sum();
            solved[i] = (pooled(control, treatment, i + 1, 0) - known) / factor[i][i];
        }
    }
    let mut theta = vec![0.0; count];
    for i in (0..count).rev().filter(|&i| factor[i][i] > 0.0) {
        let known: f64 = (i + 1..count).map(|k| factor[k][i] * theta[k]).sum();
        theta[i] = (solved[i] - known) / factor[i][i];
    }
    if theta.iter().all(|value| value.is_finite()) { theta } else { vec![0.0; count] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joint(rows: &[Vec<f64>]) -> JointMoments {
        let mut joint = JointMoments::new(rows[0].len());
        rows.iter().for_each(|row| joint.push(row));
        joint
    }

    fn rows(seed: u64, lift: f64) -> Vec<Vec<f64>> {
        // A small congruential sequence: any numbers will do.
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1_u32 << 31)
        };
        (0..40)
            .map(|_| {
                let (a, b, noise) = (next(), next(), next());
                vec![3.0 * a - 2.0 * b + 0.2 * noise + lift, a, b]
            })
            .collect()
    }

    #[test]
    fn covariates_that_explain_all_but_a_little_leave_a_little_variance() {
        let (control, treatment) = (joint(&rows(1, 0.0)), joint(&rows(2, 0.5)));
        let (effect, cuped) = adjust(&control, &treatment).expect("the arms vary");
        assert!((cuped.theta[0] - 3.0).abs() < 0.1 && (cuped.theta[1] + 2.0).abs() < 0.1, "{cuped:?}");
        assert!(cuped.variance_reduction > 0.99, "{cuped:?}");
        assert!((effect.difference - 0.5).abs() < 4.0 * effect.se(), "{effect:?}");
        let plain = Effect::of_means(&control.moments(0), &treatment.moments(0)).expect("the arms vary");
        assert!(effect.variance < 0.02 * plain.variance);
        assert_eq!(effect.baseline, plain.baseline);
    }

    #[test]
    fn a_copy_of_a_covariate_changes_nothing() {
        let double = |rows: Vec<Vec<f64>>| {
            joint(&rows.into_iter().map(|row| vec![row[0], row[1], row[1], 7.0]).collect::<Vec<_>>())
        };
        let single = |rows: Vec<Vec<f64>>| joint(&rows.into_iter().map(|row| vec![row[0], row[1]]).collect::<Vec<_>>());
        let (copied, cuped) = adjust(&double(rows(1, 0.0)), &double(rows(2, 0.5))).expect("the arms vary");
        let (alone, _) = adjust(&single(rows(1, 0.0)), &single(rows(2, 0.5))).expect("the arms vary");
        assert_eq!((cuped.theta[1], cuped.theta[2]), (0.0, 0.0));
        assert!((copied.difference - alone.difference).abs() < 1e-12);
        assert!((copied.variance - alone.variance).abs() < 1e-12);
    }

    #[test]
    fn without_covariates_it_is_the_plain_difference() {
        let alone = |rows: Vec<Vec<f64>>| joint(&rows.into_iter().map(|row| vec![row[0]]).collect::<Vec<_>>());
        let (control, treatment) = (alone(rows(1, 0.0)), alone(rows(2, 0.5)));
        let (effect, cuped) = adjust(&control, &treatment).expect("the arms vary");
        assert_eq!(Some(effect), Effect::of_means(&control.moments(0), &treatment.moments(0)));
        assert!(!cuped.is_used() && !cuped.is_imbalanced());
    }
}
