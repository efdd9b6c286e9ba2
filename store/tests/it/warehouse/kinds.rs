//! Cases: delays, retention, ratios and quantiles.

use liftgate_domain::{Aggregate, Denominator, EventRow, MetricKind, MetricQuery, MomentsQuery, Span};
use liftgate_evaluator::{CONTROL, TREATMENT};
use serde_json::json;

use super::engine::Engine;
use super::examples::*;

fn delayed(key: &str, kind: MetricKind, delay_ms: u64) -> MetricQuery {
    let mut asked = metric(key, kind, "purchase", 10_000);
    asked.metric.delay = Some(Span::from_ms(delay_ms));
    asked
}

pub async fn a_delay_moves_the_beginning_of_the_window_and_not_its_end(engine: &impl Engine) {
    // First exposures at 1 s: the window is from 5 s to 11 s, and rows may come until 12 s.
    let rows = vec![
        exposure("x1", "early", TREATMENT, 1_000),
        event("1", "early", 1.0, 1_000),
        event("2", "early", 2.0, 4_999),
        exposure("x2", "begin", TREATMENT, 1_000),
        event("3", "begin", 4.0, 5_000),
        exposure("x3", "end", TREATMENT, 1_000),
        event("4", "end", 8.0, 10_999),
        event("5", "end", 16.0, 10_999),
        exposure("x4", "after", TREATMENT, 1_000),
        event("6", "after", 32.0, 11_000),
        exposure("x5", "just-in-time", CONTROL, 1_000),
        received(event("7", "just-in-time", 64.0, 9_000), 12_000),
        exposure("x6", "late", CONTROL, 1_000),
        received(event("8", "late", 128.0, 9_000), 12_001),
    ];
    let metrics = vec![
        delayed("retained", MetricKind::Retention, 4_000),
        delayed("late-buyers", MetricKind::Proportion, 4_000),
        delayed("late-revenue", MetricKind::Mean, 4_000),
        delayed("late-purchases", MetricKind::Count, 4_000),
    ];
    let expected = vec![
        ("retained", TREATMENT, Some((4, 2.0))),
        ("late-buyers", TREATMENT, Some((4, 2.0))),
        ("late-revenue", TREATMENT, Some((4, 28.0))),
        ("late-purchases", TREATMENT, Some((4, 3.0))),
        ("retained", CONTROL, Some((2, 1.0))),
        ("late-revenue", CONTROL, Some((2, 64.0))),
    ];
    // The units enter when the window and the lateness have passed, as without a delay.
    let query = MomentsQuery { metrics, ..question() };
    Example { rows: rows.clone(), through_ms: 12_001, query: query.clone(), expected }.check(engine).await;
    let too_early = MomentsQuery { as_of: Some(at(11_999)), ..query };
    let expected = vec![("retained", TREATMENT, None), ("late-revenue", CONTROL, None)];
    Example { rows, through_ms: 12_001, query: too_early, expected }.check(engine).await;
}

pub async fn a_ratio_has_both_of_its_parts_unit_by_unit(engine: &impl Engine) {
    let visit = |id: &str, unit: &str, pages: f64, ms| EventRow {
        name: "visit".into(),
        properties: json!({"pages": pages, "note": "2"}).as_object().cloned(),
        ..event(id, unit, 0.5, ms)
    };
    let rows = vec![
        exposure("x1", "u1", TREATMENT, 1_000),
        event("1", "u1", 10.0, 1_000),
        event("2", "u1", 20.0, 2_000),
        visit("3", "u1", 3.0, 2_000),
        visit("4", "u1", 1.0, 10_999),
        visit("5", "u1", 9.0, 11_000),
        exposure("x2", "u2", TREATMENT, 1_000),
        visit("6", "u2", 2.0, 3_000),
        exposure("x3", "u3", TREATMENT, 1_000),
        event("7", "u3", 6.0, 3_000),
        EventRow { value: Some(f64::NEG_INFINITY), ..event("8", "u3", 0.0, 3_000) },
        EventRow { value: None, ..event("9", "u3", 0.0, 3_000) },
        exposure("x4", "u4", CONTROL, 1_000),
    ];
    let ratio = |key, aggregate, denominator| {
        let mut asked = metric(key, MetricKind::Ratio, "purchase", 10_000);
        (asked.metric.aggregate, asked.metric.denominator) = (aggregate, Some(denominator));
        asked
    };
    let of = |event: &str, value: Option<&str>, aggregate| Denominator {
        event: event.into(),
        value: value.map(str::to_owned),
        aggregate,
    };
    let metrics = vec![
        ratio("revenue-a-page", None, of("visit", Some("pages"), Aggregate::Sum)),
        ratio("purchases-a-visit", Some(Aggregate::Count), of("visit", None, Aggregate::Count)),
        ratio("order-value", Some(Aggregate::Sum), of("purchase", None, Aggregate::Count)),
        ratio("no-such-number", Some(Aggregate::Count), of("visit", Some("note"), Aggregate::Sum)),
    ];
    let query = MomentsQuery { metrics, ..question() };
    engine
        .on_rows(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
            let answer = warehouse.moments(&query).await.unwrap();
            let check = |metric: &str, units: &[[f64; 2]]| assert_variables(cell(&answer, metric, TREATMENT), units);
            check("revenue-a-page", &[[30.0, 4.0], [0.0, 2.0], [6.0, 0.0]]);
            check("purchases-a-visit", &[[2.0, 2.0], [0.0, 1.0], [3.0, 0.0]]);
            check("order-value", &[[30.0, 2.0], [0.0, 0.0], [6.0, 3.0]]);
            check("no-such-number", &[[2.0, 0.0], [0.0, 0.0], [3.0, 0.0]]);
            assert_variables(cell(&answer, "order-value", CONTROL), &[[0.0, 0.0]]);
            // Deviations from the means 12 and 2, by hand.
            let joint = cell(&answer, "revenue-a-page", TREATMENT).joint.clone().unwrap();
            for (actual, expected) in [(joint.co(0, 0), 504.0), (joint.co(0, 1), 48.0), (joint.co(1, 1), 8.0)] {
                assert!((actual - expected).abs() < 1e-9, "{joint:?}");
            }
            assert_eq!(answer.non_finite, 2, "one row, summed by two metrics");
        })
        .await;
}

pub async fn a_quantile_is_the_value_at_a_position_among_all_events_of_an_arm(engine: &impl Engine) {
    let later_stage = |id: &str, unit: &str| EventRow { stage: Some(1), ..exposure(id, unit, TREATMENT, 5_000) };
    let mut rows = vec![
        exposure("x1", "u1", TREATMENT, 1_000),
        later_stage("x2", "u2"),
        exposure("x3", "u3", TREATMENT, 1_000),
        exposure("x4", "u4", CONTROL, 1_000),
        EventRow { value: None, ..event("no-value", "u1", 0.0, 2_000) },
        EventRow { value: Some(f64::NAN), ..event("not-a-number", "u1", 0.0, 2_000) },
        EventRow { value: Some(f64::INFINITY), ..event("infinite", "u2", 0.0, 6_000) },
        event("too-late", "u1", 0.5, 11_000),
    ];
    rows.extend((1..=4).map(|value| event(&format!("e{value}"), "u1", f64::from(value), 2_000)));
    rows.extend((5..=10).map(|value| event(&format!("e{value}"), "u2", f64::from(value), 6_000)));
    let mut asked = metric("price", MetricKind::Quantile, "purchase", 10_000);
    asked.metric.quantile = Some(0.9);
    asked.cuts = vec![4.0, 4.5, 10.0, 0.999];
    asked.probabilities = vec![0.9, 0.5, 0.51, 0.901, 0.0001, 0.9999];
    let mut without_cuts = metric("purchases-with-a-price", MetricKind::Quantile, "purchase", 10_000);
    without_cuts.metric.quantile = Some(0.5);
    let mut query = MomentsQuery { metrics: vec![asked, without_cuts], ..question() };
    query.history = ramp(&[(5.0, 0), (10.0, 5_000)]);
    engine
        .on_rows(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
            let answer = warehouse.moments(&query).await.unwrap();
            let quantiles = answer.quantiles.iter().map(|quantile| {
                (quantile.metric.as_str(), quantile.arm.as_str(), quantile.probability, quantile.value, quantile.events)
            });
            let expected = [(0.9, 9.0), (0.5, 5.0), (0.51, 6.0), (0.901, 10.0), (0.0001, 1.0), (0.9999, 10.0)];
            let expected = expected.map(|(probability, value)| ("price", TREATMENT, probability, value, 10));
            assert_eq!(quantiles.collect::<Vec<_>>(), expected);

            let stages: Vec<_> = answer.cells.iter().filter(|cell| cell.arm == TREATMENT).collect();
            assert_eq!(stages.iter().map(|cell| cell.stage).collect::<Vec<_>>(), [0, 1, 0, 1]);
            assert_variables(stages[0], &[[4.0, 4.0, 4.0, 4.0, 0.0], [0.0; 5]]);
            assert_variables(stages[1], &[[6.0, 0.0, 0.0, 6.0, 0.0]]);
            assert_variables(stages[2], &[[4.0], [0.0]]);
            assert_eq!(stages[2].joint, None, "a single variable");
            assert_variables(cell(&answer, "price", CONTROL), &[[0.0; 5]]);
            assert_eq!(answer.non_finite, 4, "two rows, read by two metrics");
        })
        .await;
}

pub async fn numbers_that_overflow_together_count_for_nothing(engine: &impl Engine) {
    let rows = vec![
        exposure("x1", "u1", TREATMENT, 1_000),
        event("1", "u1", 1e308, 2_000),
        event("2", "u1", 1e308, 3_000),
        exposure("x2", "u2", TREATMENT, 1_000),
        event("3", "u2", -1e308, 2_000),
        event("4", "u2", -1e308, 3_000),
        event("5", "u2", -1e308, 3_000),
        exposure("x3", "u3", TREATMENT, 1_000),
        event("6", "u3", 5.0, 3_000),
    ];
    engine
        .on_rows(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
            let answer = warehouse.moments(&question()).await.unwrap();
            assert_eq!(total(&answer, "revenue", TREATMENT), Some((3, 5.0)));
            assert_eq!(total(&answer, "purchases", TREATMENT), Some((3, 6.0)));
            assert_eq!(answer.non_finite, 2);
        })
        .await;
}
