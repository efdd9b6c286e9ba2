//! Ten guardrails that move together, alpha split equally among them: how often does any of them cry wolf?

use crate::report::Bound;
use crate::session::Session;
use crate::simulation::family::any_harm;
use crate::simulation::verdict::ALPHA;

const PAIRS: u64 = 10_000;

pub fn run(session: &mut Session) {
    session.open(
        "families",
        "10 guardrails (5 means, 5 of 0/1 data), alpha .05 split equally; any false harm, a look after every pair to \
         2000 units, then after every tenth, to 20 000 units",
    );
    session.table();
    for correlation in [0.0, 0.5, 0.9] {
        session.rate(&format!("A/A, correlation {correlation}"), Bound::AtMost(ALPHA), |rng| {
            any_harm(rng, PAIRS, correlation)
        });
    }
}
