//! What every engine must answer, example by example, with the numbers worked out by hand.

use std::sync::Arc;

use liftgate_domain::{
    EventCounts, EventRow, MetricKind, MomentsQuery, NodeMark, RowKind, RowRule, SealedBatch, Warehouse,
};
use liftgate_evaluator::{CONTROL, Design, TREATMENT};
use liftgate_store::warehouse::MemoryWarehouse;
use serde_json::json;

use super::examples::*;

/// Runs an example on the memory warehouse, and on the Parquet one with the rows in memory and in files.
async fn on_every_engine(batches: &[Arc<SealedBatch>], check: impl AsyncFn(&dyn Warehouse)) {
    let memory = MemoryWarehouse::new();
    append_all(&memory, batches).await;
    check(&memory).await;
    #[cfg(feature = "parquet")]
    {
        let stand = super::stand::Stand::new();
        let tail = stand.open();
        append_all(&tail, batches).await;
        check(&tail).await;
        tail.flush().await.unwrap();
        check(&tail).await;
        drop(tail);
        check(&stand.open()).await;
    }
}

async fn append_all(warehouse: &dyn Warehouse, batches: &[Arc<SealedBatch>]) {
    for batch in batches {
        warehouse.append(Arc::clone(batch)).await.unwrap();
    }
}

/// Units and the sum over them; `None` when no unit is in.
type Total = Option<(u64, f64)>;

/// One example: rows, all received by `through_ms`, a question, and (metric, arm) -> (units, sum over units).
struct Example {
    rows: Vec<EventRow>,
    through_ms: i64,
    query: MomentsQuery,
    expected: Vec<(&'static str, &'static str, Total)>,
}

impl Example {
    async fn check(self) {
        let batches = [batch("a", 1, 1, self.through_ms, self.rows)];
        on_every_engine(&batches, async |warehouse| {
            let answer = warehouse.moments(&self.query).await.unwrap();
            for (metric, arm, expected) in &self.expected {
                assert_eq!(total(&answer, metric, arm), *expected, "{metric} of {arm} in {answer:#?}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn counts_events_from_the_first_exposure_until_the_window_ends() {
    let rows = vec![
        exposure("x1", "u1", TREATMENT, 1_000),
        exposure("x1-again", "u1", TREATMENT, 5_000),
        event("before", "u1", 1.0, 999),
        event("at-first", "u1", 2.0, 1_000),
        event("last-moment", "u1", 4.0, 10_999),
        event("too-late", "u1", 8.0, 11_000),
        EventRow { name: "view".into(), ..event("another-event", "u1", 16.0, 2_000) },
        event("another-unit", "u9", 32.0, 2_000),
        exposure("x2", "u2", TREATMENT, 1_000),
        exposure("x3", "u3", CONTROL, 1_000),
        event("negative", "u3", -3.5, 2_000),
    ];
    let expected = vec![
        ("buyers", TREATMENT, Some((2, 1.0))),
        ("revenue", TREATMENT, Some((2, 6.0))),
        ("purchases", TREATMENT, Some((2, 2.0))),
        ("revenue", CONTROL, Some((1, -3.5))),
    ];
    Example { rows, through_ms: 20_000, query: question(), expected }.check().await;
}

#[tokio::test]
async fn a_decision_takes_a_unit_once_its_window_is_closed_for_good() {
    for (through_ms, expected) in [(11_999, None), (12_000, Some((1, 2.0)))] {
        let rows = vec![exposure("x", "u", TREATMENT, 1_000), event("e", "u", 2.0, 1_500)];
        let query = question();
        Example { rows, through_ms, query, expected: vec![("revenue", TREATMENT, expected)] }.check().await;
    }
    let rows = vec![exposure("x", "u", TREATMENT, 1_000), event("e", "u", 2.0, 1_500)];
    let query = MomentsQuery { rule: RowRule::Readout, ..question() };
    let expected = vec![("revenue", TREATMENT, Some((1, 2.0)))];
    Example { rows, through_ms: 1_500, query, expected }.check().await;
}

#[tokio::test]
async fn a_decision_leaves_late_rows_out_and_a_readout_shows_them() {
    let rows = || {
        vec![
            received(exposure("early-but-late", "u", TREATMENT, 500), 1_501),
            received(exposure("first", "u", TREATMENT, 1_000), 2_000),
            received(event("in-time", "u", 1.0, 1_200), 12_000),
            received(event("late", "u", 2.0, 1_200), 12_001),
            event("before-first", "u", 4.0, 700),
        ]
    };
    for (rule, sum) in [(RowRule::Decision, 1.0), (RowRule::Readout, 7.0)] {
        let query = MomentsQuery { rule, ..question() };
        let expected = vec![("revenue", TREATMENT, Some((1, sum)))];
        Example { rows: rows(), through_ms: 30_000, query, expected }.check().await;
    }
}

#[tokio::test]
async fn a_unit_and_its_mirror_image_leave_when_a_later_share_moves_one_of_them() {
    // Bucket 10 treated, bucket 99 989 control: moved by a share above 99.989 %. Bucket 39 999 and 60 000: above 60 %.
    let early =
        |id: &str, unit: &str, arm: &str, bucket| EventRow { bucket: Some(bucket), ..exposure(id, unit, arm, 1_000) };
    for (stages, expected) in [
        (vec![(40.0, 0), (60.0, 5_000)], (2, 2)),
        (vec![(40.0, 0), (60.0, 5_000), (60.001, 11_000)], (2, 2)),
        (vec![(40.0, 0), (60.001, 10_999)], (1, 1)),
        (vec![(40.0, 0), (100.0, 10_999)], (0, 0)),
    ] {
        let rows = vec![
            early("1", "t-low", TREATMENT, 10),
            early("2", "t-high", TREATMENT, 39_999),
            early("3", "c-low", CONTROL, 60_000),
            early("4", "c-high", CONTROL, 99_989),
        ];
        let units = |n: u64| (n > 0).then_some((n, 0.0));
        let expected = vec![("buyers", TREATMENT, units(expected.0)), ("buyers", CONTROL, units(expected.1))];
        let query = MomentsQuery { history: ramp(&stages), ..question() };
        Example { rows, through_ms: 60_000, query, expected }.check().await;
    }
}

#[tokio::test]
async fn the_end_of_the_run_censors_every_open_window() {
    for (ended_ms, expected) in [(11_000, Some((1, 0.0))), (10_999, None)] {
        let rows = vec![exposure("x", "u", CONTROL, 1_000)];
        let mut query = question();
        query.history.ended_at = Some(at(ended_ms));
        Example { rows, through_ms: 60_000, query, expected: vec![("buyers", CONTROL, expected)] }.check().await;
    }
}

#[tokio::test]
async fn units_in_several_arms_are_quarantined_and_counted() {
    let rows = vec![
        exposure("1", "both", TREATMENT, 1_000),
        exposure("2", "both", CONTROL, 2_000),
        exposure("3", "one", TREATMENT, 1_000),
        EventRow { arm: None, ..exposure("4", "one", CONTROL, 2_000) },
        EventRow { arm: None, ..exposure("5", "served-only", TREATMENT, 3_000) },
        EventRow { run: Some(8), ..exposure("6", "another-run", TREATMENT, 9_000) },
        EventRow { unit_type: "account".into(), ..exposure("7", "another-type", TREATMENT, 9_000) },
    ];
    on_every_engine(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
        let answer = warehouse.moments(&question()).await.unwrap();
        assert_eq!((answer.crossover_units, answer.treated_units), (1, 3));
        assert_eq!(json!(answer.arms), json!([{"stage": 0, "arm": "treatment", "units": 1}]));
        assert_eq!(total(&answer, "buyers", TREATMENT), Some((1, 0.0)));
        assert_eq!((answer.last_treatment_at, answer.last_control_at), (Some(at(3_000)), Some(at(2_000))));
    })
    .await;
}

#[tokio::test]
async fn an_arm_is_as_fresh_as_what_was_received_whatever_the_senders_clock_says() {
    let rows = vec![
        received(exposure("1", "fast-clock", TREATMENT, 50_000), 2_000),
        received(exposure("2", "u", TREATMENT, 3_000), 4_000),
        received(exposure("3", "fast-clock-too", CONTROL, 50_000), 5_000),
    ];
    on_every_engine(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
        for rule in [RowRule::Decision, RowRule::Readout] {
            let answer = warehouse.moments(&MomentsQuery { rule, ..question() }).await.unwrap();
            assert_eq!((answer.last_treatment_at, answer.last_control_at), (Some(at(3_000)), Some(at(5_000))));
        }
    })
    .await;
}

#[tokio::test]
async fn an_experiment_with_three_arms_answers_for_the_arms_that_were_asked_for() {
    let rows = ["a", "b", "c"].into_iter().enumerate().flat_map(|(arm_number, arm)| {
        (0..=arm_number).map(move |unit| EventRow {
            variation: Some(arm.into()),
            arm: Some(arm.into()),
            ..exposure(&format!("{arm}{unit}"), &format!("{arm}{unit}"), arm, 1_000)
        })
    });
    let mut query = question();
    query.history.design = Design::Split { ranges: vec![] };
    query.arms = vec!["c".into(), "a".into()];
    on_every_engine(&[batch("a", 1, 1, 60_000, rows.collect())], async |warehouse| {
        let answer = warehouse.moments(&query).await.unwrap();
        let arms = json!([{"stage": 0, "arm": "a", "units": 1}, {"stage": 0, "arm": "c", "units": 3}]);
        assert_eq!(json!(answer.arms), arms);
        let cells: Vec<_> = answer.cells.iter().map(|cell| (cell.metric.as_str(), cell.arm.as_str())).collect();
        let by_metric = |metric| [(metric, "a"), (metric, "c")];
        assert_eq!(cells, [by_metric("buyers"), by_metric("revenue"), by_metric("purchases")].concat());
        assert_eq!((answer.treated_units, answer.last_treatment_at), (0, None));
    })
    .await;
}

#[tokio::test]
async fn a_metric_may_sum_a_property_and_takes_what_is_no_number_for_nothing() {
    let with = |id: &str, properties: serde_json::Value| EventRow {
        properties: properties.as_object().cloned(),
        ..event(id, "u", 100.0, 2_000)
    };
    let rows = vec![
        exposure("x", "u", TREATMENT, 1_000),
        with("1", json!({"amount": 2.5, "note": {"amount": 9}})),
        with("2", json!({"amount": 4})),
        with("3", json!({"amount": "8"})),
        with("4", json!({})),
        event("5", "u", 100.0, 2_000),
        EventRow { value: Some(f64::NAN), ..event("6", "u", 0.0, 2_000) },
    ];
    let mut query = question();
    let mut amount = metric("amount", MetricKind::Mean, "purchase", 10_000);
    amount.metric.value = Some("amount".into());
    query.metrics.push(amount);
    on_every_engine(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
        let answer = warehouse.moments(&query).await.unwrap();
        assert_eq!(total(&answer, "amount", TREATMENT), Some((1, 6.5)));
        assert_eq!(total(&answer, "revenue", TREATMENT), Some((1, 500.0)));
        assert_eq!(answer.non_finite, 1);
    })
    .await;
}

#[tokio::test]
async fn an_earlier_instant_hides_what_was_received_after_it() {
    let rows = vec![
        exposure("1", "u", TREATMENT, 1_000),
        event("2", "u", 1.0, 2_000),
        exposure("3", "u", CONTROL, 40_000),
        exposure("4", "later", TREATMENT, 41_000),
    ];
    on_every_engine(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
        for (as_of, units, crossover, treated) in
            [(11_999, None, 0, 1), (12_000, Some((1, 1.0)), 0, 1), (40_000, None, 1, 1), (90_000, Some((1, 0.0)), 1, 2)]
        {
            let query = MomentsQuery { as_of: Some(at(as_of)), ..question() };
            let answer = warehouse.moments(&query).await.unwrap();
            let seen = (total(&answer, "revenue", TREATMENT), answer.crossover_units, answer.treated_units);
            assert_eq!(seen, (units, crossover, treated), "as of {as_of}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_event_taken_by_two_nodes_counts_once_as_it_was_received_first() {
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
    on_every_engine(&batches, async |warehouse| {
        let answer = warehouse.moments(&question()).await.unwrap();
        assert_eq!(total(&answer, "revenue", TREATMENT), Some((1, 3.0)));
        assert_eq!(answer.crossover_units, 0);
        let counts = warehouse.counts(ENVIRONMENT).await.unwrap();
        assert_eq!(counts, EventCounts { exposures: 1, metrics: 1, surplus: 3 });
        assert_eq!(warehouse.counts(2).await.unwrap(), EventCounts::default());
    })
    .await;
}

#[tokio::test]
async fn the_same_batch_again_changes_nothing_and_an_empty_one_moves_the_watermark() {
    let rows = || vec![exposure("x", "u", TREATMENT, 1_000), event("e", "u", 2.0, 1_500), event("e", "u", 9.0, 1_600)];
    let batches = [
        batch("a", 1, 1, 2_000, rows()),
        batch("a", 1, 1, 2_000, rows()),
        batch("a", 1, 1, 30_000, vec![]),
        batch("a", 1, 1, 2_000, rows()),
    ];
    on_every_engine(&batches, async |warehouse| {
        let counts = warehouse.counts(ENVIRONMENT).await.unwrap();
        assert_eq!(counts, EventCounts { exposures: 1, metrics: 1, surplus: 0 });
        let watermark = warehouse.evidence().borrow().clone();
        assert_eq!(watermark.nodes["a"], NodeMark { epoch: 1, sequence: 1, received_at: at(30_000) });
        let answer = warehouse.moments(&question()).await.unwrap();
        assert_eq!((&answer.watermark, total(&answer, "revenue", TREATMENT)), (&watermark, Some((1, 2.0))));
    })
    .await;
}

#[tokio::test]
async fn nothing_written_is_an_empty_answer() {
    on_every_engine(&[], async |warehouse| {
        let answer = warehouse.moments(&question()).await.unwrap();
        assert!(answer.cells.is_empty() && answer.arms.is_empty() && answer.watermark.time().is_none());
        assert_eq!(
            (warehouse.durable_through("a", 1), warehouse.counts(1).await.unwrap()),
            (0, EventCounts::default())
        );
    })
    .await;
}

#[tokio::test]
async fn a_retired_node_no_longer_holds_the_watermark_back() {
    let batches = [
        batch("gone", 1, 1, 1_000, vec![exposure("x", "u", TREATMENT, 500)]),
        batch("here", 1, 1, 30_000, vec![event("e", "u", 2.0, 600)]),
    ];
    let check = async |warehouse: &dyn Warehouse| {
        let mut evidence = warehouse.evidence();
        assert_eq!(evidence.borrow_and_update().time(), Some(at(1_000)));
        warehouse.retire_other_nodes("unheard-of");
        assert!(!evidence.has_changed().unwrap(), "the watermark is never without a mark");
        warehouse.retire_other_nodes("here");
        assert!(evidence.has_changed().unwrap());
        assert_eq!(evidence.borrow_and_update().time(), Some(at(30_000)));
        let answer = warehouse.moments(&question()).await.unwrap();
        assert_eq!(answer.watermark, *evidence.borrow());
        assert_eq!(total(&answer, "revenue", TREATMENT), Some((1, 2.0)), "its rows stay");
    };
    let memory = MemoryWarehouse::new();
    append_all(&memory, &batches).await;
    check(&memory).await;
    #[cfg(feature = "parquet")]
    for is_flushed_before in [false, true] {
        let stand = super::stand::Stand::new();
        let warehouse = stand.open();
        append_all(&warehouse, &batches).await;
        if is_flushed_before {
            warehouse.flush().await.unwrap();
        }
        check(&warehouse).await;
        warehouse.flush().await.unwrap();
        drop(warehouse);
        let again = stand.open();
        assert_eq!(again.evidence().borrow().time(), Some(at(30_000)), "it does not come back");
        assert!(again.is_durable("gone", 1, 1));
    }
}

#[tokio::test]
async fn whoever_waits_for_evidence_is_woken_and_sees_the_rows() {
    let warehouse = MemoryWarehouse::new();
    let mut evidence = warehouse.evidence();
    evidence.mark_unchanged();
    warehouse.append(batch("a", 1, 1, 5_000, vec![exposure("x", "u", TREATMENT, 1_000)])).await.unwrap();
    assert!(evidence.has_changed().unwrap());
    assert_eq!(evidence.borrow_and_update().time(), Some(at(5_000)));
    warehouse.append(batch("a", 1, 1, 5_000, vec![])).await.unwrap();
    assert!(!evidence.has_changed().unwrap(), "nothing new");
    assert_eq!(warehouse.counts(ENVIRONMENT).await.unwrap().exposures, 1);
}
