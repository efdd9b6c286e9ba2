//! One attempt: policy, metrics and lateness frozen, a new run, the rule taken, all in one change. The first attempt
//! and every one after a rollback begin alike.

use liftgate_domain::{
    Actor, Applied, Catalog, Entropy, Expected, Id, Key, Mutation, Resource, ResourceKind, Rollout, RolloutStatus, Run,
    Scope, StoreError, Timestamp,
};
use liftgate_evaluator::{Condition, Design, FlagState, RunHistory, RunKind, StageEntry, validate};

use super::freeze::{Frozen, freeze, invalid, live, refuse_first};
use super::{TRIES_MAX, active_on, rule};
use crate::patch::put_state;
use crate::transition::Transition;
use crate::{CommandError, policy_hash, tidings};

/// What begins.
pub(super) struct Beginning<'a> {
    /// The attempt before, rolled back.
    pub before: Option<&'a Rollout>,
    pub scope: &'a Scope,
    pub key: &'a Key,
    pub flag: &'a Key,
    pub policy: &'a Key,
    pub treatment: &'a str,
    pub control: &'a str,
    pub rule: &'a Key,
    /// Whom it is for; `None` for whom the rule says.
    pub when: Option<&'a Condition>,
}

impl<'a> Beginning<'a> {
    /// The next attempt of a rollout that was rolled back.
    pub fn again(rollout: &'a Rollout) -> Self {
        Self {
            before: Some(rollout),
            scope: &rollout.scope,
            key: &rollout.key,
            flag: &rollout.flag,
            policy: &rollout.policy,
            treatment: &rollout.treatment,
            control: &rollout.control,
            rule: &rollout.rule,
            when: None,
        }
    }
}

/// Who orders it, and why.
pub(super) struct By {
    pub actor: Actor,
    pub reason: Option<String>,
}

/// Begins an attempt; from the start again when somebody else wrote in between.
pub(super) async fn begin(
    catalog: &dyn Catalog,
    entropy: &dyn Entropy,
    wanted: &Beginning<'_>,
    by: &By,
) -> Result<(Rollout, Applied), CommandError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match begin_once(catalog, entropy, wanted, by).await {
            // A changed rollout is for its owner to look at again; a changed flag only costs another try.
            Err(Failure::Raced) if tries < TRIES_MAX => {}
            Err(Failure::Raced) => {
                let what = format!("rollout `{}` or flag `{}` keeps changing; try again", wanted.key, wanted.flag);
                return Err(CommandError::Conflict { what });
            }
            Err(Failure::Refused(error)) => return Err(error),
            Ok(begun) => return Ok(begun),
        }
    }
}

enum Failure {
    Raced,
    Refused(CommandError),
}

impl<E: Into<CommandError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

async fn begin_once(
    catalog: &dyn Catalog,
    entropy: &dyn Entropy,
    wanted: &Beginning<'_>,
    by: &By,
) -> Result<(Rollout, Applied), Failure> {
    refuse_if_owned(catalog, wanted).await?;
    let frozen = freeze(catalog, wanted).await?;
    let state = live(catalog, ResourceKind::FlagState, wanted.scope, wanted.flag).await?;
    let now = catalog.now().await?;
    let run = catalog.reserve_number("run").await?;
    let rollout = first_state(wanted, &frozen, run, Id::new(now, entropy), now)?;
    let transition = transition(catalog, wanted, by, &frozen, state, rollout, now).await?;
    let (after, change) = transition.into_change(Id::new(now, entropy));
    match catalog.apply(change).await {
        Ok(applied) => Ok((after, applied)),
        Err(StoreError::Conflict { .. } | StoreError::Exists { .. }) => Err(Failure::Raced),
        Err(error) => Err(error.into()),
    }
}

/// One active rollout a flag: the arms of two would be mixed.
async fn refuse_if_owned(catalog: &dyn Catalog, wanted: &Beginning<'_>) -> Result<(), CommandError> {
    let active = active_on(catalog, wanted.scope, wanted.flag).await?;
    match active.first() {
        None => Ok(()),
        Some(other) => Err(CommandError::Conflict {
            what: format!("flag `{}` is being moved by rollout `{}`", wanted.flag, other.key),
        }),
    }
}

fn first_state(
    wanted: &Beginning<'_>,
    frozen: &Frozen,
    run: u64,
    id: Id,
    now: Timestamp,
) -> Result<Rollout, CommandError> {
    let policy_body = serde_json::to_value(&frozen.policy).map_err(|error| invalid("policy", error.to_string()))?;
    let before = wanted.before;
    Ok(Rollout {
        id: before.map_or(id, |before| before.id.clone()),
        scope: wanted.scope.clone(),
        key: wanted.key.clone(),
        flag: wanted.flag.clone(),
        rule: wanted.rule.clone(),
        treatment: wanted.treatment.to_owned(),
        control: wanted.control.to_owned(),
        policy: wanted.policy.clone(),
        policy_hash: policy_hash(&frozen.policy),
        policy_body,
        metrics: frozen.metrics.clone(),
        lateness: frozen.settings.lateness,
        attempt: before.map_or(1, |before| before.attempt.saturating_add(1)),
        run,
        status: RolloutStatus::Running,
        stage: 0,
        stage_since: now,
        baked_ms: 0,
        baked_until: now,
        hold: None,
        started_at: now,
        finished_at: None,
        treated_units: 0,
        decision_seq: before.map_or(0, |before| before.decision_seq),
        decision_hash: before.map_or_else(String::new, |before| before.decision_hash.clone()),
        recorded_at: now,
        next_due_at: Some(now),
        last_looked_at: None,
        version: before.map_or(1, |before| before.version.saturating_add(1)),
    })
}

async fn transition<'a>(
    catalog: &dyn Catalog,
    wanted: &Beginning<'a>,
    by: &By,
    frozen: &Frozen,
    state: Option<Resource>,
    rollout: Rollout,
    now: Timestamp,
) -> Result<Transition<'a>, CommandError> {
    let expected = state.as_ref().map_or(Expected::Absent, |state| Expected::Revision(state.revision));
    let mut body = match &state {
        Some(state) => state.decode::<FlagState>()?,
        None => FlagState::default(),
    };
    let earlier = match wanted.before {
        Some(before) => catalog.run(wanted.scope, before.run).await?.map(|run| run.history.salt),
        None => None,
    };
    let place = format!("{}/{}", rollout.flag, rollout.rule);
    let fresh = frozen.flag.dialect.salt(&place, rollout.run, &frozen.settings.hash_key);
    let taken = rule::take(&body, &rollout, earlier.unwrap_or(fresh))?;
    rule::put(&mut body, &rollout, &frozen.policy.unit, wanted.when, &taken.salt, frozen.first_share)?;
    refuse_first("flag", validate(&frozen.flag, Some(&body)))?;

    let run = Run {
        scope: wanted.scope.clone(),
        environment: frozen.environment,
        flag: wanted.flag.clone(),
        attempt: rollout.attempt,
        history: RunHistory {
            number: rollout.run,
            kind: RunKind::Rollout,
            key: wanted.key.clone(),
            unit: frozen.policy.unit.clone(),
            salt: taken.salt,
            dialect: frozen.flag.dialect,
            design: Design::Ramp { treatment: rollout.treatment.clone(), control: rollout.control.clone() },
            stages: vec![StageEntry { stage: 0, share: frozen.first_share, since: now }],
            ended_at: None,
        },
    };
    let (verdict, event) = if wanted.before.is_some() { ("resume", "resumed") } else { ("start", "started") };
    let extra = tidings::order(&by.actor, by.reason.as_deref());
    let mut told = tidings::of_rollout(event, &rollout, Some(&frozen.policy), extra);
    tidings::add_shares(&mut told, taken.share, frozen.first_share);
    let mut events = vec![told];
    if taken.share != frozen.first_share {
        events.push(tidings::of_share(&rollout, taken.share, frozen.first_share));
    }
    let mutations = vec![Mutation::PutRun(Box::new(run)), put_state(&rollout, &body, expected)?];
    let transition = Transition {
        before: wanted.before,
        after: rollout,
        verdict,
        actor: by.actor.clone(),
        reason: by.reason.clone(),
        seen: None,
        mutations,
        events,
        now,
    };
    Ok(transition)
}
