//! A guardrail's question of a finished comparison: is the metric harmed beyond its margin, or shown to be within it?
//! Both sides are tested at the same margin, each one-sided at alpha.
//!
//! With sigma = +1 when an increase harms: h = sigma N - margin |D| (relative) or sigma N - margin (absolute);
//! Var(h) = v_N + margin^2 v_D - 2 sigma margin sign(D) c. Harm tests h > 0, safe tests h < 0. No ratio is formed. 0/1 data
//! without adjustment: the score test at the boundary. Sequential plans ask the guardrail monitor (one stage), or, for
//! adjusted effects, the monitor's mixture of h. Reference: Schultzberg, Ankargren, Franberg (2024).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fixed::table;
use super::sequential::is_burnt_in;
use super::{Plan, PlanMethod, Sample, Warning};
use crate::effect::satterthwaite;
use crate::guardrail::{self, GuardrailPlan, Stratum, Undetermined, Verdict};
use crate::proportion::score_at;
use crate::welch::upper_tail;
use crate::{Direction, Effect, Margin, Moments};

/// The verdict of a margin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MarginTest {
    /// The margin.
    pub margin: Margin,
    /// The direction that harms.
    pub harm: Direction,
    /// Harm, safe, undecided or undetermined.
    pub verdict: Verdict,
    /// Why nothing can be said, when undetermined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Undetermined>,
    /// One-sided p-value of harm beyond the margin; of a sequential plan valid at every look.
    pub p_harm: Option<f64>,
    /// One-sided p-value of being within the margin, likewise.
    pub p_safe: Option<f64>,
    /// Sequential: ln of the evidence for harm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_e_harm: Option<f64>,
    /// Sequential: ln of the current evidence for safety.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_e_safe: Option<f64>,
}

/// Tests the margin against moves in the direction that is not `better`.
pub(super) fn test(plan: &Plan, margin: Margin, better: Direction, sample: &Sample) -> MarginTest {
    let harm = better.opposite();
    let mut found = MarginTest {
        margin,
        harm,
        verdict: Verdict::Undetermined,
        reason: None,
        p_harm: None,
        p_safe: None,
        log_e_harm: None,
        log_e_safe: None,
    };
    let result = plan.check(better).map_err(|_| Undetermined::BadPlan).and_then(|()| match plan.method {
        PlanMethod::Sequential if sample.is_adjusted => found.fill_adjusted(plan, sample),
        PlanMethod::Sequential => found.fill_monitor(plan, sample),
        PlanMethod::Fixed | PlanMethod::Bayesian => found.fill_fixed(plan, sample),
    });
    if let Err(reason) = result {
        (found.verdict, found.reason) = (Verdict::Undetermined, Some(reason));
    }
    found
}

impl MarginTest {
    fn fill_fixed(&mut self, plan: &Plan, sample: &Sample) -> Result<(), Undetermined> {
        if sample.is_plain_counts() {
            let table = table(&sample.control, &sample.treatment).ok_or(Undetermined::NonFinite)?;
            let z = self.harm.sign() * score_at(table, self.margin.boundary(self.harm, 1.0));
            if z.is_nan() {
                return Err(Undetermined::ZeroVariance);
            }
            return self.conclude(plan, upper_tail(z, f64::INFINITY), upper_tail(-z, f64::INFINITY));
        }
        let effect = sample.effect.map_err(reason)?;
        let z = excess(&effect, self.margin, self.harm)?;
        let df = self.degrees(sample, &effect);
        self.conclude(plan, upper_tail(z, df), upper_tail(-z, df))
    }

    /// Degrees of freedom of h: of V_T and R0^2 V_C for two plain arms, those of the difference for adjusted ones.
    fn degrees(&self, sample: &Sample, effect: &Effect) -> f64 {
        let ratio = match self.margin {
            Margin::Absolute(_) => 1.0,
            Margin::Relative(size) => 1.0 + self.harm.sign() * size * effect.baseline.signum(),
        };
        let part = |arm: &Moments, factor: f64| {
            let df = arm.n.saturating_sub(1) as f64;
            arm.variance().map(|variance| (factor * variance / arm.n as f64, df))
        };
        match (part(&sample.treatment, 1.0), part(&sample.control, ratio * ratio)) {
            (Some(treatment), Some(control)) if !sample.is_adjusted => satterthwaite(&[treatment, control]),
            _ => effect.df,
        }
    }

    fn conclude(&mut self, plan: &Plan, p_harm: f64, p_safe: f64) -> Result<(), Undetermined> {
        if p_harm.is_nan() || p_safe.is_nan() {
            return Err(Undetermined::NonFinite);
        }
        (self.p_harm, self.p_safe) = (Some(p_harm), Some(p_safe));
        self.verdict = match (p_harm < plan.alpha, p_safe < plan.alpha) {
            (true, _) => Verdict::Harm,
            (false, true) => Verdict::Safe,
            (false, false) => Verdict::Undecided,
        };
        Ok(())
    }

    fn fill_monitor(&mut self, plan: &Plan, sample: &Sample) -> Result<(), Undetermined> {
        let plan = GuardrailPlan {
            outcome: sample.outcome,
            harm: self.harm,
            margin: self.margin,
            detect: None,
            alpha: plan.alpha,
            alpha_safe: plan.alpha,
            stages: 1,
        };
        let stratum = Stratum { stage: 0, treatment: sample.treatment, control: sample.control };
        let found = guardrail::assess(&plan, &[stratum]);
        match found.reason {
            Some(reason) => Err(reason),
            None => {
                self.fill_evidence(found.log_e_harm, found.log_e_safe);
                self.verdict = found.verdict;
                Ok(())
            }
        }
    }

    fn fill_adjusted(&mut self, plan: &Plan, sample: &Sample) -> Result<(), Undetermined> {
        is_burnt_in(sample).map_err(reason)?;
        let effect = sample.effect.map_err(reason)?;
        let z = excess(&effect, self.margin, self.harm)?;
        let (n_t, n_c) = (sample.treatment.n as f64, sample.control.n as f64);
        let effective = 4.0 * n_t * (n_c / (n_t + n_c));
        let log_e = |z: f64| guardrail::ln_universal(z, effective);
        let (harm, safe) = (log_e(z), log_e(-z));
        if !harm.is_finite() || !safe.is_finite() {
            return Err(Undetermined::NonFinite);
        }
        self.fill_evidence(harm, safe);
        let threshold = -libm::log(plan.alpha);
        self.verdict = match (harm >= threshold, safe >= threshold) {
            (true, _) => Verdict::Harm,
            (false, true) => Verdict::Safe,
            (false, false) => Verdict::Undecided,
        };
        Ok(())
    }

    fn fill_evidence(&mut self, log_e_harm: f64, log_e_safe: f64) {
        let p = |log_e: f64| libm::exp(-log_e).min(1.0);
        (self.log_e_harm, self.log_e_safe) = (Some(log_e_harm), Some(log_e_safe));
        (self.p_harm, self.p_safe) = (Some(p(log_e_harm)), Some(p(log_e_safe)));
    }
}

/// h in standard errors.
fn excess(effect: &Effect, margin: Margin, harm: Direction) -> Result<f64, Undetermined> {
    let sigma = harm.sign();
    let (h, variance) = match margin {
        Margin::Absolute(size) => (sigma * effect.difference - size, effect.variance),
        Margin::Relative(size) => (
            sigma * effect.difference - size * effect.baseline.abs(),
            effect.variance + size * size * effect.baseline_variance
                - 2.0 * sigma * size * effect.baseline.signum() * effect.covariance,
        ),
    };
    if variance.is_nan() || variance <= 0.0 {
        return Err(Undetermined::ZeroVariance);
    }
    let z = h / libm::sqrt(variance);
    if z.is_finite() { Ok(z) } else { Err(Undetermined::NonFinite) }
}

fn reason(warning: Warning) -> Undetermined {
    match warning {
        Warning::TooFewUnits => Undetermined::EmptyArm,
        Warning::BurnIn => Undetermined::BurnIn,
        Warning::Degenerate => Undetermined::ZeroVariance,
        Warning::BadAlpha | Warning::BadPlan => Undetermined::BadPlan,
        _ => Undetermined::NonFinite,
    }
}
