//! The question that the statistics ask of a warehouse: a few numbers per metric, slice, stage and arm, never rows.

use liftgate_evaluator::{Key, run::RunHistory};
use liftgate_stats::{JointMoments, Moments};
use serde::{Deserialize, Serialize};

use crate::{Metric, Span, Timestamp, Watermark};

/// How many values of a dimension get cells of their own; the others share [`SliceValue::Other`].
pub const SLICE_VALUES_MAX: usize = 100;

/// Which rows count.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowRule {
    /// Rows received by the end of their window plus the lateness; units only once their window is closed and the
    /// watermark has passed that point. The only rule a decision may use.
    Decision,
    /// Every row and every unit there is: for readouts, which may show late rows and open windows.
    Readout,
}

/// One metric of a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricQuery {
    /// The metric's key, repeated in the answer.
    pub key: Key,
    /// Its definition.
    pub metric: Metric,
    /// Also read what the unit did in this long before its first exposure, for variance reduction. Not for quantiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookback: Option<Span>,
    /// Of a quantile: count, unit by unit, the events with a value up to each of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<f64>,
    /// Of a quantile: answer the value at each of these probabilities (0 to 1, exclusive).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probabilities: Vec<f64>,
}

/// What units may be told apart by, as of their first exposure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// The first exposure's property of this name.
    Attribute(String),
    /// The UTC day of the first exposure, as `2026-03-01`. Never more than [`SLICE_VALUES_MAX`] as well.
    ExposureDay,
}

/// A value of a dimension.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SliceValue {
    /// This one: text as it is, a number or boolean as its JSON.
    Is(String),
    /// The first exposure has no such property, or it is null, a list or an object.
    Absent,
    /// One of those that too few units have: of the values `Is`, all but the [`SLICE_VALUES_MAX`] with the most units
    /// (first exposures in asked arms; ties by the smaller text).
    Other,
}

/// One slice of the population.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slice {
    /// By what.
    pub dimension: Dimension,
    /// Which of it.
    pub value: SliceValue,
}

/// A question about one run.
///
/// Semantics (the memory warehouse is the definition in code):
/// - exposures of `environment` and of `history.number`, unit type `history.unit`, with an arm of `arms`;
/// - a unit's **first exposure** is the one with the smallest (ts, event id); it fixes arm, stage (its stratum), bucket
///   and slices. Under [`RowRule::Decision`] an exposure received later than its own ts + `lateness_ms` is not considered,
///   neither here nor in the next two points; `treated_units` and the `last_*_at` take all visible rows;
/// - a unit with exposures in two or more arms of the run, asked for or not, is quarantined: in no cell, counted in
///   `crossover_units` and nowhere else;
/// - a unit that a run of `exclude_runs` has seen (an exposure of its unit type with that run, and with an arm, at any
///   time) is in no cell and no arm's count, but in `excluded_units` when it would have been in an arm's count;
/// - with `w` the metric's window and `d` its delay, a metric row of the unit counts iff `first + d <= ts < first + w`,
///   and under `Decision` also `received_at <= first + w + lateness`;
/// - with `l` the metric's lookback, a row counts for the covariate iff `first - l <= ts < first`, and under `Decision`
///   also `received_at <= first + w + lateness`. The covariate is what the metric makes of these rows, without cap; of a
///   retention whether there is any. The delay does not move it;
/// - a unit leaves (is censored) at `switch`: for a `Ramp` design, with b = bucket / 100 000 and d = b when treated,
///   1 - b when control, the first instant a later stage's share exceeds 1 - d (in integers: `share.parts() + d_parts >
///   100_000` where `d_parts` = bucket + 1 for treated and 100 000 - bucket for control); for every design
///   also `history.ended_at`. A unit whose bucket is not known leaves with the first of its stage to switch. Under `Decision` a unit enters a cell iff `first + w <= switch` and
///   `first + w + lateness <= as_of`, where `as_of` is the watermark's time (or the query's, if earlier);
/// - a unit without metric rows has value 0: `n` comes from exposures. A sum that overflows is 0 and counts in `non_finite`;
/// - a cap is applied to the units' values; a percentile is that of the values of all units that enter this metric, over
///   `arms` and stages, before capping, by the rule of [`crate::Cap`] with `p / 100.0 * n` computed so in doubles; slices
///   take the same cap;
/// - an event of a quantile counts iff it has a finite value; the value at a probability p of N sorted values is the one
///   at position `ceil(p * N)`, computed so in doubles, from 1;
/// - what a kind of metric does not read (cuts of a mean, a lookback of a quantile, a cap of a proportion) is ignored;
/// - rows are identified by (environment, event id, unit type): of several the first received counts (ties: node, epoch,
///   sequence).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MomentsQuery {
    /// The environment's number.
    pub environment: u64,
    /// The run: its number, unit type, design, stages with their instants and shares, end.
    pub history: RunHistory,
    /// The arms to answer for.
    pub arms: Vec<String>,
    /// The metrics, all answered in one pass.
    pub metrics: Vec<MetricQuery>,
    /// Besides the whole population, answer for each value of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<Dimension>,
    /// Leave out the units that these runs have seen, such as earlier attempts of a rollout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude_runs: Vec<u64>,
    /// How late a row may arrive and still count in a decision, in milliseconds.
    pub lateness_ms: u64,
    /// Which rows count.
    pub rule: RowRule,
    /// Answer as of this instant of received time; the watermark's own time when absent or later.
    pub as_of: Option<Timestamp>,
}

/// One cell: unit values of one metric, slice, start stage and arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The metric's key.
    pub metric: Key,
    /// The slice; the whole population when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<Slice>,
    /// The stage of the units' first exposure.
    pub stage: u32,
    /// The arm.
    pub arm: String,
    /// n, mean and sum of squared deviations over units: of the value; of a ratio's numerator; of a quantile's number of
    /// events a unit.
    pub moments: Moments,
    /// All variables of the metric, when it has more than the one: the value, then the denominator (ratio), then the
    /// covariate and the denominator's covariate (with a lookback). Of a quantile: the number of events, then the number
    /// of events up to each cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joint: Option<JointMoments>,
}

/// A quantile of the values of all events that count, stages together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuantileCell {
    /// The metric's key.
    pub metric: Key,
    /// The slice; the whole population when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<Slice>,
    /// The arm.
    pub arm: String,
    /// The probability asked for.
    pub probability: f64,
    /// The value; there is no cell without events.
    pub value: f64,
    /// How many events there are.
    pub events: u64,
}

/// All first exposures of a slice, stage and arm, matured or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmCount {
    /// The slice; the whole population when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<Slice>,
    /// The stage.
    pub stage: u32,
    /// The arm.
    pub arm: String,
    /// Distinct units whose first exposure was there (quarantined and excluded ones not).
    pub units: u64,
}

/// What a cap did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capping {
    /// The metric's key.
    pub metric: Key,
    /// The largest value that counted as it was; of a ratio the numerator's.
    pub at: f64,
    /// Of a ratio capped at a percentile: the denominator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denominator_at: Option<f64>,
    /// Units in cells of the whole population of which a value was larger.
    pub units: u64,
}

/// The answer. Lists are sorted by (metric in query order, slice with the whole population first and then in query order
/// of dimensions and in order of values, stage, arm, probability in query order), so that equal evidence is equal text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MomentsAnswer {
    /// How far the evidence reached.
    pub watermark: Watermark,
    /// The cells that have units.
    pub cells: Vec<Cell>,
    /// Quantiles asked for by probability.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quantiles: Vec<QuantileCell>,
    /// Units by slice, stage and arm.
    pub arms: Vec<ArmCount>,
    /// What caps did, a capped metric each that has units.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capping: Vec<Capping>,
    /// Distinct units served the treatment of a ramp by this run, with or without an arm; 0 for experiments.
    pub treated_units: u64,
    /// Units seen in several arms.
    pub crossover_units: u64,
    /// Units left out because an excluded run has seen them.
    #[serde(default)]
    pub excluded_units: u64,
    /// Metric rows whose value was not a finite number and counted as 0; of a quantile, as no event.
    pub non_finite: u64,
    /// When a treatment was last seen served: the newest min(`ts`, `received_at`) of an exposure to it, with or without
    /// an arm. A sender's clock that is fast cannot make an arm look fresher than what was received.
    pub last_treatment_at: Option<Timestamp>,
    /// The same of the control.
    pub last_control_at: Option<Timestamp>,
}

impl MetricQuery {
    /// A metric without lookback, cuts or probabilities.
    pub fn new(key: Key, metric: Metric) -> Self {
        Self { key, metric, lookback: None, cuts: Vec::new(), probabilities: Vec::new() }
    }
}
