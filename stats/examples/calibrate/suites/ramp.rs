//! A ramp of 1, 5, 10, 25 and 50 % of 20 000 units a stage, while the baseline rises by half: nothing wrong must not
//! look like harm, and harm must be found, also when it begins late.

use liftgate_stats::{GuardrailPlan, Margin, Outcome, Stratum};
use rand::rngs::SmallRng;

use crate::report::Bound;
use crate::session::Session;
use crate::simulation::chance::{coin, lognormal, normal, zero_inflated};
use crate::simulation::ramp::{Instant, Looks, Pair, Ramp};
use crate::simulation::verdict::{ALPHA, is_harm, is_safe, plan};

const PAIRS: [u64; 5] = [200, 1_000, 2_000, 5_000, 10_000];
/// The power cases stop early, mostly.
const POWER: f64 = 0.99;

/// The value of one unit before the drift.
type Unit = fn(&mut SmallRng) -> f64;

pub fn run(session: &mut Session) {
    session.open(
        "ramp",
        "1/5/10/25/50 % of 20 000 units a stage, baseline rising by half; a look after every pair to the 1000th of \
         each stage, then after every tenth",
    );
    session.table();
    let plan = |outcome, margin| GuardrailPlan { stages: 5, ..plan(outcome, margin) };
    let (binary, mean) = (plan(Outcome::Binary, 0.0), plan(Outcome::Mean, 0.0));
    let at_most = Bound::AtMost(ALPHA);
    for base in [0.001, 0.01, 0.1] {
        let draw = move |rng: &mut SmallRng, now: Instant| Pair::alike(|| coin(rng, base * now.drift()));
        alarm(session, &format!("A/A, {} % have the event", 100.0 * base), at_most, binary, draw, is_harm);
    }
    let detect = GuardrailPlan { detect: Some(Margin::Relative(0.5)), ..binary };
    let five = |rng: &mut SmallRng, now: Instant| Pair::alike(|| coin(rng, 0.05 * now.drift()));
    alarm(session, "A/A, 5 % have the event, detect +50 %", at_most, detect, five, is_harm);
    let units: [(&str, Unit); 3] = [
        ("A/A, normal", |rng| 300.0 + 75.0 * normal(rng)),
        ("A/A, lognormal", |rng| lognormal(rng, 1.0)),
        ("A/A, zero-inflated", zero_inflated),
    ];
    for (name, unit) in units {
        let draw = move |rng: &mut SmallRng, now: Instant| Pair::alike(|| now.drift() * unit(rng));
        alarm(session, name, at_most, mean, draw, is_harm);
    }
    let raised = |rng: &mut SmallRng, now: Instant, factor: f64| Pair {
        treatment: coin(rng, 0.05 * factor * now.drift()),
        control: coin(rng, 0.05 * now.drift()),
    };
    let at_margin = move |rng: &mut SmallRng, now: Instant| raised(rng, now, 1.1);
    alarm(session, "harm equal to the margin of 10 %", at_most, plan(Outcome::Binary, 0.1), at_margin, is_harm);
    let safe = "harm equal to the margin of 10 %, declared safe";
    alarm(session, safe, at_most, plan(Outcome::Binary, 0.1), at_margin, is_safe);

    let at_least = Bound::AtLeast(POWER);
    let doubled = move |rng: &mut SmallRng, now: Instant| raised(rng, now, 2.0);
    alarm(session, "rate doubled", at_least, binary, doubled, is_harm);
    let late = move |rng: &mut SmallRng, now: Instant| raised(rng, now, if now.stage >= 3 { 2.0 } else { 1.0 });
    alarm(session, "rate doubled from the fourth stage on", at_least, binary, late, is_harm);
    let slower = |rng: &mut SmallRng, now: Instant| Pair {
        treatment: 1.05 * now.drift() * (300.0 + 75.0 * normal(rng)),
        control: now.drift() * (300.0 + 75.0 * normal(rng)),
    };
    alarm(session, "mean raised by 5 %, sd a quarter of the mean", at_least, mean, slower, is_harm);
    let calm = |rng: &mut SmallRng, now: Instant| Pair::alike(|| coin(rng, 0.1 * now.drift()));
    alarm(session, "no harm, margin 25 %, declared safe", at_least, plan(Outcome::Binary, 0.25), calm, is_safe);
}

fn alarm(
    session: &mut Session,
    name: &str,
    bound: Bound,
    plan: GuardrailPlan,
    draw: impl Fn(&mut SmallRng, Instant) -> Pair + Sync,
    says: fn(&GuardrailPlan, &[Stratum]) -> bool,
) {
    let ramp = Ramp { pairs: &PAIRS, looks: Looks::Thinned };
    session.rate(name, bound, |rng| ramp.pairs_to_alarm(rng, &draw, |strata| says(&plan, strata)).is_some());
}
