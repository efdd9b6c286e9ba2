//! Does every guardrail have enough matured units? Low traffic holds with an estimate of when; it never rolls back.

use liftgate_domain::HoldCode;
use liftgate_stats::Verdict;

use super::{Finding, Look};
use crate::{GuardrailReading, lasting::in_words};

pub(crate) fn ask(look: &Look<'_>) -> Finding {
    if !look.stage.is_analysed() {
        return Finding::pass("nobody is compared at this share");
    }
    let needed = look.stage.min_exposed.unwrap_or(0) as f64;
    let lacks =
        |reading: &&GuardrailReading| reading.assessment.verdict != Verdict::Safe && reading.assessment.n_eff < needed;
    let least = look
        .readings
        .iter()
        .filter(lacks)
        .reduce(|least, reading| if reading.assessment.n_eff < least.assessment.n_eff { reading } else { least });
    let Some(least) = least else {
        return Finding::pass("every guardrail has its units");
    };
    let mut detail =
        format!("guardrail `{}` has {:.0} of {needed:.0} matured units", least.metric, least.assessment.n_eff.floor());
    match eta_ms(look, least, needed) {
        Some(ms) => detail.push_str(&format!("; at this rate it has them in about {}", in_words(ms))),
        None => detail.push_str("; too few have matured to say when it will have them"),
    }
    if let Some(max_wait) = look.stage.max_wait {
        let waited = look.ms_since(look.rollout.stage_since);
        if waited > max_wait.as_ms() {
            detail.push_str(&format!("; `max_wait` of {max_wait} has passed and a person must decide"));
        }
    }
    Finding::Hold(HoldCode::LowSample, detail)
}

/// Milliseconds until the missing units have matured, at the mean rate since the attempt's first units could mature.
fn eta_ms(look: &Look<'_>, reading: &GuardrailReading, needed: f64) -> Option<u64> {
    let pinned = look.rollout.metrics.iter().find(|pinned| pinned.key == reading.metric)?;
    let matures_ms = pinned.metric.window.as_ms().saturating_add(look.rollout.lateness.as_ms());
    let collecting_ms = look.ms_since(look.rollout.started_at).checked_sub(matures_ms)?;
    let so_far = reading.assessment.n_eff;
    if collecting_ms == 0 || !so_far.is_finite() || so_far <= 0.0 {
        return None;
    }
    let ms = (needed - so_far) / so_far * collecting_ms as f64;
    ms.is_finite().then_some(ms.ceil() as u64)
}
