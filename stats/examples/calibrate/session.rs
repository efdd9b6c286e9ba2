//! Runs simulations on all cores, prints their rates, and remembers what broke. A case is seeded by its name, so that
//! it gives the same numbers alone, in any order and on any number of cores.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::report::{Bound, Finding};
use crate::simulation::rate::Rate;

/// Runs between two lines of progress.
const PROGRESS_RUNS: u64 = 50;

/// One call of the program.
#[derive(Debug)]
pub struct Session {
    /// Runs of a case; those that are cheap take a multiple.
    pub runs: u64,
    suite: &'static str,
    broken: u32,
    unclear: u32,
}

impl Session {
    pub fn new(runs: u64) -> Self {
        Self { runs, suite: "", broken: 0, unclear: 0 }
    }

    /// Begins a suite.
    pub fn open(&mut self, suite: &'static str, what: &str) {
        self.suite = suite;
        println!("\n## {suite}: {what}\n");
    }

    /// The head of a table of rates.
    pub fn table(&self) {
        println!("{:<58} {:>7} {:>7}  {:>16}  {:<17}", "case", "runs", "rate", "95 % interval", "bound");
    }

    /// How often a run does it, printed as a row.
    pub fn rate(&mut self, name: &str, bound: Bound, run: impl Fn(&mut SmallRng) -> bool + Sync) -> Rate {
        let rate = Rate::of(&self.simulate(name, self.runs, run));
        self.row(name, bound, rate);
        rate
    }

    /// A row of a table of rates.
    pub fn row(&mut self, name: &str, bound: Bound, rate: Rate) {
        let finding = bound.judge(rate);
        let (share, lower, upper) = (rate.share(), rate.lower(), rate.upper());
        let runs = rate.runs;
        println!("{name:<58} {runs:>7} {share:>7.4}  [{lower:.4}, {upper:.4}]  {bound:<17} {finding}");
        self.note(finding);
    }

    /// Counts a finding that is printed elsewhere.
    pub fn note(&mut self, finding: Finding) {
        self.broken += u32::from(finding == Finding::Broken);
        self.unclear += u32::from(finding == Finding::Unclear);
    }

    /// The last line; whether all is well.
    pub fn close(&self) -> bool {
        println!("\n{} broken, {} unclear", self.broken, self.unclear);
        self.broken == 0
    }

    /// The outcomes of `runs` seeded runs, in the order of their seeds.
    pub fn simulate<T: Send>(&self, name: &str, runs: u64, run: impl Fn(&mut SmallRng) -> T + Sync) -> Vec<T> {
        let seed = seed(self.suite, name);
        let next = AtomicU64::new(0);
        let is_terminal = std::io::stderr().is_terminal();
        let work = || {
            let mut outcomes = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= runs {
                    return outcomes;
                }
                if is_terminal && index.is_multiple_of(PROGRESS_RUNS) {
                    eprint!("\r\x1b[K{}: {name}: {index} of {runs}", self.suite);
                }
                outcomes.push((index, run(&mut SmallRng::seed_from_u64(seed.wrapping_add(index)))));
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut outcomes: Vec<(u64, T)> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("a run does not panic")).collect()
        });
        if is_terminal {
            eprint!("\r\x1b[K");
        }
        outcomes.sort_by_key(|(index, _)| *index);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }
}

/// FNV-1a over suite and case.
fn seed(suite: &str, name: &str) -> u64 {
    let bytes = suite.bytes().chain([0]).chain(name.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
