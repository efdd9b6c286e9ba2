//! What a planner answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer to a [`super::PowerRequest`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct PowerAnswer {
    /// The name in the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The size that has the power asked for; absent when the request has no effect (or margin) to size for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed: Option<Needed>,
    /// What an experiment of the size asked about (or else of the size needed) can do.
    pub at_size: AtSize,
    /// The rest of a running experiment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub still_needed: Option<StillNeeded>,
    /// The part of alpha that this one test has.
    pub alpha_per_test: f64,
    /// The power this one test needs.
    pub power_per_test: f64,
    /// What to know before relying on the numbers, without repetitions.
    pub warnings: Vec<PowerWarning>,
}

/// A number of units with what the uncertainty of the baseline makes of it (95 % interval); all three are equal
/// when the baseline is given without its units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct UnitsRange {
    /// At the most favourable baseline.
    pub low: u64,
    /// At the baseline given.
    pub expected: u64,
    /// At the least favourable baseline; absent when that has no bound.
    pub high: Option<u64>,
}

/// Whole days, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct DaysRange {
    /// Fewest units at the highest traffic.
    pub low: u64,
    /// Most units at the lowest traffic; absent when the units have no bound.
    pub high: Option<u64>,
}

/// A size that has the power asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct Needed {
    /// Units in each treatment arm.
    pub treatment: UnitsRange,
    /// Units in control.
    pub control: UnitsRange,
    /// Units in all arms.
    pub total: UnitsRange,
    /// How long that takes, with traffic given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<DaysRange>,
}

/// One size, and what it can do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct AtSize {
    /// Units in each treatment arm.
    pub treatment_units: u64,
    /// Units in control.
    pub control_units: u64,
    /// Probability of a success at the effect asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<f64>,
    /// Superiority: the smallest improvement found with the power asked for. Non-inferiority: the smallest margin
    /// that can be shown with it. Absent when even the largest possible one cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detectable: Option<Detectable>,
    /// How many standard errors the estimate must be away.
    pub critical: f64,
    /// Sequential: units at which the test is sharpest; to be written into the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuned_at: Option<u64>,
}

/// An effect or a margin in both its forms, as a size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct Detectable {
    /// As a fraction of the baseline; absent at a baseline of 0.
    pub relative: Option<f64>,
    /// In the metric's own unit.
    pub absolute: f64,
}

/// The rest of a running experiment, planned from what all its arms together look like.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct StillNeeded {
    /// The size that has the power asked for, as it looks now.
    pub needed: Needed,
    /// Units still to come in each treatment arm, 0 when there are enough.
    pub treatment: UnitsRange,
    /// Units still to come in all arms.
    pub total: UnitsRange,
    /// How long that takes, with traffic given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<DaysRange>,
    /// Units so far over units needed; 1 or more when there are enough.
    pub fraction: f64,
}

/// What to know before relying on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PowerWarning {
    /// Fewer than 10 events or non-events are expected in an arm: the normal approximation is rough there.
    FewEvents,
    /// Fewer than 50 units in an arm: the normal approximation is rough there.
    FewUnits,
    /// Fewer than 30 clusters in an arm: their variance will be known badly.
    FewClusters,
    /// The metric more than doubles; is the effect a fraction (0.2 for 20 %)?
    LargeEffect,
    /// At some baseline within the interval of the one given, no size is enough.
    BaselineTooUncertain,
    /// No possible effect (or margin) has the power asked for at this size.
    NothingDetectable,
    /// Weekdays differ: run whole weeks.
    LessThanAWeek,
}
