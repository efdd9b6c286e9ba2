//! What the world hears of a step: one event for the rollout, one for the flag's share, one for a harmed guardrail.

use liftgate_domain::{Actor, EventDraft, Rollout};
use liftgate_evaluator::Share;
use serde_json::{Value, json};

use crate::gates::e_value;
use crate::{GuardrailReading, Outcome, Policy, Verdict};

/// `rollout.<what>`, with where the rollout stands and `extra` beside it.
pub(crate) fn of_rollout(what: &str, rollout: &Rollout, policy: Option<&Policy>, extra: Value) -> EventDraft {
    let stage = policy.and_then(|policy| policy.stage(rollout.stage));
    let mut data = json!({
        "rollout": rollout.key,
        "flag": rollout.flag,
        "environment": rollout.scope.environment,
        "policy": rollout.policy,
        "attempt": rollout.attempt,
        "run": rollout.run,
        "treatment": rollout.treatment,
        "control": rollout.control,
        "status": rollout.status.as_str(),
        "stage": rollout.stage,
        "stages": policy.map(|policy| policy.stages.len()),
        "share": stage.map(|stage| stage.share),
    });
    if let (Value::Object(data), Value::Object(extra)) = (&mut data, extra) {
        data.extend(extra);
    }
    EventDraft { kind: format!("rollout.{what}"), scope: rollout.scope.clone(), subject: rollout.key.to_string(), data }
}

/// Who ordered it and why, to go into an event.
pub(crate) fn order(actor: &Actor, reason: Option<&str>) -> Value {
    let actor = match actor {
        Actor::Token(name) => name,
        Actor::Scheduler => "scheduler",
        Actor::System => "system",
    };
    json!({"actor": actor, "reason": reason})
}

/// Tells in a rollout's event what became of its share.
pub(crate) fn add_shares(event: &mut EventDraft, from: Share, to: Share) {
    for (name, share) in [("from", from), ("to", to), ("share", to)] {
        event.data[name] = json!(share);
    }
}

/// `flag.share_changed`, from one share to another.
pub(crate) fn of_share(rollout: &Rollout, from: Share, to: Share) -> EventDraft {
    EventDraft {
        kind: "flag.share_changed".to_owned(),
        scope: rollout.scope.clone(),
        subject: rollout.flag.to_string(),
        data: json!({
            "flag": rollout.flag,
            "environment": rollout.scope.environment,
            "from": from,
            "to": to,
            "rollout": rollout.key,
            "rule": rollout.rule,
        }),
    }
}

/// The events of a decision, without that of the flag's share.
pub(crate) fn of_outcome(before: &Rollout, after: &Rollout, policy: &Policy, outcome: &Outcome) -> Vec<EventDraft> {
    let why = json!({"why": outcome.why});
    let rollout = |what: &str, extra: Value| of_rollout(what, after, Some(policy), extra);
    match &outcome.verdict {
        Verdict::Advance { .. } => vec![rollout("advanced", why)],
        Verdict::Complete => vec![rollout("completed", why)],
        Verdict::RollBack { metric } => {
            let reading = outcome.guardrails.iter().find(|reading| reading.metric == *metric);
            let mut extra = reading.map_or_else(|| json!({"metric": metric}), |reading| harm(reading, after));
            extra["why"] = json!(outcome.why);
            let harmed = EventDraft { kind: "guardrail.harmed".to_owned(), ..rollout("harmed", extra.clone()) };
            vec![rollout("rolled_back", extra), harmed]
        }
        Verdict::Hold(hold) if before.hold.as_ref().map(|hold| hold.code) != Some(hold.code) => {
            vec![rollout("held", json!({"code": hold.code, "detail": hold.detail, "why": outcome.why}))]
        }
        Verdict::Hold(_) => Vec::new(),
        Verdict::Stay => match (&before.hold, &after.hold) {
            (Some(was), None) => vec![rollout("resumed", json!({"code": was.code, "why": outcome.why}))],
            _ => Vec::new(),
        },
    }
}

fn harm(reading: &GuardrailReading, rollout: &Rollout) -> Value {
    let assessment = &reading.assessment;
    json!({
        "metric": reading.metric,
        "harm": reading.harm,
        "margin": reading.margin,
        "e_value": e_value(assessment.log_e_harm),
        "log_e": assessment.log_e_harm,
        "threshold": 1.0 / reading.alpha_g,
        "effect": assessment.effect,
        "lower": assessment.lower,
        "upper": assessment.upper,
        "treatment_units": assessment.n_treatment,
        "control_units": assessment.n_control,
        "treated_units": rollout.treated_units,
    })
}
