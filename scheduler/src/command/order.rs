//! Orders to a rollout that exists.

use liftgate_domain::{
    Actor, Applied, Catalog, Entropy, Id, Key, ResourceKind, Rollout, RolloutStatus, Scope, StoreError, Timestamp,
};
use liftgate_evaluator::{FlagState, Share};

use super::attempt::{Beginning, By, begin};
use super::{TRIES_MAX, find};
use crate::look::frozen_policy;
use crate::patch::Move;
use crate::transition::Transition;
use crate::{CommandError, step, tidings};

/// Stops advances until a person resumes. Guardrails keep acting.
///
/// # Errors
/// `NotFound`; `Conflict` unless it is running; `Store`.
pub async fn pause(
    catalog: &dyn Catalog,
    entropy: &dyn Entropy,
    scope: &Scope,
    key: &Key,
    actor: Actor,
    reason: Option<String>,
) -> Result<(Rollout, Applied), CommandError> {
    carry_out(catalog, entropy, (scope, key), Order::Pause, By { actor, reason }).await
}

/// Lets a paused rollout go on; of one that was rolled back, starts a new attempt: a new run from stage 0 that knows
/// nothing of the units before, under the policy as it is now, with every unit's assignment kept.
///
/// # Errors
/// `NotFound`; `Conflict` when it is neither paused nor rolled back, when its flag is disabled, or another rollout has
/// its flag by now; `Invalid` when the policy does not pass lint any more; `Store`.
pub async fn resume(
    catalog: &dyn Catalog,
    entropy: &dyn Entropy,
    scope: &Scope,
    key: &Key,
    actor: Actor,
    reason: Option<String>,
) -> Result<(Rollout, Applied), CommandError> {
    let rollout = find(catalog, scope, key).await?;
    if rollout.status == RolloutStatus::RolledBack {
        return begin(catalog, entropy, &Beginning::again(&rollout), &By { actor, reason }).await;
    }
    carry_out(catalog, entropy, (scope, key), Order::Resume, By { actor, reason }).await
}

/// Takes the treatment back by order of a person.
///
/// # Errors
/// `NotFound`; `Conflict` when it is over; `Store`.
pub async fn rollback(
    catalog: &dyn Catalog,
    entropy: &dyn Entropy,
    scope: &Scope,
    key: &Key,
    actor: Actor,
    reason: Option<String>,
) -> Result<(Rollout, Applied), CommandError> {
    carry_out(catalog, entropy, (scope, key), Order::Rollback, By { actor, reason }).await
}

/// Ends a rollout without a verdict; the share stays where it is.
///
/// # Errors
/// `NotFound`; `Conflict` when it is over; `Store`.
pub async fn cancel(
    catalog: &dyn Catalog,
    entropy: &dyn Entropy,
    scope: &Scope,
    key: &Key,
    actor: Actor,
    reason: Option<String>,
) -> Result<(Rollout, Applied), CommandError> {
    carry_out(catalog, entropy, (scope, key), Order::Cancel, By { actor, reason }).await
}

/// What is ordered.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Order {
    Pause,
    Resume,
    Rollback,
    Cancel,
}

impl Order {
    fn is_allowed(self, status: RolloutStatus) -> bool {
        match self {
            Self::Pause => status == RolloutStatus::Running,
            Self::Resume => status == RolloutStatus::Paused,
            Self::Rollback | Self::Cancel => status.is_active(),
        }
    }

    /// The verdict in the record, and the participle in events and answers.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Pause => ("pause", "paused"),
            Self::Resume => ("resume", "resumed"),
            Self::Rollback => ("rollback", "rolled_back"),
            Self::Cancel => ("cancel", "cancelled"),
        }
    }

    fn rule_move(self) -> Option<Move> {
        match self {
            Self::Pause | Self::Resume => None,
            Self::Rollback => Some(Move::End { share: Some(Share::ZERO) }),
            Self::Cancel => Some(Move::End { share: None }),
        }
    }

    fn state_after(self, rollout: &Rollout, now: Timestamp) -> Rollout {
        let version = rollout.version.saturating_add(1);
        let mut after = Rollout { version, recorded_at: now, next_due_at: Some(now), ..rollout.clone() };
        match self {
            Self::Pause => after.status = RolloutStatus::Paused,
            Self::Resume => {
                after.status = RolloutStatus::Running;
                after.hold = None;
            }
            Self::Rollback => step::finish(&mut after, RolloutStatus::RolledBack, now),
            Self::Cancel => step::finish(&mut after, RolloutStatus::Cancelled, now),
        }
        after
    }

    /// The step that carries the order out, but for what it does to the flag.
    pub(super) fn transition<'r>(self, rollout: &'r Rollout, by: &By, now: Timestamp) -> Transition<'r> {
        let (verdict, event) = self.words();
        let after = self.state_after(rollout, now);
        let policy = frozen_policy(rollout).ok();
        let extra = tidings::order(&by.actor, by.reason.as_deref());
        Transition {
            before: Some(rollout),
            verdict,
            actor: by.actor.clone(),
            reason: by.reason.clone(),
            seen: None,
            mutations: Vec::new(),
            events: vec![tidings::of_rollout(event, &after, policy.as_ref(), extra)],
            after,
            now,
        }
    }
}

/// Reads, orders, applies; from the start again when somebody else wrote in between.
async fn carry_out(
    catalog: &dyn Catalog,
    entropy: &dyn Entropy,
    (scope, key): (&Scope, &Key),
    order: Order,
    by: By,
) -> Result<(Rollout, Applied), CommandError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let rollout = find(catalog, scope, key).await?;
        if !order.is_allowed(rollout.status) {
            let (is, cannot_be) = (rollout.status.as_str(), order.words().1.replace('_', " "));
            return Err(CommandError::Conflict { what: format!("rollout `{key}` is {is} and cannot be {cannot_be}") });
        }
        if order == Order::Resume {
            require_enabled(catalog, &rollout).await?;
        }
        let now = catalog.now().await?;
        let mut transition = order.transition(&rollout, &by, now);
        if let Some(step) = order.rule_move() {
            transition.add_move(catalog, step).await?;
        }
        let (after, change) = transition.into_change(Id::new(now, entropy));
        match catalog.apply(change).await {
            Ok(applied) => return Ok((after, applied)),
            Err(StoreError::Conflict { .. } | StoreError::Exists { .. }) if tries < TRIES_MAX => {}
            Err(error) => return Err(error.into()),
        }
    }
}

async fn require_enabled(catalog: &dyn Catalog, rollout: &Rollout) -> Result<(), CommandError> {
    let state = catalog.resource(ResourceKind::FlagState, &rollout.scope, &rollout.flag).await?;
    let is_enabled = match state.filter(|state| !state.archived) {
        Some(state) => state.decode::<FlagState>()?.enabled,
        None => false,
    };
    if is_enabled {
        return Ok(());
    }
    Err(CommandError::Conflict { what: format!("flag `{}` is disabled; enable it, then resume", rollout.flag) })
}
