//! The body of an experiment: a split of one flag, what it hopes to move and what it must not harm.

use std::collections::BTreeMap;

use liftgate_evaluator::{Key, Share, Timestamp};
use liftgate_stats::{PlanMethod, Prior, TUNED_AT_DEFAULT, decision::MetricRole, multiplicity::Correction};
use serde::{Deserialize, Serialize};

use crate::{MarginText, PinnedMetric, Span};

/// An experiment's definition and, once started, its run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The flag that it splits.
    pub flag: Key,
    /// The unit that is randomized and analysed.
    #[serde(default = "default_unit")]
    pub unit: String,
    /// The share of units that take part.
    #[serde(default = "full")]
    pub coverage: Share,
    /// Whole weights by variation key.
    pub arms: BTreeMap<String, u32>,
    /// The arm that the others are compared with.
    pub control: String,
    /// Metrics that decide success.
    pub success: Vec<Key>,
    /// Metrics that are shown beside them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secondary: Vec<Key>,
    /// Metrics that must not be harmed beyond a margin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guardrails: Vec<ExperimentGuardrail>,
    /// How the readout compares; fixed before the start.
    #[serde(default)]
    pub plan: ExperimentPlan,
    /// The run's number, once started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// The metrics as they were when it started: what is edited later does not move its results.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pinned: Vec<PinnedMetric>,
    /// When it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Timestamp>,
}

/// A metric that must not be harmed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentGuardrail {
    /// The metric.
    pub metric: Key,
    /// How far it may move against its direction: `2%` of the control, or a number in the metric's unit.
    pub margin: MarginText,
}

/// How an experiment is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExperimentPlan {
    /// One look at the end, every look, or the posterior.
    pub method: PlanMethod,
    /// Two-sided error, shared by the success metrics; the error of each guardrail.
    pub alpha: f64,
    /// Sequential: units (both arms) at which the readout is sharpest.
    pub tuned_at: f64,
    /// Reduce the variance by what each unit did in this long before its first exposure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lookback: Option<Span>,
    /// Correction of the secondary metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correction: Option<Correction>,
    /// Bayesian: what is believed beforehand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prior: Option<Prior>,
}

impl Default for ExperimentPlan {
    fn default() -> Self {
        Self {
            method: PlanMethod::Fixed,
            alpha: 0.05,
            tuned_at: TUNED_AT_DEFAULT,
            lookback: None,
            correction: None,
            prior: None,
        }
    }
}

fn default_unit() -> String {
    "user".to_owned()
}

fn full() -> Share {
    Share::FULL
}

impl Experiment {
    /// Every metric that is read, with what it is for, in the order of declaration.
    pub fn metrics(&self) -> impl Iterator<Item = (MetricRole, &Key)> {
        let of = |role: MetricRole| move |key| (role, key);
        let guardrails = self.guardrails.iter().map(|guardrail| (MetricRole::Guardrail, &guardrail.metric));
        self.success
            .iter()
            .map(of(MetricRole::Success))
            .chain(self.secondary.iter().map(of(MetricRole::Secondary)))
            .chain(guardrails)
    }
}
