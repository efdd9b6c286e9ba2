//! Cases: what units did before their first exposure.

use liftgate_domain::{Aggregate, Denominator, EventRow, MetricKind, MetricQuery, MomentsQuery, RowRule, Span};
use liftgate_evaluator::TREATMENT;

use super::engine::Engine;
use super::examples::*;

fn looking_back(key: &str, kind: MetricKind) -> MetricQuery {
    let mut asked = metric(key, kind, "purchase", 10_000);
    asked.lookback = Some(Span::from_ms(5_000));
    asked
}

pub async fn a_lookback_reads_what_came_before_the_first_exposure(engine: &impl Engine) {
    // First exposures at 20 s: the lookback is from 15 s to 20 s, the window from 20 s to 30 s.
    let rows = vec![
        exposure("x1", "u1", TREATMENT, 20_000),
        event("too-early", "u1", 1.0, 14_999),
        event("begin", "u1", 2.0, 15_000),
        event("last-moment", "u1", 4.0, 19_999),
        event("at-first", "u1", 8.0, 20_000),
        exposure("x2", "u2", TREATMENT, 20_000),
        received(event("just-in-time", "u2", 16.0, 19_000), 31_000),
        received(event("late", "u2", 32.0, 19_000), 31_001),
        event("in-window", "u2", 64.0, 29_999),
        exposure("x3", "u3", TREATMENT, 20_000),
        EventRow { value: Some(f64::NAN), ..event("not-a-number", "u3", 0.0, 19_000) },
        EventRow { name: "visit".into(), ..event("visit-before", "u3", 0.0, 19_000) },
        EventRow { name: "visit".into(), ..event("visit", "u3", 0.0, 21_000) },
    ];
    let mut ratio = looking_back("ratio", MetricKind::Ratio);
    ratio.metric.denominator = Some(Denominator { event: "visit".into(), value: None, aggregate: Aggregate::Count });
    let mut retained = looking_back("retained", MetricKind::Retention);
    retained.metric.delay = Some(Span::from_ms(9_000));
    let mut late_revenue = looking_back("late-revenue", MetricKind::Mean);
    late_revenue.metric.delay = Some(Span::from_ms(1));
    let metrics = vec![
        looking_back("revenue", MetricKind::Mean),
        looking_back("purchases", MetricKind::Count),
        looking_back("buyers", MetricKind::Proportion),
        retained,
        late_revenue,
        ratio,
    ];
    let query = MomentsQuery { metrics, ..question() };
    engine
        .on_rows(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
            let answer = warehouse.moments(&query).await.unwrap();
            let check = |metric: &str, units: &[[f64; 2]]| assert_variables(cell(&answer, metric, TREATMENT), units);
            check("revenue", &[[8.0, 6.0], [64.0, 16.0], [0.0, 0.0]]);
            check("purchases", &[[1.0, 2.0], [1.0, 1.0], [0.0, 1.0]]);
            check("buyers", &[[1.0, 1.0], [1.0, 1.0], [0.0, 1.0]]);
            check("retained", &[[0.0, 1.0], [1.0, 1.0], [0.0, 1.0]]);
            check("late-revenue", &[[0.0, 6.0], [64.0, 16.0], [0.0, 0.0]]);
            let ratio = cell(&answer, "ratio", TREATMENT);
            assert_variables(ratio, &[[8.0, 0.0, 6.0, 0.0], [64.0, 0.0, 16.0, 0.0], [0.0, 1.0, 0.0, 1.0]]);
            assert_eq!(answer.non_finite, 3, "one row, summed by three metrics");

            let readout = MomentsQuery { rule: RowRule::Readout, ..query.clone() };
            let answer = warehouse.moments(&readout).await.unwrap();
            let revenue = cell(&answer, "revenue", TREATMENT);
            assert_variables(revenue, &[[8.0, 6.0], [64.0, 48.0], [0.0, 0.0]]);
        })
        .await;
}

pub async fn each_first_exposure_has_a_lookback_of_its_own(engine: &impl Engine) {
    let rows = vec![
        exposure("x1", "u1", TREATMENT, 10_000),
        exposure("x1-again", "u1", TREATMENT, 14_000),
        event("1", "u1", 1.0, 8_000),
        event("2", "u1", 2.0, 12_000),
        exposure("x2", "u2", TREATMENT, 14_000),
        event("3", "u2", 4.0, 8_000),
        event("4", "u2", 8.0, 12_000),
    ];
    let query = MomentsQuery { metrics: vec![looking_back("revenue", MetricKind::Mean)], ..question() };
    engine
        .on_rows(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
            let answer = warehouse.moments(&query).await.unwrap();
            assert_variables(cell(&answer, "revenue", TREATMENT), &[[2.0, 1.0], [0.0, 8.0]]);
        })
        .await;
}
