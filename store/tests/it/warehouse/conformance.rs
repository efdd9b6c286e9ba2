//! Cases: which units and events count, with the numbers worked out by hand.

use liftgate_domain::{EventRow, MetricKind, MomentsQuery, RowRule};
use liftgate_evaluator::{CONTROL, Design, TREATMENT};
use serde_json::json;

use super::engine::Engine;
use super::examples::*;

pub async fn counts_events_from_the_first_exposure_until_the_window_ends(engine: &impl Engine) {
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
    Example { rows, through_ms: 20_000, query: question(), expected }.check(engine).await;
}

pub async fn a_decision_takes_a_unit_once_its_window_is_closed_for_good(engine: &impl Engine) {
    for (through_ms, expected) in [(11_999, None), (12_000, Some((1, 2.0)))] {
        let rows = vec![exposure("x", "u", TREATMENT, 1_000), event("e", "u", 2.0, 1_500)];
        let query = question();
        Example { rows, through_ms, query, expected: vec![("revenue", TREATMENT, expected)] }.check(engine).await;
    }
    let rows = vec![exposure("x", "u", TREATMENT, 1_000), event("e", "u", 2.0, 1_500)];
    let query = MomentsQuery { rule: RowRule::Readout, ..question() };
    let expected = vec![("revenue", TREATMENT, Some((1, 2.0)))];
    Example { rows, through_ms: 1_500, query, expected }.check(engine).await;
}

pub async fn a_decision_leaves_late_rows_out_and_a_readout_shows_them(engine: &impl Engine) {
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
        Example { rows: rows(), through_ms: 30_000, query, expected }.check(engine).await;
    }
}

pub async fn a_unit_and_its_mirror_image_leave_when_a_later_share_moves_one_of_them(engine: &impl Engine) {
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
        Example { rows, through_ms: 60_000, query, expected }.check(engine).await;
    }
}

pub async fn a_unit_without_a_bucket_leaves_with_the_first_of_its_stage(engine: &impl Engine) {
    // Of the analysed at 30 %, the innermost are moved by a share above 70 %.
    let without_bucket = |row: EventRow| EventRow { bucket: None, ..row };
    let rows = vec![
        without_bucket(exposure("1", "treated", TREATMENT, 1_000)),
        without_bucket(exposure("2", "control", CONTROL, 1_000)),
    ];
    engine
        .on_rows(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
            for (percent, expected) in [(70.0, Some((1, 0.0))), (70.001, None)] {
                let query = MomentsQuery { history: ramp(&[(30.0, 0), (percent, 5_000)]), ..question() };
                let answer = warehouse.moments(&query).await.unwrap();
                for arm in [TREATMENT, CONTROL] {
                    assert_eq!(total(&answer, "buyers", arm), expected, "{arm} at {percent} %");
                }
            }
        })
        .await;
}

pub async fn a_stage_that_comes_again_counts_from_its_last_coming(engine: &impl Engine) {
    let at_the_edge = |id: &str, ms| EventRow { bucket: Some(29_999), ..exposure(id, id, TREATMENT, ms) };
    let rows = vec![at_the_edge("first-coming", 1_000), at_the_edge("second-coming", 21_000)];
    let mut query = question();
    query.history = ramp(&[(30.0, 0), (80.0, 10_999), (30.0, 20_000), (80.0, 31_000)]);
    for (entry, stage) in query.history.stages.iter_mut().zip([0, 1, 0, 1]) {
        entry.stage = stage;
    }
    let expected = vec![("buyers", TREATMENT, Some((1, 0.0)))];
    Example { rows, through_ms: 60_000, query, expected }.check(engine).await;
}

pub async fn the_end_of_the_run_censors_every_open_window(engine: &impl Engine) {
    for (ended_ms, expected) in [(11_000, Some((1, 0.0))), (10_999, None)] {
        let rows = vec![exposure("x", "u", CONTROL, 1_000)];
        let mut query = question();
        query.history.ended_at = Some(at(ended_ms));
        Example { rows, through_ms: 60_000, query, expected: vec![("buyers", CONTROL, expected)] }.check(engine).await;
    }
}

pub async fn units_in_several_arms_are_quarantined_and_counted(engine: &impl Engine) {
    let rows = vec![
        exposure("1", "both", TREATMENT, 1_000),
        exposure("2", "both", CONTROL, 2_000),
        exposure("3", "one", TREATMENT, 1_000),
        EventRow { arm: None, ..exposure("4", "one", CONTROL, 2_000) },
        EventRow { arm: None, ..exposure("5", "served-only", TREATMENT, 3_000) },
        EventRow { run: Some(8), ..exposure("6", "another-run", TREATMENT, 9_000) },
        EventRow { unit_type: "account".into(), ..exposure("7", "another-type", TREATMENT, 9_000) },
    ];
    engine
        .on_rows(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
            let answer = warehouse.moments(&question()).await.unwrap();
            assert_eq!((answer.crossover_units, answer.treated_units), (1, 3));
            assert_eq!(json!(answer.arms), json!([{"stage": 0, "arm": "treatment", "units": 1}]));
            assert_eq!(total(&answer, "buyers", TREATMENT), Some((1, 0.0)));
            assert_eq!((answer.last_treatment_at, answer.last_control_at), (Some(at(3_000)), Some(at(2_000))));
        })
        .await;
}

pub async fn of_exposures_at_one_instant_the_one_of_the_smallest_id_is_the_first(engine: &impl Engine) {
    let in_stage = |id: &str, stage, bucket| EventRow {
        stage: Some(stage),
        bucket: Some(bucket),
        ..exposure(id, "u", TREATMENT, 1_000)
    };
    // Ids are compared byte by byte: capital letters come before small ones, and those before others.
    let rows = vec![in_stage("é", 0, 10), in_stage("a", 0, 10), in_stage("Z", 1, 39_999), in_stage("Za", 0, 10)];
    let with_last_stage_at = |ms| MomentsQuery { history: ramp(&[(30.0, 0), (40.0, 500), (60.001, ms)]), ..question() };
    engine
        .on_rows(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
            let answer = warehouse.moments(&with_last_stage_at(11_000)).await.unwrap();
            assert_eq!(json!(answer.arms), json!([{"stage": 1, "arm": "treatment", "units": 1}]));
            assert_eq!(answer.cells.iter().map(|cell| cell.stage).collect::<Vec<_>>(), [1, 1, 1]);
            // The bucket is that of the first exposure as well.
            let answer = warehouse.moments(&with_last_stage_at(10_999)).await.unwrap();
            assert_eq!((answer.arms.len(), answer.cells), (1, vec![]));
        })
        .await;
}

pub async fn an_arm_is_as_fresh_as_what_was_received_whatever_the_senders_clock_says(engine: &impl Engine) {
    let rows = vec![
        received(exposure("1", "fast-clock", TREATMENT, 50_000), 2_000),
        received(exposure("2", "u", TREATMENT, 3_000), 4_000),
        received(exposure("3", "fast-clock-too", CONTROL, 50_000), 5_000),
    ];
    engine
        .on_rows(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
            for rule in [RowRule::Decision, RowRule::Readout] {
                let answer = warehouse.moments(&MomentsQuery { rule, ..question() }).await.unwrap();
                assert_eq!((answer.last_treatment_at, answer.last_control_at), (Some(at(3_000)), Some(at(5_000))));
            }
        })
        .await;
}

pub async fn an_experiment_with_three_arms_answers_for_the_arms_that_were_asked_for(engine: &impl Engine) {
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
    engine
        .on_rows(&[batch("a", 1, 1, 60_000, rows.collect())], async |warehouse| {
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

pub async fn a_metric_may_sum_a_property_and_takes_what_is_no_number_for_nothing(engine: &impl Engine) {
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
    engine
        .on_rows(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
            let answer = warehouse.moments(&query).await.unwrap();
            assert_eq!(total(&answer, "amount", TREATMENT), Some((1, 6.5)));
            assert_eq!(total(&answer, "revenue", TREATMENT), Some((1, 500.0)));
            assert_eq!(answer.non_finite, 1);
        })
        .await;
}

pub async fn an_earlier_instant_hides_what_was_received_after_it(engine: &impl Engine) {
    let rows = vec![
        exposure("1", "u", TREATMENT, 1_000),
        event("2", "u", 1.0, 2_000),
        exposure("3", "u", CONTROL, 40_000),
        exposure("4", "later", TREATMENT, 41_000),
    ];
    engine
        .on_rows(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
            for (as_of, units, crossover, treated) in [
                (11_999, None, 0, 1),
                (12_000, Some((1, 1.0)), 0, 1),
                (40_000, None, 1, 1),
                (90_000, Some((1, 0.0)), 1, 2),
            ] {
                let query = MomentsQuery { as_of: Some(at(as_of)), ..question() };
                let answer = warehouse.moments(&query).await.unwrap();
                let seen = (total(&answer, "revenue", TREATMENT), answer.crossover_units, answer.treated_units);
                assert_eq!(seen, (units, crossover, treated), "as of {as_of}");
            }
        })
        .await;
}
