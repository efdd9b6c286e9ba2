//! Fixed-horizon intervals of every model that is more than a mean or a proportion: do those of level 95 % hold the truth
//! 95 % of the time?

use liftgate_stats::{Direction, Estimate, Model, Plan, Sample, compare_by};
use rand::rngs::SmallRng;

use crate::report::Bound;
use crate::session::Session;
use crate::simulation::clustered::{Part, errors_of_views, latencies_ms};
use crate::simulation::events::{EventArm, compared};
use crate::simulation::past::{ERROR_RATE, errors_with_past, value_with_past};
use crate::simulation::ramp::Pair;
use crate::simulation::rate::Rate;
use crate::simulation::readout::{Arms, arm};
use crate::simulation::strata::{self, overall};

/// A run is cheap here.
const RUNS_FACTOR: u64 = 10;
const ALPHA: f64 = 0.05;
const LEVEL: Bound = Bound::Within { lower: 0.94, upper: 0.96 };
const UNITS: u32 = 1_000;
/// Of errors, after treatment.
const REDUCED: f64 = 0.7;
/// Of latencies, after treatment.
const SLOWER: f64 = 1.05;
/// The p95 of `latencies_ms`: ln is normal with mean 6 and variance .5.
const NORMAL_P95: f64 = 1.644_853_626_951_472_7;

pub fn run(session: &mut Session) {
    session.open("models", "intervals of level 95 %, one look at 1000 units an arm");
    session.table();
    for rates in [Pair { treatment: 0.13, control: 0.1 }, Pair { treatment: 0.02, control: 0.015 }] {
        let Pair { treatment, control } = rates;
        let name = format!("ratio, {} -> {} % of the page views fail", 100.0 * control, 100.0 * treatment);
        covers(session, &name, rates, |rng| {
            let mut of = |rate: f64| {
                arm(UNITS, || {
                    let Part { numerator, denominator } = errors_of_views(rng, rate);
                    [numerator, denominator]
                })
            };
            Arms { model: Model::Ratio, treatment: of(treatment), control: of(control) }.sample()
        });
    }
    let raised = Pair { treatment: 11.0, control: 10.0 };
    covers(session, "mean with a covariate, correlation .7, +10 %", raised, |rng| {
        let mut of = |mean: f64| arm(UNITS, || value_with_past(rng, mean));
        Arms { model: Model::Mean, treatment: of(raised.treatment), control: of(raised.control) }.sample()
    });
    let reduced = Pair { treatment: REDUCED * ERROR_RATE, control: ERROR_RATE };
    covers(session, "ratio with its past as covariate, -30 %", reduced, |rng| {
        let mut of = |factor: f64| arm(UNITS, || errors_with_past(rng, factor));
        Arms { model: Model::Ratio, treatment: of(REDUCED), control: of(1.0) }.sample()
    });
    let level = overall(|part| part.level);
    let apart = Pair { treatment: level + overall(|part| part.effect), control: level };
    covers(session, "three strata, effects +.5, -1 and +4", apart, |rng| {
        let mut arms = strata::Arms::default();
        (0..UNITS).for_each(|_| arms.push(rng, 1.0));
        arms.sample()
    });
    let p95 = (6.0 + 0.5_f64.sqrt() * NORMAL_P95).exp();
    covers(session, "p95 of clustered latencies, +5 %", Pair { treatment: SLOWER * p95, control: p95 }, |rng| {
        let mut of = |factor: f64| {
            let mut arm = EventArm::default();
            (0..UNITS).for_each(|_| arm.push(latencies_ms(rng).into_iter().map(|latency| factor * latency)));
            arm
        };
        let (treatment, control) = (of(SLOWER), of(1.0));
        compared(&treatment, &control, 0.95)
    });
}

/// Checks both intervals of a comparison whose true means are known.
fn covers(session: &mut Session, name: &str, truth: Pair, draw: impl Fn(&mut SmallRng) -> Sample + Sync) {
    let plan = Plan::fixed(ALPHA);
    let held = session.simulate(name, RUNS_FACTOR * session.runs, |rng| {
        let comparison = compare_by(&plan, Direction::Increase, &draw(rng));
        let holds = |estimate: Option<Estimate>, value: f64| estimate.is_some_and(|estimate| estimate.contains(value));
        let lift = truth.treatment / truth.control - 1.0;
        [holds(comparison.absolute, truth.treatment - truth.control), holds(comparison.relative, lift)]
    });
    let rate = |of: usize| Rate::of(&held.iter().map(|held| held[of]).collect::<Vec<bool>>());
    session.row(name, LEVEL, rate(0));
    session.row(&format!("{name}, lift"), LEVEL, rate(1));
}
