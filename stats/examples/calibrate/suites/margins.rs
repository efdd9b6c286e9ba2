//! A metric that moved by exactly its margin: how often is it called harmed, and how often safe?

use liftgate_stats::{Direction, Margin, Model, Plan, Sample, Verdict, compare_by};
use rand::rngs::SmallRng;

use crate::report::Bound;
use crate::session::Session;
use crate::simulation::chance::{coin, lognormal, normal};
use crate::simulation::clustered::{Part, errors_of_views};
use crate::simulation::past::value_with_past;
use crate::simulation::rate::Rate;
use crate::simulation::readout::{Arms, arm, is_ever_said, sequential};
use crate::simulation::verdict::ALPHA;

/// A run is cheap at one look.
const RUNS_FACTOR: u64 = 10;
/// At one look each test has the size alpha, no less: a bound of "at most alpha" could never be shown.
const SIZE: Bound = Bound::Within { lower: 0.045, upper: 0.055 };
/// 20 000 units.
const PAIRS: u64 = 10_000;
const RELATIVE: Margin = Margin::Relative(0.1);
const RAISED: f64 = 1.1;

pub fn run(session: &mut Session) {
    session.open("margins", "an increase of exactly the margin, which would harm; each side at alpha .05");
    session.table();
    let at = |margin: Margin| Plan { margin: Some(margin), ..Plan::fixed(ALPHA) };
    let one_value = |units: u32, model: Model, unit: fn(&mut SmallRng, f64) -> f64| {
        move |rng: &mut SmallRng| {
            let mut of = |factor: f64| arm(units, || [unit(rng, factor)]);
            Arms { model, treatment: of(RAISED), control: of(1.0) }.sample()
        }
    };
    let normals = |rng: &mut SmallRng, factor: f64| factor * 10.0 + 3.0 * normal(rng);
    let skewed = |rng: &mut SmallRng, factor: f64| factor * lognormal(rng, 1.0);
    let tenth = |rng: &mut SmallRng, factor: f64| coin(rng, 0.1 * factor);
    let rare = |rng: &mut SmallRng, factor: f64| coin(rng, 0.01 * factor);
    let mean = Model::Mean;
    at_one_look(session, "normal, margin 10 %", at(RELATIVE), one_value(1_000, mean, normals));
    at_one_look(session, "normal, margin 1 of 10", at(Margin::Absolute(1.0)), one_value(1_000, mean, normals));
    at_one_look(session, "lognormal, margin 10 %", at(RELATIVE), one_value(5_000, mean, skewed));
    let share = Model::Proportion;
    at_one_look(session, "10 -> 11 %, margin 10 %", at(RELATIVE), one_value(2_000, share, tenth));
    at_one_look(session, "10 -> 11 %, margin .01", at(Margin::Absolute(0.01)), one_value(2_000, share, tenth));
    at_one_look(session, "1 -> 1.1 %, margin 10 %", at(RELATIVE), one_value(5_000, share, rare));
    let errors = |rng: &mut SmallRng| {
        let mut of = |rate: f64| {
            arm(1_000, || {
                let Part { numerator, denominator } = errors_of_views(rng, rate);
                [numerator, denominator]
            })
        };
        Arms { model: Model::Ratio, treatment: of(0.11), control: of(0.1) }.sample()
    };
    at_one_look(session, "ratio, 10 -> 11 %, margin 10 %", at(RELATIVE), errors);
    at_one_look(session, "ratio, 10 -> 11 %, margin .01", at(Margin::Absolute(0.01)), errors);
    let adjusted = |rng: &mut SmallRng| {
        let mut of = |mean: f64| arm(1_000, || value_with_past(rng, mean));
        Arms { model: mean, treatment: of(11.0), control: of(10.0) }.sample()
    };
    at_one_look(session, "mean with a covariate, margin 10 %", at(RELATIVE), adjusted);

    let plan = Plan { margin: Some(RELATIVE), ..sequential() };
    for (verdict, word) in [(Verdict::Harm, "harm"), (Verdict::Safe, "safe")] {
        let name = format!("mean with a covariate, margin 10 %, every look: {word}");
        session.rate(&name, Bound::AtMost(ALPHA), |rng| {
            let draw = |rng: &mut SmallRng| [value_with_past(rng, 11.0), value_with_past(rng, 10.0)];
            is_ever_said(rng, Model::Mean, PAIRS, draw, |sample| verdict_of(&plan, sample) == verdict)
        });
    }
}

fn verdict_of(plan: &Plan, sample: &Sample) -> Verdict {
    let margin = compare_by(plan, Direction::Decrease, sample).margin;
    margin.map_or(Verdict::Undetermined, |margin| margin.verdict)
}

fn at_one_look(session: &mut Session, name: &str, plan: Plan, draw: impl Fn(&mut SmallRng) -> Sample + Sync) {
    let verdicts = session.simulate(name, RUNS_FACTOR * session.runs, |rng| verdict_of(&plan, &draw(rng)));
    let rate = |of: Verdict| Rate::of(&verdicts.iter().map(|verdict| *verdict == of).collect::<Vec<bool>>());
    session.row(&format!("{name}: harm"), SIZE, rate(Verdict::Harm));
    session.row(&format!("{name}: safe"), SIZE, rate(Verdict::Safe));
}
