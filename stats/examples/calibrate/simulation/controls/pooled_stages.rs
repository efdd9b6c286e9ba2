//! The treated share grows from stage to stage against everybody else, while the baseline rises by half. Pooled over
//! stages, treatment is mostly late and control mostly early (Simpson 1951); compared within each stage they are
//! alike.

use liftgate_stats::{GuardrailPlan, Moments, Outcome, Stratum};
use rand::rngs::SmallRng;

use super::super::chance::coin;
use super::super::ramp::empty_stratum;
use super::super::verdict::{is_harm, plan};
use super::Alarms;

const SHARES: [f64; 5] = [0.01, 0.05, 0.10, 0.25, 0.50];
const UNITS_PER_STAGE: u32 = 5_000;
const UNITS_PER_LOOK: u32 = 50;
const BASE: f64 = 0.1;

pub fn one_run(rng: &mut SmallRng) -> Alarms {
    // By z alone (a mean): the count terms assume arms of equal share, which these are not.
    let pooled = plan(Outcome::Mean, 0.0);
    let stratified = GuardrailPlan { stages: 5, ..pooled };
    let mut alarms = Alarms::default();
    let mut strata: Vec<Stratum> = Vec::new();
    for (stage, share) in SHARES.iter().enumerate() {
        strata.push(empty_stratum(stage));
        for unit in 1..=UNITS_PER_STAGE {
            let progress = (stage as f64 + f64::from(unit) / f64::from(UNITS_PER_STAGE)) / 5.0;
            let value = coin(rng, BASE * (1.0 + 0.5 * progress));
            let is_treated = coin(rng, *share) > 0.0;
            let arm = if is_treated { &mut strata[stage].treatment } else { &mut strata[stage].control };
            arm.push(value);
            if unit % UNITS_PER_LOOK == 0 {
                alarms.wrong |= is_harm(&pooled, &[pool(&strata)]);
                alarms.right |= is_harm(&stratified, &strata);
            }
        }
    }
    alarms
}

fn pool(strata: &[Stratum]) -> Stratum {
    let mut pooled = Stratum { stage: 0, treatment: Moments::default(), control: Moments::default() };
    for stratum in strata {
        pooled.treatment.merge(&stratum.treatment);
        pooled.control.merge(&stratum.control);
    }
    pooled
}
