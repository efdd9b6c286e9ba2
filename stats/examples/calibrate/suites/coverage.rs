//! One look at a time fixed in advance: do intervals of level 95 % hold the truth 95 % of the time, with both tails
//! alike?

use liftgate_stats::{Direction, Estimate, Moments, Outcome, compare};
use rand::rngs::SmallRng;

use crate::report::Bound;
use crate::session::Session;
use crate::simulation::chance::{coin, lognormal, normal};
use crate::simulation::lift::{self, LIFT, Lifts};
use crate::simulation::ramp::Pair;
use crate::simulation::rate::Rate;

/// A run is cheap here.
const RUNS_FACTOR: u64 = 10;
const ALPHA: f64 = 0.05;
const LEVEL: Bound = Bound::Within { lower: 0.94, upper: 0.96 };
const TAIL: Bound = Bound::Within { lower: 0.02, upper: 0.03 };

pub fn run(session: &mut Session) {
    session.open("coverage", "intervals of level 95 %, one look");
    session.table();
    means(session);
    proportions(session);
    tails_of_lifts(session);
}

fn means(session: &mut Session) {
    let normals = |rng: &mut SmallRng, n: u32, mean: f64, sd: f64| Moments::of((0..n).map(|_| mean + sd * normal(rng)));
    let welch = |name, truth| World { name, outcome: Outcome::Mean, truth };
    let alike = welch("Welch: normal, 50 units an arm", Pair { treatment: 10.0, control: 10.0 });
    covers(session, alike, |rng| [normals(rng, 50, 10.0, 2.0), normals(rng, 50, 10.0, 2.0)]);
    let unequal = welch("Welch: normal, 15 and 60 units, sd 4 and 1", Pair { treatment: 11.0, control: 10.0 });
    covers(session, unequal, |rng| [normals(rng, 15, 11.0, 4.0), normals(rng, 60, 10.0, 1.0)]);
    let large = welch("Welch: normal, 1000 units an arm, +2 %", Pair { treatment: 10.2, control: 10.0 });
    covers(session, large, |rng| [normals(rng, 1_000, 10.2, 5.0), normals(rng, 1_000, 10.0, 5.0)]);
    let mean = 0.5_f64.exp();
    let truth = Pair { treatment: 1.1 * mean, control: mean };
    let skewed = |rng: &mut SmallRng, factor: f64| Moments::of((0..1_000).map(|_| factor * lognormal(rng, 1.0)));
    let world = welch("Welch: lognormal, 1000 units an arm, +10 %", truth);
    covers(session, world, |rng| [skewed(rng, 1.1), skewed(rng, 1.0)]);
}

fn proportions(session: &mut Session) {
    for (units, treatment, control) in
        [([200, 200], 0.5, 0.5), ([1_000, 1_000], 0.12, 0.1), ([5_000, 5_000], 0.03, 0.02), ([500, 2_000], 0.1, 0.15)]
    {
        let name = format!("score: {treatment} of {} against {control} of {} units", units[0], units[1]);
        let world = World { name: &name, outcome: Outcome::Binary, truth: Pair { treatment, control } };
        let coins = |rng: &mut SmallRng, n: u32, rate: f64| Moments::of((0..n).map(|_| coin(rng, rate)));
        covers(session, world, |rng| [coins(rng, units[0], treatment), coins(rng, units[1], control)]);
    }
}

fn tails_of_lifts(session: &mut Session) {
    let lifts = session.simulate("lift +10 %, g = .05", RUNS_FACTOR * session.runs, lift::one_run);
    let share = |is_missed: fn(&Lifts) -> bool| Rate::of(&lifts.iter().map(is_missed).collect::<Vec<bool>>());
    let below = share(|lifts| lifts.fieller.is_some_and(|fieller| fieller.lower > LIFT));
    let above = share(|lifts| lifts.fieller.is_some_and(|fieller| fieller.upper < LIFT));
    session.row("Fieller, lift +10 %, g = .05: truth below the interval", TAIL, below);
    session.row("Fieller, lift +10 %, g = .05: truth above the interval", TAIL, above);
    let below = share(|lifts| lifts.delta.lower > LIFT);
    let above = share(|lifts| lifts.delta.upper < LIFT);
    session.row("delta method, the same: truth below", Bound::MustFallBelow(0.01), below);
    session.row("delta method, the same: truth above", Bound::MustExceed(0.035), above);
}

/// What is compared, and the true means.
#[derive(Clone, Copy)]
struct World<'a> {
    name: &'a str,
    outcome: Outcome,
    truth: Pair,
}

/// Checks both intervals of a comparison; `arms` draws the moments of treatment and control.
fn covers(session: &mut Session, world: World<'_>, arms: impl Fn(&mut SmallRng) -> [Moments; 2] + Sync) {
    let World { name, outcome, truth } = world;
    let held = session.simulate(name, RUNS_FACTOR * session.runs, |rng| {
        let [treatment, control] = arms(rng);
        let comparison = compare(outcome, Direction::Increase, &control, &treatment, ALPHA);
        let holds = |estimate: Option<Estimate>, value: f64| estimate.is_some_and(|estimate| estimate.contains(value));
        let lift = truth.treatment / truth.control - 1.0;
        [holds(comparison.absolute, truth.treatment - truth.control), holds(comparison.relative, lift)]
    });
    let rate = |of: usize| Rate::of(&held.iter().map(|held| held[of]).collect::<Vec<bool>>());
    session.row(name, LEVEL, rate(0));
    session.row(&format!("{name}, lift"), LEVEL, rate(1));
}
