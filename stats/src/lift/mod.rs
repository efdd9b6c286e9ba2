//! The relative change, (treatment - control)/|control mean|, and its interval, by one of three methods. A negative
//! baseline is scaled by its size, so that a lift above 0 is always an increase.

mod delta;
pub mod fieller;
mod log_ratio;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Effect, Estimate};

/// How the interval of a lift is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LiftMethod {
    /// Fieller's theorem: agrees with the absolute interval about "no effect", whatever the data.
    #[default]
    Fieller,
    /// First-order (delta) method, as most engines do it; its tails are uneven when the baseline is uncertain.
    Delta,
    /// Delta method for the logarithm of the ratio of means; both means must be above 0.
    LogRatio,
}

/// The lift at `critical` standard errors. `None` when the baseline cannot be told from zero, the method cannot be used,
/// or a number is not finite.
pub fn lift(method: LiftMethod, effect: &Effect, critical: f64) -> Option<Estimate> {
    match method {
        LiftMethod::Fieller => fieller::lift_of(effect, critical),
        LiftMethod::Delta => delta::lift(effect, critical),
        LiftMethod::LogRatio => log_ratio::lift(effect, critical),
    }
}

/// The lift and its standard error by the delta method, for inferences that need one number for its spread.
pub(crate) fn delta_moments(effect: &Effect) -> Option<(f64, f64)> {
    delta::moments(effect)
}
