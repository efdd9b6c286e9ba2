//! One decision, whole: what was seen, what every gate said, the state before and after. Canonical JSON, floats as
//! their bits, each record carrying the hash of the one before.

use liftgate_domain::{Actor, Decision, Hold, Id, Key, Rollout, Scope, Timestamp};
use liftgate_stats::{Undetermined, Verdict as Signal};
use serde::{Deserialize, Serialize};

use crate::bits::Bits;
use crate::canonical;
use crate::{Act, Evidence, GateResult, GuardrailReading, Outcome, Verdict};

/// The version of the engine, written into every record.
pub const ENGINE: &str = concat!("liftgate-scheduler ", env!("CARGO_PKG_VERSION"));

/// A decision record, by the scheduler or by a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionRecord {
    /// What decided.
    pub engine: String,
    /// The rollout's row.
    pub rollout: Id,
    /// Where it runs.
    pub scope: Scope,
    /// Its key.
    pub key: Key,
    /// 1, 2, 3 ... over all attempts.
    pub seq: u64,
    /// The change that carries it, when its id was known.
    pub change: Option<Id>,
    /// `start`, `stay`, `hold`, `advance`, `rollback`, `complete`, `pause`, `resume`, `cancel`.
    pub verdict: String,
    /// When, by the catalog's clock.
    pub evaluated_at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// Why, in a person's words.
    pub reason: Option<String>,
    /// The hash of the policy frozen in the state.
    pub policy_hash: String,
    /// What the scheduler saw; absent for a person's command.
    pub evidence: Option<Evidence>,
    /// What the scheduler concluded; absent for a person's command.
    pub outcome: Option<OutcomeRecord>,
    /// The state that was read; absent for the first record.
    pub before: Option<Rollout>,
    /// The state that was written, but for `decision_seq` and `decision_hash`, which are this record's own.
    pub after: Rollout,
}

/// An [`Outcome`] with every float as its bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeRecord {
    /// What is to be done.
    pub verdict: Verdict,
    /// The hold afterwards.
    pub hold: Option<Hold>,
    /// Every gate, in order.
    pub gates: Vec<GateResult>,
    /// Every guardrail, in order.
    pub guardrails: Vec<ReadingRecord>,
    /// Data time baked.
    pub baked_ms: u64,
    /// Up to where.
    pub baked_until: Timestamp,
    /// The sentence.
    pub why: String,
    /// When to look again.
    pub next_due_at: Option<Timestamp>,
}

/// A [`GuardrailReading`] with every float as its bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadingRecord {
    /// The metric.
    pub metric: Key,
    /// What its harm leads to.
    pub act: Act,
    /// Its part of alpha.
    pub alpha_g: Bits,
    /// What is known.
    pub signal: Signal,
    /// Why nothing is.
    pub reason: Option<Undetermined>,
    /// ln of the evidence for harm.
    pub log_e_harm: Bits,
    /// ln of the evidence for safety.
    pub log_e_safe: Bits,
    /// Effective units.
    pub n_eff: Bits,
    /// Treatment units.
    pub n_treatment: u64,
    /// Control units.
    pub n_control: u64,
    /// Treatment mean.
    pub mean_treatment: Bits,
    /// Control mean.
    pub mean_control: Bits,
    /// The effect in the margin's terms.
    pub effect: Option<Bits>,
    /// Its lower bound.
    pub lower: Option<Bits>,
    /// Its upper bound.
    pub upper: Option<Bits>,
}

impl From<&GuardrailReading> for ReadingRecord {
    fn from(reading: &GuardrailReading) -> Self {
        let assessment = &reading.assessment;
        Self {
            metric: reading.metric.clone(),
            act: reading.act,
            alpha_g: Bits(reading.alpha_g),
            signal: assessment.verdict,
            reason: assessment.reason,
            log_e_harm: Bits(assessment.log_e_harm),
            log_e_safe: Bits(assessment.log_e_safe),
            n_eff: Bits(assessment.n_eff),
            n_treatment: assessment.n_treatment,
            n_control: assessment.n_control,
            mean_treatment: Bits(assessment.mean_treatment),
            mean_control: Bits(assessment.mean_control),
            effect: assessment.effect.map(Bits),
            lower: assessment.lower.map(Bits),
            upper: assessment.upper.map(Bits),
        }
    }
}

impl From<&Outcome> for OutcomeRecord {
    fn from(outcome: &Outcome) -> Self {
        Self {
            verdict: outcome.verdict.clone(),
            hold: outcome.hold.clone(),
            gates: outcome.gates.clone(),
            guardrails: outcome.guardrails.iter().map(ReadingRecord::from).collect(),
            baked_ms: outcome.baked_ms,
            baked_until: outcome.baked_until,
            why: outcome.why.clone(),
            next_due_at: outcome.next_due_at,
        }
    }
}

/// The record as a link of the chain: its canonical text, and SHA-256 over the previous hash and that text.
pub fn seal(previous_hash: &str, record: &DecisionRecord) -> Decision {
    let body = canonical::text(record);
    let hash = canonical::sha256_hex(&[previous_hash.as_bytes(), body.as_bytes()]);
    Decision {
        rollout: record.rollout.clone(),
        seq: record.seq,
        at: record.evaluated_at,
        verdict: record.verdict.clone(),
        body,
        previous_hash: previous_hash.to_owned(),
        hash,
    }
}
