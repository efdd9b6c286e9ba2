//! Rows, batches and questions for small examples. Times are milliseconds.

use std::sync::Arc;

use liftgate_domain::{
    Cell, EventRow, Key, Metric, MetricKind, MetricQuery, MomentsAnswer, MomentsQuery, RowKind, RowRule, SealedBatch,
    Share, Span, Timestamp,
};
use liftgate_evaluator::{CONTROL, Design, RunHistory, RunKind, StageEntry, TREATMENT};
use liftgate_stats::Direction;
use serde_json::Value;

use super::engine::Engine;

pub const ENVIRONMENT: u64 = 1;
pub const RUN: u64 = 7;
pub const LATENESS_MS: u64 = 1_000;

pub fn at(ms: i64) -> Timestamp {
    Timestamp(ms * 1_000)
}

/// A row received when it happened.
pub fn row(kind: RowKind, id: &str, unit: &str, ms: i64) -> EventRow {
    EventRow {
        event_id: id.into(),
        environment: ENVIRONMENT,
        kind,
        ts: at(ms),
        ts_client: at(ms),
        received_at: at(ms),
        unit_index: 0,
        unit_type: "user".into(),
        unit_id: unit.into(),
        unit_hash: EventRow::unit_hash_of(ENVIRONMENT, "user", unit),
        name: "checkout".into(),
        variation: None,
        run: None,
        stage: None,
        arm: None,
        bucket: None,
        value: None,
        properties: None,
        source: "native".into(),
        revision: 3,
    }
}

/// An exposure in stage 0; treated units are in bucket 10, control units in its mirror image.
pub fn exposure(id: &str, unit: &str, arm: &str, ms: i64) -> EventRow {
    let (variation, bucket) = if arm == TREATMENT { ("on", 10) } else { ("off", 99_989) };
    EventRow {
        variation: Some(variation.into()),
        run: Some(RUN),
        stage: Some(0),
        arm: Some(arm.into()),
        bucket: Some(bucket),
        ..row(RowKind::Exposure, id, unit, ms)
    }
}

pub fn event(id: &str, unit: &str, value: f64, ms: i64) -> EventRow {
    EventRow { name: "purchase".into(), value: Some(value), ..row(RowKind::Metric, id, unit, ms) }
}

pub fn received(row: EventRow, ms: i64) -> EventRow {
    EventRow { received_at: at(ms), ..row }
}

pub fn batch(node: &str, epoch: u64, sequence: u64, through_ms: i64, rows: Vec<EventRow>) -> Arc<SealedBatch> {
    Arc::new(SealedBatch { node: node.into(), epoch, sequence, received_through: at(through_ms), rows })
}

pub fn metric(key: &str, kind: MetricKind, event: &str, window_ms: u64) -> MetricQuery {
    let metric = Metric::new(kind, event, Span::from_ms(window_ms), Direction::Increase);
    MetricQuery::new(Key::new(key).unwrap(), metric)
}

/// A ramp with the given (share in percent, since in ms) as stages 0, 1, 2 ...
pub fn ramp(stages: &[(f64, i64)]) -> RunHistory {
    let entry = |(stage, (percent, since)): (usize, &(f64, i64))| StageEntry {
        stage: u32::try_from(stage).unwrap(),
        share: Share::from_percent(*percent).unwrap(),
        since: at(*since),
    };
    RunHistory {
        dialect: liftgate_evaluator::Dialect::Native,
        number: RUN,
        kind: RunKind::Rollout,
        key: Key::new("checkout-ramp").unwrap(),
        unit: "user".into(),
        salt: "checkout/ramp".into(),
        design: Design::Ramp { treatment: "on".into(), control: "off".into() },
        stages: stages.iter().enumerate().map(entry).collect(),
        ended_at: None,
    }
}

/// Buyers, revenue and purchases within 10 s of the first exposure, for a decision.
pub fn question() -> MomentsQuery {
    MomentsQuery {
        environment: ENVIRONMENT,
        history: ramp(&[(5.0, 0)]),
        arms: vec![TREATMENT.into(), CONTROL.into()],
        metrics: vec![
            metric("buyers", MetricKind::Proportion, "purchase", 10_000),
            metric("revenue", MetricKind::Mean, "purchase", 10_000),
            metric("purchases", MetricKind::Count, "purchase", 10_000),
        ],
        slices: Vec::new(),
        exclude_runs: Vec::new(),
        lateness_ms: LATENESS_MS,
        rule: RowRule::Decision,
        as_of: None,
    }
}

/// `n * mean` of the unit values of one metric and arm, over all stages; `None` when no unit is in.
pub fn total(answer: &MomentsAnswer, metric: &str, arm: &str) -> Option<(u64, f64)> {
    let cells = answer.cells.iter().filter(|cell| cell.metric == metric && cell.arm == arm);
    cells.map(|cell| (cell.moments.n, cell.moments.n as f64 * cell.moments.mean)).reduce(|a, b| (a.0 + b.0, a.1 + b.1))
}

/// Units and the sum over them; `None` when no unit is in.
pub type Total = Option<(u64, f64)>;

/// One example: rows, all received by `through_ms`, a question, and (metric, arm) -> (units, sum over units).
pub struct Example {
    pub rows: Vec<EventRow>,
    pub through_ms: i64,
    pub query: MomentsQuery,
    pub expected: Vec<(&'static str, &'static str, Total)>,
}

impl Example {
    pub async fn check(self, engine: &impl Engine) {
        let batches = [batch("a", 1, 1, self.through_ms, self.rows)];
        engine
            .on_rows(&batches, async |warehouse| {
                let answer = warehouse.moments(&self.query).await.unwrap();
                for (metric, arm, expected) in &self.expected {
                    assert_eq!(total(&answer, metric, arm), *expected, "{metric} of {arm} in {answer:#?}");
                }
            })
            .await;
    }
}

/// The cell of the whole population of this metric and arm, when there is one stage.
pub fn cell<'a>(answer: &'a MomentsAnswer, metric: &str, arm: &str) -> &'a Cell {
    let of = |cell: &&Cell| cell.metric == metric && cell.arm == arm && cell.slice.is_none();
    let cells: Vec<&Cell> = answer.cells.iter().filter(of).collect();
    assert_eq!(cells.len(), 1, "{metric} of {arm} in {answer:#?}");
    cells[0]
}

/// Whether a cell has these variables, unit by unit, in any order.
pub fn assert_variables<const N: usize>(cell: &Cell, units: &[[f64; N]]) {
    let n = units.len() as f64;
    let mean = |i: usize| units.iter().map(|values| values[i]).sum::<f64>() / n;
    let co = |i: usize, j: usize| -> f64 {
        units.iter().map(|values| (values[i] - mean(i)) * (values[j] - mean(j))).sum::<f64>()
    };
    let is_near = |actual: f64, expected: f64| (actual - expected).abs() <= 1e-9 * expected.abs().max(1.0);
    let what = format!("{units:?} expected, {cell:?} found");
    assert_eq!(cell.moments.n, units.len() as u64, "{what}");
    assert!(is_near(cell.moments.mean, mean(0)) && is_near(cell.moments.m2, co(0, 0)), "{what}");
    let Some(joint) = &cell.joint else {
        assert_eq!(N, 1, "{what}");
        return;
    };
    assert_eq!((joint.n, joint.variables()), (cell.moments.n, N), "{what}");
    for i in 0..N {
        assert!(is_near(joint.mean[i], mean(i)), "mean {i}: {what}");
        for j in 0..=i {
            assert!(is_near(joint.co(i, j), co(i, j)), "co-moment {i}, {j}: {what}");
        }
    }
}

/// Who has which attributes, of an exposure.
pub fn with_properties(row: EventRow, properties: Value) -> EventRow {
    EventRow { properties: properties.as_object().cloned(), ..row }
}

/// The row of the account that the unit of `row` acted for.
pub fn of_account(row: &EventRow, account: &str) -> EventRow {
    EventRow {
        unit_index: 1,
        unit_type: "account".into(),
        unit_id: account.into(),
        unit_hash: EventRow::unit_hash_of(row.environment, "account", account),
        ..row.clone()
    }
}
