//! The rows of the memory catalog. Rows are shared, so that a change can be tried on a cheap copy of the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use liftgate_domain::{
    ChangeRecord, Credential, Decision, Delivery, Event, Id, Key, Resource, ResourceKind, Rollout, RulesetBundle, Run,
    Scope, Timestamp,
};

/// Everything that the catalog knows, sorted as its lists are.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    /// Organizations with the sequence of their last change.
    pub organizations: BTreeMap<Key, u64>,
    /// The last number given out, by counter.
    pub counters: BTreeMap<String, u64>,
    pub resources: BTreeMap<(ResourceKind, Scope, Key), Arc<Resource>>,
    /// By environment, with when it was committed.
    pub ruleset_revisions: BTreeMap<Scope, (u64, Timestamp)>,
    pub credentials: BTreeMap<Id, Arc<Credential>>,
    pub rollouts: BTreeMap<(Scope, Key), Arc<Rollout>>,
    pub decisions: BTreeMap<(Id, u64), Arc<Decision>>,
    pub runs: BTreeMap<u64, Arc<Run>>,
    pub changes: BTreeMap<(Key, u64), Arc<ChangeRecord>>,
    pub change_ids: BTreeSet<Id>,
    /// By organization, sequence of the change, index within it.
    pub outbox: BTreeMap<(Key, u64, usize), Arc<Event>>,
    pub deliveries: BTreeMap<String, Arc<Parcel>>,
}

/// A delivery with what only the catalog knows of it.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    /// Its `endpoint` is always `None` here; claims fill it in.
    pub delivery: Delivery,
    /// The event's index within its change.
    pub index: usize,
    /// The endpoint's number.
    pub endpoint_number: u64,
    /// Until when a claim holds it.
    pub leased_until: Option<Timestamp>,
}

impl Parcel {
    /// The order of commits, then of events, then of endpoints.
    pub fn place(&self) -> (&Key, u64, usize, u64) {
        (&self.delivery.scope.organization, self.delivery.event.change_seq, self.index, self.endpoint_number)
    }
}

impl Tables {
    /// The newest runs of an environment, newest last.
    pub fn newest_runs(&self, environment: &Scope) -> Vec<Run> {
        let runs = self.runs.values().rev().filter(|run| run.scope == *environment);
        let mut runs: Vec<Run> = runs.take(RulesetBundle::RUNS_MAX).map(|run| Run::clone(run)).collect();
        runs.reverse();
        runs
    }

    /// What an installation starts with: the default organization.
    pub fn new() -> Self {
        Self {
            organizations: BTreeMap::from([(Scope::organization().organization, 0)]),
            counters: BTreeMap::new(),
            resources: BTreeMap::new(),
            ruleset_revisions: BTreeMap::new(),
            credentials: BTreeMap::new(),
            rollouts: BTreeMap::new(),
            decisions: BTreeMap::new(),
            runs: BTreeMap::new(),
            changes: BTreeMap::new(),
            change_ids: BTreeSet::new(),
            outbox: BTreeMap::new(),
            deliveries: BTreeMap::new(),
        }
    }

    /// Takes the next number of a counter.
    pub fn take_number(&mut self, counter: &str) -> u64 {
        let last = self.counters.entry(counter.to_owned()).or_default();
        *last += 1;
        *last
    }

    /// A resource that is not archived.
    pub fn live(&self, kind: ResourceKind, scope: &Scope, key: &Key) -> Option<&Resource> {
        let row = self.resources.get(&(kind, scope.clone(), key.clone()))?;
        (!row.archived).then_some(row.as_ref())
    }

    /// The resources of a kind that exactly this scope owns, not archived, by key.
    pub fn owned<'a>(&'a self, kind: ResourceKind, scope: &'a Scope) -> impl Iterator<Item = &'a Resource> {
        self.resources
            .values()
            .map(Arc::as_ref)
            .filter(move |row| row.kind == kind && row.scope == *scope && !row.archived)
    }

    /// A rollout by its row.
    pub fn rollout_by_id(&self, id: &Id) -> Option<&Arc<Rollout>> {
        self.rollouts.values().find(|rollout| rollout.id == *id)
    }
}
