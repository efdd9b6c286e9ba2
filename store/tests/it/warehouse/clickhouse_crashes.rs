//! A server that is killed under load, and one that is away: nothing lost, nothing twice, and nobody waits.

use std::sync::Arc;
use std::time::Duration;

use liftgate_domain::{Clock as _, EventCounts, ManualClock, SealedBatch, StoreError, Warehouse};
use liftgate_evaluator::TREATMENT;
use liftgate_store::warehouse::{BreakerState, ClickHouseOptions, ClickHouseWarehouse};

use super::clickhouse_server::{Server, free_port};
use super::examples::*;

fn sealed(sequence: u64) -> Arc<SealedBatch> {
    let ms = i64::try_from(sequence).unwrap() * 10;
    let rows = (0..50).flat_map(|n| {
        let unit = format!("{sequence}-{n}");
        [exposure(&format!("x{unit}"), &unit, TREATMENT, ms), event(&format!("e{unit}"), &unit, 1.0, ms + 1)]
    });
    batch("a", 1, sequence, ms + 1, rows.collect())
}

/// Appends as ingest does: in order, and again until it is taken.
async fn append_until_taken(warehouse: &ClickHouseWarehouse, batch: Arc<SealedBatch>, clock: &ManualClock) {
    loop {
        match warehouse.append(Arc::clone(&batch)).await {
            Ok(()) => return,
            Err(StoreError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(other) => panic!("{other}"),
        }
        clock.advance_ms(100);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing_and_stores_nothing_twice() {
    let mut server = Server::own("");
    let clock = Arc::new(ManualClock::at(at(0)));
    let options =
        ClickHouseOptions { breaker_failures: 3, breaker_pause: Duration::from_secs(1), ..server.options("x") };
    let warehouse = Arc::new(ClickHouseWarehouse::connect(options, Arc::clone(&clock) as _).await.unwrap());
    let last = 60;
    let appending = tokio::spawn({
        let (warehouse, clock) = (Arc::clone(&warehouse), Arc::clone(&clock));
        async move {
            for sequence in 1..=last {
                append_until_taken(&warehouse, sealed(sequence), &clock).await;
            }
        }
    });
    let mut evidence = warehouse.evidence();
    for kill_at in [10, 30, 45] {
        evidence.wait_for(|w| w.nodes.get("a").is_some_and(|mark| mark.sequence >= kill_at)).await.unwrap();
        server.kill();
        // Away for long enough that the breaker opens.
        while warehouse.health().breaker == BreakerState::Closed {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.start_again();
    }
    appending.await.unwrap();
    let health = warehouse.health();
    assert_eq!((health.breaker, health.failures), (BreakerState::Closed, 0), "{health:?}");
    assert!(health.breaker_opened >= 3 && health.inserts_failed >= 9, "{health:?}");
    assert_eq!((health.inserts, health.rows), (last, last * 100), "{health:?}");
    warehouse.flush().await.unwrap();
    assert_eq!(warehouse.durable_through("a", 1), last);
    let expected = EventCounts { exposures: last * 50, metrics: last * 50, surplus: 0 };
    assert_eq!(warehouse.counts(ENVIRONMENT).await.unwrap(), expected);

    // Another crash, right after the confirmation: what was confirmed is there, and a restarted node knows it.
    server.kill();
    server.start_again();
    let options = server.options("x");
    let warehouse = ClickHouseWarehouse::connect(options, clock).await.unwrap();
    assert_eq!(warehouse.counts(ENVIRONMENT).await.unwrap(), expected);
    assert!((1..=last).all(|sequence| warehouse.is_durable("a", 1, sequence)));
    for sequence in [1, last] {
        warehouse.append(sealed(sequence)).await.unwrap();
    }
    assert_eq!(warehouse.counts(ENVIRONMENT).await.unwrap(), expected);
}

#[tokio::test]
async fn a_server_that_is_away_is_not_tried_until_the_pause_is_over() {
    let mut server = Server::own("");
    let clock = Arc::new(ManualClock::at(at(1_000)));
    let warehouse = ClickHouseWarehouse::connect(server.options("x"), Arc::clone(&clock) as _).await.unwrap();
    warehouse.append(sealed(1)).await.unwrap();
    server.kill();
    for _ in 0..5 {
        assert_eq!(warehouse.health().breaker, BreakerState::Closed);
        let error = warehouse.append(sealed(2)).await.unwrap_err();
        assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("does not answer")), "{error}");
    }
    for _ in 0..20 {
        let error = warehouse.append(sealed(2)).await.unwrap_err().to_string();
        assert!(error.contains("nothing is tried for 60 s"), "{error}");
    }
    let health = warehouse.health();
    assert_eq!((health.breaker, health.inserts_failed), (BreakerState::Open, 5), "refused without trying");
    assert!(matches!(warehouse.moments(&question()).await, Err(StoreError::Unavailable(_))));

    server.start_again();
    assert!(warehouse.append(sealed(2)).await.is_err(), "the pause is not over");
    clock.set(clock.now().plus_millis(60_000));
    assert_eq!(warehouse.health().breaker, BreakerState::HalfOpen);
    warehouse.append(sealed(2)).await.unwrap();
    assert_eq!(warehouse.health().breaker, BreakerState::Closed);
    assert_eq!(warehouse.counts(ENVIRONMENT).await.unwrap().exposures, 100);
}

#[tokio::test]
async fn nobody_at_the_address_is_said_clearly() {
    let options =
        ClickHouseOptions { url: format!("http://127.0.0.1:{}", free_port()), ..ClickHouseOptions::default() };
    let error = ClickHouseWarehouse::connect(options, Arc::new(ManualClock::default())).await.err().unwrap();
    assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("correct `clickhouse.url`")), "{error}");
}
