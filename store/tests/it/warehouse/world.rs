//! A small world from a seed: a ramp and an experiment, units that come back, buy, are late, have a wrong clock, are
//! seen in two arms, and senders that send again. A full one has attributes, accounts beside users, an earlier run and
//! values that are no numbers as well, and may last for months.

use std::sync::Arc;

use liftgate_domain::{EventRow, MomentsQuery, RowKind, SealedBatch, Timestamp};
use liftgate_evaluator::{CONTROL, Design, Range, RunHistory, RunKind, TREATMENT};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

use super::examples::{at, ramp, row};
use super::questions::{base_questions, full_questions};

/// A run that came before the ramp.
pub const EARLIER_RUN: u64 = 6;
pub const EXPERIMENT: u64 = 8;
/// An experiment on accounts.
pub const ACCOUNT_EXPERIMENT: u64 = 9;
/// 2026-03-30T20:00:00Z, so that days and months end within most worlds.
const START_US: i64 = 1_774_900_800_000_000;
const SPAN_MS: i64 = 120_000;
/// A batch holds what a node received in this time.
const BATCH_MS: i64 = 15_000;

/// How many units there are, and rows before any is sent again.
#[derive(Copy, Clone)]
struct Size {
    units: usize,
    rows: usize,
}

const SMALL: Size = Size { units: 120, rows: 900 };
/// So many that some dimension has more values than are told apart.
const LARGE: Size = Size { units: 500, rows: 2_400 };

/// Where a full world's times lie: each is stretched and moved.
#[derive(Copy, Clone)]
pub struct Era {
    start_us: i64,
    stretch: i64,
}

impl Era {
    pub fn at(self, base: Timestamp) -> Timestamp {
        Timestamp(self.start_us + base.as_micros() * self.stretch)
    }

    pub fn length_ms(self, base_ms: u64) -> u64 {
        base_ms * self.stretch.unsigned_abs()
    }

    fn of_history(self, history: &RunHistory) -> RunHistory {
        let mut moved = history.clone();
        for stage in &mut moved.stages {
            stage.since = self.at(stage.since);
        }
        moved.ended_at = history.ended_at.map(|ended_at| self.at(ended_at));
        moved
    }

    fn of_batch(self, batch: &SealedBatch) -> Arc<SealedBatch> {
        let mut moved = batch.clone();
        moved.received_through = self.at(batch.received_through);
        for row in &mut moved.rows {
            (row.ts, row.received_at) = (self.at(row.ts), self.at(row.received_at));
            row.ts_client = self.at(row.ts_client);
        }
        Arc::new(moved)
    }
}

pub struct World {
    pub batches: Vec<Arc<SealedBatch>>,
    pub questions: Vec<MomentsQuery>,
}

impl World {
    /// What an engine must answer that knows means, counts and proportions of the whole population.
    pub fn of(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let ramp = some_ramp(&mut rng);
        let experiment = experiment();
        let rows = rows(&mut rng, SMALL, &ramp, &experiment);
        let batches = seal(&mut rng, rows);
        Self { batches, questions: base_questions(&ramp, &experiment) }
    }

    /// Everything that can be asked. Seeds with the same remainder by 4 make worlds of one size and length: two
    /// minutes; two minutes of many units; two days; half a year.
    pub fn full(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let (size, stretch) = [(SMALL, 1), (LARGE, 1), (SMALL, 1_440), (SMALL, 130_000)][(seed % 4) as usize];
        let era = Era { start_us: START_US, stretch };
        let (ramp, experiment, accounts) = (some_ramp(&mut rng), experiment(), account_experiment());
        let mut rows = rows(&mut rng, size, &ramp, &experiment);
        for (_, row) in &mut rows {
            enrich(&mut rng, row);
        }
        let of_accounts: Vec<_> =
            rows.iter().filter_map(|(node, row)| Some((*node, of_account(row, &accounts)?))).collect();
        rows.extend(of_accounts);
        let batches = seal(&mut rng, rows).iter().map(|batch| era.of_batch(batch)).collect();
        let histories = [ramp, experiment, accounts].map(|history| era.of_history(&history));
        Self { batches, questions: full_questions(era, &histories) }
    }
}

fn some_ramp(rng: &mut StdRng) -> RunHistory {
    let mut ramp = ramp(&[(5.0, 0), (30.0, 15_000), (50.0, 30_000), (70.0, 50_000), (100.0, 90_000)]);
    if rng.random_bool(0.5) {
        ramp.ended_at = Some(at(rng.random_range(40_000..SPAN_MS)));
    }
    ramp
}

fn account_experiment() -> RunHistory {
    RunHistory { number: ACCOUNT_EXPERIMENT, unit: "account".into(), salt: "accounts".into(), ..experiment() }
}

fn experiment() -> RunHistory {
    let range = |variation: &str, start, end| Range { variation: variation.into(), start, end };
    let ranges = vec![range("a", 0, 30_000), range("b", 30_000, 60_000), range("c", 60_000, 100_000)];
    RunHistory { number: EXPERIMENT, kind: RunKind::Experiment, design: Design::Split { ranges }, ..ramp(&[(80.0, 0)]) }
}

fn rows(rng: &mut StdRng, size: Size, ramp: &RunHistory, experiment: &RunHistory) -> Vec<(&'static str, EventRow)> {
    let mut rows: Vec<(&'static str, EventRow)> = Vec::new();
    for number in 0..size.rows {
        let unit = format!("unit-{}", rng.random_range(0..size.units));
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

/// What rows may say beyond the base: attributes, numbers of few values, an earlier run, a wrong clock.
fn enrich(rng: &mut StdRng, row: &mut EventRow) {
    if rng.random_bool(0.3) {
        row.ts_client = row.ts.plus_millis(rng.random_range(-60_000..60_000));
    }
    match row.kind {
        RowKind::Exposure => {
            row.properties = attributes(rng);
            if row.run.is_some() && rng.random_bool(0.15) {
                row.run = Some(EARLIER_RUN);
            }
        }
        RowKind::Metric => {
            if row.value.is_some() && rng.random_bool(0.1) {
                row.value = Some([f64::NAN, f64::INFINITY, f64::NEG_INFINITY][rng.random_range(0..3)]);
            }
            if let Some(properties) = &mut row.properties {
                properties.insert("latency".into(), json!(f64::from(rng.random_range(1..40)) / 4.0));
                properties.insert("items".into(), json!(rng.random_range(0..4)));
            }
        }
    }
}

fn attributes(rng: &mut StdRng) -> Option<Map<String, Value>> {
    if rng.random_bool(0.1) {
        return None;
    }
    let mixed =
        [json!("5"), json!(5), json!(2.50), json!(1e21), json!(true), json!("true"), json!(""), json!("ü \"'\\")];
    let empty = [Value::Null, json!(["a"]), json!({"plan": "nested"})];
    let mut attributes = Map::new();
    attributes.insert("device".into(), json!(format!("device-{}", rng.random_range(0..400))));
    attributes.insert("mixed".into(), mixed[rng.random_range(0..mixed.len())].clone());
    match rng.random_range(0..5) {
        0 => {}
        1 => drop(attributes.insert("plan".into(), empty[rng.random_range(0..empty.len())].clone())),
        _ => drop(attributes.insert("plan".into(), json!(["free", "pro"][rng.random_range(0..2)]))),
    }
    Some(attributes)
}

/// Of every sixth event a row of the account that the user acted for. It is sent again with the user's row.
fn of_account(row: &EventRow, accounts: &RunHistory) -> Option<EventRow> {
    let number: u64 = row.event_id.trim_start_matches('e').parse().unwrap();
    if !number.is_multiple_of(6) || row.unit_type == accounts.unit {
        return None;
    }
    let unit_id = format!("account-{}", number / 6 % 40);
    let assigned = accounts.assignment_at(&unit_id, row.ts).filter(|_| row.kind == RowKind::Exposure);
    Some(EventRow {
        unit_index: 1,
        unit_type: accounts.unit.clone(),
        unit_hash: EventRow::unit_hash_of(row.environment, &accounts.unit, &unit_id),
        unit_id,
        run: assigned.map(|assigned| assigned.run),
        stage: assigned.map(|assigned| assigned.stage),
        arm: assigned.and_then(|assigned| assigned.arm.map(str::to_owned)),
        bucket: assigned.map(|assigned| assigned.bucket),
        ..row.clone()
    })
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
