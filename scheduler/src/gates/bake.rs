//! Is the bake over? A bake is counted in data time: it stands still while no fresh exposures arrive.

use liftgate_domain::{Rollout, Timestamp};

use super::{Finding, Look, freshness::oldest_arm};
use crate::{Evidence, Policy, lasting::in_words, policy::Stage};

/// Data time baked so far.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Baked {
    pub ms: u64,
    pub until: Timestamp,
}

/// Counts the data time since the last look: from there to the watermark, if the exposures at the watermark are fresh.
///
/// Fresh exposures prove data no further back than `stale_after`, so a look never adds more than that: after an outage
/// the bake goes on where it stood. Time in which the warehouse could not answer counts for nothing. The watermark never counts beyond `now`, whatever a node's clock says.
pub(crate) fn count(policy: &Policy, stage: &Stage, rollout: &Rollout, evidence: &Evidence, now: Timestamp) -> Baked {
    let unchanged = Baked { ms: rollout.baked_ms, until: rollout.baked_until };
    if evidence.warehouse_error.is_some() {
        return Baked { until: rollout.baked_until.max(now), ..unchanged };
    }
    let Some(watermark) = evidence.watermark.time().map(|time| time.min(now)) else { return unchanged };
    let elapsed_ms = u64::try_from(watermark.micros_since(rollout.baked_until) / 1_000).unwrap_or(0);
    if elapsed_ms == 0 {
        return unchanged;
    }
    let stale_after = policy.health.stale_after;
    let oldest_fresh = watermark.plus_millis(-stale_after.as_ms_i64());
    if oldest_arm(stage, evidence).is_none_or(|newest| newest < oldest_fresh) {
        return Baked { until: watermark, ..unchanged };
    }
    if elapsed_ms > stale_after.as_ms() {
        return Baked { ms: rollout.baked_ms.saturating_add(stale_after.as_ms()), until: watermark };
    }
    // Whole milliseconds only; what is left of one counts at the next look.
    let until = rollout.baked_until.plus_millis(i64::try_from(elapsed_ms).unwrap_or(i64::MAX));
    Baked { ms: rollout.baked_ms.saturating_add(elapsed_ms), until }
}

pub(crate) fn ask(look: &Look<'_>) -> Finding {
    let bake_ms = look.stage.bake.as_ms();
    if look.baked_ms >= bake_ms {
        return Finding::Pass(format!("it has baked its {}", in_words(bake_ms)));
    }
    let left = in_words(bake_ms - look.baked_ms);
    Finding::Wait(format!("it bakes for another {left} of {} while fresh data arrives", in_words(bake_ms)))
}
