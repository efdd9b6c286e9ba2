//! Requests judged as if each were a unit: requests of one unit are alike, so there is less information than it seems.

use liftgate_stats::{Moments, Outcome, Stratum};
use rand::rngs::SmallRng;

use super::super::clustered::{RatioArm, errors_of_views};
use super::super::ramp::Looks;
use super::super::verdict::{is_harm, plan};
use super::Alarms;

const PAIRS: u64 = 10_000;
const ERROR_RATE: f64 = 0.1;

/// The same arm, by unit and by request.
#[derive(Clone, Debug, Default)]
struct Arm {
    units: RatioArm,
    requests: u64,
    errors: u64,
}

pub fn one_run(rng: &mut SmallRng) -> Alarms {
    let plans = (plan(Outcome::Binary, 0.0), plan(Outcome::Mean, 0.0));
    let mut alarms = Alarms::default();
    let mut arms = [Arm::default(), Arm::default()];
    for pair in 1..=PAIRS {
        for arm in &mut arms {
            let part = errors_of_views(rng, ERROR_RATE);
            arm.units.push(part);
            arm.requests += part.denominator as u64;
            arm.errors += part.numerator as u64;
        }
        if Looks::Thinned.are_due(pair) {
            let stratum =
                |of: fn(&Arm) -> Moments| Stratum { stage: 0, treatment: of(&arms[0]), control: of(&arms[1]) };
            alarms.wrong |= is_harm(&plans.0, &[stratum(|arm| Moments::from_counts(arm.requests, arm.errors))]);
            alarms.right |= is_harm(&plans.1, &[stratum(|arm| arm.units.linearised())]);
        }
    }
    alarms
}
