//! Units with many requests each: a ratio of sums, and a p99 by the share of requests within a cut that was frozen from
//! earlier control units.

use crate::report::Bound;
use crate::session::Session;
use crate::simulation::clustered::{is_quantile_harmed, is_ratio_harmed};
use crate::simulation::ramp::Pair;
use crate::simulation::verdict::ALPHA;

const PAIRS: u64 = 10_000;
const MARGIN_MS: f64 = 25.0;

pub fn run(session: &mut Session) {
    session.open("clustered", "units of about 5 requests, a look after every unit pair to 20 000 units");
    session.table();
    let at_most = Bound::AtMost(ALPHA);
    session.rate("ratio, A/A: 10 % of the page views fail", at_most, |rng| {
        is_ratio_harmed(rng, PAIRS, Pair { treatment: 0.1, control: 0.1 })
    });
    session.rate("ratio, A/A: 1 % of the page views fail", at_most, |rng| {
        is_ratio_harmed(rng, PAIRS, Pair { treatment: 0.01, control: 0.01 })
    });
    session.rate("ratio, 10 -> 13 % of the page views fail", Bound::AtLeast(0.99), |rng| {
        is_ratio_harmed(rng, PAIRS, Pair { treatment: 0.13, control: 0.1 })
    });
    session.rate("p99, A/A, margin 0", at_most, |rng| is_quantile_harmed(rng, PAIRS, 0.0, |latency| latency));
    session.rate("p99, each request slower by the margin of 25 ms", at_most, |rng| {
        is_quantile_harmed(rng, PAIRS, MARGIN_MS, |latency| latency + MARGIN_MS)
    });
    session.rate("p99, each request slower by 20 %, margin 25 ms", Bound::AtLeast(0.9), |rng| {
        is_quantile_harmed(rng, PAIRS, MARGIN_MS, |latency| 1.2 * latency)
    });
}
