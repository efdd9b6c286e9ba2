//! A fresh e-value for each stage, multiplied: valid, but each stage pays anew for not knowing the effect. In a large
//! ramp, where each stage alone is far beyond the size the mixture is tuned to, that loses half of the power that one
//! sum has.

use liftgate_stats::{GuardrailPlan, Moments, Outcome, Stratum};
use rand::rngs::SmallRng;

use super::super::chance::{gamma, normal};
use super::super::ramp::empty_stratum;
use super::super::verdict::{ALPHA, log_e_harm, plan};
use super::Alarms;

/// 1/5/10/25/50 % of 1.4 million units a stage.
const PAIRS: [u64; 5] = [7_000, 35_000, 70_000, 175_000, 350_000];
const LOOKS_A_STAGE: u64 = 20;
/// As of 0/1 data of which 1.5 % are 1: the standard deviation is eight times the mean.
const SD: f64 = 8.0;
const LIFT: f64 = 1.05;

/// Here an alarm is right: there is harm.
pub fn one_run(rng: &mut SmallRng) -> Alarms {
    let one_stage = plan(Outcome::Mean, 0.0);
    let monitor = GuardrailPlan { stages: 5, ..one_stage };
    let threshold = -ALPHA.ln();
    let mut alarms = Alarms::default();
    let mut strata: Vec<Stratum> = Vec::new();
    for (stage, pairs) in PAIRS.iter().enumerate() {
        strata.push(empty_stratum(stage));
        for _ in 0..LOOKS_A_STAGE {
            strata[stage].treatment.merge(&batch(rng, pairs / LOOKS_A_STAGE, LIFT));
            strata[stage].control.merge(&batch(rng, pairs / LOOKS_A_STAGE, 1.0));
            let of_stage = |stratum: &Stratum| log_e_harm(&one_stage, std::slice::from_ref(stratum));
            alarms.wrong |= strata.iter().map(of_stage).sum::<f64>() >= threshold;
            alarms.right |= log_e_harm(&monitor, &strata) >= threshold;
        }
    }
    alarms
}

/// The moments of so many normal units, drawn at once.
fn batch(rng: &mut SmallRng, n: u64, mean: f64) -> Moments {
    let units = n as f64;
    let chi_square = 2.0 * gamma(rng, 0.5 * (units - 1.0));
    Moments { n, mean: mean + SD / units.sqrt() * normal(rng), m2: SD * SD * chi_square }
}
