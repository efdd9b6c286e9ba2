//! What expires from ClickHouse: whole days, counted once, whoever takes them out and however often.

use std::sync::Arc;

use liftgate_domain::{EventCounts, EventRow, SealedBatch, Timestamp, Warehouse};
use liftgate_evaluator::TREATMENT;
use liftgate_store::warehouse::ClickHouseWarehouse;

use super::clickhouse_server::{Server, connect, fresh_database};
use super::examples::*;

pub const DAY_MS: i64 = 86_400_000;

pub fn midnight(day: i64) -> Timestamp {
    at(day * DAY_MS)
}

/// A unit of each of three days, exposed and buying at noon.
fn rows() -> Vec<EventRow> {
    let of_day = |day: i64| {
        let noon = day * DAY_MS + DAY_MS / 2;
        let unit = format!("u{day}");
        [exposure(&format!("x{day}"), &unit, TREATMENT, noon), event(&format!("e{day}"), &unit, 1.0, noon + 1)]
    };
    (0..3).flat_map(of_day).collect()
}

fn sent_by(node: &str, sequence: u64, rows: Vec<EventRow>) -> Arc<SealedBatch> {
    batch(node, 1, sequence, 3 * DAY_MS, rows)
}

/// Stored and expired events.
async fn books(warehouse: &ClickHouseWarehouse) -> (u64, u64) {
    let EventCounts { exposures, metrics, .. } = warehouse.counts(ENVIRONMENT).await.unwrap();
    (exposures + metrics, warehouse.expired(ENVIRONMENT).await.unwrap())
}

#[tokio::test]
async fn days_that_end_in_time_go_from_clickhouse_and_stay_counted() {
    let (server, database) = (Server::shared(), fresh_database());
    let warehouse = connect(server, &database).await;
    let elsewhere = EventRow { environment: 2, ..event("other", "u", 1.0, 1_000) };
    // Where a row is stored does not matter, nor how many units the event has.
    let wrong_clock = EventRow { ts_client: at(0), ..event("corrected", "u", 1.0, 2 * DAY_MS) };
    let account = EventRow { unit_type: "account".into(), unit_index: 1, ..event("e0", "acme", 1.0, DAY_MS / 2) };
    let rows = rows().into_iter().chain([elsewhere, wrong_clock, account]).collect();
    warehouse.append(sent_by("a", 1, rows)).await.unwrap();
    // The second day has not ended by its noon, and another environment is another matter.
    assert_eq!(warehouse.expire(3, midnight(3)).await.unwrap(), 0);
    assert_eq!(warehouse.expire(ENVIRONMENT, Timestamp(midnight(2).0 - 1)).await.unwrap(), 2);
    assert_eq!(warehouse.expire(ENVIRONMENT, Timestamp(midnight(2).0 - 1)).await.unwrap(), 0);
    assert_eq!(books(&warehouse).await, (5, 2));
    let warehouse = connect(server, &database).await;
    assert_eq!((books(&warehouse).await, warehouse.expired(2).await.unwrap()), ((5, 2), 0));
    assert_eq!(warehouse.expire(ENVIRONMENT, midnight(9)).await.unwrap(), 5);
    assert_eq!((books(&warehouse).await, warehouse.counts(2).await.unwrap().metrics), ((0, 7), 1));
}

#[tokio::test]
async fn an_event_stored_twice_expires_once_and_not_before_its_last_row() {
    let (server, database) = (Server::shared(), fresh_database());
    let warehouse = connect(server, &database).await;
    let again = |day: i64, of: &str| EventRow { event_id: of.into(), ..event("", "u0", 1.0, day * DAY_MS) };
    warehouse.append(sent_by("a", 1, rows())).await.unwrap();
    // The first day's event once more the same day, the second day's a day later.
    warehouse.append(sent_by("b", 1, vec![again(0, "e0"), again(2, "e1")])).await.unwrap();
    assert_eq!(books(&warehouse).await, (6, 0));
    assert_eq!(warehouse.expire(ENVIRONMENT, midnight(2)).await.unwrap(), 3);
    assert_eq!(books(&warehouse).await, (3, 3));
    assert_eq!(warehouse.expire(ENVIRONMENT, midnight(3)).await.unwrap(), 3);
    assert_eq!(books(&warehouse).await, (0, 6));
}

#[tokio::test]
async fn what_comes_late_is_counted_with_the_next() {
    let (server, database) = (Server::shared(), fresh_database());
    let warehouse = connect(server, &database).await;
    warehouse.append(sent_by("a", 1, rows())).await.unwrap();
    assert_eq!(warehouse.expire(ENVIRONMENT, midnight(1)).await.unwrap(), 2);
    let late = |id: &str| event(id, "u0", 1.0, DAY_MS - 1);
    warehouse.append(sent_by("a", 2, vec![late("l1"), late("l2"), late("l3")])).await.unwrap();
    warehouse.append(sent_by("b", 1, vec![late("l4")])).await.unwrap();
    assert_eq!(warehouse.expire(ENVIRONMENT, midnight(1)).await.unwrap(), 4);
    assert_eq!(books(&warehouse).await, (4, 6));
}

#[tokio::test]
async fn nodes_that_expire_the_same_days_at_once_count_them_once() {
    let (server, database) = (Server::shared(), fresh_database());
    let mut warehouses = Vec::new();
    for _ in 0..4 {
        warehouses.push(Arc::new(connect(server, &database).await));
    }
    let many = |from: u32| (from..from + 200).map(|n| event(&format!("m{n}"), "u", 1.0, i64::from(n % 4) * DAY_MS));
    for (position, warehouse) in warehouses.iter().enumerate() {
        // Half of what each node has, the next has as well.
        let rows = many(u32::try_from(position).unwrap() * 100).collect();
        warehouse.append(sent_by(&format!("n{position}"), 1, rows)).await.unwrap();
        warehouse.flush().await.unwrap();
    }
    for days in [1, 3] {
        let mut running = tokio::task::JoinSet::new();
        for warehouse in &warehouses {
            let warehouse = Arc::clone(warehouse);
            running.spawn(async move { warehouse.expire(ENVIRONMENT, midnight(days)).await });
        }
        while let Some(outcome) = running.join_next().await {
            outcome.unwrap().unwrap();
        }
        let gone = 125 * days.unsigned_abs();
        assert_eq!(books(&warehouses[0]).await, (500 - gone, gone));
    }
}
