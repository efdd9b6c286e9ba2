//! The catalog as plain maps behind a mutex: the definition in code that the engines are compared with. It keeps
//! nothing when the process ends, and a change costs time in the number of rows.

mod apply;
mod tables;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use liftgate_domain::catalog::LIST_MAX;
use liftgate_domain::{
    Applied, Catalog, Change, ChangeRecord, Clock, Credential, Decision, Delivery, DeliveryOutcome, DeliveryStatus,
    Event, Id, Key, Resource, ResourceKind, Rollout, RulesetBundle, RulesetChanges, Run, Scope, StoreError, Timestamp,
};

use self::tables::{Parcel, Tables};
use super::outbox::{Recipient, cut_between_changes};
use super::ruleset_changes::Concerned;

/// A catalog in memory.
pub struct MemoryCatalog {
    clock: Arc<dyn Clock>,
    tables: Mutex<Tables>,
}

impl MemoryCatalog {
    /// An empty catalog with the organization `default`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, tables: Mutex::new(Tables::new()) }
    }

    /// The tables. A panic elsewhere cannot leave them half written: changes are swapped in whole.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Copies of at most `limit` rows, never more than a list may have.
fn page<'a, T: Clone + 'a>(rows: impl Iterator<Item = &'a T>, limit: usize) -> Vec<T> {
    rows.take(limit.min(LIST_MAX)).cloned().collect()
}

#[async_trait]
impl Catalog for MemoryCatalog {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok(self.clock.now())
    }

    async fn apply(&self, change: Change) -> Result<Applied, StoreError> {
        let mut tables = self.tables();
        let mut next = tables.clone();
        let applied = apply::apply(&mut next, change, self.clock.now())?;
        *tables = next;
        Ok(applied)
    }

    async fn reserve_number(&self, counter: &str) -> Result<u64, StoreError> {
        Ok(self.tables().take_number(counter))
    }

    async fn resource(&self, kind: ResourceKind, scope: &Scope, key: &Key) -> Result<Option<Resource>, StoreError> {
        let tables = self.tables();
        Ok(tables.resources.get(&(kind, scope.clone(), key.clone())).map(|row| Resource::clone(row)))
    }

    async fn resources(
        &self,
        kind: ResourceKind,
        scope: &Scope,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Resource>, StoreError> {
        let tables = self.tables();
        let rows = tables.owned(kind, scope).filter(|row| after.is_none_or(|after| row.key > *after));
        Ok(page(rows, limit))
    }

    async fn ruleset(&self, environment: &Scope) -> Result<Option<RulesetBundle>, StoreError> {
        let tables = self.tables();
        let project = environment.to_project();
        let organization = Scope { project: None, ..project.clone() };
        let (Some(project_key), Some(environment_key)) = (&environment.project, &environment.environment) else {
            return Ok(None);
        };
        let row = tables.live(ResourceKind::Environment, &project, environment_key);
        let (Some(row), Some(_)) = (row, tables.live(ResourceKind::Project, &organization, project_key)) else {
            return Ok(None);
        };
        let flags: Vec<Resource> = tables.owned(ResourceKind::Flag, &project).cloned().collect();
        let states = tables
            .owned(ResourceKind::FlagState, environment)
            .filter(|state| tables.live(ResourceKind::Flag, &project, &state.key).is_some());
        let (revision, moved_at) = tables.ruleset_revisions.get(environment).copied().unwrap_or((0, row.created_at));
        Ok(Some(RulesetBundle {
            seq: tables.organizations.get(&environment.organization).copied().unwrap_or(0),
            revision,
            moved_at: moved_at.max(row.created_at),
            environment: row.clone(),
            flags,
            states: states.cloned().collect(),
            segments: tables.owned(ResourceKind::Segment, &project).cloned().collect(),
            runs: tables.newest_runs(environment),
        }))
    }

    async fn ruleset_changes(&self, environment: &Scope, since: u64) -> Result<Option<RulesetChanges>, StoreError> {
        let tables = self.tables();
        let seq = tables.organizations.get(&environment.organization).copied().unwrap_or(0);
        let Some((revision, moved_at)) = tables.ruleset_revisions.get(environment).copied() else { return Ok(None) };
        let inside = |row: &&ChangeRecord| {
            let project = &row.scope.project;
            let is_around = project.is_none() || *project == environment.project;
            row.seq > since && row.scope.organization == environment.organization && is_around
        };
        let records = tables.changes.values().map(AsRef::as_ref).filter(inside);
        let records: Vec<ChangeRecord> = records.take(RulesetChanges::CHANGES_MAX + 1).cloned().collect();
        if records.len() > RulesetChanges::CHANGES_MAX {
            return Ok(None);
        }
        let Some(Concerned { entries, runs }) = Concerned::pick(environment, records) else { return Ok(None) };
        let runs = runs.then(|| tables.newest_runs(environment));
        Ok(Some(RulesetChanges { seq, revision, moved_at, entries, runs }))
    }

    async fn ruleset_revisions(&self) -> Result<Vec<(Scope, u64)>, StoreError> {
        Ok(self.tables().ruleset_revisions.iter().map(|(scope, (revision, _))| (scope.clone(), *revision)).collect())
    }

    async fn credential(&self, lookup: &str) -> Result<Option<Credential>, StoreError> {
        let tables = self.tables();
        Ok(tables.credentials.values().find(|row| row.lookup == lookup).map(|row| Credential::clone(row)))
    }

    async fn credentials(&self, scope: &Scope) -> Result<Vec<Credential>, StoreError> {
        let tables = self.tables();
        let rows = tables.credentials.values().filter(|row| scope.contains(&row.scope));
        let mut rows: Vec<Credential> = rows.map(|row| Credential::clone(row)).collect();
        rows.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(rows)
    }

    async fn rollout(&self, scope: &Scope, key: &Key) -> Result<Option<Rollout>, StoreError> {
        Ok(self.tables().rollouts.get(&(scope.clone(), key.clone())).map(|row| Rollout::clone(row)))
    }

    async fn rollouts(&self, scope: &Scope) -> Result<Vec<Rollout>, StoreError> {
        let tables = self.tables();
        let rows = tables.rollouts.values().filter(|row| scope.contains(&row.scope));
        Ok(rows.map(|row| Rollout::clone(row)).collect())
    }

    async fn due_rollouts(&self, now: Timestamp, limit: usize) -> Result<Vec<Rollout>, StoreError> {
        let tables = self.tables();
        let due = |row: &&Rollout| row.status.is_active() && row.next_due_at.is_some_and(|due| due <= now);
        let mut rows: Vec<&Rollout> = tables.rollouts.values().map(AsRef::as_ref).filter(due).collect();
        // A stable sort: rollouts due at one instant stay in the order of (scope, key).
        rows.sort_by_key(|row| row.next_due_at);
        Ok(page(rows.into_iter(), limit))
    }

    async fn looked_at(&self, rollout: &Rollout) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let row = tables.rollouts.get_mut(&(rollout.scope.clone(), rollout.key.clone()));
        let Some(row) = row.filter(|row| row.id == rollout.id && row.version == rollout.version) else {
            return Ok(false);
        };
        let row = Arc::make_mut(row);
        row.last_looked_at = rollout.last_looked_at;
        row.next_due_at = rollout.next_due_at;
        row.baked_ms = rollout.baked_ms;
        row.baked_until = rollout.baked_until;
        row.treated_units = rollout.treated_units;
        Ok(true)
    }

    async fn decisions(&self, rollout: &Id, after: u64, limit: usize) -> Result<Vec<Decision>, StoreError> {
        let tables = self.tables();
        let chain = (rollout.clone(), 0)..=(rollout.clone(), u64::MAX);
        let rows = tables.decisions.range(chain).map(|(_, row)| row.as_ref()).filter(|row| row.seq > after);
        Ok(page(rows, limit))
    }

    async fn run(&self, scope: &Scope, number: u64) -> Result<Option<Run>, StoreError> {
        let tables = self.tables();
        Ok(tables.runs.get(&number).filter(|row| scope.contains(&row.scope)).map(|row| Run::clone(row)))
    }

    async fn changes(&self, scope: &Scope, after: u64, limit: usize) -> Result<Vec<ChangeRecord>, StoreError> {
        let tables = self.tables();
        let rows = tables.changes.values().map(AsRef::as_ref);
        Ok(page(rows.filter(|row: &&ChangeRecord| row.seq > after && scope.contains(&row.scope)), limit))
    }

    async fn events(&self, scope: &Scope, after: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        let tables = self.tables();
        let limit = limit.min(LIST_MAX);
        let inside = |row: &&Event| row.change_seq > after && scope.contains(&row.scope);
        let rows = || tables.outbox.values().map(AsRef::as_ref).filter(inside);
        let mut events: Vec<Event> = rows().take(limit + 1).cloned().collect();
        Ok(match cut_between_changes(&mut events, limit) {
            Some(whole) if limit > 0 => rows().filter(|row| row.change_seq == whole).cloned().collect(),
            _ => events,
        })
    }

    async fn claim_deliveries(&self, now: Timestamp, lease_ms: i64, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let mut tables = self.tables();
        let due = |row: &&Parcel| {
            row.delivery.status == DeliveryStatus::Pending
                && row.delivery.due_at <= now
                && row.leased_until.is_none_or(|until| until <= now)
        };
        let mut rows: Vec<&Parcel> = tables.deliveries.values().map(AsRef::as_ref).filter(due).collect();
        rows.sort_by_key(|row| (row.delivery.due_at, row.place()));
        let ids: Vec<String> = rows.into_iter().take(limit.min(LIST_MAX)).map(|row| row.delivery.id.clone()).collect();
        let mut claimed = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(row) = tables.deliveries.get_mut(&id) else { continue };
            let row = Arc::make_mut(row);
            row.delivery.fence += 1;
            row.delivery.attempts += 1;
            row.leased_until = Some(now.plus_millis(lease_ms));
            let mut delivery = row.delivery.clone();
            let endpoint = tables.live(ResourceKind::Endpoint, &delivery.scope, &delivery.endpoint_key);
            let recipient = endpoint.and_then(Recipient::read);
            delivery.endpoint = recipient.map(|found| found.endpoint).filter(|endpoint| !endpoint.disabled);
            claimed.push(delivery);
        }
        Ok(claimed)
    }

    async fn finish_delivery(&self, id: &str, fence: u64, outcome: DeliveryOutcome) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let row = tables.deliveries.get_mut(id);
        let Some(row) = row.filter(|row| row.delivery.fence == fence && row.leased_until.is_some()) else {
            return Ok(false);
        };
        let row = Arc::make_mut(row);
        row.leased_until = None;
        row.delivery.status = outcome.status;
        row.delivery.due_at = outcome.due_at;
        row.delivery.last_status = outcome.response_status;
        row.delivery.last_response = outcome.response;
        Ok(true)
    }

    async fn deliveries(
        &self,
        scope: &Scope,
        status: Option<DeliveryStatus>,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        let tables = self.tables();
        let rows = tables.deliveries.values().map(AsRef::as_ref).filter(|row: &&Parcel| {
            scope.contains(&row.delivery.scope) && status.is_none_or(|status| row.delivery.status == status)
        });
        let mut rows: Vec<&Parcel> = rows.collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.place()));
        Ok(page(rows.into_iter().map(|row| &row.delivery), limit))
    }

    async fn redeliver(&self, scope: &Scope, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let Some(row) = tables.deliveries.get_mut(id).filter(|row| scope.contains(&row.delivery.scope)) else {
            return Ok(false);
        };
        let row = Arc::make_mut(row);
        row.leased_until = None;
        row.delivery.status = DeliveryStatus::Pending;
        row.delivery.attempts = 0;
        row.delivery.due_at = now;
        // Whoever holds a claim from before must not write over this.
        row.delivery.fence += 1;
        Ok(true)
    }
}
