//! How arms are to be compared. Fixed before the first unit is seen; changing it starts a new run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Warning;
use crate::bayes::NormalPrior;
use crate::lift::LiftMethod;
use crate::{Direction, Margin};

/// Units at which sequential statements are sharpest, unless the plan says otherwise.
pub const TUNED_AT_DEFAULT: f64 = 5_000.0;

/// Which kind of statement is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanMethod {
    /// Valid at one look, at a time chosen in advance.
    #[default]
    Fixed,
    /// Valid at every look.
    Sequential,
    /// The posterior under a prior; its probabilities are no error rates.
    Bayesian,
}

/// The fixed-horizon test of two proportions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProportionTest {
    /// Score test, or exact mid-p when counts are low, with the intervals that invert it.
    #[default]
    Score,
    /// Pooled z test beside an unpooled interval, as several engines do it. They contradict each other in some tables: only
    /// for comparison with those engines.
    PooledZ,
}

/// What is believed about the effect beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Prior {
    /// Normal for the lift.
    Relative(NormalPrior),
    /// Normal for the difference.
    Absolute(NormalPrior),
    /// The same Beta distribution for the proportion of either arm.
    Beta {
        /// First shape: as if so many units had had the event.
        alpha: f64,
        /// Second shape: as if so many had not.
        beta: f64,
    },
}

/// The plan of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// Which kind of statement is made.
    pub method: PlanMethod,
    /// Two-sided error of intervals; the error of each side of a margin.
    pub alpha: f64,
    /// How the interval of a lift is made.
    pub lift: LiftMethod,
    /// The fixed-horizon test of two proportions.
    pub proportions: ProportionTest,
    /// Sequential: units (both arms) at which the statement is sharpest.
    pub tuned_at: f64,
    /// Whether covariates are used when there are any.
    pub cuped: bool,
    /// How far the metric may move in the unwanted direction: adds the verdict of a guardrail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<Margin>,
    /// Bayesian: what is believed beforehand; nothing when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prior: Option<Prior>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            method: PlanMethod::Fixed,
            alpha: 0.05,
            lift: LiftMethod::Fieller,
            proportions: ProportionTest::Score,
            tuned_at: TUNED_AT_DEFAULT,
            cuped: true,
            margin: None,
            prior: None,
        }
    }
}

impl Plan {
    /// A fixed-horizon plan at two-sided `alpha`.
    pub fn fixed(alpha: f64) -> Self {
        Self { alpha, ..Self::default() }
    }

    /// Whether its numbers can be used, for a metric of which `better` is wanted.
    ///
    /// # Errors
    /// The warning that says what is wrong.
    pub fn check(&self, better: Direction) -> Result<(), Warning> {
        // 1/alpha must be finite as well.
        if !(f64::MIN_POSITIVE..1.0).contains(&self.alpha) {
            return Err(Warning::BadAlpha);
        }
        let is_tuned = self.tuned_at > 0.0 && self.tuned_at.is_finite();
        let has_margin = self.margin.is_none_or(|margin| match margin {
            // A metric cannot fall by its whole size or more.
            Margin::Relative(size) if better == Direction::Increase => (0.0..1.0).contains(&size),
            Margin::Relative(size) | Margin::Absolute(size) => (0.0..f64::INFINITY).contains(&size),
        });
        let has_prior = self.prior.is_none_or(|prior| match prior {
            Prior::Relative(normal) | Prior::Absolute(normal) => {
                normal.mean.is_finite() && normal.sd > 0.0 && normal.sd.is_finite()
            }
            Prior::Beta { alpha, beta } => [alpha, beta].iter().all(|shape| *shape > 0.0 && shape.is_finite()),
        });
        if is_tuned && has_margin && has_prior { Ok(()) } else { Err(Warning::BadPlan) }
    }
}
