//! Ten guardrails that move together, five means and five of 0/1 data, alpha split equally among them.

use liftgate_stats::{GuardrailPlan, Outcome, Stratum};
use rand::rngs::SmallRng;

use super::chance::normal;
use super::ramp::{Looks, empty_stratum};
use super::verdict::{ALPHA, is_harm, plan};

const GUARDRAILS: usize = 10;
/// Normal quantile of .95: 5 % of the units have the event of a 0/1 guardrail.
const EVENT_FROM: f64 = 1.644_853_626_951_472_7;

/// Whether any of them is ever called harmed though none is.
pub fn any_harm(rng: &mut SmallRng, pairs: u64, correlation: f64) -> bool {
    let plans: [GuardrailPlan; GUARDRAILS] = std::array::from_fn(|index| GuardrailPlan {
        alpha: ALPHA / GUARDRAILS as f64,
        ..plan(if is_binary(index) { Outcome::Binary } else { Outcome::Mean }, 0.0)
    });
    let mut strata: [Stratum; GUARDRAILS] = std::array::from_fn(|_| empty_stratum(0));
    for pair in 1..=pairs {
        for treated in [true, false] {
            let shared = correlation.sqrt() * normal(rng);
            for (index, stratum) in strata.iter_mut().enumerate() {
                let own = shared + (1.0 - correlation).sqrt() * normal(rng);
                let value = if is_binary(index) { f64::from(u8::from(own > EVENT_FROM)) } else { own + 10.0 };
                let arm = if treated { &mut stratum.treatment } else { &mut stratum.control };
                arm.push(value);
            }
        }
        let is_harmed = |(plan, stratum): (&GuardrailPlan, &Stratum)| is_harm(plan, std::slice::from_ref(stratum));
        if Looks::Thinned.are_due(pair) && plans.iter().zip(&strata).any(is_harmed) {
            return true;
        }
    }
    false
}

/// Every second guardrail is of 0/1 data.
fn is_binary(index: usize) -> bool {
    index % 2 == 1
}
