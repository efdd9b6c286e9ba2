//! The long calibration: does the engine keep the error rates it promises, and does it find harm as fast as promised?
//! Seeded simulation in suites. Prints each rate with its 95 % Clopper-Pearson interval and its bound, and ends with
//! code 1 when a bound is broken, or when a negative control (a method known to be wrong) is not caught.
//!
//! `cargo run --release -p liftgate-stats --example calibrate -- [--runs N] [--only SUITE]`

mod report;
mod session;
mod simulation;
mod suites;

use std::process::ExitCode;

use session::Session;

/// Enough that a true rate of .04 shows as at most .05.
const RUNS_DEFAULT: u64 = 4_000;

/// A suite by its name.
type Suite = (&'static str, fn(&mut Session));

const SUITES: [Suite; 10] = [
    ("type-one", suites::type_one::run),
    ("ramp", suites::ramp::run),
    ("families", suites::families::run),
    ("clustered", suites::clustered::run),
    ("readout", suites::readout::run),
    ("coverage", suites::coverage::run),
    ("models", suites::models::run),
    ("margins", suites::margins::run),
    ("controls", suites::controls::run),
    ("detection", suites::detection::run),
];

fn main() -> ExitCode {
    let Some(call) = Call::parse(std::env::args().skip(1)) else {
        let names = SUITES.map(|(name, _)| name).join(", ");
        eprintln!("usage: calibrate [--runs N] [--only SUITE]; suites: {names}");
        return ExitCode::from(2);
    };
    let mut session = Session::new(call.runs);
    for (name, run) in SUITES {
        if call.only.as_deref().is_none_or(|only| only == name) {
            #[allow(clippy::disallowed_methods, reason = "tells how long a suite took; no result depends on it")]
            let start = std::time::Instant::now();
            run(&mut session);
            eprintln!("{name}: {} s", start.elapsed().as_secs());
        }
    }
    if session.close() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

struct Call {
    runs: u64,
    only: Option<String>,
}

impl Call {
    fn parse(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut call = Self { runs: RUNS_DEFAULT, only: None };
        while let Some(word) = words.next() {
            let value = words.next()?;
            match word.as_str() {
                "--runs" => call.runs = value.parse().ok().filter(|runs| *runs > 0)?,
                "--only" => call.only = Some(value).filter(|only| SUITES.iter().any(|(name, _)| name == only)),
                _ => return None,
            }
            if word == "--only" && call.only.is_none() {
                return None;
            }
        }
        Some(call)
    }
}
