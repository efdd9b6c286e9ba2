//! Treatment against control in one metric: a model reduces the arms to an effect (`sample`), a plan says which kind of
//! statement is made of it (`plan`), and each kind is a file: `fixed` horizon, `sequential`, `bayesian`; a guardrail's
//! margin is tested beside them (`margin_test`).
//!
//! p < alpha exactly when 0 is outside both intervals, for every kind that has a p-value. What cannot be compared is
//! `Undetermined` with a warning that says why: never p = 1, never an interval (0, 0).

mod bayesian;
mod fixed;
mod margin_test;
mod plan;
mod sample;
mod sequential;
mod warning;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use bayesian::{BayesianAnswer, PosteriorScale};
pub use margin_test::MarginTest;
pub use plan::{Plan, PlanMethod, Prior, ProportionTest, TUNED_AT_DEFAULT};
pub use sample::{ArmSample, Covariates, Model, Sample};
pub use warning::Warning;

use crate::lift::fieller::baseline_uncertainty_of;
use crate::{Cuped, Direction, Effect, Estimate, Moments, Outcome};

/// The test behind a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Welch's t test.
    Welch,
    /// Score test of two proportions.
    Score,
    /// Fisher's conditional test, mid-p.
    MidP,
    /// Pooled z test of two proportions.
    PooledZ,
    /// Normal mixture, valid at every look.
    Anytime,
    /// Posterior of a normal effect.
    Normal,
    /// Posterior of two proportions.
    BetaBinomial,
}

/// What a comparison says about the treatment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonVerdict {
    /// It moved the metric in the wanted direction.
    Better,
    /// It moved the metric against the wanted direction.
    Worse,
    /// No difference could be shown.
    Inconclusive,
    /// The data do not allow the comparison; the warnings say why.
    Undetermined,
}

/// Treatment against control. Every number is finite or absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// The test behind `p_value` and the intervals.
    pub method: Method,
    /// Two-sided error of the intervals.
    pub alpha: f64,
    /// Treatment minus control (adjusted, when covariates or strata are used), when both means exist, even when nothing can
    /// be said about its uncertainty.
    pub difference: Option<f64>,
    /// The difference with its interval of level 1 - alpha.
    pub absolute: Option<Estimate>,
    /// The difference as a fraction of the control mean's size (0.1 = +10 %), with its interval.
    pub relative: Option<Estimate>,
    /// The difference in standard errors, for tests that have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistic: Option<f64>,
    /// Degrees of freedom, for a t test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub df: Option<f64>,
    /// Two-sided. Of a sequential plan: valid at this look together with all others.
    pub p_value: Option<f64>,
    /// Sequential: ln of the evidence against "no effect"; an effect is shown from ln(1/alpha).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_e: Option<f64>,
    /// What it says.
    pub verdict: ComparisonVerdict,
    /// What to know beside it.
    pub warnings: Vec<Warning>,
    /// The verdict of a guardrail, when the plan has a margin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<MarginTest>,
    /// What the covariates did, when there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cuped: Option<Cuped>,
    /// Bayesian: the posterior.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bayesian: Option<BayesianAnswer>,
    /// The control arm, unadjusted; of a ratio or quantile with the squares of one value a unit.
    pub control: Moments,
    /// The treatment arm likewise.
    pub treatment: Moments,
}

/// Compares two arms of one value a unit at two-sided `alpha`, once; `better` is the wanted direction.
pub fn compare(outcome: Outcome, better: Direction, control: &Moments, treatment: &Moments, alpha: f64) -> Comparison {
    compare_by(&Plan::fixed(alpha), better, &Sample::of_moments(outcome, control, treatment))
}

/// Compares two arms by a plan; `better` is the wanted direction. Never panics.
pub fn compare_by(plan: &Plan, better: Direction, sample: &Sample) -> Comparison {
    let mut comparison = Comparison::empty(plan, sample);
    let result = check(plan, better, sample).and_then(|()| {
        comparison.difference =
            Some(sample.effect.map_or(sample.treatment.mean - sample.control.mean, |e| e.difference));
        match plan.method {
            PlanMethod::Fixed => fixed::fill(&mut comparison, plan, sample),
            PlanMethod::Sequential => sequential::fill(&mut comparison, plan, sample),
            PlanMethod::Bayesian => bayesian::fill(&mut comparison, plan, better, sample),
        }
    });
    if let Err(warning) = result {
        comparison.warnings.push(warning);
    }
    comparison.conclude(better);
    if let Some(margin) = plan.margin {
        comparison.margin = Some(margin_test::test(plan, margin, better, sample));
    }
    comparison
}

fn check(plan: &Plan, better: Direction, sample: &Sample) -> Result<(), Warning> {
    plan.check(better)?;
    if let Err(warning) = sample.effect {
        // Counts of single units still have their exact test.
        if !sample.is_plain_counts() || warning != Warning::TooFewUnits {
            return Err(warning);
        }
    }
    let (control, treatment) = (&sample.control, &sample.treatment);
    if !control.is_valid() || !treatment.is_valid() || !(treatment.mean - control.mean).is_finite() {
        return Err(Warning::NotFinite);
    }
    if control.n == 0 || treatment.n == 0 {
        return Err(Warning::TooFewUnits);
    }
    Ok(())
}

impl Comparison {
    fn empty(plan: &Plan, sample: &Sample) -> Self {
        // A mean that is not finite has no JSON form; the warning says why it is not there.
        let shown = |arm: &Moments| if arm.is_valid() { *arm } else { Moments { n: arm.n, ..Moments::default() } };
        Self {
            method: match (plan.method, sample.is_plain_counts()) {
                (PlanMethod::Fixed, true) => Method::Score,
                (PlanMethod::Fixed, false) => Method::Welch,
                (PlanMethod::Sequential, _) => Method::Anytime,
                (PlanMethod::Bayesian, _) => Method::Normal,
            },
            alpha: if plan.alpha.is_finite() { plan.alpha } else { 0.0 },
            difference: None,
            absolute: None,
            relative: None,
            statistic: None,
            df: None,
            p_value: None,
            log_e: None,
            verdict: ComparisonVerdict::Undetermined,
            warnings: sample.warnings.clone(),
            margin: None,
            cuped: sample.cuped.clone(),
            bayesian: None,
            control: shown(&sample.control),
            treatment: shown(&sample.treatment),
        }
    }

    fn conclude(&mut self, better: Direction) {
        let (Some(p), Some(difference)) = (self.p_value, self.difference) else {
            return;
        };
        self.verdict = match p < self.alpha {
            true if difference * better.sign() > 0.0 => ComparisonVerdict::Better,
            true => ComparisonVerdict::Worse,
            false => ComparisonVerdict::Inconclusive,
        };
    }

    /// Notes constant arms. Without any variance there is nothing to test: equal constants are inconclusive (no effect to
    /// see, and none excluded), different ones undetermined (chance cannot be judged).
    fn has_variance(&mut self, sample: &Sample, effect: &Effect) -> bool {
        if sample.control.m2 == 0.0 || sample.treatment.m2 == 0.0 {
            self.warnings.push(Warning::Degenerate);
        }
        if effect.variance > 0.0 {
            return true;
        }
        if !self.warnings.contains(&Warning::Degenerate) {
            self.warnings.push(Warning::Degenerate);
        }
        if effect.difference == 0.0 {
            self.verdict = ComparisonVerdict::Inconclusive;
        }
        false
    }

    /// The interval at `critical` standard errors, on both scales.
    fn fill_intervals(&mut self, plan: &Plan, effect: &Effect, critical: f64) -> Result<(), Warning> {
        let half = critical * effect.se();
        let value = effect.difference;
        let absolute = Estimate { value, lower: value - half, upper: value + half, se: Some(effect.se()) };
        if !absolute.lower.is_finite() || !absolute.upper.is_finite() {
            return Err(Warning::NotFinite);
        }
        self.absolute = Some(absolute);
        self.relative = crate::lift::lift(plan.lift, effect, critical);
        if self.relative.is_none() || baseline_uncertainty_of(effect, critical) >= 1.0 {
            self.warnings.push(Warning::BaselineNearZero);
        }
        Ok(())
    }
}
