//! One look at the strata: what `assess` judges and `log_evidence` only weighs. The evidence of both bets costs about
//! a microsecond; the bounds for people, found by search, cost many times that, so a simulation asks for the former.

use super::evidence::{Alternative, Bet, Burn, Side, burn};
use super::monitor::{ln_mixture_over_starts, totals};
use super::strata::{Cell, Sums, cells, weighted_means};
use super::{GuardrailPlan, Stratum, Undetermined};
use crate::margin::Boundary;
use crate::{Direction, Margin, Outcome};

/// The evidence at one look, in natural logarithms; both numbers are finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// ln of the evidence for harm; harm from ln(1/alpha).
    pub log_e_harm: f64,
    /// ln of the current evidence for safety; safe from ln(1/alpha_safe).
    pub log_e_safe: f64,
}

/// The evidence of [`assess`](super::assess) alone, without the effect and its bounds: for simulation and backtest,
/// where millions of looks are taken and nobody reads the bounds.
///
/// # Errors
/// Why nothing can be said, as `assess` gives it.
pub fn log_evidence(plan: &GuardrailPlan, strata: &[Stratum]) -> Result<Evidence, Undetermined> {
    Look::at(plan, strata)?.evidence()
}

/// Strata that can be compared, and the bets on them.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) cells: Vec<Cell>,
    /// Sums over all strata at the margin.
    pub(super) sums: Sums,
    pub(super) harm: Bet,
    pub(super) safe: Bet,
    boundary: Boundary,
    outcome: Outcome,
    stages: u32,
}

impl Look {
    pub(super) fn at(plan: &GuardrailPlan, strata: &[Stratum]) -> Result<Self, Undetermined> {
        plan.check().map_err(|_| Undetermined::BadPlan)?;
        let outcome = plan.outcome;
        let cells = cells(outcome, strata).ok_or(Undetermined::NonFinite)?;
        if strata.iter().all(|stratum| stratum.treatment.n == 0) || strata.iter().all(|stratum| stratum.control.n == 0)
        {
            return Err(Undetermined::EmptyArm);
        }
        let sign = baseline_sign(plan, &cells);
        let boundary = plan.margin.boundary(plan.harm, sign);
        let (harm, safe) = bets(plan, sign);
        let sums = totals(harm, &cells, boundary);
        if sums.weight == 0.0 {
            return Err(match outcome {
                Outcome::Binary => Undetermined::EmptyArm,
                Outcome::Mean => Undetermined::BurnIn,
            });
        }
        if !sums.contrast.is_finite() || !sums.variance.is_finite() || !sums.baseline.is_finite() {
            return Err(Undetermined::NonFinite);
        }
        Ok(Self { cells, sums, harm, safe, boundary, outcome, stages: plan.stages })
    }

    /// Both bets at the margin.
    pub(super) fn evidence(&self) -> Result<Evidence, Undetermined> {
        match (self.outcome, burn(self.outcome, &self.sums)) {
            (Outcome::Mean, Burn::In) => return Err(Undetermined::BurnIn),
            (Outcome::Mean, Burn::Flat) => return Err(Undetermined::ZeroVariance),
            _ => {}
        }
        let evidence = Evidence { log_e_harm: self.ln_harm(self.boundary), log_e_safe: self.ln_safe(self.boundary) };
        let is_finite = evidence.log_e_harm.is_finite() && evidence.log_e_safe.is_finite();
        is_finite.then_some(evidence).ok_or(Undetermined::NonFinite)
    }

    /// The bet on harm beyond any boundary.
    pub(super) fn ln_harm(&self, boundary: Boundary) -> f64 {
        ln_mixture_over_starts(self.harm, &self.cells, boundary, self.stages)
    }

    /// The bet on safety within any boundary; from the first stage only.
    pub(super) fn ln_safe(&self, boundary: Boundary) -> f64 {
        ln_mixture_over_starts(self.safe, &self.cells, boundary, 1)
    }
}

/// -1 when the control mean is below zero, so that a margin of 10 % lies 10 % of its size away on the harmful side; else 1.
/// (Near zero the sign is a guess, but there the margin is nothing beside the noise.)
fn baseline_sign(plan: &GuardrailPlan, cells: &[Cell]) -> f64 {
    match plan.outcome {
        Outcome::Mean if weighted_means(cells).control < 0.0 => -1.0,
        _ => 1.0,
    }
}

/// The bet on harm and the bet on safety. The latter is always sharpest at "no effect".
fn bets(plan: &GuardrailPlan, baseline_sign: f64) -> (Bet, Bet) {
    let (side, opposite) = match plan.harm {
        Direction::Increase => (Side::Above, Side::Below),
        Direction::Decrease => (Side::Below, Side::Above),
    };
    let (to_detect, to_none) = match plan.margin {
        Margin::Relative(margin) => {
            let sign = plan.harm.sign() * baseline_sign;
            let ratio = 1.0 + sign * margin;
            let factor = |detect: Margin| Alternative::Factor((1.0 + sign * detect.size()) / ratio);
            (plan.detect.map(factor), Alternative::Factor(1.0 / ratio))
        }
        Margin::Absolute(margin) => {
            let distance = |detect: Margin| Alternative::Distance(detect.size() - margin);
            (plan.detect.map(distance), Alternative::Distance(margin))
        }
    };
    let outcome = plan.outcome;
    (Bet { outcome, side, alternative: to_detect }, Bet { outcome, side: opposite, alternative: Some(to_none) })
}
