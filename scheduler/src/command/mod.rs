//! What people order: start, pause, resume, roll back, cancel. The same compare-and-set as the scheduler's steps, so an
//! acknowledged order is never followed by an older advance.

mod attempt;
mod freeze;
mod order;
mod rule;
mod start;

use liftgate_domain::{
    Actor, Catalog, EventDraft, Key, Mutation, Rollout, RolloutStatus, Scope, StoreError, Timestamp,
};

pub use order::{cancel, pause, resume, rollback};
pub use start::{StartRollout, start};

use self::attempt::By;
use self::order::Order;
use crate::CommandError;

/// How often an order that lost a compare-and-set is tried again.
const TRIES_MAX: usize = 5;

/// A rollout by its key.
pub(crate) async fn find(catalog: &dyn Catalog, scope: &Scope, key: &Key) -> Result<Rollout, CommandError> {
    let found = catalog.rollout(scope, key).await?;
    found.ok_or_else(|| CommandError::NotFound { what: format!("rollout `{key}`") })
}

/// The active rollout that owns a rule of a flag, if one does; edits of that rule must be refused while it does.
pub async fn owner_of_rule(
    catalog: &dyn Catalog,
    scope: &Scope,
    flag: &Key,
    rule: &Key,
) -> Result<Option<Rollout>, StoreError> {
    let active = active_on(catalog, scope, flag).await?;
    Ok(active.into_iter().find(|rollout| rollout.rule == *rule))
}

/// What pauses the running rollouts of a flag, to go into the change that disables it.
///
/// # Errors
/// [`StoreError`] when the rollouts cannot be read.
pub async fn pause_mutations(
    catalog: &dyn Catalog,
    scope: &Scope,
    flag: &Key,
    now: Timestamp,
    actor: Actor,
) -> Result<(Vec<Mutation>, Vec<EventDraft>), StoreError> {
    let mut mutations = Vec::new();
    let mut events = Vec::new();
    let by = By { actor, reason: Some(format!("flag `{flag}` was disabled")) };
    let active = active_on(catalog, scope, flag).await?;
    for rollout in active.iter().filter(|rollout| rollout.status == RolloutStatus::Running) {
        let (_, more_mutations, more_events) = Order::Pause.transition(rollout, &by, now).seal(None);
        mutations.extend(more_mutations);
        events.extend(more_events);
    }
    Ok((mutations, events))
}

/// The active rollouts of a flag in exactly this environment.
async fn active_on(catalog: &dyn Catalog, scope: &Scope, flag: &Key) -> Result<Vec<Rollout>, StoreError> {
    let mut rollouts = catalog.rollouts(scope).await?;
    rollouts.retain(|rollout| rollout.scope == *scope && rollout.flag == *flag && rollout.status.is_active());
    Ok(rollouts)
}
