//! What a guardrail says at a look, from its evidence alone.

use liftgate_stats::guardrail::log_evidence;
use liftgate_stats::{Direction, GuardrailPlan, Margin, Outcome, Stratum};

pub const ALPHA: f64 = 0.05;

/// A plan for one stage: harm is an increase beyond the relative `margin`.
pub fn plan(outcome: Outcome, margin: f64) -> GuardrailPlan {
    GuardrailPlan {
        outcome,
        harm: Direction::Increase,
        margin: Margin::Relative(margin),
        detect: None,
        alpha: ALPHA,
        alpha_safe: ALPHA,
        stages: 1,
    }
}

/// ln of the evidence for harm; no evidence while nothing can be said.
pub fn log_e_harm(plan: &GuardrailPlan, strata: &[Stratum]) -> f64 {
    log_evidence(plan, strata).map_or(0.0, |evidence| evidence.log_e_harm)
}

/// Whether `assess` says harm.
pub fn is_harm(plan: &GuardrailPlan, strata: &[Stratum]) -> bool {
    log_e_harm(plan, strata) >= -plan.alpha.ln()
}

/// Whether the evidence of safety suffices.
pub fn is_safe(plan: &GuardrailPlan, strata: &[Stratum]) -> bool {
    log_evidence(plan, strata).is_ok_and(|evidence| evidence.log_e_safe >= -plan.alpha_safe.ln())
}
