//! How long a question takes: one run of 200 000 units with 1 M events in Parquet files, one metric and four.

use std::sync::{Arc, LazyLock};

use liftgate_domain::{
    EventRow, Metric, MetricKind, MetricQuery, MomentsQuery, RowKind, RowRule, SealedBatch, Span, Timestamp, Warehouse,
};
use liftgate_evaluator::run::{Design, RunHistory, RunKind, StageEntry, ramp_arm};
use liftgate_evaluator::{Share, share_bucket};
use liftgate_stats::Direction;
use liftgate_store::warehouse::{ParquetOptions, ParquetWarehouse};
use tokio::runtime::Runtime;

const UNITS: u64 = 200_000;
const EVENTS_A_UNIT: u64 = 4;
const START_US: i64 = 1_700_000_000_000_000;
const SALT: &str = "checkout/rollout";

fn main() {
    divan::main();
}

struct Bench {
    runtime: Runtime,
    warehouse: ParquetWarehouse,
    _dir: tempfile::TempDir,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let runtime = Runtime::new().expect("a runtime can be made");
    let options = ParquetOptions { threads: 2, ..ParquetOptions::default() };
    let warehouse = ParquetWarehouse::open(dir.path(), options).expect("an empty folder opens");
    runtime.block_on(fill(&warehouse));
    let description = warehouse.describe();
    println!(
        "{} rows in {} files, {:.1} bytes an event",
        description.rows,
        description.files,
        description.bytes as f64 / description.rows as f64
    );
    Bench { runtime, warehouse, _dir: dir }
});

async fn fill(warehouse: &ParquetWarehouse) {
    const CHUNK: u64 = 10_000;
    for chunk in 0..UNITS / CHUNK {
        let mut rows = Vec::new();
        for unit in chunk * CHUNK..(chunk + 1) * CHUNK {
            let unit_id = format!("user-{unit}");
            let ts = Timestamp(START_US + i64::try_from(unit).unwrap_or(0) * 1_000);
            rows.push(exposure(&unit_id, ts));
            rows.extend((0..EVENTS_A_UNIT).map(|nth| metric(&unit_id, nth, unit, ts)));
        }
        let received_through =
            Timestamp(START_US + i64::try_from((chunk + 1) * CHUNK).unwrap_or(0) * 1_000 + 100_000_000);
        let batch = SealedBatch { node: Arc::from("bench"), epoch: 1, sequence: chunk + 1, received_through, rows };
        warehouse.append(Arc::new(batch)).await.expect("the batch is taken");
    }
    warehouse.flush().await.expect("the tail becomes files");
}

fn row(kind: RowKind, event_id: String, unit_id: &str, ts: Timestamp, name: &str) -> EventRow {
    EventRow {
        event_id,
        environment: 1,
        kind,
        ts,
        ts_client: ts,
        received_at: ts,
        unit_index: 0,
        unit_type: "user".to_owned(),
        unit_id: unit_id.to_owned(),
        unit_hash: EventRow::unit_hash_of(1, "user", unit_id),
        name: name.to_owned(),
        variation: None,
        run: None,
        stage: None,
        arm: None,
        bucket: None,
        value: None,
        properties: None,
        source: "bench".to_owned(),
        revision: 1,
    }
}

fn exposure(unit_id: &str, ts: Timestamp) -> EventRow {
    let bucket = share_bucket(SALT, unit_id);
    let arm = ramp_arm(bucket, share()).arm();
    EventRow {
        variation: Some(if arm == Some("treatment") { "on" } else { "off" }.to_owned()),
        run: Some(7),
        stage: Some(0),
        arm: arm.map(str::to_owned),
        bucket: Some(bucket),
        ..row(RowKind::Exposure, format!("x-{unit_id}"), unit_id, ts, "checkout")
    }
}

fn metric(unit_id: &str, nth: u64, unit: u64, ts: Timestamp) -> EventRow {
    let name = ["page_view", "page_view", "add_to_cart", "purchase"][usize::try_from(nth % 4).unwrap_or(0)];
    let at = Timestamp(ts.0 + i64::try_from(nth).unwrap_or(0) * 1_000);
    EventRow {
        value: Some((unit % 97) as f64),
        ..row(RowKind::Metric, format!("m-{unit_id}-{nth}"), unit_id, at, name)
    }
}

fn share() -> Share {
    Share::from_percent(50.0).expect("50 % is a share")
}

fn question(metrics: &[(&str, MetricKind, &str)]) -> MomentsQuery {
    MomentsQuery {
        environment: 1,
        history: RunHistory {
            number: 7,
            kind: RunKind::Rollout,
            key: "bench".parse().expect("a valid key"),
            unit: "user".to_owned(),
            salt: SALT.to_owned(),
            design: Design::Ramp { treatment: "on".to_owned(), control: "off".to_owned() },
            stages: vec![StageEntry { stage: 0, share: share(), since: Timestamp(START_US) }],
            ended_at: None,
        },
        arms: vec!["treatment".to_owned(), "control".to_owned()],
        metrics: metrics
            .iter()
            .map(|(key, kind, event)| {
                let metric = Metric::new(*kind, *event, Span::from_ms(10_000), Direction::Increase);
                MetricQuery::new(key.parse().expect("a valid key"), metric)
            })
            .collect(),
        slices: Vec::new(),
        exclude_runs: Vec::new(),
        lateness_ms: 1_000,
        rule: RowRule::Decision,
        as_of: None,
    }
}

fn ask(query: &MomentsQuery) -> u64 {
    let answer = BENCH.runtime.block_on(BENCH.warehouse.moments(query)).expect("the question is answered");
    answer.cells.iter().map(|cell| cell.moments.n).sum()
}

#[divan::bench(sample_count = 15, sample_size = 1)]
fn one_metric(bencher: divan::Bencher<'_, '_>) {
    let query = question(&[("conversion", MetricKind::Proportion, "purchase")]);
    assert_eq!(ask(&query), UNITS);
    bencher.bench(|| ask(&query));
}

#[divan::bench(sample_count = 15, sample_size = 1)]
fn four_metrics_in_one_pass(bencher: divan::Bencher<'_, '_>) {
    let query = question(&[
        ("conversion", MetricKind::Proportion, "purchase"),
        ("revenue", MetricKind::Mean, "purchase"),
        ("views", MetricKind::Count, "page_view"),
        ("carts", MetricKind::Proportion, "add_to_cart"),
    ]);
    assert_eq!(ask(&query), UNITS * 4);
    bencher.bench(|| ask(&query));
}
