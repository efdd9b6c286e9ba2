//! A statement under a prior: the posterior of the effect, not an error rate. `better` when the credible interval lies on
//! the wanted side of zero.
//!
//! A normal prior of the lift or of the difference meets the estimate on the same scale (the lift by the delta method);
//! a Beta prior meets the counts of two proportions. Without a prior it is flat on the scale of the difference. The other
//! scale is the same interval divided or multiplied by the control mean, taken as known.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Comparison, ComparisonVerdict, Method, Plan, Prior, Sample, Warning};
use crate::bayes::{BayesError, Beta, NormalEffect, NormalPrior, Posterior, compare_betas, normal_posterior};
use crate::lift::delta_moments;
use crate::{Direction, Effect, Estimate};

/// What the posterior is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PosteriorScale {
    /// The lift, a fraction of the control mean.
    Relative,
    /// The difference.
    Absolute,
}

/// The posterior of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BayesianAnswer {
    /// What mean, interval and losses are about.
    pub scale: PosteriorScale,
    /// The posterior.
    #[serde(flatten)]
    pub posterior: Posterior,
}

pub(super) fn fill(
    comparison: &mut Comparison,
    plan: &Plan,
    better: Direction,
    sample: &Sample,
) -> Result<(), Warning> {
    match plan.prior {
        Some(Prior::Beta { alpha, beta }) => {
            fill_proportions(comparison, plan, better, sample, Beta { alpha, beta })?;
        }
        Some(Prior::Relative(prior)) => {
            let effect = effect(comparison, sample)?;
            let (value, se) = delta_moments(&effect).ok_or(Warning::BaselineNearZero)?;
            let posterior = posterior(NormalEffect { value, se }, Some(prior), better, plan)?;
            set(comparison, PosteriorScale::Relative, posterior, &effect);
        }
        Some(Prior::Absolute(prior)) => fill_absolute(comparison, plan, better, sample, Some(prior))?,
        None => fill_absolute(comparison, plan, better, sample, None)?,
    }
    let Some(found) = comparison.bayesian else {
        return Ok(());
    };
    let is_above = |bound: f64| bound * better.sign() > 0.0;
    comparison.verdict = match (is_above(found.posterior.lower), is_above(found.posterior.upper)) {
        (true, true) => ComparisonVerdict::Better,
        (false, false) if found.posterior.lower != 0.0 && found.posterior.upper != 0.0 => ComparisonVerdict::Worse,
        _ => ComparisonVerdict::Inconclusive,
    };
    Ok(())
}

fn fill_absolute(
    comparison: &mut Comparison,
    plan: &Plan,
    better: Direction,
    sample: &Sample,
    prior: Option<NormalPrior>,
) -> Result<(), Warning> {
    let effect = effect(comparison, sample)?;
    let posterior = posterior(NormalEffect { value: effect.difference, se: effect.se() }, prior, better, plan)?;
    set(comparison, PosteriorScale::Absolute, posterior, &effect);
    Ok(())
}

/// The effect when it has variance; constant arms say nothing about chance.
fn effect(comparison: &mut Comparison, sample: &Sample) -> Result<Effect, Warning> {
    let effect = sample.effect?;
    if comparison.has_variance(sample, &effect) { Ok(effect) } else { Err(Warning::Degenerate) }
}

fn posterior(
    effect: NormalEffect,
    prior: Option<NormalPrior>,
    better: Direction,
    plan: &Plan,
) -> Result<Posterior, Warning> {
    normal_posterior(effect, prior, better, plan.alpha).map_err(reason)
}

fn set(comparison: &mut Comparison, scale: PosteriorScale, posterior: Posterior, effect: &Effect) {
    let own =
        Estimate { value: posterior.mean, lower: posterior.lower, upper: posterior.upper, se: Some(posterior.sd) };
    let times = |factor: f64| {
        let of = |number: f64| number * factor;
        let scaled = Estimate { value: of(own.value), lower: of(own.lower), upper: of(own.upper), se: own.se.map(of) };
        [scaled.value, scaled.lower, scaled.upper].iter().all(|number| number.is_finite()).then_some(scaled)
    };
    let size = effect.baseline.abs();
    (comparison.absolute, comparison.relative) = match scale {
        PosteriorScale::Absolute => (Some(own), times(1.0 / size)),
        PosteriorScale::Relative => (times(size), Some(own)),
    };
    if comparison.relative.is_none() {
        comparison.warnings.push(Warning::BaselineNearZero);
    }
    comparison.bayesian = Some(BayesianAnswer { scale, posterior });
}

fn fill_proportions(
    comparison: &mut Comparison,
    plan: &Plan,
    better: Direction,
    sample: &Sample,
    prior: Beta,
) -> Result<(), Warning> {
    comparison.method = Method::BetaBinomial;
    if !sample.is_plain_counts() {
        // Adjusted or stratified proportions are no counts any more.
        return Err(Warning::BadPlan);
    }
    let counts = |arm: &crate::Moments| {
        let events = arm.events().ok_or(Warning::NotCounts)?;
        prior.after(events, arm.n).map_err(reason)
    };
    let (control, treatment) = (counts(&sample.control)?, counts(&sample.treatment)?);
    let found = compare_betas(control, treatment, better, plan.alpha).map_err(reason)?;
    let posterior = found.difference;
    comparison.absolute = Some(Estimate {
        value: posterior.mean,
        lower: posterior.lower,
        upper: posterior.upper,
        se: Some(posterior.sd),
    });
    comparison.relative = found.lift;
    if comparison.relative.is_none() {
        comparison.warnings.push(Warning::BaselineNearZero);
    }
    comparison.bayesian = Some(BayesianAnswer { scale: PosteriorScale::Absolute, posterior });
    Ok(())
}

fn reason(error: BayesError) -> Warning {
    match error {
        BayesError::Alpha(_) => Warning::BadAlpha,
        BayesError::NormalPrior { .. } | BayesError::Shape(_) => Warning::BadPlan,
        BayesError::Counts { .. } => Warning::NotCounts,
        BayesError::Effect { .. } | BayesError::OutOfRange => Warning::NotFinite,
    }
}
