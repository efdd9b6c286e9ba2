//! Two proportions, each with a beta posterior: the probability that treatment's is higher, expected losses, and
//! credible intervals of difference and lift.
//!
//! With a Beta(a, b) prior and x events among n units the posterior is Beta(a + x, b + n - x). Assumes independent
//! units with one probability an arm. Reference: Gelman et al. (2013, 2.4); Stucchio (2015) on the expected loss.

use serde::{Deserialize, Serialize};

use super::closed_form::probability_greater_by_sum;
use super::contrast::{Contrast, Scale};
use super::density::Density;
use super::gauss::Rule;
use super::grid::{Arm, contest};
use super::table::Table;
use super::{BayesError, Posterior, check_alpha};
use crate::{Direction, Estimate};

/// Shapes outside are refused: below, almost all mass sits at 0 and 1; above, doubles do not tell the units apart.
const SHAPE_MIN: f64 = 1e-3;
const SHAPE_MAX: f64 = 1e15;

/// A beta distribution: a prior, or what is believed after the data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beta {
    /// Events it is worth.
    pub alpha: f64,
    /// Units without the event it is worth.
    pub beta: f64,
}

impl Default for Beta {
    /// The flat prior.
    fn default() -> Self {
        Self { alpha: 1.0, beta: 1.0 }
    }
}

impl Beta {
    /// What this prior becomes after `events` among `units`.
    ///
    /// # Errors
    /// When there are more events than units, or the shapes leave the range that can be computed.
    pub fn after(self, events: u64, units: u64) -> Result<Self, BayesError> {
        let rest = units.checked_sub(events).ok_or(BayesError::Counts { events, units })?;
        let posterior = Self { alpha: self.alpha + events as f64, beta: self.beta + rest as f64 };
        self.density().and(posterior.density()).map(|_| posterior)
    }

    /// Its mean.
    pub fn mean(self) -> f64 {
        self.alpha / (self.alpha + self.beta)
    }

    pub(super) fn variance(self) -> f64 {
        let n = self.alpha + self.beta;
        self.alpha / n * (self.beta / n) / (n + 1.0)
    }

    pub(super) fn density(self) -> Result<Density, BayesError> {
        for shape in [self.alpha, self.beta] {
            if !(SHAPE_MIN..=SHAPE_MAX).contains(&shape) {
                return Err(BayesError::Shape(shape));
            }
        }
        Ok(Density { a: self.alpha, b: self.beta })
    }
}

/// Treatment's proportion against control's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BetaComparison {
    /// Treatment minus control.
    pub difference: Posterior,
    /// Treatment as a fraction above control (0.1 = +10 %): the median, which always exists where the interval does,
    /// and the credible interval. Absent when control's proportion may be so near 0 that the upper end is beyond doubles.
    pub lift: Option<Estimate>,
    /// Posterior mean of control's proportion.
    pub control_mean: f64,
    /// Posterior mean of treatment's proportion.
    pub treatment_mean: f64,
}

/// Compares two posteriors; `better` is the wanted direction, intervals have level 1 - `alpha` with equal tails.
///
/// # Errors
/// See [`BayesError`].
pub fn compare_betas(
    control: Beta,
    treatment: Beta,
    better: Direction,
    alpha: f64,
) -> Result<BetaComparison, BayesError> {
    check_alpha(alpha)?;
    let (control_density, treatment_density) = (control.density()?, treatment.density()?);
    let rule = Rule::new();
    let (control_table, treatment_table) = (Table::of(&rule, control_density), Table::of(&rule, treatment_density));
    let control_arm = Arm { density: control_density, table: &control_table };
    let treatment_arm = Arm { density: treatment_density, table: &treatment_table };
    let contest = contest(&rule, treatment_arm, control_arm);
    let (mine, other) = match better {
        Direction::Increase => (treatment, control),
        Direction::Decrease => (control, treatment),
    };
    let by_quadrature = match better {
        Direction::Increase => contest.treatment_greater,
        Direction::Decrease => contest.control_greater,
    };
    let (loss_treatment, loss_control) = match better {
        Direction::Increase => (contest.control_excess, contest.treatment_excess),
        Direction::Decrease => (contest.treatment_excess, contest.control_excess),
    };
    let mean = mean_difference(control, treatment);
    let sd = libm::sqrt(treatment.variance() + control.variance());
    let is_treatment_narrow = treatment.variance() <= control.variance();
    let contrast = Contrast::new(&rule, control_arm, treatment_arm, is_treatment_narrow);
    let difference = contrast.interval(Scale::Difference, mean, sd, alpha);
    let relative = |arm: Beta| libm::sqrt(arm.variance()) / arm.mean();
    let log_ratio = libm::log(treatment.mean()) - libm::log(control.mean());
    let lift =
        contrast.interval(Scale::LogRatio, log_ratio, libm::hypot(relative(treatment), relative(control)), alpha);
    let median = contrast.quantile(Scale::LogRatio, log_ratio, lift.width(), 0.5);
    let (lower, upper) = (libm::expm1(lift.lower), libm::expm1(lift.upper.max(lift.lower)));
    let lift = Estimate { value: libm::expm1(median).max(lower).min(upper), lower, upper, se: None };
    Ok(BetaComparison {
        difference: Posterior {
            probability_better: probability_greater_by_sum(mine, other).unwrap_or(by_quadrature).min(1.0),
            loss_treatment,
            loss_control,
            mean,
            sd,
            lower: difference.lower,
            // Where doubles are coarser than the interval both ends are one number.
            upper: difference.upper.max(difference.lower),
        },
        lift: lift.upper.is_finite().then_some(lift),
        control_mean: control.mean(),
        treatment_mean: treatment.mean(),
    })
}

/// p_T q_C - p_C q_T, which is p_T - p_C and keeps its digits at both ends of the scale.
fn mean_difference(control: Beta, treatment: Beta) -> f64 {
    let rest = |arm: Beta| arm.beta / (arm.alpha + arm.beta);
    treatment.mean() * rest(control) - control.mean() * rest(treatment)
}
