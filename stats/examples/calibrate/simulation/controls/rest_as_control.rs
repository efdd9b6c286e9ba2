//! Above 50 % "control = everyone else" moves units over: at 75 % those of the buckets between .5 and .75 are treated
//! for the first time, and they are old hands, while every first exposure to control is a newcomer. Where old hands
//! behave otherwise than newcomers, the arms differ with nothing wrong. Analysing equal arms, buckets below .25 and
//! above .75, nobody moves.

use liftgate_stats::{GuardrailPlan, Outcome};
use rand::Rng;
use rand::rngs::SmallRng;

use super::super::chance::coin;
use super::super::ramp::empty_stratum;
use super::super::verdict::{is_harm, plan};
use super::Alarms;

/// First exposures while half of the traffic is treated, then visits while three quarters are.
const UNITS_AT_HALF: u32 = 10_000;
const VISITS_AT_THREE_QUARTERS: u32 = 40_000;
const VISITS_PER_LOOK: u32 = 100;
/// Of newcomers; old hands convert twice as often.
const BASE: f64 = 0.1;
const BASE_RETURNING: f64 = 0.2;
/// Share of visits by units that were there before.
const RETURNING: f64 = 0.5;

pub fn one_run(rng: &mut SmallRng) -> Alarms {
    // By z alone (a mean): above 50 % the wrong arms are of unequal share, and not for that should it fail.
    let plan = GuardrailPlan { stages: 2, ..plan(Outcome::Mean, 0.0) };
    let mut alarms = Alarms::default();
    let mut wrong = vec![empty_stratum(0)];
    for _ in 0..UNITS_AT_HALF {
        let value = coin(rng, BASE);
        let stratum = &mut wrong[0];
        if rng.random::<f64>() < 0.5 { stratum.treatment.push(value) } else { stratum.control.push(value) }
    }
    let mut right = wrong.clone();
    wrong.push(empty_stratum(1));
    right.push(empty_stratum(1));
    for visit in 1..=VISITS_AT_THREE_QUARTERS {
        let bucket: f64 = rng.random();
        let is_returning = coin(rng, RETURNING) > 0.0;
        let value = coin(rng, if is_returning { BASE_RETURNING } else { BASE });
        let is_switched = (0.5..0.75).contains(&bucket);
        // Units that come back to the arm they were in are counted where they were first exposed.
        if bucket < 0.75 && (!is_returning || is_switched) {
            wrong[1].treatment.push(value);
        } else if !is_returning && bucket >= 0.75 {
            wrong[1].control.push(value);
        }
        if !is_returning && bucket < 0.25 {
            right[1].treatment.push(value);
        } else if !is_returning && bucket >= 0.75 {
            right[1].control.push(value);
        }
        if visit % VISITS_PER_LOOK == 0 {
            alarms.wrong |= is_harm(&plan, &wrong);
            alarms.right |= is_harm(&plan, &right);
        }
    }
    alarms
}
