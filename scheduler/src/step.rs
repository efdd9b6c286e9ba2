//! From an outcome to the next state, purely; replay takes the same steps again.

use liftgate_domain::{Rollout, RolloutStatus, Timestamp};
use liftgate_evaluator::Share;

use crate::patch::Move;
use crate::{Evidence, Outcome, Policy, Verdict};

/// The state after a look: bake, treated units and next look, whatever the verdict.
pub fn looked_at(rollout: &Rollout, evidence: &Evidence, outcome: &Outcome, now: Timestamp) -> Rollout {
    Rollout {
        baked_ms: outcome.baked_ms,
        baked_until: outcome.baked_until,
        treated_units: rollout.treated_units.max(evidence.treated_units),
        last_looked_at: Some(now),
        next_due_at: outcome.next_due_at,
        ..rollout.clone()
    }
}

/// The state after a decision that is recorded: one version on.
pub fn decided(rollout: &Rollout, evidence: &Evidence, outcome: &Outcome, now: Timestamp) -> Rollout {
    let mut after = looked_at(rollout, evidence, outcome, now);
    after.hold = outcome.hold.clone();
    after.version = rollout.version.saturating_add(1);
    after.recorded_at = now;
    match &outcome.verdict {
        Verdict::Stay | Verdict::Hold(_) => {}
        Verdict::Advance { to } => {
            after.stage = *to;
            after.stage_since = now;
            after.baked_ms = 0;
            after.baked_until = now;
        }
        Verdict::RollBack { .. } => finish(&mut after, RolloutStatus::RolledBack, now),
        Verdict::Complete => finish(&mut after, RolloutStatus::Completed, now),
    }
    after
}

/// Ends an attempt.
pub(crate) fn finish(rollout: &mut Rollout, status: RolloutStatus, now: Timestamp) {
    rollout.status = status;
    rollout.finished_at = Some(now);
    rollout.next_due_at = None;
    rollout.hold = None;
}

/// What the outcome does to the rule; `None` when the flag stays as it is.
pub(crate) fn rule_move(policy: &Policy, outcome: &Outcome) -> Option<Move> {
    match &outcome.verdict {
        Verdict::Stay | Verdict::Hold(_) => None,
        Verdict::Advance { to } => policy.stage(*to).map(|stage| Move::Stage { stage: *to, share: stage.share }),
        Verdict::RollBack { .. } => Some(Move::End { share: Some(Share::ZERO) }),
        Verdict::Complete => Some(Move::End { share: Some(Share::FULL) }),
    }
}
