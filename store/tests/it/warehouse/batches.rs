//! Cases: batches, events that come twice, and the watermark.

use liftgate_domain::{EventCounts, NodeMark, RowKind};
use liftgate_evaluator::{CONTROL, TREATMENT};

use super::engine::Engine;
use super::examples::*;

pub async fn an_event_taken_by_two_nodes_counts_once_as_it_was_received_first(engine: &impl Engine) {
    let batches = [
        batch("b", 1, 1, 9_000, vec![received(event("e", "u", 5.0, 3_000), 9_000)]),
        batch(
            "a",
            1,
            1,
            8_000,
            vec![exposure("x", "u", TREATMENT, 1_000), received(event("e", "u", 3.0, 2_000), 8_000)],
        ),
        batch("a", 2, 1, 9_500, vec![received(exposure("x", "u", CONTROL, 500), 9_400)]),
        batch("b", 1, 2, 60_000, vec![received(row(RowKind::Exposure, "e", "u", 100), 50_000)]),
        batch("a", 2, 2, 60_000, vec![]),
    ];
    engine
        .on_rows(&batches, async |warehouse| {
            let answer = warehouse.moments(&question()).await.unwrap();
            assert_eq!(total(&answer, "revenue", TREATMENT), Some((1, 3.0)));
            assert_eq!(answer.crossover_units, 0);
            let counts = warehouse.counts(ENVIRONMENT).await.unwrap();
            assert_eq!(counts, EventCounts { exposures: 1, metrics: 1, surplus: 3 });
            assert_eq!(warehouse.counts(2).await.unwrap(), EventCounts::default());
        })
        .await;
}

pub async fn the_same_batch_again_changes_nothing_and_an_empty_one_moves_the_watermark(engine: &impl Engine) {
    let rows = || vec![exposure("x", "u", TREATMENT, 1_000), event("e", "u", 2.0, 1_500), event("e", "u", 9.0, 1_600)];
    let batches = [
        batch("a", 1, 1, 2_000, rows()),
        batch("a", 1, 1, 2_000, rows()),
        batch("a", 1, 1, 30_000, vec![]),
        batch("a", 1, 1, 2_000, rows()),
    ];
    engine
        .on_rows(&batches, async |warehouse| {
            let counts = warehouse.counts(ENVIRONMENT).await.unwrap();
            assert_eq!(counts, EventCounts { exposures: 1, metrics: 1, surplus: 0 });
            let watermark = warehouse.evidence().borrow().clone();
            assert_eq!(watermark.nodes["a"], NodeMark { epoch: 1, sequence: 1, received_at: at(30_000) });
            let answer = warehouse.moments(&question()).await.unwrap();
            assert_eq!((&answer.watermark, total(&answer, "revenue", TREATMENT)), (&watermark, Some((1, 2.0))));
        })
        .await;
}

pub async fn nothing_written_is_an_empty_answer(engine: &impl Engine) {
    engine
        .on_rows(&[], async |warehouse| {
            let answer = warehouse.moments(&question()).await.unwrap();
            assert!(answer.cells.is_empty() && answer.arms.is_empty() && answer.watermark.time().is_none());
            assert_eq!(
                (warehouse.durable_through("a", 1), warehouse.counts(1).await.unwrap()),
                (0, EventCounts::default())
            );
        })
        .await;
}

pub async fn whoever_waits_for_evidence_is_woken_and_sees_the_rows(engine: &impl Engine) {
    engine
        .on_empty(async |warehouse| {
            let mut evidence = warehouse.evidence();
            evidence.mark_unchanged();
            warehouse.append(batch("a", 1, 1, 5_000, vec![exposure("x", "u", TREATMENT, 1_000)])).await.unwrap();
            assert!(evidence.has_changed().unwrap());
            assert_eq!(evidence.borrow_and_update().time(), Some(at(5_000)));
            warehouse.append(batch("a", 1, 1, 5_000, vec![])).await.unwrap();
            assert!(!evidence.has_changed().unwrap(), "nothing new");
            assert_eq!(warehouse.counts(ENVIRONMENT).await.unwrap().exposures, 1);
        })
        .await;
}
