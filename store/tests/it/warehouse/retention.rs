//! What expires: whole days, counted, in one step, and for good.

use std::sync::Arc;

use liftgate_domain::{EventRow, SealedBatch, Timestamp, Warehouse};
use liftgate_evaluator::TREATMENT;
use liftgate_store::warehouse::ParquetWarehouse;

use super::examples::*;
use super::stand::Stand;

const DAY_MS: i64 = 86_400_000;

/// A unit of each of three days, exposed and buying at noon.
fn rows() -> Vec<EventRow> {
    let of_day = |day: i64| {
        let noon = day * DAY_MS + DAY_MS / 2;
        let unit = format!("u{day}");
        [exposure(&format!("x{day}"), &unit, TREATMENT, noon), event(&format!("e{day}"), &unit, 1.0, noon + 1)]
    };
    (0..3).flat_map(of_day).collect()
}

fn sent_by(node: &str, rows: Vec<EventRow>) -> Arc<SealedBatch> {
    batch(node, 1, 1, 3 * DAY_MS, rows)
}

fn midnight(day: i64) -> Timestamp {
    at(day * DAY_MS)
}

async fn events(warehouse: &ParquetWarehouse) -> u64 {
    let counts = warehouse.counts(ENVIRONMENT).await.unwrap();
    counts.exposures + counts.metrics
}

#[tokio::test]
async fn days_that_end_in_time_go_and_stay_counted() {
    let stand = Stand::new();
    let warehouse = stand.open();
    warehouse.append(sent_by("a", rows())).await.unwrap();
    warehouse.flush().await.unwrap();
    let files = stand.data_files().len();
    // The second day has not ended by its noon, and another environment is another matter.
    assert_eq!(warehouse.expire(2, midnight(3)).await.unwrap(), 0);
    assert_eq!(warehouse.expire(ENVIRONMENT, Timestamp(midnight(2).0 - 1)).await.unwrap(), 2);
    assert_eq!(warehouse.expire(ENVIRONMENT, Timestamp(midnight(2).0 - 1)).await.unwrap(), 0);
    assert_eq!((events(&warehouse).await, warehouse.expired(ENVIRONMENT)), (4, 2));
    assert_eq!(stand.data_files().len(), files - 2);
    let answer = warehouse.moments(&question()).await.unwrap();
    assert_eq!(answer.arms.iter().map(|arm| arm.units).sum::<u64>(), 2);
    drop(warehouse);

    let warehouse = stand.open();
    assert_eq!((events(&warehouse).await, warehouse.expired(ENVIRONMENT), warehouse.expired(2)), (4, 2, 0));
    assert_eq!(warehouse.expire(ENVIRONMENT, midnight(9)).await.unwrap(), 4);
    assert_eq!((events(&warehouse).await, warehouse.expired(ENVIRONMENT)), (0, 6));
    assert!(stand.data_files().is_empty());
}

#[tokio::test]
async fn an_event_stored_twice_expires_once_and_not_before_its_last_row() {
    let stand = Stand::new();
    let warehouse = stand.open();
    let again = |day: i64, of: &str| EventRow { event_id: of.into(), ..event("", "u0", 1.0, day * DAY_MS) };
    warehouse.append(sent_by("a", rows())).await.unwrap();
    // The first day's event once more the same day, the second day's a day later.
    warehouse.append(sent_by("b", vec![again(0, "e0"), again(2, "e1")])).await.unwrap();
    warehouse.flush().await.unwrap();
    assert_eq!(events(&warehouse).await, 6);
    let dropped = warehouse.expire(ENVIRONMENT, midnight(2)).await.unwrap();
    assert_eq!((dropped, events(&warehouse).await), (3, 3));
}

#[tokio::test]
async fn rows_that_are_not_in_files_yet_go_the_next_time() {
    let stand = Stand::new();
    let warehouse = stand.open();
    warehouse.append(sent_by("a", rows())).await.unwrap();
    assert_eq!(warehouse.expire(ENVIRONMENT, midnight(3)).await.unwrap(), 0);
    warehouse.flush().await.unwrap();
    assert_eq!(warehouse.expire(ENVIRONMENT, midnight(3)).await.unwrap(), 6);
}
