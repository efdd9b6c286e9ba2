//! A fixed-horizon z test, read at every look.

use liftgate_stats::{Outcome, Stratum, special};
use rand::rngs::SmallRng;

use super::super::chance::coin;
use super::super::ramp::{Looks, empty_stratum};
use super::super::verdict::{ALPHA, is_harm, plan};
use super::Alarms;

const PAIRS: u64 = 10_000;
/// Units an arm before the z test is first read, so that its approximation is not to blame.
const FIRST_PAIR: u64 = 200;

pub fn one_run(rng: &mut SmallRng) -> Alarms {
    let plan = plan(Outcome::Binary, 0.0);
    let mut alarms = Alarms::default();
    let mut stratum = empty_stratum(0);
    for pair in 1..=PAIRS {
        stratum.treatment.push(coin(rng, 0.1));
        stratum.control.push(coin(rng, 0.1));
        if Looks::Thinned.are_due(pair) {
            alarms.wrong |= pair >= FIRST_PAIR && is_significant(&stratum);
            alarms.right |= is_harm(&plan, &[stratum]);
        }
    }
    alarms
}

/// One-sided at alpha.
fn is_significant(stratum: &Stratum) -> bool {
    let variance = |rate: f64, n: u64| rate * (1.0 - rate) / n as f64;
    let (treatment, control) = (stratum.treatment, stratum.control);
    let se = (variance(treatment.mean, treatment.n) + variance(control.mean, control.n)).sqrt();
    se > 0.0 && special::normal_sf((treatment.mean - control.mean) / se) < ALPHA
}
