//! How many exposures, both arms together, until harm is found: one guardrail of 0/1 data, alpha .05, margin 0, one
//! stage, a look after every unit pair. The yardstick is GrowthBook's one-sided sequence on the same units.

use crate::report::Finding;
use crate::session::Session;
use crate::simulation::race::{Fired, Times, race};
use crate::simulation::ramp::Pair;

/// An effect, and the most exposures the medians may take: without `detect`, with it, and for one of four guardrails.
struct Target {
    rates: Pair,
    limits: [u64; 3],
}

const fn target(control: f64, treatment: f64, limits: [u64; 3]) -> Target {
    Target { rates: Pair { treatment, control }, limits }
}

const TARGETS: [Target; 5] = [
    target(0.0, 0.01, [1_700, 1_450, 2_350]),
    target(0.001, 0.01, [2_300, 1_850, 3_200]),
    target(0.01, 0.02, [4_000, 3_450, 6_000]),
    target(0.05, 0.06, [14_500, 12_000, 21_500]),
    target(0.05, 0.1, [960, 720, 1_370]),
];

/// How much more than GrowthBook's median ours may be.
const PLAIN_RATIO_MAX: f64 = 1.17;
const DETECT_RATIO_MAX: f64 = 1.0;

/// A row of the table.
struct Row<'a> {
    rates: &'a str,
    monitor: &'a str,
    times: Times,
    limit: Option<u64>,
    ratio_max: Option<f64>,
}

pub fn run(session: &mut Session) {
    session.open("detection", "median exposures, both arms, until harm; alpha .05, margin 0, a look after every pair");
    println!(
        "{:<13} {:<15} {:>7} {:>8} {:>17} {:>11} {:>6} {:>8} {:>14}",
        "rates", "monitor", "median", "at most", "95 % interval", "GrowthBook", "ratio", "at most", "never fired"
    );
    for Target { rates, limits } in &TARGETS {
        let name = format!("{} -> {} %", 100.0 * rates.control, 100.0 * rates.treatment);
        let fired = session.simulate(&name, session.runs, |rng| race(rng, *rates));
        let of = |pick: fn(&Fired) -> Option<u64>| Times::of(fired.iter().map(pick).collect());
        let yardstick = of(|fired| fired.growthbook).median();
        let [plain, detect, shared] = limits.map(Some);
        let row = |monitor, times, limit, ratio_max| Row { rates: &name, monitor, times, limit, ratio_max };
        for row in [
            row("no detect", of(|fired| fired.plain), plain, Some(PLAIN_RATIO_MAX)),
            row("detect = truth", of(|fired| fired.detect), detect, Some(DETECT_RATIO_MAX)),
            row("one of four", of(|fired| fired.shared), shared, None),
            row("GrowthBook", of(|fired| fired.growthbook), None, None),
        ] {
            session.note(row.print(yardstick));
        }
    }
}

impl Row<'_> {
    fn print(&self, yardstick: Option<u64>) -> Finding {
        let Self { rates, monitor, times, limit, ratio_max } = self;
        let median = times.median();
        let (lower, upper) = times.interval();
        let ratio_of = |time: Option<u64>| time.zip(yardstick).map(|(ours, theirs)| ours as f64 / theirs as f64);
        let keeps = |time: Option<u64>| {
            let in_time = limit.is_none_or(|limit| time.is_some_and(|time| time <= limit));
            // Nothing to keep up with where the yardstick never fires.
            in_time && ratio_of(time).zip(*ratio_max).is_none_or(|(ratio, most)| ratio <= most)
        };
        let finding = match limit {
            None => Finding::None,
            Some(_) if keeps(median) => Finding::Ok,
            Some(_) if keeps(lower) => Finding::Unclear,
            Some(_) => Finding::Broken,
        };
        let text = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
        let decimals = |number: Option<f64>| number.map_or("-".to_owned(), |number| format!("{number:.3}"));
        println!(
            "{rates:<13} {monitor:<15} {:>7} {:>8} {:>17} {:>11} {:>6} {:>8} {:>14}  {finding}",
            text(median),
            text(*limit),
            format!("[{}, {}]", text(lower), text(upper)),
            text(yardstick),
            decimals(ratio_of(median)),
            decimals(*ratio_max),
            format!("{} of {}", times.never(), times.runs()),
        );
        finding
    }
}
