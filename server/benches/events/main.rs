//! The event plane at scale, in pieces that `bench/events/compare.py` puts beside other engines on the same rows:
//!
//! ```text
//! events dataset DIR [--units N] [--ids sequential|uuid]   writes exposures and metric events through the warehouse
//! events readout DIR [--runs N]                            times questions about them
//! events load URL --form native|clickhouse [...]           sends batches over HTTP and counts what is acknowledged
//! ```
//!
//! Every piece prints one JSON object. Without arguments nothing is measured.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(missing_docs, reason = "a program")]

mod dataset;
mod load;
mod readout;
mod shape;

use std::process::ExitCode;

fn main() -> ExitCode {
    // `cargo bench` adds a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.split_first() {
        Some((&"dataset", rest)) => dataset::run(rest),
        Some((&"readout", rest)) => readout::run(rest),
        Some((&"load", rest)) => load::run(rest),
        None => println!("events: nothing to do without arguments; `make bench-events` runs the comparison"),
        Some((other, _)) => {
            eprintln!("`{other}` is not a part of this benchmark; there are `dataset`, `readout` and `load`");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// The value behind `--name`, or the default.
fn option<T: std::str::FromStr>(arguments: &[&str], name: &str, default: T) -> T {
    let value = arguments.iter().position(|argument| *argument == name).and_then(|at| arguments.get(at + 1));
    value.map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("`{name}` cannot be `{value}`")))
}

/// The most memory that this process has had, in bytes; 0 where the system does not say.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
