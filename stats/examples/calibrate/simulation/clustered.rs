//! Units with many requests each, and the ratio of two sums over them, made moments of one value a unit by
//! `liftgate_stats::ratio`, so that it can be judged like a mean.

use liftgate_stats::{Direction, GuardrailPlan, JointMoments, Margin, Moments, Outcome, Stratum, ratio};
use rand::rngs::SmallRng;

use super::chance::{beta, binomial, negative_binomial, normal, poisson};
use super::ramp::{Looks, Pair};
use super::verdict::{is_harm, plan};

/// Control units the cut of a quantile is taken from.
const CUT_UNITS: usize = 2_000;
/// The same where they are compared as well.
const CUT_UNITS_OWN: usize = 1_000;
const QUANTILE: f64 = 0.99;

/// Of the beta distribution of units' error rates; the smaller, the more they differ.
const CONCENTRATION: f64 = 5.0;

/// Events that count (Y) among the events of a unit (D), joint moments over units.
#[derive(Clone, Debug)]
pub struct RatioArm(JointMoments);

impl Default for RatioArm {
    fn default() -> Self {
        Self(JointMoments::new(2))
    }
}

/// One unit of a ratio.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub numerator: f64,
    pub denominator: f64,
}

impl RatioArm {
    pub fn push(&mut self, part: Part) {
        self.0.push(&[part.numerator, part.denominator]);
    }

    /// The ratio as if it were a mean; no units while there is none.
    pub fn linearised(&self) -> Moments {
        ratio::linearize(&self.0).unwrap_or_default()
    }
}

/// Errors among page views: units differ in how much they view (mean 5, over-dispersed) and in how often they fail
/// (mean `error_rate`).
pub fn errors_of_views(rng: &mut SmallRng, error_rate: f64) -> Part {
    let views = 1 + negative_binomial(rng, 4.0, 1.0);
    let rate = beta(rng, CONCENTRATION * error_rate, CONCENTRATION * (1.0 - error_rate));
    Part { numerator: f64::from(binomial(rng, views, rate)), denominator: f64::from(views) }
}

/// Latencies of a unit's requests in milliseconds, around 400; a slow unit is slow in all of them.
pub fn latencies_ms(rng: &mut SmallRng) -> Vec<f64> {
    let unit = 0.5 * normal(rng);
    (0..=poisson(rng, 4.0)).map(|_| (6.0 + unit + 0.5 * normal(rng)).exp()).collect()
}

/// How many of a unit's latencies are within the cut.
pub fn within(latencies_ms: &[f64], cut_ms: f64) -> Part {
    let within = latencies_ms.iter().filter(|latency| **latency <= cut_ms).count();
    Part { numerator: within as f64, denominator: latencies_ms.len() as f64 }
}

/// The quantile of all requests of `units` units.
pub fn cut_ms(units: &[Vec<f64>], quantile: f64) -> f64 {
    let mut requests: Vec<f64> = units.concat();
    let rank = (quantile * requests.len() as f64).ceil() as usize;
    let index = rank.clamp(1, requests.len()) - 1;
    *requests.select_nth_unstable_by(index, f64::total_cmp).1
}

/// Whether the ratio of errors to views is ever called harmed, with a look after every pair.
pub fn is_ratio_harmed(rng: &mut SmallRng, pairs: u64, error_rates: Pair) -> bool {
    let plan = plan(Outcome::Mean, 0.0);
    let mut arms = [RatioArm::default(), RatioArm::default()];
    (0..pairs).any(|_| {
        arms[0].push(errors_of_views(rng, error_rates.treatment));
        arms[1].push(errors_of_views(rng, error_rates.control));
        is_harm(&plan, &[stratum(&arms)])
    })
}

/// Whether the p99 of latencies is ever called harmed, with a look after every pair: harm is a smaller share of
/// requests within the cut, which is frozen from earlier control units and, for treatment, moved by the margin.
pub fn is_quantile_harmed(rng: &mut SmallRng, pairs: u64, margin_ms: f64, treat: impl Fn(f64) -> f64) -> bool {
    let plan = quantile_plan();
    let earlier: Vec<Vec<f64>> = (0..CUT_UNITS).map(|_| latencies_ms(rng)).collect();
    let cut = cut_ms(&earlier, QUANTILE);
    let mut arms = [RatioArm::default(), RatioArm::default()];
    (0..pairs).any(|_| {
        let treated: Vec<f64> = latencies_ms(rng).into_iter().map(&treat).collect();
        arms[0].push(within(&treated, cut + margin_ms));
        arms[1].push(within(&latencies_ms(rng), cut));
        is_harm(&plan, &[stratum(&arms)])
    })
}

/// The same with nothing wrong, and a cut from control units that are themselves compared; looked at once the cut
/// exists.
pub fn is_harmed_at_a_cut_of_its_own(rng: &mut SmallRng, pairs: u64) -> bool {
    let plan = quantile_plan();
    let earlier: Vec<Vec<f64>> = (0..CUT_UNITS_OWN).map(|_| latencies_ms(rng)).collect();
    let cut = cut_ms(&earlier, QUANTILE);
    let mut arms = [RatioArm::default(), RatioArm::default()];
    (0..pairs as usize).any(|index| {
        arms[0].push(within(&latencies_ms(rng), cut));
        arms[1].push(within(earlier.get(index).unwrap_or(&latencies_ms(rng)), cut));
        index >= CUT_UNITS_OWN && Looks::Thinned.are_due(index as u64) && is_harm(&plan, &[stratum(&arms)])
    })
}

/// A share of requests within a cut may not fall.
pub fn quantile_plan() -> GuardrailPlan {
    GuardrailPlan { harm: Direction::Decrease, margin: Margin::Absolute(0.0), ..plan(Outcome::Mean, 0.0) }
}

/// Treatment and control as one stage.
pub fn stratum([treatment, control]: &[RatioArm; 2]) -> Stratum {
    Stratum { stage: 0, treatment: treatment.linearised(), control: control.linearised() }
}
