//! The terms of one start stage's e-value, all in logarithms.
//!
//! H(N*): half-normal mixture over the drift of z = S/sqrt(V), tuned to N* units: x = c N_eff/N*,
//! c = -2 ln .1 + ln(1 - 2 ln .1), ln H = ln 2 - ln(1+x)/2 + x z^2/(2(1+x)) + ln Phi(z sqrt(x/(1+x))).
//! C(r): likelihood ratio of r times the odds at which the next event falls on treatment; null odds o = R0 (equal
//! shares): ln C = s ln r + (s+f) ln((1+o)/(1+r o)). Exact from the first event on, when no z exists yet.
//! G: likelihood ratio of z at one effect, ln G = d z - d^2/2.
//! U = .60 H(5000) + .20 H(1e5) + .10 C(2.5) + .05 C(10) + .05 C(99) for 0/1 data under a ratio, else
//! .75 H(5000) + .25 H(1e5). With a point alternative E = U/2 + T/2, T = C/2 + G/2 or G; else E = U.

use super::strata::Sums;
use crate::Outcome;
use crate::anytime::{information_at_tuning, ln_e_value_one_sided};
use crate::margin::Boundary;

/// Fewest events in both arms together before z is used for 0/1 data.
const BURN_IN_EVENTS: f64 = 20.0;
/// Fewest units in each arm before z is used for means.
const BURN_IN_UNITS: f64 = 50.0;
/// Units (both arms) at which the sharp and the patient mixture are tuned, and their weights.
const UNITS_SHARP: f64 = 5_000.0;
const UNITS_PATIENT: f64 = 100_000.0;
/// The two-sided level the mixtures are tuned to (one-sided .05).
const TUNING_LEVEL: f64 = 0.1;
/// Odds multiples of the count terms, with their weights.
const COUNT_POINTS: [(f64, f64); 3] = [(0.10, 2.5), (0.05, 10.0), (0.05, 99.0)];

/// Which effects the bet wins on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Effects above the boundary.
    Above,
    /// Effects below the boundary.
    Below,
}

impl Side {
    fn sign(self) -> f64 {
        match self {
            Self::Above => 1.0,
            Self::Below => -1.0,
        }
    }
}

/// The effect the bet is sharpest at, relative to the boundary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Alternative {
    /// R1 = this times R0.
    Factor(f64),
    /// This far from the boundary, as a distance.
    Distance(f64),
}

/// One side's bet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bet {
    pub(super) outcome: Outcome,
    pub(super) side: Side,
    pub(super) alternative: Option<Alternative>,
}

/// Whether enough is known for z, and if so which.
pub(super) enum Burn {
    /// Too few events or units.
    In,
    /// Enough, but no variance.
    Flat,
    /// z, positive towards treatment.
    Done(f64),
}

/// The state of z for these sums.
pub(super) fn burn(outcome: Outcome, sums: &Sums) -> Burn {
    let is_enough = match outcome {
        Outcome::Binary => sums.events_treatment + sums.events_control >= BURN_IN_EVENTS,
        Outcome::Mean => sums.units_min >= BURN_IN_UNITS,
    };
    if !is_enough {
        Burn::In
    } else if sums.variance > 0.0 {
        Burn::Done(sums.contrast / libm::sqrt(sums.variance))
    } else {
        Burn::Flat
    }
}

/// ln E of one start stage.
pub(super) fn ln_evidence(bet: Bet, sums: &Sums, boundary: Boundary) -> f64 {
    let z = match burn(bet.outcome, sums) {
        Burn::Done(z) => Some(bet.side.sign() * z),
        Burn::In | Burn::Flat => None,
    };
    let mixture = |units: f64| z.map_or(0.0, |z| ln_mixture(z, 4.0 * sums.weight / units));
    let odds = match (bet.outcome, boundary) {
        (Outcome::Binary, Boundary::Ratio(ratio)) => Some(ratio),
        _ => None,
    };
    let universal = match odds {
        None => ln_sum(&[(0.75, mixture(UNITS_SHARP)), (0.25, mixture(UNITS_PATIENT))]),
        Some(odds) => {
            let [first, second, third] = COUNT_POINTS.map(|(weight, point)| {
                let factor = if bet.side == Side::Above { point } else { 1.0 / point };
                (weight, ln_counts(sums, odds, factor))
            });
            ln_sum(&[(0.60, mixture(UNITS_SHARP)), (0.20, mixture(UNITS_PATIENT)), first, second, third])
        }
    };
    let Some(alternative) = bet.alternative else {
        return universal;
    };
    let drift = match (alternative, boundary) {
        (Alternative::Factor(factor), Boundary::Ratio(ratio)) => (ratio * factor - ratio).abs() * sums.baseline,
        (Alternative::Distance(distance), _) => distance * sums.weight,
        // Unreachable by construction of the bets; no drift is no bet.
        (Alternative::Factor(_), Boundary::Difference(_)) => 0.0,
    };
    let gaussian = z.map_or(0.0, |z| {
        let d = drift / libm::sqrt(sums.variance);
        d * z - 0.5 * d * d
    });
    let targeted = match (odds, alternative) {
        (Some(odds), Alternative::Factor(factor)) => ln_sum(&[(0.5, ln_counts(sums, odds, factor)), (0.5, gaussian)]),
        _ => gaussian,
    };
    ln_sum(&[(0.5, universal), (0.5, targeted)])
}

/// ln of the universal part for means: U at z after so many effective units.
pub(crate) fn ln_universal(z: f64, units: f64) -> f64 {
    ln_sum(&[(0.75, ln_mixture(z, units / UNITS_SHARP)), (0.25, ln_mixture(z, units / UNITS_PATIENT))])
}

/// ln H at z, `share` = N_eff/N*.
fn ln_mixture(z: f64, share: f64) -> f64 {
    ln_e_value_one_sided(z, information_at_tuning(TUNING_LEVEL) * share)
}

/// ln C(`factor`) at null odds `odds`.
fn ln_counts(sums: &Sums, odds: f64, factor: f64) -> f64 {
    let (s, f) = (sums.events_treatment, sums.events_control);
    s * libm::log(factor) + (s + f) * libm::log1p(odds * (1.0 - factor) / (1.0 + factor * odds))
}

/// ln of a weighted sum of exponentials; the weights are positive.
pub(super) fn ln_sum(terms: &[(f64, f64)]) -> f64 {
    let largest = terms.iter().map(|term| term.1).fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return largest;
    }
    let sum: f64 = terms.iter().map(|(weight, ln)| weight * libm::exp(ln - largest)).sum();
    largest + libm::log(sum)
}
