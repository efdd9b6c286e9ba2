//! Does fresh data arrive, in both arms while both are compared? Low traffic is seen here and never as harm.

use liftgate_domain::{HoldCode, Timestamp};

use super::{Finding, Look};
use crate::{Evidence, lasting::in_words, policy::Stage};

/// The older of the newest exposures of the arms that a stage needs: at 100 % only the treatment is served.
pub(crate) fn oldest_arm(stage: &Stage, evidence: &Evidence) -> Option<Timestamp> {
    let treatment = evidence.last_treatment_at?;
    if stage.is_analysed() { evidence.last_control_at.map(|control| control.min(treatment)) } else { Some(treatment) }
}

pub(crate) fn ask(look: &Look<'_>) -> Finding {
    if let Some(error) = &look.evidence.warehouse_error {
        return Finding::Hold(
            HoldCode::WarehouseError,
            format!("the warehouse could not answer: {error}; it opens when the warehouse is back"),
        );
    }
    let (Some(watermark), Some(newest)) = (look.evidence.watermark.time(), oldest_arm(look.stage, look.evidence))
    else {
        return no_data(look);
    };
    let stale_after = look.policy.health.stale_after;
    let rows_age = look.ms_since(watermark);
    if rows_age > stale_after.as_ms() {
        let age = in_words(rows_age);
        return Finding::Hold(
            HoldCode::StaleData,
            format!("no node has reported events for {age}, longer than {stale_after}; check ingest"),
        );
    }
    let age = look.ms_since(newest);
    if age > stale_after.as_ms() {
        let arms = if look.stage.is_analysed() { "one of the arms" } else { "the treatment" };
        return Finding::Hold(
            HoldCode::StaleData,
            format!(
                "no exposure of {arms} for {}, longer than {stale_after}; it opens with the next one",
                in_words(age)
            ),
        );
    }
    Finding::Pass(format!("the newest exposures are {} old", in_words(age)))
}

fn no_data(look: &Look<'_>) -> Finding {
    let waited = look.ms_since(look.rollout.stage_since);
    let grace = look.policy.health.no_traffic.grace;
    let arms = if look.stage.is_analysed() { "both arms" } else { "the treatment" };
    if waited > grace.as_ms() {
        Finding::Hold(
            HoldCode::NoData,
            format!("no exposures of {arms} after {}; check that the flag is evaluated", in_words(waited)),
        )
    } else {
        Finding::Wait(format!("it waits for the first exposures of {arms}, so far for {}", in_words(waited)))
    }
}
