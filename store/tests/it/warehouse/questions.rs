//! The questions that are asked of a generated world.

use liftgate_domain::{
    Aggregate, Cap, Denominator, Dimension, MetricKind, MetricQuery, MomentsQuery, RowRule, Span, Timestamp,
};
use liftgate_evaluator::{CONTROL, RunHistory, TREATMENT};

use super::examples::{ENVIRONMENT, at, metric};
use super::world::{EARLIER_RUN, EXPERIMENT, Era};

fn base_metrics() -> Vec<MetricQuery> {
    let mut amount = metric("amount", MetricKind::Mean, "purchase", 8_000);
    amount.metric.value = Some("amount".into());
    vec![
        metric("revenue", MetricKind::Mean, "purchase", 30_000),
        metric("buyers", MetricKind::Proportion, "purchase", 8_000),
        metric("views", MetricKind::Count, "view", 20_000),
        amount,
        metric("never", MetricKind::Proportion, "never-sent", 1_000),
    ]
}

/// What an engine must answer that knows means, counts and proportions of the whole population.
pub fn base_questions(ramp: &RunHistory, experiment: &RunHistory) -> Vec<MomentsQuery> {
    let mut questions = Vec::new();
    for rule in [RowRule::Decision, RowRule::Readout] {
        for as_of in [None, Some(at(60_000)), Some(Timestamp(33_333_333))] {
            for (history, arms) in
                [(ramp, vec![TREATMENT, CONTROL]), (experiment, vec!["a", "b", "c"]), (experiment, vec!["b"])]
            {
                questions.push(MomentsQuery {
                    environment: ENVIRONMENT,
                    history: history.clone(),
                    arms: arms.into_iter().map(str::to_owned).collect(),
                    metrics: base_metrics(),
                    slices: Vec::new(),
                    exclude_runs: Vec::new(),
                    lateness_ms: 1_000,
                    rule,
                    as_of,
                });
            }
        }
    }
    questions
}

/// Everything that can be asked: each kind of metric, with what it may have; dimensions and excluded runs in turn.
pub fn full_questions(era: Era, [ramp, experiment, accounts]: &[RunHistory; 3]) -> Vec<MomentsQuery> {
    let attribute = |name: &str| Dimension::Attribute(name.into());
    let slices = [
        vec![],
        vec![attribute("plan"), Dimension::ExposureDay],
        vec![attribute("device")],
        vec![attribute("mixed"), attribute("not-there")],
        vec![Dimension::ExposureDay, attribute("mixed"), attribute("plan"), attribute("device")],
    ];
    let exclusions = [vec![], vec![EARLIER_RUN], vec![4, EARLIER_RUN, EXPERIMENT]];
    let mut questions = Vec::new();
    for rule in [RowRule::Decision, RowRule::Readout] {
        for as_of in [None, Some(at(60_000)), Some(Timestamp(33_333_333))] {
            for (history, arms) in [
                (ramp, vec![TREATMENT, CONTROL]),
                (experiment, vec!["a", "b", "c"]),
                (experiment, vec!["b"]),
                (accounts, vec!["c", "a"]),
            ] {
                let turn = questions.len();
                let mut exclude_runs = exclusions[turn % exclusions.len()].clone();
                exclude_runs.retain(|run| *run != history.number);
                questions.push(MomentsQuery {
                    environment: ENVIRONMENT,
                    history: history.clone(),
                    arms: arms.into_iter().map(str::to_owned).collect(),
                    metrics: full_metrics(era),
                    slices: slices[turn % slices.len()].clone(),
                    exclude_runs,
                    lateness_ms: era.length_ms(1_000),
                    rule,
                    as_of: as_of.map(|as_of| era.at(as_of)),
                });
            }
        }
    }
    // Before anything was received.
    questions.push(MomentsQuery { as_of: Some(era.at(at(-10_000))), ..questions[1].clone() });
    questions
}

fn full_metrics(era: Era) -> Vec<MetricQuery> {
    let span = |ms| Some(Span::from_ms(era.length_ms(ms)));
    let metric = |key, kind, event, window_ms| metric(key, kind, event, era.length_ms(window_ms));

    let mut revenue = metric("revenue", MetricKind::Mean, "purchase", 30_000);
    revenue.lookback = span(20_000);
    let mut buyers = metric("buyers", MetricKind::Proportion, "purchase", 8_000);
    buyers.lookback = span(20_000);
    let views = metric("views", MetricKind::Count, "view", 20_000);
    let mut amount = metric("amount", MetricKind::Mean, "purchase", 20_000);
    amount.metric.value = Some("amount".into());
    amount.metric.cap = Some(Cap::Value(250.5));
    let mut items = metric("items", MetricKind::Mean, "purchase", 40_000);
    items.metric.value = Some("items".into());
    items.metric.cap = Some(Cap::Percentile(90.0));
    items.lookback = span(30_000);
    let mut late_views = metric("late-views", MetricKind::Count, "view", 25_000);
    late_views.metric.delay = span(2_000);
    late_views.metric.cap = Some(Cap::Percentile(62.5));
    late_views.lookback = span(10_000);

    let mut order_value = metric("order-value", MetricKind::Ratio, "purchase", 30_000);
    order_value.metric.denominator =
        Some(Denominator { event: "purchase".into(), value: None, aggregate: Aggregate::Count });
    let mut item_latency = metric("item-latency", MetricKind::Ratio, "purchase", 40_000);
    item_latency.metric.value = Some("latency".into());
    item_latency.metric.denominator =
        Some(Denominator { event: "view".into(), value: Some("items".into()), aggregate: Aggregate::Sum });
    item_latency.metric.cap = Some(Cap::Percentile(80.0));
    item_latency.metric.delay = span(1_000);
    item_latency.lookback = span(25_000);
    let mut views_a_search = metric("views-a-search", MetricKind::Ratio, "view", 30_000);
    views_a_search.metric.aggregate = Some(Aggregate::Count);
    views_a_search.metric.denominator =
        Some(Denominator { event: "search".into(), value: None, aggregate: Aggregate::Count });
    views_a_search.metric.cap = Some(Cap::Value(1.0));
    views_a_search.lookback = span(5_000);

    let mut came_back = metric("came-back", MetricKind::Retention, "view", 25_000);
    came_back.metric.delay = span(10_000);
    came_back.lookback = span(30_000);

    let mut latency = metric("latency", MetricKind::Quantile, "view", 30_000);
    latency.metric.value = Some("latency".into());
    latency.metric.quantile = Some(0.9);
    latency.cuts = vec![5.0, 2.25, 9.75, 100.0];
    latency.probabilities = vec![0.9, 0.5, 0.999];
    let mut price = metric("price", MetricKind::Quantile, "purchase", 30_000);
    price.metric.quantile = Some(0.5);
    price.metric.delay = span(500);
    price.probabilities = vec![0.01, 0.5];
    let mut nothing = metric("nothing", MetricKind::Quantile, "never-sent", 1_000);
    nothing.metric.quantile = Some(0.5);
    (nothing.cuts, nothing.probabilities) = (vec![1.0], vec![0.5]);
    let mut never = metric("never", MetricKind::Mean, "never-sent", 1_000);
    never.metric.cap = Some(Cap::Percentile(99.0));

    vec![
        revenue,
        buyers,
        views,
        amount,
        items,
        late_views,
        order_value,
        item_latency,
        views_a_search,
        came_back,
        latency,
        price,
        nothing,
        never,
    ]
}
