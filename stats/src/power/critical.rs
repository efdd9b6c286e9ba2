//! How many standard errors an estimate must be away for a success.
//!
//! Fixed: the normal quantile. Sequential: the anytime-valid multiplier c(x, a), x = k N/N*, k from the level;
//! N* given, or N itself (`auto`), where the multiplier no longer depends on the size.

use super::request::{Hypothesis, PowerMethod, PowerRequest, Sides};
use crate::anytime::{information_at_tuning, multiplier, multiplier_one_sided};
use crate::special::normal_quantile;

/// The rule, before the size is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Critical {
    method: PowerMethod,
    sides: Sides,
    alpha: f64,
    /// N*; `None` is the size itself.
    tuned_at: Option<f64>,
}

impl Critical {
    pub(super) fn new(request: &PowerRequest, alpha: f64, tuned_at: Option<f64>) -> Self {
        let usual = match request.hypothesis {
            Hypothesis::Superiority => Sides::Two,
            Hypothesis::NonInferiority => Sides::One,
        };
        Self { method: request.method, sides: request.sides.unwrap_or(usual), alpha, tuned_at }
    }

    /// The same rule with N* settled: `units` unless it was given.
    pub(super) fn settled(self, units: f64) -> Self {
        Self { tuned_at: self.tuned_at.or(Some(units)), ..self }
    }

    /// The multiplier at so many units of both arms.
    pub(super) fn at(self, units: f64) -> f64 {
        let share = self.tuned_at.map_or(1.0, |tuned_at| units / tuned_at);
        match (self.method, self.sides) {
            (PowerMethod::Fixed, Sides::One) => -normal_quantile(self.alpha),
            (PowerMethod::Fixed, Sides::Two) => -normal_quantile(0.5 * self.alpha),
            (PowerMethod::Sequential, Sides::One) => {
                multiplier_one_sided(information_at_tuning(2.0 * self.alpha) * share, self.alpha)
            }
            (PowerMethod::Sequential, Sides::Two) => multiplier(information_at_tuning(self.alpha) * share, self.alpha),
        }
    }

    /// N* at so many units; `None` for a test at one look.
    pub(super) fn tuned_at(self, units: f64) -> Option<u64> {
        match self.method {
            PowerMethod::Fixed => None,
            PowerMethod::Sequential => Some(libm::round(self.tuned_at.unwrap_or(units)) as u64),
        }
    }
}
