//! Takes every recorded decision again and compares bits. Finds a chain that was broken, a record that was altered, and
//! an engine that would decide otherwise.

use liftgate_domain::{Decision, Rollout};
use serde::{Deserialize as _, Serialize};
use thiserror::Error;

use crate::canonical;
use crate::record::{DecisionRecord, OutcomeRecord};
use crate::{Policy, decide, policy_hash, step};

/// What a replay came to.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ReplayReport {
    /// Records whose place in the chain was verified.
    pub records: u64,
    /// Those of them that the scheduler decided, each recomputed to the same bits. The others are people's commands.
    pub identical: u64,
}

/// The first record that is not what it should be.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
#[error("record {seq}: {what}")]
pub struct ReplayError {
    /// Its sequence number.
    pub seq: u64,
    /// What is wrong with it.
    pub what: String,
}

/// Verifies the chain and recomputes every decision in it.
///
/// `decisions` are consecutive records of one rollout, from the first (an excerpt is taken to follow on an intact
/// chain). That nothing was cut off at the end is seen by comparing with the rollout's own `decision_hash`.
///
/// # Errors
/// The first record at fault, by its sequence, and what is wrong with it.
pub fn replay(decisions: &[Decision]) -> Result<ReplayReport, ReplayError> {
    let mut report = ReplayReport { records: 0, identical: 0 };
    let mut last: Option<(&Decision, Rollout)> = None;
    for decision in decisions {
        let seq = last.as_ref().map_or(decision.seq, |(before, _)| before.seq.saturating_add(1));
        let fail = |what: &str| ReplayError { seq, what: what.to_owned() };
        let record = verify(decision, last.as_ref().map(|(before, _)| *before)).map_err(|what| fail(&what))?;
        if let (Some((_, written)), Some(read)) = (&last, &record.before)
            && (written.version, &written.id) != (read.version, &read.id)
        {
            return Err(fail("it does not begin with the state that the record before wrote"));
        }
        if recompute(&record).map_err(|what| fail(&what))? {
            report.identical += 1;
        }
        report.records += 1;
        last = Some((decision, record.after));
    }
    Ok(report)
}

/// Checks one link against the one before it, and gives out its record.
fn verify(decision: &Decision, before: Option<&Decision>) -> Result<DecisionRecord, String> {
    match before {
        Some(before) if decision.seq != before.seq.saturating_add(1) => {
            return Err(format!("the sequence goes on with {}", decision.seq));
        }
        Some(before) if decision.previous_hash != before.hash => {
            return Err("its previous hash is not the hash of the record before".to_owned());
        }
        None if decision.seq == 1 && !decision.previous_hash.is_empty() => {
            return Err("it is the first and names a previous hash".to_owned());
        }
        _ => {}
    }
    let hash = canonical::sha256_hex(&[decision.previous_hash.as_bytes(), decision.body.as_bytes()]);
    if hash != decision.hash {
        return Err("its hash does not fit its content".to_owned());
    }
    let record: DecisionRecord =
        serde_json::from_str(&decision.body).map_err(|error| format!("its content cannot be read: {error}"))?;
    let columns = (&decision.rollout, decision.seq, decision.at, &decision.verdict);
    if columns != (&record.rollout, record.seq, record.evaluated_at, &record.verdict) {
        return Err("its row does not fit its content".to_owned());
    }
    if canonical::text(&record) != decision.body {
        return Err("its content is not in canonical form".to_owned());
    }
    Ok(record)
}

/// Whether the scheduler decided it and would decide the same again; `false` for a person's command.
fn recompute(record: &DecisionRecord) -> Result<bool, String> {
    let policy = Policy::deserialize(&record.after.policy_body)
        .map_err(|error| format!("its policy cannot be read: {error}"))?;
    if policy_hash(&policy) != record.policy_hash {
        return Err("its policy does not fit its hash".to_owned());
    }
    let (Some(evidence), Some(recorded), Some(before)) = (&record.evidence, &record.outcome, &record.before) else {
        return Ok(false);
    };
    let outcome = decide(&policy, before, evidence, record.evaluated_at);
    if canonical::text(&OutcomeRecord::from(&outcome)) != canonical::text(recorded) {
        return Err(format!("{} would decide otherwise: {}", crate::record::ENGINE, outcome.why));
    }
    let after = step::decided(before, evidence, &outcome, record.evaluated_at);
    if canonical::text(&after) != canonical::text(&record.after) {
        return Err("the state it wrote does not follow from its decision".to_owned());
    }
    Ok(true)
}
