//! Two-sided p-values of the binomial outcome at given log-odds.
//!
//! Minimum likelihood: p = sum of P(k) over all k with P(k) <= P(x). Beyond x these are all outcomes, and on the other
//! side those from some k outwards, found by bisection: the probabilities rise towards the mean.
//!
//! This p is not monotone in the odds: each time an outcome k becomes likelier than x, it falls by P(k). The set of
//! odds with p >= alpha may have holes, so `envelope` gives the largest p at these odds or any farther from the data.
//! Between two falls p = P(X >= x) + P(X <= k) has at most a minimum, and the falls outweigh the rises, so this largest
//! value is p itself or the p just before the next fall.

use super::TwoSided;
use super::law::Law;

/// Outcomes whose probabilities differ by less than this fraction count as equally likely, as in R and scipy.
const TIE: f64 = 1e-7;
/// Halvings of a range of whole numbers.
const BISECTIONS_MAX: u32 = 64;

/// The p-value against these log-odds.
pub(super) fn p_value(law: Law, log_odds: f64, two_sided: TwoSided) -> f64 {
    let p_value = match two_sided {
        TwoSided::MinLikelihood if (law.x as f64) < law.mean(log_odds) => min_likelihood(law.mirrored(), -log_odds),
        TwoSided::MinLikelihood => min_likelihood(law, log_odds),
        TwoSided::Central | TwoSided::MidP => {
            let upper = tail(law, log_odds, two_sided);
            let lower = tail(law.mirrored(), -log_odds, two_sided);
            2.0 * upper.min(lower)
        }
    };
    p_value.min(1.0)
}

/// P(X >= x), for the mid-p without half of P(X = x).
pub(super) fn tail(law: Law, log_odds: f64, two_sided: TwoSided) -> f64 {
    let inclusive = law.at_least(law.x, log_odds);
    match two_sided {
        TwoSided::MidP => 0.5 * (inclusive + law.at_least(law.x + 1, log_odds)),
        TwoSided::Central | TwoSided::MinLikelihood => inclusive,
    }
}

/// The largest minimum-likelihood p at these log-odds or any lower, x being at least the mean.
pub(super) fn envelope(law: Law, log_odds: f64) -> f64 {
    let Some(k) = other_side(law, log_odds) else {
        return law.at_least(law.x, log_odds).min(1.0);
    };
    let here = both_sides(law, k, log_odds);
    // Where P(k) catches up with P(x).
    let fall = log_odds + (law.ln_relative(k, log_odds) - TIE).min(0.0) / (law.x - k) as f64;
    here.max(both_sides(law, k, fall)).min(1.0)
}

/// x being at least the mean.
fn min_likelihood(law: Law, log_odds: f64) -> f64 {
    match other_side(law, log_odds) {
        Some(k) => both_sides(law, k, log_odds),
        None => law.at_least(law.x, log_odds),
    }
}

fn both_sides(law: Law, k: u64, log_odds: f64) -> f64 {
    law.at_least(law.x, log_odds) + law.at_most(k, log_odds)
}

/// The largest outcome below x and up to the mean that is at most as likely as x.
fn other_side(law: Law, log_odds: f64) -> Option<u64> {
    let is_unlikely = |k: u64| law.ln_relative(k, log_odds) <= TIE;
    // The cast saturates; the mean is not negative.
    let highest = (law.mean(log_odds) as u64).min(law.x.checked_sub(1)?);
    if !is_unlikely(0) {
        return None;
    }
    if is_unlikely(highest) {
        return Some(highest);
    }
    let (mut unlikely, mut likely) = (0, highest);
    for _ in 0..BISECTIONS_MAX {
        if likely - unlikely <= 1 {
            break;
        }
        let middle = unlikely + (likely - unlikely) / 2;
        if is_unlikely(middle) { unlikely = middle } else { likely = middle }
    }
    Some(unlikely)
}
