//! One look at one guardrail: both e-values, the verdict, the effect and its bounds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounds::{Scale, Start, bound};
use super::evidence::Side;
use super::look::Look;
use super::monitor::totals;
use super::strata::{Sums, weighted_means};
use super::{GuardrailPlan, Stratum};
use crate::margin::{Boundary, ByArm};
use crate::{Margin, Outcome};

/// What is known about a guardrail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Moved beyond the margin in the harmful direction.
    Harm,
    /// Shown to be within the margin.
    Safe,
    /// Neither is shown yet.
    Undecided,
    /// Nothing can be said; a reason is given. Never lets a ramp advance.
    Undetermined,
}

/// Why nothing can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Undetermined {
    /// No stage has units in both arms.
    EmptyArm,
    /// A number is not finite, or 0/1 data are no whole counts.
    NonFinite,
    /// Too few units an arm for a mean.
    BurnIn,
    /// A mean without any variance.
    ZeroVariance,
    /// The plan cannot be used.
    BadPlan,
}

impl std::fmt::Display for Undetermined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::EmptyArm => "No stage has units in both arms yet.",
            Self::NonFinite => "A number is not finite, or the counts of a 0/1 metric are not whole numbers.",
            Self::BurnIn => "There are fewer than 50 units in an arm, too few to judge a mean.",
            Self::ZeroVariance => "All units have the same value, so chance cannot be judged.",
            Self::BadPlan => "The guardrail's margin, detect, alpha or number of stages cannot be used.",
        })
    }
}

/// The outcome of one look. All numbers are finite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Assessment {
    /// What is known.
    pub verdict: Verdict,
    /// Why nothing is, when undetermined.
    pub reason: Option<Undetermined>,
    /// ln of the evidence for harm; harm from ln(1/alpha).
    pub log_e_harm: f64,
    /// ln of the current evidence for safety; safe from ln(1/alpha_safe).
    pub log_e_safe: f64,
    /// Effective units, both arms: 4 sum n_T n_C/(n_T + n_C) over the stages.
    pub n_eff: f64,
    /// Treatment units given.
    pub n_treatment: u64,
    /// Control units given.
    pub n_control: u64,
    /// Treatment mean, stages weighted alike in both arms; 0 when no stage can be compared.
    pub mean_treatment: f64,
    /// Control mean, weighted likewise.
    pub mean_control: f64,
    /// The effect in the margin's terms: relative change (0.1 = +10 %) or difference.
    pub effect: Option<f64>,
    /// Anytime-valid lower bound of the effect at the error probability of the side it serves.
    pub lower: Option<f64>,
    /// Anytime-valid upper bound likewise.
    pub upper: Option<f64>,
}

/// Assesses a guardrail from all strata so far, in any order; strata of one stage are merged. Strata beyond the
/// planned stages count towards every start. Never panics: what cannot be assessed is `Undetermined` with a reason.
pub fn assess(plan: &GuardrailPlan, strata: &[Stratum]) -> Assessment {
    let mut assessment = Assessment {
        verdict: Verdict::Undetermined,
        reason: None,
        log_e_harm: 0.0,
        log_e_safe: 0.0,
        n_eff: 0.0,
        n_treatment: strata.iter().fold(0, |sum, stratum| stratum.treatment.n.saturating_add(sum)),
        n_control: strata.iter().fold(0, |sum, stratum| stratum.control.n.saturating_add(sum)),
        mean_treatment: 0.0,
        mean_control: 0.0,
        effect: None,
        lower: None,
        upper: None,
    };
    if let Err(reason) = fill(&mut assessment, plan, strata) {
        assessment.reason = Some(reason);
    }
    assessment
}

fn fill(assessment: &mut Assessment, plan: &GuardrailPlan, strata: &[Stratum]) -> Result<(), Undetermined> {
    let look = Look::at(plan, strata)?;
    let means = weighted_means(&look.cells);
    assessment.n_eff = 4.0 * look.sums.weight;
    assessment.mean_treatment = means.treatment;
    assessment.mean_control = means.control;
    assessment.effect = effect(plan.margin, means);
    let evidence = look.evidence()?;
    assessment.log_e_harm = evidence.log_e_harm;
    assessment.log_e_safe = evidence.log_e_safe;
    assessment.verdict = if evidence.log_e_harm >= -libm::log(plan.alpha) {
        Verdict::Harm
    } else if evidence.log_e_safe >= -libm::log(plan.alpha_safe) {
        Verdict::Safe
    } else {
        Verdict::Undecided
    };
    let Some(start) = start(plan, means, &look) else {
        return Ok(());
    };
    let of_harm = bound(look.harm.side, start, |boundary| look.ln_harm(boundary) + libm::log(plan.alpha));
    let of_safe = bound(look.safe.side, start, |boundary| look.ln_safe(boundary) + libm::log(plan.alpha_safe));
    let (lower, upper) = if look.harm.side == Side::Above { (of_harm, of_safe) } else { (of_safe, of_harm) };
    // They cross only when the stages contradict each other; then no one range describes them.
    if !matches!((lower, upper), (Some(lower), Some(upper)) if lower > upper) {
        (assessment.lower, assessment.upper) = (lower, upper);
    }
    Ok(())
}

fn effect(margin: Margin, means: ByArm) -> Option<f64> {
    let difference = means.treatment - means.control;
    let effect = match margin {
        Margin::Absolute(_) => difference,
        Margin::Relative(_) => difference / means.control.abs(),
    };
    effect.is_finite().then_some(effect)
}

/// Where to look for the bounds; `None` when a ratio to the baseline has no meaning.
fn start(plan: &GuardrailPlan, means: ByArm, look: &Look) -> Option<Start> {
    let at = |boundary: Boundary| -> Sums { totals(look.harm, &look.cells, boundary) };
    let (scale, at, step) = match (plan.margin, plan.outcome) {
        (Margin::Absolute(_), _) => {
            let guess = means.treatment - means.control;
            let sums = at(Boundary::Difference(guess));
            (Scale::Difference, guess, libm::sqrt(sums.variance) / sums.weight)
        }
        (Margin::Relative(_), Outcome::Mean) => {
            if means.control <= 0.0 {
                return None;
            }
            let guess = means.treatment / means.control;
            let sums = at(Boundary::Ratio(guess));
            (Scale::Ratio, guess, libm::sqrt(sums.variance) / (sums.weight * means.control))
        }
        (Margin::Relative(_), Outcome::Binary) => {
            let sums = at(Boundary::Ratio(1.0));
            let (s, f) = (sums.events_treatment, sums.events_control);
            let guess = if s > 0.0 && f > 0.0 { means.treatment / means.control } else { (s + 0.5) / (f + 0.5) };
            (Scale::LogRatio, libm::log(guess), libm::sqrt(1.0 / (s + 0.5) + 1.0 / (f + 0.5)))
        }
    };
    let is_usable = at.is_finite() && step.is_finite() && step > 0.0;
    is_usable.then_some(Start { scale, at, step })
}
