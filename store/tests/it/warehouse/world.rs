//! A small world from a seed: a ramp and an experiment, units that come back, buy, are late, have a wrong clock, are
//! seen in two arms, and senders that send again.

use std::sync::Arc;

use liftgate_domain::{EventRow, MetricKind, MetricQuery, MomentsQuery, RowKind, RowRule, SealedBatch, Timestamp};
use liftgate_evaluator::{CONTROL, Design, Range, RunHistory, RunKind, TREATMENT};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::examples::{ENVIRONMENT, at, metric, ramp, row};

const EXPERIMENT: u64 = 8;
const SPAN_MS: i64 = 120_000;
const UNITS: usize = 120;
const ROWS: usize = 900;
/// A batch holds what a node received in this time.
const BATCH_MS: i64 = 15_000;

pub struct World {
    pub batches: Vec<Arc<SealedBatch>>,
    pub questions: Vec<MomentsQuery>,
}

impl World {
    pub fn of(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut ramp = ramp(&[(5.0, 0), (30.0, 15_000), (50.0, 30_000), (70.0, 50_000), (100.0, 90_000)]);
        if rng.random_bool(0.5) {
            ramp.ended_at = Some(at(rng.random_range(40_000..SPAN_MS)));
        }
        let experiment = experiment();
        let rows = rows(&mut rng, &ramp, &experiment);
        let batches = seal(&mut rng, rows);
        Self { batches, questions: questions(&ramp, &experiment) }
    }
}

fn experiment() -> RunHistory {
    let range = |variation: &str, start, end| Range { variation: variation.into(), start, end };
    let ranges = vec![range("a", 0, 30_000), range("b", 30_000, 60_000), range("c", 60_000, 100_000)];
    RunHistory { number: EXPERIMENT, kind: RunKind::Experiment, design: Design::Split { ranges }, ..ramp(&[(80.0, 0)]) }
}

fn rows(rng: &mut StdRng, ramp: &RunHistory, experiment: &RunHistory) -> Vec<(&'static str, EventRow)> {
    let mut rows: Vec<(&'static str, EventRow)> = Vec::new();
    for number in 0..ROWS {
        let unit = format!("unit-{}", rng.random_range(0..UNITS));
        // Coarse times make ties between exposures, and exact window ends.
        let ms = rng.random_range(0..SPAN_MS / 100) * 100;
        let id = format!("e{number}");
        let mut row = if rng.random_bool(0.4) {
            let history = if rng.random_bool(0.7) { ramp } else { experiment };
            exposed(rng, history, row(RowKind::Exposure, &id, &unit, ms))
        } else {
            acted(rng, row(RowKind::Metric, &id, &unit, ms))
        };
        if rng.random_bool(0.05) {
            row.unit_type = "account".into();
        }
        if rng.random_bool(0.05) {
            row.environment = 2;
        }
        row.unit_hash = EventRow::unit_hash_of(row.environment, &row.unit_type, &row.unit_id);
        // Most rows are quick, some late, some from a clock that is ahead.
        let delay_ms = match rng.random_range(0..10) {
            0 => rng.random_range(900..1_100),
            1 => rng.random_range(1_000..40_000),
            2 => rng.random_range(-5_000..0),
            _ => rng.random_range(0..300),
        };
        row.received_at = row.ts.plus_millis(delay_ms);
        let node = ["a", "b"][rng.random_range(0..2)];
        if rng.random_bool(0.08) {
            rows.push((["a", "b"][usize::from(node == "a")], sent_again(rng, &row)));
        }
        rows.push((node, row));
    }
    rows
}

fn exposed(rng: &mut StdRng, history: &RunHistory, row: EventRow) -> EventRow {
    // A node whose ruleset is a little behind stamps the stage before.
    let behind_ms = if rng.random_bool(0.1) { rng.random_range(0..2_000) } else { 0 };
    let Some(assigned) = history.assignment_at(&row.unit_id, row.ts.plus_millis(-behind_ms)) else {
        return EventRow { variation: Some("off".into()), ..row };
    };
    let mut arm = assigned.arm.map(str::to_owned);
    let mut bucket = Some(assigned.bucket);
    if rng.random_bool(0.1) {
        arm = match &history.design {
            Design::Ramp { .. } => Some([TREATMENT, CONTROL][rng.random_range(0..2)].into()),
            Design::Split { .. } => Some(["a", "b", "c"][rng.random_range(0..3)].into()),
        };
    }
    if rng.random_bool(0.05) {
        bucket = None;
    }
    EventRow {
        variation: Some(assigned.variation.into()),
        run: Some(assigned.run),
        stage: Some(assigned.stage),
        arm,
        bucket,
        ..row
    }
}

fn acted(rng: &mut StdRng, row: EventRow) -> EventRow {
    let amount = match rng.random_range(0..4) {
        0 => json!(rng.random_range(-50..50)),
        1 => json!("12"),
        _ => json!(rng.random_range(-1_000.0..1_000.0)),
    };
    let properties = json!({"amount": amount, "note": "ü \"quoted\"", "nested": {"amount": 1}});
    EventRow {
        name: ["purchase", "view", "search"][rng.random_range(0..3)].into(),
        value: rng.random_bool(0.8).then(|| 1e6 + rng.random_range(-1.0..1.0)),
        properties: if rng.random_bool(0.8) { properties.as_object().cloned() } else { None },
        ..row
    }
}

/// The same event at another node, later, with its time corrected differently or its content changed.
fn sent_again(rng: &mut StdRng, row: &EventRow) -> EventRow {
    let mut again = row.clone();
    again.received_at = row.received_at.plus_millis(rng.random_range(0..20_000));
    again.ts = row.ts.plus_millis(rng.random_range(-3_000..3_000));
    if rng.random_bool(0.3) {
        again.name = "view".into();
        again.value = Some(-1.0);
    }
    again
}

/// Each node's rows in the order of receipt, cut into batches; node `a` starts a new epoch half way.
fn seal(rng: &mut StdRng, rows: Vec<(&'static str, EventRow)>) -> Vec<Arc<SealedBatch>> {
    let mut batches = Vec::new();
    for node in ["a", "b"] {
        let mut own: Vec<EventRow> =
            rows.iter().filter(|(of_node, _)| *of_node == node).map(|(_, row)| row.clone()).collect();
        own.sort_by_key(|row| row.received_at);
        let cut = |row: &EventRow| row.received_at.as_micros().div_euclid(BATCH_MS * 1_000);
        let (mut epoch, mut sequence) = (1, 0);
        for rows in own.chunk_by(|a, b| cut(a) == cut(b)) {
            if node == "a" && epoch == 1 && sequence == 5 {
                (epoch, sequence) = (2, 0);
            }
            sequence += 1;
            let received_through = rows.last().unwrap().received_at.plus_millis(rng.random_range(0..50));
            let node = Arc::from(node);
            batches.push(Arc::new(SealedBatch { node, epoch, sequence, received_through, rows: rows.to_vec() }));
        }
    }
    batches.sort_by_key(|batch| (batch.received_through, batch.node.clone()));
    batches
}

fn metrics() -> Vec<MetricQuery> {
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

fn questions(ramp: &RunHistory, experiment: &RunHistory) -> Vec<MomentsQuery> {
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
                    metrics: metrics(),
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
