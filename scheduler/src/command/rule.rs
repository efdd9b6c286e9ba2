//! The rule that a rollout owns: put in front of the others, or in the place of one that is there, with its salt kept so
//! that no unit moves.

use liftgate_domain::Rollout;
use liftgate_evaluator::{Condition, FlagState, Ramp, Rule, RunKind, RunRef, Serve, Share};

use crate::CommandError;

/// What is known of a rule before a rollout takes it.
#[derive(Debug)]
pub(super) struct Taken {
    /// The salt to go on with.
    pub salt: String,
    /// The treatment's share until now.
    pub share: Share,
}

/// What a rule's ramp would begin with. `salt` is the one of an earlier attempt, or a new one.
///
/// # Errors
/// `Conflict` when another rollout or an experiment runs on the rule.
pub(super) fn take(state: &FlagState, rollout: &Rollout, salt: String) -> Result<Taken, CommandError> {
    let rule = state.rules.iter().find(|rule| rule.id == rollout.rule);
    let owner = rule.and_then(|rule| match &rule.serve {
        Serve::Ramp(ramp) => ramp.run.as_ref(),
        Serve::Split(split) => split.run.as_ref(),
        Serve::Variation(_) => None,
    });
    if let Some(owner) = owner {
        let what = match owner.kind {
            RunKind::Rollout => "rollout",
            RunKind::Experiment => "experiment",
        };
        return Err(CommandError::Conflict {
            what: format!("rule `{}` of flag `{}` is owned by {what} `{}`", rollout.rule, rollout.flag, owner.key),
        });
    }
    let experiment = state.rules.iter().find_map(|rule| match &rule.serve {
        Serve::Split(split) => split.run.as_ref().filter(|run| run.kind == RunKind::Experiment),
        _ => None,
    });
    if let Some(run) = experiment {
        let what = format!("experiment `{}` divides flag `{}`; stop it first", run.key, rollout.flag);
        return Err(CommandError::Conflict { what });
    }
    Ok(match rule.map(|rule| &rule.serve) {
        Some(Serve::Ramp(ramp)) => {
            let share = if ramp.treatment == rollout.treatment { ramp.share } else { Share::ZERO };
            Taken { salt: ramp.salt.clone(), share }
        }
        _ => Taken { salt, share: Share::ZERO },
    })
}

/// Puts the ramp into the state and enables the flag. `when: None` keeps the condition of the rule that is there.
///
/// # Errors
/// `Conflict` when a condition is to be kept and the rule is gone.
pub(super) fn put(
    state: &mut FlagState,
    rollout: &Rollout,
    unit: &str,
    when: Option<&Condition>,
    salt: &str,
    share: Share,
) -> Result<(), CommandError> {
    state.enabled = true;
    let serve = Serve::Ramp(Ramp {
        unit: unit.to_owned(),
        salt: salt.to_owned(),
        treatment: rollout.treatment.clone(),
        control: rollout.control.clone(),
        share,
        run: Some(RunRef {
            number: rollout.run,
            kind: RunKind::Rollout,
            key: rollout.key.clone(),
            stage: rollout.stage,
        }),
    });
    let rule = state.rules.iter_mut().find(|rule| rule.id == rollout.rule);
    match (rule, when) {
        (Some(rule), when) => {
            rule.serve = serve;
            if let Some(when) = when {
                rule.when = when.clone();
            }
        }
        (None, Some(when)) => {
            let rule = Rule { id: rollout.rule.clone(), description: None, when: when.clone(), serve };
            state.rules.insert(0, rule);
        }
        (None, None) => {
            let what = format!(
                "rule `{}` of flag `{}` is gone and with it whom it was for; start a new rollout",
                rollout.rule, rollout.flag
            );
            return Err(CommandError::Conflict { what });
        }
    }
    Ok(())
}
