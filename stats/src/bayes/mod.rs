//! What to believe about an effect after the data, given what was believed before: the probability that treatment is
//! better, what a wrong choice is expected to cost, a credible interval. For one metric at a time; a probability read at
//! every look is still a probability under its prior, but promises no error rate.
//!
//! Effects with a standard error: `normal`. Two proportions: `beta` for the answer, `closed_form` and `grid` for the
//! probability and the losses, `contrast` for the intervals, on `density` (a beta law in logits), `table` (its tails) and
//! `gauss` (quadrature).

mod beta;
mod closed_form;
mod contrast;
mod density;
mod gauss;
mod grid;
mod normal;
mod table;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use beta::{Beta, BetaComparison, compare_betas};
pub use closed_form::probability_greater_by_sum;
pub use grid::probability_greater_by_quadrature;
pub use normal::{NormalEffect, NormalPrior, normal_posterior};

/// The effect, treatment minus control, after the data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Posterior {
    /// Probability that treatment is better, in the wanted direction.
    pub probability_better: f64,
    /// Expected loss of choosing treatment: how much worse it is, where it is worse, on average over all cases.
    pub loss_treatment: f64,
    /// Expected loss of choosing control.
    pub loss_control: f64,
    /// Mean of the effect.
    pub mean: f64,
    /// Its standard deviation.
    pub sd: f64,
    /// Lower end of the credible interval, with alpha/2 below it.
    pub lower: f64,
    /// Upper end of the credible interval, with alpha/2 above it.
    pub upper: f64,
}

/// Why there is no posterior.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum BayesError {
    /// `alpha` must lie between 0 and 1, both excluded.
    #[error("alpha `{0}` is not between 0 and 1")]
    Alpha(f64),
    /// The estimate must be finite with a positive, finite standard error.
    #[error("estimate `{value}` with standard error `{se}` says nothing about an effect")]
    Effect {
        /// The estimate.
        value: f64,
        /// Its standard error.
        se: f64,
    },
    /// A normal prior needs a finite mean and a positive, finite standard deviation.
    #[error("normal prior with mean `{mean}` and standard deviation `{sd}` is none")]
    NormalPrior {
        /// Its mean.
        mean: f64,
        /// Its standard deviation.
        sd: f64,
    },
    /// The shapes of a beta distribution must lie in the range that can be computed.
    #[error("beta shape `{0}` is not between 0.001 and 1e15")]
    Shape(f64),
    /// More events than units.
    #[error("`{events}` events among `{units}` units are no proportion")]
    Counts {
        /// Units with the event.
        events: u64,
        /// All units.
        units: u64,
    },
    /// The result does not fit into a double.
    #[error("the numbers are too large or too small to be computed")]
    OutOfRange,
}

/// 1/alpha must be finite as well.
fn check_alpha(alpha: f64) -> Result<(), BayesError> {
    if (f64::MIN_POSITIVE..1.0).contains(&alpha) { Ok(()) } else { Err(BayesError::Alpha(alpha)) }
}
