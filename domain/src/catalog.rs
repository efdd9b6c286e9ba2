//! The small, transactional plane: everything declared, decided and told. One method is one transaction.

use async_trait::async_trait;

use crate::{
    Applied, Change, ChangeRecord, Credential, Decision, Delivery, DeliveryOutcome, DeliveryStatus, Entry, Event, Id,
    Key, Resource, ResourceKind, Rollout, Run, Scope, StoreError, Timestamp,
};

/// All that compiling an environment's ruleset needs, read at one instant.
#[derive(Clone, Debug)]
pub struct RulesetBundle {
    /// The organization's last change at that instant: where [`Catalog::ruleset_changes`] goes on.
    pub seq: u64,
    /// The environment's ruleset revision.
    pub revision: u64,
    /// When that revision was committed; later with every revision, also of commits at one instant.
    pub moved_at: Timestamp,
    /// The environment itself.
    pub environment: Resource,
    /// The project's flags that are not archived.
    pub flags: Vec<Resource>,
    /// Their states in this environment.
    pub states: Vec<Resource>,
    /// The project's segments that are not archived.
    pub segments: Vec<Resource>,
    /// The environment's runs, newest last, at most [`RulesetBundle::RUNS_MAX`] of the newest.
    pub runs: Vec<Run>,
}

impl RulesetBundle {
    /// The most runs kept in reach for attributing late exposures.
    pub const RUNS_MAX: usize = 1_000;
}

/// How an environment's ruleset changed after a [`RulesetBundle`] was read, at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct RulesetChanges {
    /// The organization's last change at that instant.
    pub seq: u64,
    /// The environment's ruleset revision.
    pub revision: u64,
    /// When that revision was committed.
    pub moved_at: Timestamp,
    /// What was written of the project's flags and segments and of the environment's flag states, in order. One without
    /// a body after it was archived.
    pub entries: Vec<Entry>,
    /// The environment's runs, as in a bundle, if any was written.
    pub runs: Option<Vec<Run>>,
}

impl RulesetChanges {
    /// More entries than this are not told one by one: reading the whole is faster.
    pub const ENTRIES_MAX: usize = 200;
    /// More changes than this are not looked through for entries.
    pub const CHANGES_MAX: usize = 1_000;
    /// Nor are changes that are longer than this together.
    pub const BYTES_MAX: usize = 16 * 1024 * 1024;

    /// Whether the ruleset is what it was at that revision.
    pub fn changes_nothing_since(&self, revision: u64) -> bool {
        self.revision == revision && self.entries.is_empty() && self.runs.is_none()
    }
}

/// A store of everything that is not events. Lists are sorted and paged by key (or sequence): `after` is the last one
/// seen, `limit` at most [`LIST_MAX`].
#[async_trait]
pub trait Catalog: Send + Sync {
    /// The only `now` that decisions see.
    async fn now(&self) -> Result<Timestamp, StoreError>;

    /// Wakes when another process may have committed a change; `None` where only looking tells. The number grows when
    /// keys or tokens may have changed. Signals may be lost: who waits for one also looks from time to time.
    fn wakes(&self) -> Option<tokio::sync::watch::Receiver<u64>> {
        None
    }

    /// Applies a change: all of it with its log entry, events and deliveries, or nothing.
    ///
    /// `Conflict` when a compare fails, `NotFound` when the owning scope (or what is archived or revoked) is not there,
    /// `Exists` for `Expected::Absent` on a live row or a change id applied before, `Invalid` for a kind in the wrong scope.
    async fn apply(&self, change: Change) -> Result<Applied, StoreError>;

    /// Takes a number from a counter (`run`); never given out again.
    async fn reserve_number(&self, counter: &str) -> Result<u64, StoreError>;

    /// One resource, archived or not.
    async fn resource(&self, kind: ResourceKind, scope: &Scope, key: &Key) -> Result<Option<Resource>, StoreError>;

    /// The resources of a kind that exactly this scope owns, not archived, by key.
    async fn resources(
        &self,
        kind: ResourceKind,
        scope: &Scope,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Resource>, StoreError>;

    /// An environment's ruleset, from one instant.
    async fn ruleset(&self, environment: &Scope) -> Result<Option<RulesetBundle>, StoreError>;

    /// What changed in an environment's ruleset after the change `since`, from one instant. `None` where that cannot be
    /// told one by one, and [`Catalog::ruleset`] has to be read: there were too many, or project or environment
    /// themselves were written.
    async fn ruleset_changes(&self, environment: &Scope, since: u64) -> Result<Option<RulesetChanges>, StoreError>;

    /// The ruleset revision of every environment of every organization, so that nodes notice what others changed.
    async fn ruleset_revisions(&self) -> Result<Vec<(Scope, u64)>, StoreError>;

    /// The credential stored under this lookup (see [`Credential::lookup`]), revoked or not.
    async fn credential(&self, lookup: &str) -> Result<Option<Credential>, StoreError>;

    /// The credentials that this scope or one inside it owns, oldest first.
    async fn credentials(&self, scope: &Scope) -> Result<Vec<Credential>, StoreError>;

    /// One rollout.
    async fn rollout(&self, scope: &Scope, key: &Key) -> Result<Option<Rollout>, StoreError>;

    /// The rollouts of this scope or inside it, by (scope, key).
    async fn rollouts(&self, scope: &Scope) -> Result<Vec<Rollout>, StoreError>;

    /// Active rollouts of every organization whose `next_due_at` is at or before `now`, the longest due first.
    async fn due_rollouts(&self, now: Timestamp, limit: usize) -> Result<Vec<Rollout>, StoreError>;

    /// Notes that a rollout was looked at and nothing was decided; `false` when its version has moved on.
    /// Only `last_looked_at`, `next_due_at`, `baked_ms`, `baked_until` and `treated_units` are taken from `rollout`;
    /// the version stays.
    async fn looked_at(&self, rollout: &Rollout) -> Result<bool, StoreError>;

    /// A rollout's decision records after a sequence, in order.
    async fn decisions(&self, rollout: &Id, after: u64, limit: usize) -> Result<Vec<Decision>, StoreError>;

    /// A run by its number, within this scope.
    async fn run(&self, scope: &Scope, number: u64) -> Result<Option<Run>, StoreError>;

    /// The change log of this scope and inside it after a sequence, in order.
    async fn changes(&self, scope: &Scope, after: u64, limit: usize) -> Result<Vec<ChangeRecord>, StoreError>;

    /// The events of this scope and inside it that changes after a sequence carried, in order.
    async fn events(&self, scope: &Scope, after: u64, limit: usize) -> Result<Vec<Event>, StoreError>;

    /// Claims due deliveries of every organization until `now + lease_ms`; each claim raises the delivery's fence and
    /// its `attempts`. Endpoint bodies are filled in; an endpoint that is gone or disabled leaves `None`.
    async fn claim_deliveries(&self, now: Timestamp, lease_ms: i64, limit: usize) -> Result<Vec<Delivery>, StoreError>;

    /// Writes what an attempt came to; `false` when the claim was overtaken.
    async fn finish_delivery(&self, id: &str, fence: u64, outcome: DeliveryOutcome) -> Result<bool, StoreError>;

    /// The deliveries of this scope, newest first, of one status or all.
    async fn deliveries(
        &self,
        scope: &Scope,
        status: Option<DeliveryStatus>,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError>;

    /// Makes a delivery due again at once, from attempt 0; `false` when there is none of that id in the scope.
    async fn redeliver(&self, scope: &Scope, id: &str, now: Timestamp) -> Result<bool, StoreError>;
}

/// The most rows a list answers with.
pub const LIST_MAX: usize = 1_000;
