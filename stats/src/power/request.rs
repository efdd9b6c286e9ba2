//! What a planner is asked: the metric as it is today, what is to be shown, and how sure one wants to be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tuned_at::TunedAt;
use crate::{Direction, Margin};

/// A question about one metric of one experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct PowerRequest {
    /// A name that the answer carries back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is measured.
    pub kind: MetricKind,
    /// The metric in control, as known today.
    pub baseline: Baseline,
    /// Superiority: the improvement to detect, above 0. Non-inferiority: the true improvement assumed, 0 unless
    /// given, negative for a harm within the margin. Always counted in `direction`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Margin>,
    /// The direction in which the metric improves.
    #[serde(default = "increase")]
    pub direction: Direction,
    /// What is to be shown.
    #[serde(default)]
    pub hypothesis: Hypothesis,
    /// Non-inferiority: how far the metric may move against `direction`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Margin>,
    /// How it is tested.
    #[serde(default)]
    pub method: PowerMethod,
    /// Sequential: the units of both arms at which the test is sharpest; `auto` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuned_at: Option<TunedAt>,
    /// Probability of a false success over all treatment arms and success metrics together.
    #[serde(default = "alpha")]
    pub alpha: f64,
    /// Two for superiority and one for non-inferiority, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sides: Option<Sides>,
    /// Probability of a success when the effect is real, .5 or more.
    #[serde(default = "target_power")]
    pub power: f64,
    /// Share of all units that each treatment arm gets; equal arms unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<f64>,
    /// Arms, control included.
    #[serde(default = "two_arms")]
    pub arms: u32,
    /// Metrics of which one success is enough; each gets an equal part of `alpha`.
    #[serde(default = "one_metric")]
    pub success_metrics: u32,
    /// Guardrails that must all be shown non-inferior besides; each test gets an equal part of 1 - `power`.
    #[serde(default)]
    pub guardrails: u32,
    /// Correlation of the metric with its covariate from before the exposure (CUPED).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<f64>,
    /// Factor by which clustering inflates the variance; not together with `cluster`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design_effect: Option<f64>,
    /// Clusters that are assigned as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Cluster>,
    /// Units that enter the experiment, for the duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// Units in each treatment arm at which to tell power and detectable effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units_per_arm: Option<u64>,
    /// A running experiment, to plan its rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub so_far: Option<SoFar>,
}

/// What is measured of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// 0 or 1.
    Proportion,
    /// A number.
    Mean,
    /// A sum of numbers over a sum of numbers; the variance is that of the influence (m - r d)/D.
    Ratio,
}

/// The metric in control.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Baseline {
    /// Proportion, mean or ratio.
    pub mean: f64,
    /// Variance of one unit; not for proportions, where it follows from the mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variance: Option<f64>,
    /// Variance of one unit under treatment, control's unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub treatment_variance: Option<f64>,
    /// Units the baseline was measured on: the answer becomes a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<u64>,
}

/// What is to be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hypothesis {
    /// Treatment is better.
    #[default]
    Superiority,
    /// Treatment is not worse by the margin or more.
    NonInferiority,
}

/// How it is tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PowerMethod {
    /// Once, at the planned size.
    #[default]
    Fixed,
    /// At every look; the power is that of the look at the planned size alone, which earlier looks only add to.
    Sequential,
}

/// Whether an effect in the other direction is looked for as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sides {
    /// One direction.
    One,
    /// Both, with half of alpha each.
    Two,
}

/// Clusters that are assigned as a whole: the variance grows by 1 + (size - 1) correlation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Cluster {
    /// Mean number of units in a cluster.
    pub size: f64,
    /// Share of the variance that lies between clusters.
    pub intraclass_correlation: f64,
}

/// Units that enter the experiment a day, all arms together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Traffic {
    /// At least.
    pub units_per_day_low: f64,
    /// At most.
    pub units_per_day_high: f64,
}

/// What is known of a running experiment without looking at the difference of its arms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct SoFar {
    /// Units in each treatment arm.
    pub units_per_arm: u64,
    /// Mean over all arms together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Variance of one unit over all arms together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variance: Option<f64>,
}

fn increase() -> Direction {
    Direction::Increase
}

fn alpha() -> f64 {
    0.05
}

fn target_power() -> f64 {
    0.8
}

fn two_arms() -> u32 {
    2
}

fn one_metric() -> u32 {
    1
}
