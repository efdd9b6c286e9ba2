//! A node that dies between any two steps of an append, a record and an expiry: another life loses nothing, stores nothing
//! twice, and counts what expired once.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::Arc;

use liftgate_domain::{EventCounts, SealedBatch, SystemClock, Warehouse, failpoint};
use liftgate_evaluator::TREATMENT;
use liftgate_store::warehouse::{ClickHouseOptions, ClickHouseWarehouse};

use super::clickhouse_expiry::{DAY_MS, midnight};
use super::clickhouse_server::{Server, connect, fresh_database};
use super::examples::*;

const POINTS: [&str; 6] = [
    "clickhouse.inserted",
    "clickhouse.remembered",
    "clickhouse.batches_recorded",
    "clickhouse.marks_recorded",
    "clickhouse.expiry_recorded",
    "clickhouse.expiry_deleted",
];
const URL: &str = "LIFTGATE_TEST_URL";
const DATABASE: &str = "LIFTGATE_TEST_DATABASE";
const BATCHES: u64 = 4;
const SIGABRT: i32 = 6;

/// Of each of three days an exposure and a metric event.
fn sealed(sequence: u64) -> Arc<SealedBatch> {
    let rows = (0..3).flat_map(|day| {
        let (ms, unit) = (day * DAY_MS + 1_000, format!("{sequence}-{day}"));
        [exposure(&format!("x{unit}"), &unit, TREATMENT, ms), event(&format!("e{unit}"), &unit, 1.0, ms + 1)]
    });
    batch("a", 1, sequence, 3 * DAY_MS, rows.collect())
}

/// Appends, records and expires, twice each.
#[tokio::test]
#[ignore = "a process of its own, started by the test below and killed at a failpoint"]
async fn child() {
    let url = std::env::var(URL).unwrap();
    let options = ClickHouseOptions { url, database: std::env::var(DATABASE).unwrap(), ..ClickHouseOptions::default() };
    let warehouse = ClickHouseWarehouse::connect(options, Arc::new(SystemClock)).await.unwrap();
    for half in 0..2 {
        for sequence in 1..=BATCHES / 2 {
            warehouse.append(sealed(BATCHES / 2 * half + sequence)).await.unwrap();
        }
        warehouse.flush().await.unwrap();
        warehouse.expire(ENVIRONMENT, midnight(1)).await.unwrap();
    }
}

#[tokio::test]
async fn a_node_that_dies_between_any_two_steps_loses_and_doubles_nothing() {
    let server = Server::shared();
    for point in POINTS {
        for count in 1..=2 {
            let database = fresh_database();
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "warehouse::clickhouse_failpoints::child", "--ignored"])
                .env(failpoint::VARIABLE, format!("{point}:{count}"))
                .env(URL, &server.options(&database).url)
                .env(DATABASE, &database)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap();
            assert_eq!(status.signal(), Some(SIGABRT), "{point} was not reached {count} times: {status}");
            check(server, &database, &format!("{point}:{count}")).await;
        }
    }
}

async fn check(server: &Server, database: &str, died_at: &str) {
    let warehouse = connect(server, database).await;
    // As the log does: in order, what is not durable.
    for sequence in 1..=BATCHES {
        if !warehouse.is_durable("a", 1, sequence) {
            warehouse.append(sealed(sequence)).await.unwrap();
        }
    }
    // An idle node's mark: one that died before its mark was written has it behind its batches.
    warehouse.append(batch("a", 1, BATCHES, 3 * DAY_MS, vec![])).await.unwrap();
    warehouse.flush().await.unwrap();
    let warehouse = connect(server, database).await;
    assert!((1..=BATCHES).all(|sequence| warehouse.is_durable("a", 1, sequence)), "{died_at}");
    for days in [1, 2] {
        warehouse.expire(ENVIRONMENT, midnight(days)).await.unwrap();
        let gone = 2 * BATCHES * days.unsigned_abs();
        let kept = 3 * BATCHES - gone / 2;
        let counts = warehouse.counts(ENVIRONMENT).await.unwrap();
        assert_eq!(counts, EventCounts { exposures: kept, metrics: kept, surplus: 0 }, "{died_at}");
        assert_eq!(warehouse.expired(ENVIRONMENT).await.unwrap(), gone, "{died_at}");
    }
}
