//! The decision: a pure function of policy, state, evidence and time. Every gate is asked every time; the first that is
//! not open decides, and harm beats all of them.

use liftgate_domain::{Hold, HoldCode, Rollout, Timestamp};

use crate::gates::{Finding, Look, bake, freshness, guardrail, health, running, sample, signal};
use crate::latch::{latched, with_latch};
use crate::policy::Stage;
use crate::{Evidence, Gate, GateAnswer, GateResult, Outcome, Policy, Verdict};

/// How soon a rollout is due again, in milliseconds. Wake-ups come with new evidence; this only makes it due for them.
pub const LOOK_EVERY_MS: i64 = 200;

/// Decides what to do with a rollout. Deterministic: the same arguments give the same bits, on every machine.
///
/// A rollout that is over stays. A policy without stages (which lint refuses) stays too.
pub fn decide(policy: &Policy, rollout: &Rollout, evidence: &Evidence, now: Timestamp) -> Outcome {
    let readings = guardrail::read_all(policy, rollout, evidence);
    let latched_now = guardrail::in_force(&readings, rollout);
    let Some(stage) = policy.stage(rollout.stage) else { return without_stages(rollout, now) };
    let baked = bake::count(policy, stage, rollout, evidence, now);
    let look =
        Look { policy, stage, rollout, evidence, readings: &readings, latched: &latched_now, baked_ms: baked.ms, now };
    let findings = [
        (Gate::Running, running::ask(&look)),
        (Gate::HardGuardrails, guardrail::ask_hard(&look)),
        (Gate::Srm, health::ask_srm(&look)),
        (Gate::Crossover, health::ask_crossover(&look)),
        (Gate::ExposureLoss, health::ask_exposure_loss(&look)),
        (Gate::HoldGuardrails, guardrail::ask_hold(&look)),
        (Gate::Freshness, freshness::ask(&look)),
        (Gate::Bake, bake::ask(&look)),
        (Gate::Sample, sample::ask(&look)),
        (Gate::Signal, signal::ask(&look)),
    ];
    let verdict = verdict(&look, &findings);
    let hold = hold_after(&look, &verdict);
    let gates: Vec<GateResult> = findings.iter().map(|(gate, finding)| finding.result(*gate)).collect();
    let is_over = !rollout.status.is_active() || matches!(verdict, Verdict::RollBack { .. } | Verdict::Complete);
    Outcome {
        why: why(policy, stage, rollout, &verdict, &gates),
        verdict,
        hold,
        gates,
        baked_ms: baked.ms,
        baked_until: baked.until,
        next_due_at: (!is_over).then(|| now.plus_millis(LOOK_EVERY_MS)),
        guardrails: readings,
    }
}

fn verdict(look: &Look<'_>, findings: &[(Gate, Finding)]) -> Verdict {
    let harm = findings.iter().find_map(|(_, finding)| match finding {
        Finding::Harm(metric, _) => Some(metric),
        _ => None,
    });
    if let Some(metric) = harm.filter(|_| look.rollout.status.is_active()) {
        return Verdict::RollBack { metric: metric.clone() };
    }
    let first_shut = findings.iter().map(|(_, finding)| finding).find(|finding| !matches!(finding, Finding::Pass(_)));
    match first_shut {
        Some(Finding::Hold(code, detail)) => {
            Verdict::Hold(with_latch(Hold { code: *code, detail: detail.clone() }, look.latched))
        }
        Some(_) => Verdict::Stay,
        None => next_stage(look),
    }
}

fn next_stage(look: &Look<'_>) -> Verdict {
    let next = look.rollout.stage.saturating_add(1);
    if (next as usize) < look.policy.stages.len() { Verdict::Advance { to: next } } else { Verdict::Complete }
}

/// The hold after the verdict. A paused rollout keeps the one it had, but for what is latched.
fn hold_after(look: &Look<'_>, verdict: &Verdict) -> Option<Hold> {
    match verdict {
        Verdict::Hold(hold) => Some(hold.clone()),
        Verdict::Stay if look.rollout.status == liftgate_domain::RolloutStatus::Paused => {
            let kept = look.rollout.hold.clone();
            if look.latched == latched(kept.as_ref()) {
                return kept;
            }
            let detail = "a hold guardrail was found harmed or safe while it was paused".to_owned();
            let changed = with_latch(Hold { code: HoldCode::SignalBad, detail }, look.latched);
            (!look.latched.is_empty()).then_some(changed)
        }
        _ => None,
    }
}

fn why(policy: &Policy, stage: &Stage, rollout: &Rollout, verdict: &Verdict, gates: &[GateResult]) -> String {
    let place = format!(
        "rollout `{}` at stage {} of {} ({})",
        rollout.key,
        rollout.stage.saturating_add(1),
        policy.stages.len(),
        stage.share
    );
    let detail_of = |wanted: &dyn Fn(&GateResult) -> bool| {
        gates.iter().find(|gate| wanted(gate)).map_or("", |gate| gate.detail.as_str())
    };
    match verdict {
        Verdict::Stay => format!("{place} stays: {}", detail_of(&|gate| gate.result != GateAnswer::Pass)),
        Verdict::Hold(hold) => format!("{place} holds, {}: {}", hold.code.as_str(), hold.detail),
        Verdict::Advance { to } => {
            let share = policy.stage(*to).map_or(stage.share, |next| next.share);
            format!("{place} advances to {share}: every gate is open")
        }
        Verdict::RollBack { .. } => {
            format!("{place} is rolled back: {}", detail_of(&|gate| gate.result == GateAnswer::Harm))
        }
        Verdict::Complete => format!("{place} is complete: the last stage is over"),
    }
}

fn without_stages(rollout: &Rollout, now: Timestamp) -> Outcome {
    Outcome {
        verdict: Verdict::Stay,
        hold: rollout.hold.clone(),
        gates: Vec::new(),
        guardrails: Vec::new(),
        baked_ms: rollout.baked_ms,
        baked_until: rollout.baked_until,
        why: format!("rollout `{}` stays: its policy has no stages", rollout.key),
        next_due_at: rollout.status.is_active().then(|| now.plus_millis(LOOK_EVERY_MS)),
    }
}
