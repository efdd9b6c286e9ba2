//! Negative controls: methods known to be wrong must be caught, and the right one beside them must not be.

use rand::rngs::SmallRng;

use crate::report::Bound;
use crate::session::Session;
use crate::simulation::clustered::is_harmed_at_a_cut_of_its_own;
use crate::simulation::controls::{
    Alarms, censored_arm, known_cut, peeking, pooled_stages, raw_events, request_variance, rest_as_control, restarted,
};
use crate::simulation::rate::Rate;
use crate::simulation::verdict::ALPHA;

/// The wrong method, the right one, and both in one run.
type Control = (&'static str, &'static str, fn(&mut SmallRng) -> Alarms);

const CONTROLS: [Control; 7] = [
    ("z test read at every look", "the monitor", peeking::one_run),
    ("counts pooled over stages, baseline rising by half", "by stage", pooled_stages::one_run),
    ("variance by request", "the ratio by unit", request_variance::one_run),
    ("control = everyone else above 50 %, recency matters", "equal arms", rest_as_control::one_run),
    ("only the switched arm is censored", "both mirror images are", censored_arm::one_run),
    ("count process on all events of over-dispersed units", "first events", raw_events::one_run),
    ("p99 cut and control's share from the same units", "share from later units", known_cut::one_run),
];
/// The power that one sum over all stages must have, and the most that a product of restarts may have.
const POWER: f64 = 0.65;
const POWER_RESTARTED: f64 = 0.40;
const PAIRS: u64 = 10_000;

pub fn run(session: &mut Session) {
    session
        .open("controls", "methods that must break, beside the one that must not, on the same units; nothing is wrong");
    session.table();
    for (wrong, right, one_run) in CONTROLS {
        contrast(session, (wrong, Bound::MustExceed(ALPHA)), (right, Bound::AtMost(ALPHA)), one_run);
    }
    session.rate("p99 cut from control units that are compared as well", Bound::Shown, |rng| {
        is_harmed_at_a_cut_of_its_own(rng, PAIRS)
    });
    contrast(
        session,
        ("power, mean +5 %: a restarted e-value a stage, multiplied", Bound::MustFallBelow(POWER_RESTARTED)),
        ("one sum over all stages", Bound::AtLeast(POWER)),
        restarted::one_run,
    );
}

fn contrast(session: &mut Session, wrong: (&str, Bound), right: (&str, Bound), one_run: fn(&mut SmallRng) -> Alarms) {
    let alarms = session.simulate(wrong.0, session.runs, one_run);
    let rate = |of: fn(&Alarms) -> bool| Rate::of(&alarms.iter().map(of).collect::<Vec<bool>>());
    session.row(wrong.0, wrong.1, rate(|alarms| alarms.wrong));
    session.row(&format!("  right: {}", right.0), right.1, rate(|alarms| alarms.right));
}
