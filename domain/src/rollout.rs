//! A rollout's state: where a ramp stands, and everything a decision about it must find frozen.

use liftgate_evaluator::{Key, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Id, Metric, Scope, Span};

/// Where a rollout stands.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutStatus {
    /// Baking a stage, or holding in it (see [`Rollout::hold`]).
    Running,
    /// Paused by a person or by disabling the flag; guardrails keep acting.
    Paused,
    /// Reached its last stage and finished its bake.
    Completed,
    /// Taken back to its target share.
    RolledBack,
    /// Ended by a person without a verdict.
    Cancelled,
}

impl RolloutStatus {
    /// The stored and spoken name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::RolledBack => "rolled_back",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it still moves and still owns its rule.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

/// Why a rollout does not advance.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HoldCode {
    /// No exposures have arrived.
    NoData,
    /// Exposures have stopped arriving.
    StaleData,
    /// The warehouse could not answer.
    WarehouseError,
    /// The bake is over and a guardrail has too few units.
    LowSample,
    /// A guardrail is harmed (an `act: hold` one), undetermined or suspect.
    SignalBad,
    /// The arms' sizes do not fit the design.
    Srm,
    /// Units were seen in several arms.
    Crossover,
    /// Exposures were lost before they were logged.
    ExposureLoss,
}

impl HoldCode {
    /// The stored and spoken name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoData => "NO_DATA",
            Self::StaleData => "STALE_DATA",
            Self::WarehouseError => "WAREHOUSE_ERROR",
            Self::LowSample => "LOW_SAMPLE",
            Self::SignalBad => "SIGNAL_BAD",
            Self::Srm => "SRM",
            Self::Crossover => "CROSSOVER",
            Self::ExposureLoss => "EXPOSURE_LOSS",
        }
    }
}

/// A hold with its reason in a sentence.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// Which gate.
    pub code: HoldCode,
    /// What would open it, in plain words.
    pub detail: String,
}

/// A metric as it was when the run started: later edits do not reach it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PinnedMetric {
    /// Its key.
    pub key: Key,
    /// The pinned revision.
    pub revision: u64,
    /// The definition at that revision.
    pub metric: Metric,
}

/// A rollout: one policy moving one flag's rule in one environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// Its row.
    pub id: Id,
    /// The environment it runs in.
    pub scope: Scope,
    /// Its name in that environment.
    pub key: Key,
    /// The flag it moves.
    pub flag: Key,
    /// The rule it owns while it is active.
    pub rule: Key,
    /// The variation being rolled out.
    pub treatment: String,
    /// The variation it is compared with.
    pub control: String,
    /// The policy's key.
    pub policy: Key,
    /// SHA-256 of the policy as frozen below.
    pub policy_hash: String,
    /// The policy as it was at the start of the attempt.
    pub policy_body: Value,
    /// The metrics that the policy reads, pinned.
    pub metrics: Vec<PinnedMetric>,
    /// The environment's lateness, pinned.
    pub lateness: Span,
    /// 1 for the first start; a resume after a rollback is a new attempt.
    pub attempt: u32,
    /// The number of this attempt's run.
    pub run: u64,
    /// Where it stands.
    pub status: RolloutStatus,
    /// Index of the current stage in the policy.
    pub stage: u32,
    /// When the current stage began.
    pub stage_since: Timestamp,
    /// Data time that the current stage has baked, in milliseconds.
    pub baked_ms: u64,
    /// Up to where the bake has been counted: the watermark's time at the last look.
    pub baked_until: Timestamp,
    /// Why it does not advance, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// When the attempt started.
    pub started_at: Timestamp,
    /// When it completed, rolled back or was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Units served the treatment so far in this attempt, analysed or not, as last seen.
    #[serde(default)]
    pub treated_units: u64,
    /// Number of the last decision record; 0 before the first.
    pub decision_seq: u64,
    /// Hash of the last decision record; empty before the first.
    pub decision_hash: String,
    /// When the last record was written, so that a quiet rollout still writes one an hour.
    pub recorded_at: Timestamp,
    /// When it is to be looked at next; absent once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due_at: Option<Timestamp>,
    /// When it was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_looked_at: Option<Timestamp>,
    /// Starts at 1, plus one with every write: what a compare-and-set compares.
    pub version: u64,
}
