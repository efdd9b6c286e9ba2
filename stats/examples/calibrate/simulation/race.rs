//! Monitors that race for harm on the same units: 0/1 data, margin 0, one stage, a look after every unit pair.
//!
//! Where control has no events at all no relative `detect` equals the truth: there it is a hundredfold rate, as good as
//! infinite to a bet on which arm the next event falls.

use liftgate_stats::{GuardrailPlan, Margin, Outcome, Stratum};
use rand::rngs::SmallRng;

use super::chance::coin;
use super::growthbook;
use super::ramp::{Pair, empty_stratum};
use super::verdict::{ALPHA, log_e_harm, plan};

/// 200 000 exposures: a monitor that has not fired by here counts as one that never does.
const PAIRS_MAX: u64 = 100_000;
/// What `detect` is where control has no events: R1 = 100.
const DETECT_FROM_ZERO: f64 = 99.0;
/// Guardrails that share alpha equally, for one of them.
const SHARED_BY: f64 = 4.0;

/// Exposures until each monitor fires, on the same units.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fired {
    pub plain: Option<u64>,
    pub detect: Option<u64>,
    pub shared: Option<u64>,
    pub growthbook: Option<u64>,
}

/// One run, with these event probabilities.
pub fn race(rng: &mut SmallRng, rates: Pair) -> Fired {
    let Pair { treatment, control } = rates;
    let detect = if control > 0.0 { treatment / control - 1.0 } else { DETECT_FROM_ZERO };
    let plain = plan(Outcome::Binary, 0.0);
    let tuned = GuardrailPlan { detect: Some(Margin::Relative(detect)), ..plain };
    let (threshold, threshold_shared) = (-ALPHA.ln(), -(ALPHA / SHARED_BY).ln());
    let mut fired = Fired::default();
    let mut stratum = empty_stratum(0);
    for pair in 1..=PAIRS_MAX {
        stratum.treatment.push(coin(rng, treatment));
        stratum.control.push(coin(rng, control));
        let now = Some(2 * pair);
        // The smaller share of alpha is the last to fire.
        if fired.shared.is_none() {
            let ln = log_e_harm(&plain, &[stratum]);
            fired.plain = fired.plain.or(now.filter(|_| ln >= threshold));
            fired.shared = now.filter(|_| ln >= threshold_shared);
        }
        if fired.detect.is_none() {
            fired.detect = now.filter(|_| log_e_harm(&tuned, &[stratum]) >= threshold);
        }
        if fired.growthbook.is_none() {
            let Stratum { treatment, control, .. } = &stratum;
            fired.growthbook = now.filter(|_| growthbook::is_above(treatment, control, ALPHA));
        }
        if fired.shared.is_some() && fired.detect.is_some() && fired.growthbook.is_some() {
            break;
        }
    }
    fired
}

/// Times to an alarm, in order; those that never come last.
pub struct Times(Vec<u64>);

impl Times {
    pub fn of(fired: Vec<Option<u64>>) -> Self {
        let mut times: Vec<u64> = fired.into_iter().map(|time| time.unwrap_or(u64::MAX)).collect();
        times.sort_unstable();
        Self(times)
    }

    /// `None` when half of the runs never fire.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let index = (share * self.0.len() as f64) as usize;
        self.0.get(index.min(self.0.len() - 1)).copied().filter(|time| *time < u64::MAX)
    }

    pub fn median(&self) -> Option<u64> {
        self.quantile(0.5)
    }

    /// Order statistics around the median (normal approximation of their ranks).
    pub fn interval(&self) -> (Option<u64>, Option<u64>) {
        let half = 0.98 / (self.0.len() as f64).sqrt();
        (self.quantile(0.5 - half), self.quantile(0.5 + half))
    }

    pub fn runs(&self) -> usize {
        self.0.len()
    }

    pub fn never(&self) -> usize {
        self.0.iter().filter(|time| **time == u64::MAX).count()
    }
}
