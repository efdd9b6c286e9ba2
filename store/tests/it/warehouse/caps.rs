//! Cases: caps of unit values.

use liftgate_domain::{Aggregate, Cap, Capping, Denominator, Dimension, EventRow, Key, MetricKind, MomentsQuery, Span};
use liftgate_evaluator::{CONTROL, TREATMENT};
use serde_json::json;

use super::engine::Engine;
use super::examples::*;

fn capping(metric: &str, at: f64, denominator_at: Option<f64>, units: u64) -> Capping {
    Capping { metric: Key::new(metric).unwrap(), at, denominator_at, units }
}

pub async fn a_fixed_cap_holds_larger_values_of_units_down(engine: &impl Engine) {
    let rows = vec![
        exposure("x1", "small", TREATMENT, 20_000),
        event("1", "small", 10.0, 21_000),
        exposure("x2", "equal", TREATMENT, 20_000),
        event("2", "equal", 60.0, 21_000),
        event("3", "equal", 40.0, 22_000),
        exposure("x3", "larger", TREATMENT, 20_000),
        event("4", "larger", 60.0, 21_000),
        event("5", "larger", 40.5, 22_000),
        event("before", "larger", 1_000.0, 19_000),
        exposure("x4", "negative", CONTROL, 20_000),
        event("6", "negative", -500.0, 21_000),
    ];
    let capped = |key, kind, cap| {
        let mut asked = metric(key, kind, "purchase", 10_000);
        (asked.metric.cap, asked.lookback) = (Some(Cap::Value(cap)), Some(Span::from_ms(5_000)));
        asked
    };
    let mut order_value = capped("order-value", MetricKind::Ratio, 50.0);
    order_value.metric.denominator =
        Some(Denominator { event: "purchase".into(), value: None, aggregate: Aggregate::Sum });
    order_value.lookback = None;
    let metrics = vec![
        capped("revenue", MetricKind::Mean, 100.0),
        capped("purchases", MetricKind::Count, 1.0),
        order_value,
        capped("unreached", MetricKind::Mean, 1e6),
    ];
    let query = MomentsQuery { metrics, ..question() };
    engine
        .on_rows(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
            let answer = warehouse.moments(&query).await.unwrap();
            let check = |metric: &str, units: &[[f64; 2]]| assert_variables(cell(&answer, metric, TREATMENT), units);
            check("revenue", &[[10.0, 0.0], [100.0, 0.0], [100.0, 1_000.0]]);
            check("purchases", &[[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]]);
            check("order-value", &[[10.0, 10.0], [50.0, 100.0], [50.0, 100.5]]);
            assert_variables(cell(&answer, "revenue", CONTROL), &[[-500.0, 0.0]]);
            let expected = [
                capping("revenue", 100.0, None, 1),
                capping("purchases", 1.0, None, 2),
                capping("order-value", 50.0, None, 2),
                capping("unreached", 1e6, None, 0),
            ];
            assert_eq!(answer.capping, expected);
        })
        .await;
}

pub async fn a_percentile_is_that_of_all_units_that_enter(engine: &impl Engine) {
    // Units 1 to 10 have that value, the even ones in control, the larger ones in a later stage.
    let mut rows = Vec::new();
    for value in 1..=10_u32 {
        let (id, unit) = (format!("x{value}"), format!("u{value:02}"));
        let arm = [CONTROL, TREATMENT][(value % 2) as usize];
        let plan = json!({"plan": if value > 5 { "pro" } else { "free" }});
        let first = with_properties(exposure(&id, &unit, arm, 1_000), plan);
        rows.push(EventRow { stage: Some(u32::from(value > 5)), ..first });
        rows.push(event(&format!("e{value}"), &unit, f64::from(value), 2_000));
        // The denominators are 10 to 1.
        let visits = (value..=10)
            .map(|visit| EventRow { name: "visit".into(), ..event(&format!("v{value}-{visit}"), &unit, 0.0, 2_000) });
        rows.extend(visits);
    }
    // Whose window is open, who is quarantined, who is nobody: their values count for no percentile.
    rows.push(exposure("open", "open", TREATMENT, 55_000));
    rows.push(event("of-open", "open", 1e6, 55_500));
    rows.push(exposure("one-arm", "both", TREATMENT, 1_000));
    rows.push(exposure("other-arm", "both", CONTROL, 1_500));
    rows.push(event("of-both", "both", 1e6, 2_000));
    rows.push(event("of-nobody", "nobody", 1e6, 2_000));

    let capped = |key: &str, percent| {
        let mut asked = metric(key, MetricKind::Mean, "purchase", 10_000);
        asked.metric.cap = Some(Cap::Percentile(percent));
        asked
    };
    let mut ratio = metric("ratio", MetricKind::Ratio, "purchase", 10_000);
    ratio.metric.denominator = Some(Denominator { event: "visit".into(), value: None, aggregate: Aggregate::Count });
    ratio.metric.cap = Some(Cap::Percentile(75.0));
    let metrics = vec![
        capped("p90", 90.0),
        capped("above-p80", 80.001),
        capped("p80", 80.0),
        capped("p1", 1.0),
        capped("p99.9", 99.9),
        ratio,
    ];
    let mut query = MomentsQuery { metrics, slices: vec![Dimension::Attribute("plan".into())], ..question() };
    query.history = ramp(&[(5.0, 0), (10.0, 500)]);
    engine
        .on_rows(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
            let answer = warehouse.moments(&query).await.unwrap();
            let expected = [
                capping("p90", 9.0, None, 1),
                capping("above-p80", 9.0, None, 1),
                capping("p80", 8.0, None, 2),
                capping("p1", 1.0, None, 9),
                capping("p99.9", 10.0, None, 0),
                // Of ten values the eighth; units 9 and 10 have a larger numerator, units 1 and 2 a larger denominator.
                capping("ratio", 8.0, Some(8.0), 4),
            ];
            assert_eq!(answer.capping, expected);
            let of = |metric: &str, arm: &str, stage: u32, slice: Option<&str>| {
                let slice = slice.map(|value| json!({"dimension": {"attribute": "plan"}, "value": {"is": value}}));
                let is_it = |cell: &&liftgate_domain::Cell| {
                    cell.metric == metric
                        && (cell.arm.as_str(), cell.stage) == (arm, stage)
                        && cell.slice.as_ref().map(|slice| json!(slice)) == slice
                };
                answer.cells.iter().find(is_it).cloned().unwrap()
            };
            assert_variables(&of("p80", TREATMENT, 0, None), &[[1.0], [3.0], [5.0]]);
            assert_variables(&of("p80", TREATMENT, 1, None), &[[7.0], [8.0]]);
            assert_variables(&of("p80", CONTROL, 1, None), &[[6.0], [8.0], [8.0]]);
            // A slice has the cap of the whole population.
            assert_variables(&of("p80", CONTROL, 1, Some("pro")), &[[6.0], [8.0], [8.0]]);
            assert_variables(&of("p90", TREATMENT, 0, Some("free")), &[[1.0], [3.0], [5.0]]);
            assert_variables(&of("ratio", TREATMENT, 0, None), &[[1.0, 8.0], [3.0, 8.0], [5.0, 6.0]]);
            assert_variables(&of("ratio", CONTROL, 1, None), &[[6.0, 5.0], [8.0, 3.0], [8.0, 1.0]]);
        })
        .await;
}

pub async fn a_percentile_of_mostly_nothing_is_nothing(engine: &impl Engine) {
    let rows = vec![
        exposure("x1", "u1", TREATMENT, 1_000),
        event("1", "u1", 7.0, 2_000),
        exposure("x2", "u2", TREATMENT, 1_000),
        exposure("x3", "u3", CONTROL, 1_000),
        exposure("x4", "u4", CONTROL, 1_000),
    ];
    let mut asked = metric("revenue", MetricKind::Mean, "purchase", 10_000);
    asked.metric.cap = Some(Cap::Percentile(75.0));
    let query = MomentsQuery { metrics: vec![asked], ..question() };
    engine
        .on_rows(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
            let answer = warehouse.moments(&query).await.unwrap();
            assert_eq!(answer.capping, [capping("revenue", 0.0, None, 1)]);
            assert_variables(cell(&answer, "revenue", TREATMENT), &[[0.0], [0.0]]);
            // Before anybody enters there is nothing to report.
            let early = MomentsQuery { as_of: Some(at(5_000)), ..query.clone() };
            assert_eq!(warehouse.moments(&early).await.unwrap().capping, []);
        })
        .await;
}
