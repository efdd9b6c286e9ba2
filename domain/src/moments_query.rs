//! The question that the statistics ask of a warehouse: a few numbers per metric, stage and arm, never rows.

use liftgate_evaluator::{Key, run::RunHistory};
use liftgate_stats::Moments;
use serde::{Deserialize, Serialize};

use crate::{Metric, Timestamp, Watermark};

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
}

/// A question about one run.
///
/// Semantics (the memory warehouse is the definition in code):
/// - exposures of `environment` and of `history.number`, unit type `history.unit`, with an arm of `arms`;
/// - a unit's **first exposure** is the one with the smallest (ts, event id); it fixes arm, stage (its stratum), bucket.
///   Under [`RowRule::Decision`] an exposure received later than its own ts + `lateness_ms` is not considered;
/// - a unit with exposures in two or more arms of the run is quarantined: in no cell, counted in `crossover_units`;
/// - with `w` the metric's window, a metric row of the unit counts iff `first <= ts < first + w`, and under
///   `Decision` also `received_at <= first + w + lateness`;
/// - a unit leaves (is censored) at `switch`: for a `Ramp` design, with b = bucket / 100 000 and d = b when treated,
///   1 - b when control, the first instant a later stage's share exceeds 1 - d (in integers: `share.parts() + d_parts >
///   100_000` where `d_parts` = bucket + 1 for treated and 100 000 - bucket for control); for every design
///   also `history.ended_at`. Under `Decision` a unit enters a cell iff `first + w <= switch` and
///   `first + w + lateness <= as_of`, where `as_of` is the watermark's time (or the query's, if earlier);
/// - a unit without metric rows has value 0: `n` comes from exposures;
/// - events are identified by (environment, event id): a second row with an id is ignored.
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
    /// How late a row may arrive and still count in a decision, in milliseconds.
    pub lateness_ms: u64,
    /// Which rows count.
    pub rule: RowRule,
    /// Answer as of this instant of received time; the watermark's own time when absent or later.
    pub as_of: Option<Timestamp>,
}

/// One cell: unit values of one metric, start stage and arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The metric's key.
    pub metric: Key,
    /// The stage of the units' first exposure.
    pub stage: u32,
    /// The arm.
    pub arm: String,
    /// n, mean and sum of squared deviations over units.
    pub moments: Moments,
}

/// All first exposures of a stage and arm, matured or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmCount {
    /// The stage.
    pub stage: u32,
    /// The arm.
    pub arm: String,
    /// Distinct units whose first exposure was there (quarantined ones excluded).
    pub units: u64,
}

/// The answer. Lists are sorted by (metric in query order, stage, arm), so that equal evidence is equal text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MomentsAnswer {
    /// How far the evidence reached.
    pub watermark: Watermark,
    /// The cells that have units.
    pub cells: Vec<Cell>,
    /// Units by stage and arm.
    pub arms: Vec<ArmCount>,
    /// Distinct units served the treatment of a ramp by this run, with or without an arm; 0 for experiments.
    pub treated_units: u64,
    /// Units seen in several arms.
    pub crossover_units: u64,
    /// Metric rows whose value was not a finite number and counted as 0.
    pub non_finite: u64,
    /// When a treatment was last seen served: the newest min(`ts`, `received_at`) of an exposure to it, with or without
    /// an arm. A sender's clock that is fast cannot make an arm look fresher than what was received.
    pub last_treatment_at: Option<Timestamp>,
    /// The same of the control.
    pub last_control_at: Option<Timestamp>,
}
