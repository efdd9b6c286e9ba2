//! A lift of 10 % over an uncertain baseline: g = c^2 V_C/m_C^2 = .05 at 77 units an arm whose standard deviation is
//! the baseline.

use liftgate_stats::{Comparison, Direction, Estimate, Moments, Outcome, compare};
use rand::rngs::SmallRng;

use super::chance::normal;

pub const LIFT: f64 = 0.1;
const UNITS: u32 = 77;
const ALPHA: f64 = 0.05;
/// Normal quantile of .975.
const CRITICAL: f64 = 1.959_963_984_540_054;

/// Two intervals of one lift.
#[derive(Clone, Copy, Debug)]
pub struct Lifts {
    pub fieller: Option<Estimate>,
    pub delta: Estimate,
}

/// Both intervals in one run.
pub fn one_run(rng: &mut SmallRng) -> Lifts {
    let mut arm = |mean: f64| Moments::of((0..UNITS).map(|_| mean + normal(rng)));
    let (treatment, control) = (arm(1.0 + LIFT), arm(1.0));
    let comparison = compare(Outcome::Mean, Direction::Increase, &control, &treatment, ALPHA);
    Lifts { fieller: comparison.relative, delta: delta_method(&comparison) }
}

/// The interval that treats the baseline as certain enough for a first-order expansion.
fn delta_method(comparison: &Comparison) -> Estimate {
    let variance = |arm: &Moments| arm.variance().unwrap_or(0.0) / arm.n as f64;
    let (treatment, control) = (&comparison.treatment, &comparison.control);
    let ratio = treatment.mean / control.mean;
    let se = (variance(treatment) + ratio * ratio * variance(control)).sqrt() / control.mean.abs();
    let value = ratio - 1.0;
    Estimate { value, lower: value - CRITICAL * se, upper: value + CRITICAL * se, se: Some(se) }
}
