//! How long a question takes, and how many bytes an event has, at scale: one run of a million units with ten million
//! exposures and forty million metric events of five names over a week, written by the warehouse as it always writes.
//!
//! `LIFTGATE_BENCH_UNITS` makes it smaller or larger: each unit has 10 exposures and 40 metric events.
//! `LIFTGATE_BENCH_IDS=uuid` gives events random UUIDs as ids, which nothing can make small.
//! `LIFTGATE_BENCH_DIR` keeps the folder, and is read instead of written when it has been filled.

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock: that is its result")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use liftgate_domain::{
    Dimension, EventRow, Metric, MetricKind, MetricQuery, MomentsQuery, RowKind, RowRule, SealedBatch, Span, Timestamp,
    Warehouse,
};
use liftgate_evaluator::run::{Design, RunHistory, RunKind, StageEntry, ramp_arm};
use liftgate_evaluator::{Share, share_bucket};
use liftgate_stats::Direction;
use liftgate_store::warehouse::{ParquetOptions, ParquetWarehouse};
use parquet::file::reader::{FileReader, SerializedFileReader};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const UNITS: u64 = 1_000_000;
const EXPOSURES_A_UNIT: u64 = 10;
const EVENTS_A_UNIT: u64 = 40;
const DAYS: u64 = 7;
/// Rows that arrive together.
const BATCH_ROWS: u64 = 10_000;
/// 2026-03-02, midnight.
const START_MS: i64 = 1_772_409_600_000;
const SALT: &str = "checkout/rollout";
const THREADS: usize = 2;
const SAMPLES: usize = 7;
/// The share of each event among a hundred.
const NAMES: [(&str, u64); 5] =
    [("page_view", 60), ("search", 15), ("add_to_cart", 12), ("checkout", 8), ("purchase", 5)];
const COUNTRIES: [&str; 8] = ["de", "fr", "gb", "it", "jp", "nl", "pl", "us"];

fn main() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let units = number("LIFTGATE_BENCH_UNITS").unwrap_or(UNITS);
    let temporary = tempfile::tempdir().expect("a temporary folder can be made");
    let dir = std::env::var_os("LIFTGATE_BENCH_DIR").map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    runtime.block_on(run(&dir, units));
}

async fn run(dir: &Path, units: u64) {
    let options = ParquetOptions { threads: THREADS, ..ParquetOptions::default() };
    let warehouse = ParquetWarehouse::open(dir, options).expect("the folder opens");
    if warehouse.describe().rows == 0 {
        let began = Instant::now();
        let rows = fill(&warehouse, units).await;
        let appended = began.elapsed();
        warehouse.compact().await.expect("files are merged");
        println!(
            "wrote {rows} rows in {:.1} s ({:.0} rows/s), merged {:.1} s later, peak memory {} MiB",
            appended.as_secs_f64(),
            rows as f64 / appended.as_secs_f64(),
            (began.elapsed() - appended).as_secs_f64(),
            peak_mib()
        );
    }
    let size = warehouse.describe();
    println!("{} rows in {} files, {:.2} bytes an event", size.rows, size.files, size.bytes as f64 / size.rows as f64);
    print_columns(dir, size.rows);
    let common = ("views", MetricKind::Count, "page_view");
    let five = [
        common,
        ("searches", MetricKind::Proportion, "search"),
        ("carts", MetricKind::Proportion, "add_to_cart"),
        ("checkouts", MetricKind::Count, "checkout"),
        ("revenue", MetricKind::Mean, "purchase"),
    ];
    measure(&warehouse, "one metric, of the rarest event", &question(&[("revenue", MetricKind::Mean, "purchase")]))
        .await;
    measure(&warehouse, "one metric, of the most frequent event", &question(&[common])).await;
    measure(&warehouse, "five metrics", &question(&five)).await;
    let mut sliced = question(&five);
    sliced.slices = vec![Dimension::Attribute("country".to_owned()), Dimension::ExposureDay];
    measure(&warehouse, "five metrics, by country and day", &sliced).await;
}

async fn measure(warehouse: &ParquetWarehouse, what: &str, query: &MomentsQuery) {
    let mut took = Vec::new();
    let mut units = 0;
    let cpu_before = cpu_ms();
    for _ in 0..SAMPLES {
        let began = Instant::now();
        let answer = warehouse.moments(query).await.expect("the question is answered");
        took.push(began.elapsed().as_secs_f64() * 1e3);
        units = answer.arms.iter().filter(|arm| arm.slice.is_none()).map(|arm| arm.units).sum();
    }
    took.sort_by(f64::total_cmp);
    println!(
        "{what}: {:.0} ms (fastest {:.0}, slowest {:.0}; {} ms of a core), {units} units, peak memory {} MiB",
        took[SAMPLES / 2],
        took[0],
        took[SAMPLES - 1],
        (cpu_ms() - cpu_before) / SAMPLES as u64,
        peak_mib()
    );
}

/// How many bytes of an event each column is.
fn print_columns(dir: &Path, rows: u64) {
    let mut bytes: BTreeMap<String, i64> = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the folder can be listed") {
            let path = entry.expect("the folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                let file = std::fs::File::open(path).expect("the file opens");
                let reader = SerializedFileReader::new(file).expect("the file is a Parquet file");
                for column in reader.metadata().row_groups().iter().flat_map(|group| group.columns()) {
                    *bytes.entry(column.column_path().string()).or_default() += column.compressed_size();
                }
            }
        }
    }
    let mut columns: Vec<(String, f64)> =
        bytes.into_iter().map(|(name, bytes)| (name, bytes as f64 / rows as f64)).collect();
    columns.sort_by(|a, b| b.1.total_cmp(&a.1));
    let large = columns.iter().filter(|(_, bytes)| *bytes >= 0.005);
    println!("{}", large.map(|(name, bytes)| format!("{name} {bytes:.2}")).collect::<Vec<_>>().join(", "));
}

/// How long this process has used a core: on a busy machine a better measure than what a clock says.
fn cpu_ms() -> u64 {
    const MS_A_TICK: u64 = 10;
    let status = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = status.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
    ticks.sum::<u64>() * MS_A_TICK
}

/// The most memory this process has had.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() / 1_024
}

/// Sends the rows in the order of their arrival; how many there are.
async fn fill(warehouse: &ParquetWarehouse, units: u64) -> u64 {
    let total = units * (EXPOSURES_A_UNIT + EVENTS_A_UNIT);
    let span_us = i64::try_from(DAYS).unwrap_or(7) * 86_400_000_000;
    let uuids = std::env::var("LIFTGATE_BENCH_IDS").is_ok_and(|ids| ids == "uuid");
    let mut rng = SmallRng::seed_from_u64(1);
    let mut written = 0;
    let mut sequence = 0;
    while written < total {
        let mut rows = Vec::new();
        for number in written..(written + BATCH_ROWS).min(total) {
            let received = START_MS * 1_000 + ((i128::from(span_us) * i128::from(number)) / i128::from(total)) as i64;
            let event_id = match uuids {
                true => uuid(&mut rng),
                false => format!("evt-{number:012}"),
            };
            let unit = rng.random_range(0..units);
            // Senders have milliseconds, and send some seconds later.
            let ts = Timestamp((received / 1_000 - rng.random_range(20..5_000)) * 1_000);
            rows.push(match number % (EXPOSURES_A_UNIT + EVENTS_A_UNIT) < EXPOSURES_A_UNIT {
                true => exposure(event_id, unit, ts, received),
                false => metric(event_id, unit, ts, received, &mut rng),
            });
        }
        let received_through = rows.last().map_or(Timestamp(0), |row| row.received_at);
        written += rows.len() as u64;
        sequence += 1;
        let batch = SealedBatch { node: Arc::from("node-1"), epoch: 1, sequence, received_through, rows };
        warehouse.append(Arc::new(batch)).await.expect("the batch is taken");
    }
    warehouse.flush().await.expect("the tail becomes files");
    // The last windows close.
    let received_through = Timestamp(START_MS * 1_000 + span_us + 2 * 86_400_000_000);
    let batch = SealedBatch { node: Arc::from("node-1"), epoch: 1, sequence, received_through, rows: Vec::new() };
    warehouse.append(Arc::new(batch)).await.expect("the watermark moves");
    warehouse.flush().await.expect("the watermark is durable");
    written
}

fn uuid(rng: &mut SmallRng) -> String {
    let text = format!("{:032x}", rng.random::<u128>());
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

fn row(kind: RowKind, event_id: String, unit: u64, ts: Timestamp, received: i64, name: &str) -> EventRow {
    let unit_id = format!("user-{unit}");
    EventRow {
        event_id,
        environment: 1,
        kind,
        ts,
        ts_client: ts,
        received_at: Timestamp(received),
        unit_index: 0,
        unit_type: "user".to_owned(),
        unit_hash: EventRow::unit_hash_of(1, "user", &unit_id),
        unit_id,
        name: name.to_owned(),
        variation: None,
        run: None,
        stage: None,
        arm: None,
        bucket: None,
        value: None,
        properties: None,
        source: "native".to_owned(),
        revision: 0,
    }
}

fn exposure(event_id: String, unit: u64, ts: Timestamp, received: i64) -> EventRow {
    let row = row(RowKind::Exposure, event_id, unit, ts, received, "checkout");
    let bucket = share_bucket(SALT, &row.unit_id);
    let arm = ramp_arm(bucket, share()).arm();
    let country = COUNTRIES[usize::try_from(unit % COUNTRIES.len() as u64).unwrap_or_default()];
    EventRow {
        variation: Some(if arm == Some("treatment") { "on" } else { "off" }.to_owned()),
        run: Some(7),
        stage: Some(0),
        arm: arm.map(str::to_owned),
        bucket: Some(bucket),
        properties: serde_json::json!({ "country": country }).as_object().cloned(),
        revision: 12,
        ..row
    }
}

fn metric(event_id: String, unit: u64, ts: Timestamp, received: i64, rng: &mut SmallRng) -> EventRow {
    let mut draw = rng.random_range(0..100);
    let (name, _) = NAMES
        .into_iter()
        .find(|(_, share)| {
            let is_it = draw < *share;
            draw = draw.saturating_sub(*share);
            is_it
        })
        .unwrap_or(NAMES[0]);
    // Prices in cents.
    let value = (name == "purchase").then(|| f64::from(rng.random_range(100..20_000)) / 100.0);
    EventRow { value, ..row(RowKind::Metric, event_id, unit, ts, received, name) }
}

fn share() -> Share {
    Share::from_percent(50.0).expect("50 % is a share")
}

fn question(metrics: &[(&str, MetricKind, &str)]) -> MomentsQuery {
    let asked = |(key, kind, event): &(&str, MetricKind, &str)| {
        let metric = Metric::new(*kind, *event, Span::from_ms(86_400_000), Direction::Increase);
        MetricQuery::new(key.parse().expect("a valid key"), metric)
    };
    MomentsQuery {
        environment: 1,
        history: RunHistory {
            dialect: liftgate_evaluator::Dialect::Native,
            number: 7,
            kind: RunKind::Rollout,
            key: "bench".parse().expect("a valid key"),
            unit: "user".to_owned(),
            salt: SALT.to_owned(),
            design: Design::Ramp { treatment: "on".to_owned(), control: "off".to_owned() },
            stages: vec![StageEntry { stage: 0, share: share(), since: Timestamp(START_MS * 1_000) }],
            ended_at: None,
        },
        arms: vec!["treatment".to_owned(), "control".to_owned()],
        metrics: metrics.iter().map(asked).collect(),
        slices: Vec::new(),
        exclude_runs: Vec::new(),
        lateness_ms: 900_000,
        rule: RowRule::Decision,
        as_of: None,
    }
}
