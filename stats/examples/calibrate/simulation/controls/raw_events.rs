//! The count terms fed with all events instead of each unit's first: units with many events make the share of
//! treatment wander more than coin tosses do.

use liftgate_stats::Outcome;
use rand::rngs::SmallRng;

use super::super::chance::negative_binomial;
use super::super::ramp::{Looks, empty_stratum};
use super::super::verdict::{ALPHA, is_harm, plan};
use super::Alarms;

const PAIRS: u64 = 10_000;
/// Events a unit: mean, and the shape of the negative binomial; their variance is five times their mean.
const MEAN: f64 = 0.2;
const SHAPE: f64 = 0.05;
/// The bets of the monitor on counts, in equal parts.
const ODDS: [f64; 3] = [2.5, 10.0, 99.0];

pub fn one_run(rng: &mut SmallRng) -> Alarms {
    let plan = plan(Outcome::Binary, 0.0);
    let mut alarms = Alarms::default();
    let mut stratum = empty_stratum(0);
    let mut events = [0.0; 2];
    for pair in 1..=PAIRS {
        let counts = [0; 2].map(|_: u32| negative_binomial(rng, MEAN, SHAPE));
        stratum.treatment.push(f64::from(counts[0].min(1)));
        stratum.control.push(f64::from(counts[1].min(1)));
        events = [events[0] + f64::from(counts[0]), events[1] + f64::from(counts[1])];
        if Looks::Thinned.are_due(pair) {
            alarms.wrong |= evidence_of_counts(events) >= 1.0 / ALPHA;
            alarms.right |= is_harm(&plan, &[stratum]);
        }
    }
    alarms
}

/// Mean over r of r^s (2/(1+r))^(s+f).
fn evidence_of_counts([s, f]: [f64; 2]) -> f64 {
    let bet = |r: f64| (s * r.ln() + (s + f) * (2.0 / (1.0 + r)).ln()).exp();
    ODDS.map(bet).iter().sum::<f64>() / ODDS.len() as f64
}
