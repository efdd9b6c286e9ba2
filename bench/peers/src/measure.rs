//! Samples of all cases by turns, round after round, so that whatever else the machine does hits them alike.

use std::time::{Duration, Instant};

use crate::case::Case;
use crate::job::PEOPLE_MEASURED;

/// Samples of each case, but for slow ones.
const ROUNDS: usize = 201;
/// Samples of the slowest.
const ROUNDS_MIN: usize = 5;
/// A sample takes about this long: far above the clock's grain, and short beside a slice of the scheduler.
const SAMPLE_MIN: Duration = Duration::from_millis(1);
/// All samples of a case take about this long at most.
const CASE_MAX: Duration = Duration::from_secs(4);

/// How a case is sampled.
struct Plan {
    evaluations: usize,
    rounds: usize,
}

pub fn interleaved(cases: &mut [Case]) {
    // The search for the length of a batch is the warm-up too.
    let plans: Vec<Plan> = cases.iter_mut().map(plan).collect();
    for round in 0..ROUNDS {
        for (case, &Plan { evaluations, rounds }) in cases.iter_mut().zip(&plans) {
            // Slow ones take part in some of the rounds, evenly spread.
            let takes_part = round * rounds / ROUNDS != (round + 1) * rounds / ROUNDS;
            let sample = takes_part.then(|| time(case, evaluations).as_secs_f64() * 1e9 / evaluations as f64);
            case.samples_ns.push(sample);
        }
    }
}

/// Whole turns of the people, doubled until a sample is long enough.
fn plan(case: &mut Case) -> Plan {
    let mut evaluations = PEOPLE_MEASURED;
    loop {
        let sample = time(case, evaluations);
        if sample >= SAMPLE_MIN {
            let rounds = CASE_MAX.as_nanos() / sample.as_nanos();
            return Plan { evaluations, rounds: usize::try_from(rounds).unwrap_or(ROUNDS).clamp(ROUNDS_MIN, ROUNDS) };
        }
        evaluations *= 2;
    }
}

fn time(case: &mut Case, evaluations: usize) -> Duration {
    #[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    let start = Instant::now();
    (case.batch)(evaluations);
    start.elapsed()
}
