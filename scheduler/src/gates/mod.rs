//! One gate a file: each asks one question of a look and answers with a finding. None of them acts.

pub(crate) mod bake;
pub(crate) mod freshness;
pub(crate) mod guardrail;
pub(crate) mod health;
pub(crate) mod running;
pub(crate) mod sample;
pub(crate) mod signal;

use liftgate_domain::{HoldCode, Key, Rollout, Timestamp};

use crate::{Evidence, Gate, GateAnswer, GateResult, GuardrailReading, Policy, policy::Stage};

/// All that a gate may look at.
pub(crate) struct Look<'a> {
    pub policy: &'a Policy,
    pub stage: &'a Stage,
    pub rollout: &'a Rollout,
    pub evidence: &'a Evidence,
    pub readings: &'a [GuardrailReading],
    /// `act: hold` guardrails that are harmed, now or before without having become safe since.
    pub latched: &'a [Key],
    pub baked_ms: u64,
    pub now: Timestamp,
}

impl Look<'_> {
    /// Milliseconds from `then` to the look; 0 when `then` is later.
    pub fn ms_since(&self, then: Timestamp) -> u64 {
        u64::try_from(self.now.micros_since(then) / 1_000).unwrap_or(0)
    }
}

/// What a gate found, with the numbers in a sentence.
pub(crate) enum Finding {
    Pass(String),
    Wait(String),
    Hold(HoldCode, String),
    Harm(Key, String),
}

impl Finding {
    pub fn pass(detail: impl Into<String>) -> Self {
        Self::Pass(detail.into())
    }

    /// The finding as it is shown.
    pub fn result(&self, gate: Gate) -> GateResult {
        let (result, detail) = match self {
            Self::Pass(detail) => (GateAnswer::Pass, detail),
            Self::Wait(detail) => (GateAnswer::Wait, detail),
            Self::Hold(_, detail) => (GateAnswer::Hold, detail),
            Self::Harm(_, detail) => (GateAnswer::Harm, detail),
        };
        GateResult { gate, result, detail: detail.clone() }
    }
}

/// Names in a sentence: `a`, `b`.
pub(crate) fn names<'a>(keys: impl IntoIterator<Item = &'a Key>) -> String {
    keys.into_iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

/// The e-value itself, which a sentence or JSON can hold: evidence beyond every float is the largest one.
pub(crate) fn e_value(log_e: f64) -> f64 {
    log_e.exp().min(f64::MAX)
}
