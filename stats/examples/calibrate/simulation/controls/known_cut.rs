//! A p99 whose cut is frozen from control units, of which by construction 1 % lie above. Taking this 1 % as control's
//! share, rather than measuring it on control units that come later, forgets that the cut itself is uncertain: with
//! enough treated units any cut is off.

use liftgate_stats::{Direction, GuardrailPlan, Margin, Moments, Outcome, Stratum};
use rand::rngs::SmallRng;

use super::super::clustered::{RatioArm, cut_ms, latencies_ms, within};
use super::super::ramp::Looks;
use super::super::verdict::{is_harm, plan};
use super::Alarms;

const PAIRS: u64 = 10_000;
const CUT_UNITS: usize = 1_000;
const QUANTILE: f64 = 0.99;

pub fn one_run(rng: &mut SmallRng) -> Alarms {
    let plan = GuardrailPlan { harm: Direction::Decrease, margin: Margin::Absolute(0.0), ..plan(Outcome::Mean, 0.0) };
    let earlier: Vec<Vec<f64>> = (0..CUT_UNITS).map(|_| latencies_ms(rng)).collect();
    let cut = cut_ms(&earlier, QUANTILE);
    let mut alarms = Alarms::default();
    let mut arms = [RatioArm::default(), RatioArm::default()];
    for pair in 1..=PAIRS {
        for arm in &mut arms {
            arm.push(within(&latencies_ms(rng), cut));
        }
        if Looks::Thinned.are_due(pair) {
            let [treatment, control] = [arms[0].linearised(), arms[1].linearised()];
            let known = Moments { n: treatment.n, mean: QUANTILE, m2: 0.0 };
            alarms.wrong |= is_harm(&plan, &[Stratum { stage: 0, treatment, control: known }]);
            alarms.right |= is_harm(&plan, &[Stratum { stage: 0, treatment, control }]);
        }
    }
    alarms
}
