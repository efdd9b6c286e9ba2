//! Answers next to those of the definition: everything equal but the floats that depend on the order of sums, and
//! those within the tolerance of what they are made of.

use liftgate_domain::{Cell, EventCounts, MomentsAnswer, MomentsQuery, Warehouse};
use liftgate_stats::{JointMoments, Moments};
use liftgate_store::warehouse::MemoryWarehouse;

use super::engine::{Engine, append_all};
use super::world::World;

const TOLERANCE: f64 = 1e-9;

/// What a warehouse answers to all questions of a world, and its counts of both environments.
pub struct Answers {
    pub moments: Vec<MomentsAnswer>,
    pub counts: [EventCounts; 2],
}

impl Answers {
    /// Asks a warehouse.
    pub async fn of(warehouse: &dyn Warehouse, questions: &[MomentsQuery]) -> Self {
        let mut moments = Vec::new();
        for question in questions {
            moments.push(warehouse.moments(question).await.unwrap());
        }
        let counts = [warehouse.counts(1).await.unwrap(), warehouse.counts(2).await.unwrap()];
        Self { moments, counts }
    }

    /// What the definition answers.
    pub async fn expected(world: &World) -> Self {
        let memory = MemoryWarehouse::new();
        append_all(&memory, &world.batches).await;
        Self::of(&memory, &world.questions).await
    }

    /// Panics, naming the question, unless these are the expected answers.
    pub fn assert_close(&self, expected: &Self, what: &str) {
        assert_eq!(self.counts, expected.counts, "{what}");
        for (position, (actual, expected)) in self.moments.iter().zip(&expected.moments).enumerate() {
            assert_close(actual, expected, &format!("{what}, question {position}"));
        }
    }
}

/// An engine against the definition in one world, which is loaded once for each arrangement of the engine.
pub async fn check_world(engine: &impl Engine, world: &World, what: &str) {
    let expected = Answers::expected(world).await;
    engine
        .on_rows(&world.batches, async |warehouse| {
            Answers::of(warehouse, &world.questions).await.assert_close(&expected, what);
        })
        .await;
}

/// Panics unless the answers agree.
pub fn assert_close(actual: &MomentsAnswer, expected: &MomentsAnswer, what: &str) {
    let places = |answer: &MomentsAnswer| {
        answer.cells.iter().map(|cell| serde_json::json!(without_floats(cell)).to_string()).collect::<Vec<_>>()
    };
    // A list of short lines is easier to compare by eye than the whole answer.
    pretty_eq(&places(actual), &places(expected), what);
    pretty_eq(&actual.arms, &expected.arms, what);
    pretty_eq(&actual.quantiles, &expected.quantiles, what);
    let rest = |answer: &MomentsAnswer| {
        let mut answer = answer.clone();
        (answer.cells, answer.arms, answer.quantiles) = Default::default();
        for capping in &mut answer.capping {
            (capping.at, capping.denominator_at) = (0.0, capping.denominator_at.map(|_| 0.0));
        }
        answer
    };
    assert_eq!(rest(actual), rest(expected), "{what}");
    for (a, e) in actual.capping.iter().zip(&expected.capping) {
        let cells = expected.cells.iter().filter(|cell| cell.metric == e.metric);
        let scale = cells.map(|cell| cell.moments).map(scale).fold(e.at.abs(), f64::max);
        assert_near(a.at, e.at, scale, what);
        let denominators = (a.denominator_at.unwrap_or_default(), e.denominator_at.unwrap_or_default());
        assert_near(denominators.0, denominators.1, denominators.1.abs(), what);
    }
    for (a, e) in actual.cells.iter().zip(&expected.cells) {
        let what = format!("{what}: {a:?} instead of {e:?}");
        let scale = scale(e.moments);
        assert_near(a.moments.mean, e.moments.mean, scale, &what);
        assert_near(a.moments.m2, e.moments.m2, e.moments.n as f64 * scale * scale, &what);
        if let (Some(a), Some(e)) = (&a.joint, &e.joint) {
            assert_joint(a, e, &what);
        }
    }
}

fn assert_joint(actual: &JointMoments, expected: &JointMoments, what: &str) {
    let n = expected.n as f64;
    let scales: Vec<f64> = (0..expected.variables()).map(|variable| scale(expected.moments(variable))).collect();
    for (i, scale_i) in scales.iter().enumerate() {
        assert_near(actual.mean[i], expected.mean[i], *scale_i, what);
        for (j, scale_j) in scales.iter().enumerate().take(i + 1) {
            assert_near(actual.co(i, j), expected.co(i, j), n * scale_i * scale_j, what);
        }
    }
}

/// The larger of mean and standard deviation: the size of a typical value.
fn scale(moments: Moments) -> f64 {
    moments.mean.powi(2).max(moments.m2 / moments.n as f64).sqrt()
}

fn assert_near(actual: f64, expected: f64, scale: f64, what: &str) {
    let difference = (actual - expected).abs();
    assert!(difference <= TOLERANCE * scale.max(f64::MIN_POSITIVE), "{actual} is not {expected}: {what}");
}

fn pretty_eq<T: PartialEq + std::fmt::Debug>(actual: &[T], expected: &[T], what: &str) {
    for (position, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert_eq!(a, e, "{what}: line {position}");
    }
    let longer = if actual.len() > expected.len() { actual } else { expected };
    let common = actual.len().min(expected.len());
    assert!(
        longer.len() == common,
        "{what}: {} instead of {} lines: {:?}",
        actual.len(),
        expected.len(),
        longer[common]
    );
}

fn without_floats(cell: &Cell) -> Cell {
    let mut cell = cell.clone();
    (cell.moments.mean, cell.moments.m2) = (0.0, 0.0);
    if let Some(joint) = &mut cell.joint {
        joint.mean.fill(0.0);
        joint.co.fill(0.0);
    }
    cell
}
