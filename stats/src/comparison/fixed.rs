//! A statement that is valid at one look, at a time fixed in advance. Not for peeking.
//!
//! Effects: t with Satterthwaite's degrees of freedom. 0/1 data: the score test (`proportion`), or mid-p (`exact`) when the
//! smallest expected count is below 10 or a cell is zero.

use super::sequential::is_burnt_in;
use super::{Comparison, Method, Plan, ProportionTest, Sample, Warning};
use crate::exact::{MidP, mid_p, probabilities_at};
use crate::lift::fieller::{ArmMean, baseline_uncertainty};
use crate::proportion::{self, Count, Table};
use crate::welch::t_test;
use crate::{Estimate, Moments, Outcome, special};

/// Below this smallest expected count the exact test is taken.
const EXPECTED_MIN: f64 = 10.0;
/// Above so many events a zero cell is left to the score test: its approximation is good there, and the exact
/// sums are long.
const EXACT_EVENTS_MAX: u64 = 1_000_000;

pub(super) fn fill(comparison: &mut Comparison, plan: &Plan, sample: &Sample) -> Result<(), Warning> {
    if sample.is_plain_counts() {
        return fill_proportions(comparison, plan, sample);
    }
    let effect = sample.effect?;
    if !comparison.has_variance(sample, &effect) {
        return Ok(());
    }
    if sample.outcome == Outcome::Binary && is_burnt_in(sample) == Err(Warning::BurnIn) {
        // Adjusted proportions have no exact test.
        comparison.warnings.push(Warning::LowCounts);
    }
    let test = t_test(&effect, plan.alpha).ok_or(Warning::NotFinite)?;
    comparison.fill_intervals(plan, &effect, test.critical)?;
    comparison.statistic = Some(test.statistic);
    comparison.df = Some(effect.df);
    comparison.p_value = Some(test.p_value);
    Ok(())
}

/// The 2x2 table of two arms of 0/1 data; `None` when they cannot be.
pub(super) fn table(control: &Moments, treatment: &Moments) -> Option<Table> {
    let count = |moments: &Moments| moments.events().and_then(|events| Count::new(events, moments.n));
    Some(Table { treatment: count(treatment)?, control: count(control)? })
}

fn fill_proportions(comparison: &mut Comparison, plan: &Plan, sample: &Sample) -> Result<(), Warning> {
    let table = table(&sample.control, &sample.treatment).ok_or(Warning::NotCounts)?;
    if plan.proportions == ProportionTest::PooledZ {
        return fill_pooled_z(comparison, plan, sample, table);
    }
    let control = table.control;
    let critical = -special::normal_quantile(0.5 * plan.alpha);
    let share = control.share();
    let baseline = ArmMean { mean: share, variance: share * (1.0 - share) / control.units as f64 };
    let has_baseline = control.events > 0 && baseline_uncertainty(baseline, critical) < 1.0;
    let mut absolute = proportion::difference(table, plan.alpha);
    let mut relative = if has_baseline { proportion::lift(table, plan.alpha) } else { None };
    let is_summable = table.treatment.events.saturating_add(control.events) <= EXACT_EVENTS_MAX;
    if table.expected_min() < EXPECTED_MIN || (table.has_zero_cell() && is_summable) {
        let exact = mid_p(table, plan.alpha);
        comparison.method = Method::MidP;
        comparison.warnings.push(Warning::LowCounts);
        comparison.p_value = Some(exact.p_value);
        absolute = reconcile(absolute, Scale::Difference, table, exact);
        relative = relative.map(|relative| reconcile(relative, Scale::Ratio, table, exact));
    } else {
        comparison.p_value = Some(proportion::score_p_value(table));
        comparison.statistic = Some(proportion::score_statistic(table)).filter(|z| z.is_finite());
    }
    comparison.absolute = Some(absolute);
    comparison.relative = relative;
    if comparison.relative.is_none() {
        comparison.warnings.push(Warning::BaselineNearZero);
    }
    Ok(())
}

/// z = d/sqrt(p(1-p)(1/n_T + 1/n_C)) with the pooled p, and the interval d +- z_{a/2} sqrt(p_T q_T/n_T + p_C q_C/n_C).
fn fill_pooled_z(comparison: &mut Comparison, plan: &Plan, sample: &Sample, table: Table) -> Result<(), Warning> {
    comparison.method = Method::PooledZ;
    let z = proportion::pooled_z(table).ok_or(Warning::Degenerate)?;
    comparison.statistic = Some(z);
    comparison.p_value = Some((2.0 * special::normal_sf(z.abs())).min(1.0));
    // Population variances, p(1-p)/n, as the compared engines have them.
    let biased = |arm: &Moments| arm.m2 / arm.n as f64 / arm.n as f64;
    let mut effect = sample.effect?;
    effect.baseline_variance = biased(&sample.control);
    effect.variance = biased(&sample.treatment) + effect.baseline_variance;
    effect.covariance = -effect.baseline_variance;
    comparison.fill_intervals(plan, &effect, -special::normal_quantile(0.5 * plan.alpha))
}

#[derive(Clone, Copy)]
enum Scale {
    Difference,
    Ratio,
}

/// The wider of the score interval and the exact one; where they disagree about no effect, the exact test's own
/// bound stands, so that the interval and the p-value always say the same.
fn reconcile(score: Estimate, scale: Scale, table: Table, exact: MidP) -> Estimate {
    let at = |odds: f64| {
        let p = probabilities_at(table, odds);
        match scale {
            Scale::Difference => p.treatment - p.control,
            Scale::Ratio => p.treatment / p.control - 1.0,
        }
    };
    let (lower, upper) = (at(exact.odds_lower), at(exact.odds_upper));
    let excludes_below = exact.odds_lower > 1.0;
    let excludes_above = exact.odds_upper < 1.0;
    Estimate {
        lower: if (score.lower > 0.0) == excludes_below { score.lower.min(lower) } else { lower },
        upper: if (score.upper < 0.0) == excludes_above { score.upper.max(upper) } else { upper },
        ..score
    }
}
