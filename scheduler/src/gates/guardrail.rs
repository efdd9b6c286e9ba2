//! Is a guardrail harmed? `act: rollback` ones take the treatment back; `act: hold` ones hold and stay latched.

use liftgate_domain::{HoldCode, Key, Rollout};
use liftgate_stats::{GuardrailPlan, Verdict, assess};

use super::{Finding, Look, e_value, names};
use crate::{Act, Evidence, GuardrailReading, Policy, latch::latched, policy::Guardrail};

/// Reads every guardrail, in the policy's order.
pub(crate) fn read_all(policy: &Policy, rollout: &Rollout, evidence: &Evidence) -> Vec<GuardrailReading> {
    policy.guardrails.metrics.iter().map(|guardrail| read(policy, guardrail, rollout, evidence)).collect()
}

fn read(policy: &Policy, guardrail: &Guardrail, rollout: &Rollout, evidence: &Evidence) -> GuardrailReading {
    let alpha_g = policy.alpha_of(guardrail);
    let pinned = rollout.metrics.iter().find(|pinned| pinned.key == guardrail.metric);
    let plan = GuardrailPlan {
        // A ratio comes as its influence, one number a unit; quantiles are refused by the lint.
        outcome: pinned.and_then(|pinned| pinned.metric.kind.outcome()).unwrap_or(liftgate_stats::Outcome::Mean),
        harm: guardrail.harm,
        margin: guardrail.margin.margin(),
        detect: guardrail.detect.as_ref().map(|detect| detect.margin()),
        alpha: alpha_g,
        alpha_safe: policy.guardrails.alpha_safe,
        stages: policy.analysed_stages(),
    };
    // A metric that was never pinned has no units that could be trusted: undetermined.
    let strata = if pinned.is_some() { evidence.strata(&guardrail.metric) } else { &[] };
    GuardrailReading {
        metric: guardrail.metric.clone(),
        act: guardrail.act,
        harm: guardrail.harm,
        margin: guardrail.margin.clone(),
        alpha_g,
        assessment: assess(&plan, strata),
    }
}

/// The `act: hold` guardrails in force: harmed now, or latched before and not safe now.
pub(crate) fn in_force(readings: &[GuardrailReading], rollout: &Rollout) -> Vec<Key> {
    let before = latched(rollout.hold.as_ref());
    let holds = |reading: &&GuardrailReading| {
        let verdict = reading.assessment.verdict;
        let was_latched = before.contains(&reading.metric);
        reading.act == Act::Hold && (verdict == Verdict::Harm || (was_latched && verdict != Verdict::Safe))
    };
    let mut keys: Vec<Key> = readings.iter().filter(holds).map(|reading| reading.metric.clone()).collect();
    keys.dedup();
    keys
}

/// How far beyond its threshold a reading is, in log e-values.
fn excess(reading: &GuardrailReading) -> f64 {
    reading.assessment.log_e_harm + reading.alpha_g.ln()
}

pub(crate) fn ask_hard(look: &Look<'_>) -> Finding {
    let harmed = look
        .readings
        .iter()
        .filter(|reading| reading.act == Act::Rollback && reading.assessment.verdict == Verdict::Harm)
        .reduce(|worst, reading| if excess(reading) > excess(worst) { reading } else { worst });
    match harmed {
        Some(reading) => Finding::Harm(reading.metric.clone(), describe_harm(reading)),
        None => Finding::pass("no rollback guardrail is harmed"),
    }
}

fn describe_harm(reading: &GuardrailReading) -> String {
    format!(
        "guardrail `{}` is harmed beyond its margin of {}: e-value {:.3e} against {:.0}, with {} treated and {} \
         control units",
        reading.metric,
        reading.margin,
        e_value(reading.assessment.log_e_harm),
        1.0 / reading.alpha_g,
        reading.assessment.n_treatment,
        reading.assessment.n_control,
    )
}

pub(crate) fn ask_hold(look: &Look<'_>) -> Finding {
    if look.latched.is_empty() {
        return Finding::pass("no hold guardrail is harmed");
    }
    let list = names(look.latched);
    Finding::Hold(HoldCode::SignalBad, format!("guardrail {list} was found harmed; it opens when that metric is safe"))
}
