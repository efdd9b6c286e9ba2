//! One stage, a look after every unit pair to 20 000 units: how often is harm, or safety, declared falsely?

use liftgate_stats::{GuardrailPlan, Margin, Outcome, Stratum};
use rand::rngs::SmallRng;

use crate::report::Bound;
use crate::session::Session;
use crate::simulation::chance::{coin, lognormal, negative_binomial, normal, zero_inflated};
use crate::simulation::ramp::{Instant, Looks, Pair, Ramp};
use crate::simulation::verdict::{ALPHA, is_harm, is_safe, plan};

/// 20 000 units.
const PAIRS: [u64; 1] = [10_000];
/// Event probabilities with nothing wrong.
const BASES: [f64; 8] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.2, 0.5];

pub fn run(session: &mut Session) {
    session.open("type-one", "false verdicts, alpha .05, a look after every unit pair to 20 000 units");
    session.table();
    for base in BASES {
        let name = format!("A/A, {} % have the event", 100.0 * base);
        harm(session, &name, plan(Outcome::Binary, 0.0), move |rng| Pair::alike(|| coin(rng, base)));
    }
    let detect = |outcome| GuardrailPlan { detect: Some(Margin::Relative(0.5)), ..plan(outcome, 0.0) };
    harm(session, "A/A, 5 % have the event, detect +50 %", detect(Outcome::Binary), |rng| {
        Pair::alike(|| coin(rng, 0.05))
    });
    means(session, "normal, sd a quarter of the mean", |rng| 300.0 + 75.0 * normal(rng));
    means(session, "lognormal, sigma 1", |rng| lognormal(rng, 1.0));
    means(session, "zero-inflated: 95 % zeros, else lognormal 1.5", zero_inflated);
    means(session, "negative-binomial counts, mean 2, shape .5", |rng| f64::from(negative_binomial(rng, 2.0, 0.5)));
    harm(session, "A/A, normal, detect +50 %", detect(Outcome::Mean), |rng| Pair::alike(|| 300.0 + 75.0 * normal(rng)));
    let at_margin = |rng: &mut SmallRng| Pair { treatment: coin(rng, 0.055), control: coin(rng, 0.05) };
    harm(session, "5 -> 5.5 %, margin 10 %", plan(Outcome::Binary, 0.1), at_margin);
    alarm(session, "5 -> 5.5 %, margin 10 %, declared safe", plan(Outcome::Binary, 0.1), at_margin, is_safe);
}

fn means(session: &mut Session, name: &str, unit: fn(&mut SmallRng) -> f64) {
    harm(session, &format!("A/A, {name}"), plan(Outcome::Mean, 0.0), move |rng| Pair::alike(|| unit(rng)));
}

fn harm(session: &mut Session, name: &str, plan: GuardrailPlan, draw: impl Fn(&mut SmallRng) -> Pair + Sync) {
    alarm(session, name, plan, draw, is_harm);
}

fn alarm(
    session: &mut Session,
    name: &str,
    plan: GuardrailPlan,
    draw: impl Fn(&mut SmallRng) -> Pair + Sync,
    says: fn(&GuardrailPlan, &[Stratum]) -> bool,
) {
    let ramp = Ramp { pairs: &PAIRS, looks: Looks::EveryPair };
    session.rate(name, Bound::AtMost(ALPHA), |rng| {
        ramp.pairs_to_alarm(rng, |rng, _: Instant| draw(rng), |strata| says(&plan, strata)).is_some()
    });
}
