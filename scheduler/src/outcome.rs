//! What a decision came to, with every gate's answer and every guardrail's reading.

use liftgate_domain::{Hold, Key, Timestamp};
use liftgate_stats::{Assessment, Direction};
use serde::{Deserialize, Serialize};

use crate::{Act, MarginText};

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Go on as it is: baking, waiting for the first exposures, or paused.
    Stay,
    /// Do not advance, for a reason that somebody should know.
    Hold(Hold),
    /// Go to the next stage.
    Advance {
        /// Its index.
        to: u32,
    },
    /// Take the treatment back.
    RollBack {
        /// The guardrail that is harmed; with several, the one with the strongest evidence.
        metric: Key,
    },
    /// The last stage is over: the rollout is done.
    Complete,
}

impl Verdict {
    /// The name under which a decision is stored.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Stay => "stay",
            Self::Hold(_) => "hold",
            Self::Advance { .. } => "advance",
            Self::RollBack { .. } => "rollback",
            Self::Complete => "complete",
        }
    }
}

/// The gates, in the order in which they are asked.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Is it running?
    Running,
    /// Is no `act: rollback` guardrail harmed? Asked of a paused rollout too.
    HardGuardrails,
    /// Are the arms of equal size?
    Srm,
    /// Are units seen in one arm only?
    Crossover,
    /// Were the exposures logged?
    ExposureLoss,
    /// Is no `act: hold` guardrail harmed, now or before without having become safe since?
    HoldGuardrails,
    /// Does fresh data arrive?
    Freshness,
    /// Is the bake over, in data time?
    Bake,
    /// Does every guardrail have enough units?
    Sample,
    /// Is no guardrail suspect or undetermined?
    Signal,
}

/// How a gate answered.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateAnswer {
    /// Open.
    Pass,
    /// Shut, and time or data will open it.
    Wait,
    /// Shut, and somebody should know.
    Hold,
    /// The treatment must be taken back.
    Harm,
}

/// One gate's answer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct GateResult {
    /// Which gate.
    pub gate: Gate,
    /// Its answer.
    pub result: GateAnswer,
    /// Why, with the numbers.
    pub detail: String,
}

/// What one guardrail says now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GuardrailReading {
    /// The metric.
    pub metric: Key,
    /// What its harm leads to.
    pub act: Act,
    /// Which way is harm.
    pub harm: Direction,
    /// Harm accepted.
    pub margin: MarginText,
    /// Its part of alpha: harm is declared at an e-value of 1 / this.
    pub alpha_g: f64,
    /// Verdict, e-values, units, effect and bounds.
    pub assessment: Assessment,
}

/// A decision: verdict and reasons.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// What is to be done.
    pub verdict: Verdict,
    /// The hold that the rollout is in afterwards.
    pub hold: Option<Hold>,
    /// Every gate, in order.
    pub gates: Vec<GateResult>,
    /// Every guardrail, in the policy's order.
    pub guardrails: Vec<GuardrailReading>,
    /// Data time baked in the stage that was looked at, in milliseconds.
    pub baked_ms: u64,
    /// Up to where it has been counted.
    pub baked_until: Timestamp,
    /// One sentence: where it stands, which gate blocks, what would open it and, when that can be computed, when.
    pub why: String,
    /// When to look again; `None` once it is over.
    pub next_due_at: Option<Timestamp>,
}

impl Outcome {
    /// The first gate that is not open.
    pub fn blocking_gate(&self) -> Option<&GateResult> {
        self.gates.iter().find(|gate| gate.result != GateAnswer::Pass)
    }
}
