//! The index of known event ids at full size: memory an id, and what look-ups, building and opening cost. The number of
//! ids is `LIFTGATE_BENCH_IDS`, 20 million unless set; they take 16 to 19 bytes each on disk.

#![allow(clippy::disallowed_methods, reason = "a bench measures with the machine's clock")]

use std::time::{Duration, Instant};

use liftgate_ingest::measure::{MeasuredIndex, measured_key};

const DAYS: u64 = 7;
const REQUEST: u64 = 500;
const REQUESTS: u64 = 4_000;

fn main() {
    let ids = std::env::var("LIFTGATE_BENCH_IDS").map_or(20_000_000, |text| text.parse().expect("a number of ids"));
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let before = resident_bytes();
    let mut index = MeasuredIndex::open(dir.path()).expect("an empty folder can be opened");
    let began = Instant::now();
    for first in (0..ids).step_by(REQUEST as usize) {
        let day = i32::try_from(first * DAYS / ids).expect("a day");
        index.admit(&request(first), day).expect("the disk works");
    }
    let built = began.elapsed();
    let (files, keys, bytes) = index.runs();
    println!("{ids} ids in {DAYS} days: {files} files with {keys} ids, {} more in memory", ids - keys);
    println!("build            {:8.0} ns an id, with hashing, sorting and merging", per(built, ids));
    println!("memory of files  {:8.2} bytes an id", bytes as f64 / keys as f64);
    println!("resident, all    {:8.2} bytes an id", (resident_bytes() - before) as f64 / ids as f64);
    let requests =
        |first: u64, stride: u64| -> Vec<Vec<u128>> { (0..REQUESTS).map(|n| request(first + n * stride)).collect() };
    let fresh = requests(ids, REQUEST);
    measure(&index, "new", &fresh, 0);
    let stride = keys.min(ids - REQUEST) / REQUESTS;
    measure(&index, "known, in order of arrival", &requests(0, stride), REQUEST as usize);
    drop(index);
    let before = resident_bytes();
    let began = Instant::now();
    let index = MeasuredIndex::open(dir.path()).expect("the folder can be opened");
    println!("open             {:8.0} ms", began.elapsed().as_secs_f64() * 1e3);
    println!("resident, opened {:8.2} bytes an id", (resident_bytes().saturating_sub(before)) as f64 / keys as f64);
    measure(&index, "new", &fresh, 0);
}

fn measure(index: &MeasuredIndex, name: &str, requests: &[Vec<u128>], expected: usize) {
    let (began, began_cpu) = (Instant::now(), cpu_time());
    for request in requests {
        let known = index.known(request).expect("the disk works");
        assert_eq!(known, expected, "every answer is exact");
    }
    let took = per(began.elapsed(), REQUESTS * REQUEST);
    let cpu = per(cpu_time() - began_cpu, REQUESTS * REQUEST);
    let reads: usize = requests.iter().map(|request| index.reads(request)).sum();
    let reads = reads as f64 / (REQUESTS * REQUEST) as f64;
    println!("look-up          {took:8.0} ns an id, {cpu:.0} of them on the processor, {reads:.5} reads an id: {name}");
}

fn request(first: u64) -> Vec<u128> {
    (first..first + REQUEST).map(measured_key).collect()
}

fn per(took: Duration, count: u64) -> f64 {
    took.as_secs_f64() * 1e9 / count as f64
}

/// Time that this thread was running, which others on the machine do not lengthen.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

/// Memory of this process, in bytes.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}
