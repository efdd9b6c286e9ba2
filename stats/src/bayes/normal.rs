//! Posterior of an effect from its estimate, its standard error and a normal prior, or none.
//!
//! With v, se and the prior N(m, s^2): w = s^2/(s^2 + se^2), mean w v + (1-w) m, sd = se sqrt(w); without a prior v and se.
//! r = mean/sd, P(effect > 0) = Phi(r), expected loss of choosing treatment sd (phi(r) - r Phi(-r)) when an increase is
//! wanted; everything mirrored when a decrease is. Assumes a near-normal estimate. Reference: Gelman et al. (2013, 2.5);
//! Stucchio (2015) on the expected loss.

use std::f64::consts::PI;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BayesError, Posterior, check_alpha};
use crate::Direction;
use crate::special::{normal_cdf, normal_quantile, normal_sf};

/// What the data say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NormalEffect {
    /// Estimate of the effect, treatment minus control, on any scale.
    pub value: f64,
    /// Its standard error.
    pub se: f64,
}

/// What was believed before, on the scale of the effect.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NormalPrior {
    /// Expected effect, 0 for a sceptic.
    pub mean: f64,
    /// How far effects usually lie from it.
    pub sd: f64,
}

/// Combines data and prior (`None`: flat); `better` is the wanted direction, the interval has level 1 - `alpha`.
///
/// # Errors
/// See [`BayesError`].
pub fn normal_posterior(
    effect: NormalEffect,
    prior: Option<NormalPrior>,
    better: Direction,
    alpha: f64,
) -> Result<Posterior, BayesError> {
    check_alpha(alpha)?;
    let is_scale = |sd: f64| sd.is_finite() && sd > 0.0;
    if !effect.value.is_finite() || !is_scale(effect.se) {
        return Err(BayesError::Effect { value: effect.value, se: effect.se });
    }
    let (mean, sd) = match prior {
        None => (effect.value, effect.se),
        Some(NormalPrior { mean, sd }) if !mean.is_finite() || !is_scale(sd) => {
            return Err(BayesError::NormalPrior { mean, sd });
        }
        Some(prior) => combine(effect, prior),
    };
    let half_width = -normal_quantile(0.5 * alpha) * sd;
    let r = mean / sd;
    // The loss on the improbable side; the other one exceeds it by the mean.
    let improbable = sd * density_excess(r.abs());
    let (below, above) = if mean >= 0.0 { (improbable, improbable + mean) } else { (improbable - mean, improbable) };
    let (probability_better, loss_treatment, loss_control) = match better {
        Direction::Increase => (normal_cdf(r), below, above),
        Direction::Decrease => (normal_sf(r), above, below),
    };
    let (lower, upper) = (mean - half_width, mean + half_width);
    let found = Posterior { probability_better, loss_treatment, loss_control, mean, sd, lower, upper };
    let is_sound = is_scale(sd) && [mean, lower, upper, loss_treatment, loss_control].into_iter().all(f64::is_finite);
    if is_sound { Ok(found) } else { Err(BayesError::OutOfRange) }
}

fn combine(effect: NormalEffect, prior: NormalPrior) -> (f64, f64) {
    let total = libm::hypot(effect.se, prior.sd);
    let (data_side, prior_side) = (prior.sd / total, effect.se / total);
    let mean = data_side * data_side * effect.value + prior_side * prior_side * prior.mean;
    (mean, effect.se * data_side)
}

/// phi(r) - r Phi(-r) for r >= 0.
fn density_excess(r: f64) -> f64 {
    let excess = libm::exp(-0.5 * r * r) / libm::sqrt(2.0 * PI) - r * normal_sf(r);
    // Infinite r: infinity times 0.
    if excess > 0.0 { excess } else { 0.0 }
}
