//! Writing JSON answers by hand into one buffer.

use std::io::Write as _;

use liftgate_evaluator::{Context, Evaluation, EvaluationError};

use super::{fragments::FlagFragments, refusal::GENERAL};

/// The longest targeting key that is echoed; it stands in every flag of an answer. Telemetry takes the caller's own where
/// it is missing.
const CONTEXT_ID_BYTES_MAX: usize = 256;

/// Writes text as a JSON string.
pub fn string(body: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(body, text).expect("text is always written to memory");
}

/// Writes `"name":"text"`; the name needs no escaping.
pub fn member(body: &mut Vec<u8>, name: &str, text: &str) {
    body.push(b'"');
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(b"\":");
    string(body, text);
}

fn number(body: &mut Vec<u8>, name: &str, value: u64) {
    write!(body, ",\"{name}\":{value}").expect("numbers are always written to memory");
}

/// The end of every flag's metadata: for whom it was evaluated, under the name that OpenTelemetry hooks read as
/// `feature_flag.context.id`.
pub struct Tail(Vec<u8>);

impl Tail {
    /// The end of metadata for a context.
    pub fn of(context: &Context) -> Self {
        let mut tail = Vec::new();
        if let Some(key) = context.targeting_key.as_ref().filter(|key| key.len() <= CONTEXT_ID_BYTES_MAX) {
            tail.push(b',');
            member(&mut tail, "contextId", key);
        }
        Self(tail)
    }

    /// As it stands inside metadata that is not empty.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Why a flag has no value for this context.
pub struct Failure {
    /// The protocol's code.
    pub code: &'static str,
    /// The sentence.
    pub details: String,
}

impl Failure {
    /// What is wrong with an evaluation: the flag, or a context without the unit that the answer depends on.
    pub fn of(evaluation: &Evaluation<'_, '_>, context: &Context) -> Option<Self> {
        match &evaluation.error {
            Some(EvaluationError::FlagNotFound) => return Some(Self::not_found(&evaluation.flag)),
            Some(other) => return Some(Self { code: GENERAL, details: other.to_string() }),
            None => {}
        }
        (evaluation.missing_unit? == "user" && context.targeting_key.is_none()).then(|| Self {
            code: "TARGETING_KEY_MISSING",
            details: format!("flag `{}` divides users; send `context.targetingKey`", evaluation.flag),
        })
    }

    /// No such flag.
    pub fn not_found(key: &str) -> Self {
        let details = format!("flag `{key}` not found in this environment; check its spelling and the key you use");
        Self { code: "FLAG_NOT_FOUND", details }
    }

    /// Writes the failure as one of many answers.
    pub fn write(&self, body: &mut Vec<u8>, key: &str) {
        body.push(b'{');
        member(body, "key", key);
        body.push(b',');
        member(body, "errorCode", self.code);
        body.push(b',');
        member(body, "errorDetails", &self.details);
        body.push(b'}');
    }
}

/// Writes the answer of a flag that serves everybody the same.
pub fn write_fixed(body: &mut Vec<u8>, whole: &[u8], tail: &Tail) {
    body.extend_from_slice(whole);
    body.extend_from_slice(&tail.0);
    body.extend_from_slice(b"}}");
}

/// Writes the answer of an evaluation that has a value.
pub fn write(body: &mut Vec<u8>, flag: &FlagFragments, evaluation: &Evaluation<'_, '_>, tail: &Tail) {
    flag.write(body, evaluation.variation.unwrap_or_default(), evaluation.reason);
    if let Some(rule) = evaluation.rule {
        // A key: nothing in it needs escaping.
        body.extend_from_slice(br#","rule":""#);
        body.extend_from_slice(rule.as_bytes());
        body.push(b'"');
    }
    if let Some(assignment) = &evaluation.assignment {
        number(body, "run", assignment.run.number);
        number(body, "stage", assignment.run.stage.into());
        if let Some(arm) = assignment.arm {
            body.push(b',');
            member(body, "arm", arm);
        }
    }
    body.extend_from_slice(&tail.0);
    body.extend_from_slice(b"}}");
}
