//! What a step does to the flag: the share of the rule that a rollout owns, and the run's history beside it.

use liftgate_domain::{Expected, Mutation, Resource, ResourceKind, Rollout, Run, Timestamp};
use liftgate_evaluator::{FlagState, Ramp, Serve, Share, StageEntry};

use crate::Error;

/// Where a step takes the rule.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Move {
    /// To a stage of the run that goes on.
    Stage { stage: u32, share: Share },
    /// Out of the run: to this share for good, or as it stands.
    End { share: Option<Share> },
}

/// A flag's write, and what it did.
pub(crate) struct Patch {
    pub mutation: Mutation,
    pub from: Share,
    pub to: Share,
}

/// The write that moves the rollout's rule, compared against the revision that was read.
///
/// # Errors
/// [`Error::RuleGone`] when the rule is not there or ramps another run; [`Error::Store`] when the state cannot be read.
pub(crate) fn patch(state: &Resource, rollout: &Rollout, step: Move) -> Result<Patch, Error> {
    let mut body: FlagState = state.decode()?;
    let Some(ramp) = owned_ramp(&mut body, rollout) else {
        return Err(Error::RuleGone { flag: rollout.flag.to_string(), rule: rollout.rule.to_string() });
    };
    let from = ramp.share;
    match step {
        Move::Stage { stage, share } => {
            ramp.share = share;
            if let Some(run) = &mut ramp.run {
                run.stage = stage;
            }
        }
        Move::End { share } => {
            ramp.share = share.unwrap_or(from);
            ramp.run = None;
        }
    }
    let to = ramp.share;
    let mutation = put_state(rollout, &body, Expected::Revision(state.revision))?;
    Ok(Patch { mutation, from, to })
}

/// The write of a flag's state in the rollout's environment.
pub(crate) fn put_state(rollout: &Rollout, state: &FlagState, expected: Expected) -> Result<Mutation, Error> {
    let body = serde_json::to_value(state).map_err(|error| Error::Missing(format!("a JSON form ({error})")))?;
    Ok(Mutation::PutResource {
        kind: ResourceKind::FlagState,
        scope: rollout.scope.clone(),
        key: rollout.flag.clone(),
        body,
        expected,
    })
}

fn owned_ramp<'s>(state: &'s mut FlagState, rollout: &Rollout) -> Option<&'s mut Ramp> {
    let rule = state.rules.iter_mut().find(|rule| rule.id == rollout.rule)?;
    match &mut rule.serve {
        Serve::Ramp(ramp) if ramp.run.as_ref().is_some_and(|run| run.number == rollout.run) => Some(ramp),
        _ => None,
    }
}

/// The run after the step: one more stage, or its end.
pub(crate) fn advance_run(mut run: Run, step: Move, now: Timestamp) -> Run {
    match step {
        Move::Stage { stage, share } => run.history.stages.push(StageEntry { stage, share, since: now }),
        Move::End { .. } => run.history.ended_at = Some(now),
    }
    run
}
