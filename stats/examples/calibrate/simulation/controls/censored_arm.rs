//! The share goes from 50 to 75 % while windows are open: control units of the buckets between .5 and .75 switch
//! before theirs close, and leave. If they alone leave, control lacks late units, treatment does not, and a rising
//! baseline looks like harm. If their mirror images (buckets .25 to .5) leave as well, the arms stay alike.

use liftgate_stats::Outcome;
use rand::Rng;
use rand::rngs::SmallRng;

use super::super::chance::coin;
use super::super::ramp::empty_stratum;
use super::super::verdict::{is_harm, plan};
use super::Alarms;

const UNITS: u32 = 100_000;
const UNITS_PER_LOOK: u32 = 100;
/// Units exposed after this part of the stage have open windows when the share changes.
const LAST_MATURED: f64 = 0.5;
/// The baseline rises by half of this over the stage.
const BASE: f64 = 0.2;

pub fn one_run(rng: &mut SmallRng) -> Alarms {
    // By z alone (a mean): the count terms assume arms of equal share, and not for that should it fail.
    let plan = plan(Outcome::Mean, 0.0);
    let mut alarms = Alarms::default();
    let (mut wrong, mut right) = (empty_stratum(0), empty_stratum(0));
    for unit in 1..=UNITS {
        let progress = f64::from(unit) / f64::from(UNITS);
        let value = coin(rng, BASE * (1.0 + 0.5 * progress));
        let bucket: f64 = rng.random();
        let is_open = progress > LAST_MATURED;
        let is_switched = is_open && (0.5..0.75).contains(&bucket);
        let is_mirrored = is_open && (0.25..0.5).contains(&bucket);
        if bucket < 0.5 {
            wrong.treatment.push(value);
        } else if !is_switched {
            wrong.control.push(value);
        }
        if bucket < 0.5 && !is_mirrored {
            right.treatment.push(value);
        } else if bucket >= 0.5 && !is_switched {
            right.control.push(value);
        }
        if unit % UNITS_PER_LOOK == 0 {
            alarms.wrong |= is_harm(&plan, &[wrong]);
            alarms.right |= is_harm(&plan, &[right]);
        }
    }
    alarms
}
