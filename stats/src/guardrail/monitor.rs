//! The e-value of a whole ramp: a mixture over the stages at which harm may have begun.
//!
//! e = .8 E_1 + .2/(K-1) sum_{k=2..K} E_k, where E_k uses the strata of stage k and later and is 1 until one has
//! opened; K = 1: E_1. Each E_k is an e-process, hence so is their fixed mixture.

use super::evidence::{Bet, ln_evidence, ln_sum};
use super::strata::{Cell, Sums};
use crate::margin::Boundary;

/// Weight of the start at the first stage.
const WEIGHT_FIRST: f64 = 0.8;

/// Sums over all strata.
pub(super) fn totals(bet: Bet, cells: &[Cell], boundary: Boundary) -> Sums {
    let mut sums = Sums::default();
    for cell in cells {
        sums.add(cell, boundary, bet.outcome);
    }
    sums
}

/// ln of the mixture over `stages` start stages; `cells` in the order of stages.
pub(super) fn ln_mixture_over_starts(bet: Bet, cells: &[Cell], boundary: Boundary, stages: u32) -> f64 {
    // From the last stage backwards, so that each start adds its own stratum to the sums of the later ones.
    let mut sums = Sums::default();
    let mut terms = Vec::with_capacity(cells.len() + 2);
    let later = stages.saturating_sub(1);
    let weight_later = (1.0 - WEIGHT_FIRST) / f64::from(later.max(1));
    let opened = cells.last().map_or(0, |cell| cell.stage.min(later));
    terms.push((weight_later * f64::from(later - opened), 0.0));
    let mut from_first = 0.0;
    for (index, cell) in cells.iter().enumerate().rev() {
        sums.add(cell, boundary, bet.outcome);
        from_first = ln_evidence(bet, &sums, boundary);
        // All starts after the stratum before this one see the same strata.
        let before = if index == 0 { 0 } else { cells[index - 1].stage };
        let starts = cell.stage.min(later).saturating_sub(before);
        terms.push((weight_later * f64::from(starts), from_first));
    }
    if later == 0 {
        return from_first;
    }
    terms.push((WEIGHT_FIRST, from_first));
    terms.retain(|term| term.0 > 0.0);
    ln_sum(&terms)
}
