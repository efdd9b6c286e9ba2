//! The instant at which a unit leaves, together with its mirror image in the other arm.

use liftgate_domain::Timestamp;
use liftgate_evaluator::{BUCKETS, Design, RunHistory, StageEntry, TREATMENT};

use super::population::FirstExposure;

/// The instant at which a unit is censored, if any: the end of the run, or the first later stage of a ramp in which it
/// or its mirror image in the other arm is served the other variation.
pub(super) fn leaves_at(first: &FirstExposure<'_>, history: &RunHistory) -> Option<Timestamp> {
    let switched = match &history.design {
        Design::Split { .. } => None,
        Design::Ramp { .. } => {
            let position = stage_position(first, history);
            let share_at_switch = BUCKETS - distance(first, position.map(|position| &history.stages[position]));
            let later = position.map_or(0, |position| position + 1);
            let mut entries = history.stages[later..].iter();
            entries.find(|entry| entry.share.parts() > share_at_switch).map(|entry| entry.since)
        }
    };
    [switched, history.ended_at].into_iter().flatten().min()
}

/// `d` in parts: how far the unit's bucket is from the end of the line at which its arm begins. A unit whose bucket
/// is not known is taken to be the first of its stage to switch.
fn distance(first: &FirstExposure<'_>, stage: Option<&StageEntry>) -> u32 {
    let known = first.row.bucket.map(|bucket| match first.arm {
        TREATMENT => bucket.saturating_add(1),
        _ => BUCKETS.saturating_sub(bucket),
    });
    let analysed = || stage.map_or(BUCKETS, |entry| entry.share.parts().min(BUCKETS - entry.share.parts()));
    known.unwrap_or_else(analysed).min(BUCKETS)
}

/// Where in the history the unit's stage is. A stage may come again: then its latest coming before the exposure. A
/// unit stamped with a stage that had not begun by its own clock belongs to that stage's first coming.
fn stage_position(first: &FirstExposure<'_>, history: &RunHistory) -> Option<usize> {
    let comings = || history.stages.iter().enumerate().filter(|(_, entry)| entry.stage == first.stage);
    let begun = comings().rfind(|(_, entry)| entry.since <= first.row.ts);
    begun.or_else(|| comings().next()).map(|(position, _)| position)
}
