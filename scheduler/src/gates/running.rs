//! Is the rollout running? A pause stops advances and nothing else.

use liftgate_domain::RolloutStatus;

use super::{Finding, Look};

pub(crate) fn ask(look: &Look<'_>) -> Finding {
    match look.rollout.status {
        RolloutStatus::Running => Finding::pass("it is running"),
        RolloutStatus::Paused => Finding::Wait("it is paused; a person must resume it".to_owned()),
        over => Finding::Wait(format!("it is over: {}", over.as_str())),
    }
}
