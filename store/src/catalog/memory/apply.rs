//! A change on the memory catalog's tables. It works on a copy that the caller keeps only when all of it succeeds.

use std::sync::Arc;

use liftgate_domain::{
    Applied, Change, ChangeRecord, Credential, Decision, Delivery, DeliveryStatus, Entry, Event, Expected, Id, Key,
    Mutation, Resource, ResourceKind, Rollout, Run, Scope, StoreError, Timestamp,
};
use serde_json::Value;

use super::tables::{Parcel, Tables};
use crate::catalog::admit::{admit, describe};
use crate::catalog::compare::{self, Present, Write};
use crate::catalog::entry::{self, Bodies};
use crate::catalog::outbox::{self, Recipient};
use crate::catalog::touched::Touched;

/// Applies `change` to `tables` at the instant `at`; on an error the tables are half written and of no use.
pub(super) fn apply(tables: &mut Tables, change: Change, at: Timestamp) -> Result<Applied, StoreError> {
    admit(&change)?;
    let organization = &change.scope.organization;
    let Some(last) = tables.organizations.get_mut(organization) else {
        return Err(StoreError::NotFound { what: format!("organization `{organization}`") });
    };
    *last += 1;
    let seq = *last;
    if !tables.change_ids.insert(change.id.clone()) {
        return Err(StoreError::Exists { what: format!("change `{}`", change.id) });
    }

    let events = outbox::numbered(&change, seq, at);
    let mut writing = Writing { tables, at, entries: Vec::new(), touched: Touched::default() };
    for mutation in change.mutations {
        writing.write(organization, mutation)?;
    }
    let rulesets = writing.bump_rulesets();
    let entries = writing.entries;
    for (index, event) in events.into_iter().enumerate() {
        post(tables, index, event);
    }
    let record = ChangeRecord {
        seq,
        id: change.id,
        scope: change.scope.clone(),
        actor: change.actor,
        reason: change.reason,
        kind: change.kind,
        at,
        entries: entries.clone(),
    };
    tables.changes.insert((change.scope.organization, seq), Arc::new(record));
    Ok(Applied { seq, at, entries, rulesets })
}

/// Puts an event into the outbox, with a delivery for every endpoint that wants it.
fn post(tables: &mut Tables, index: usize, event: Event) {
    let project = event.scope.to_project();
    let recipients: Vec<Recipient> = tables
        .owned(ResourceKind::Endpoint, &project)
        .filter_map(Recipient::read)
        .filter(|recipient| recipient.endpoint.wants(&event))
        .collect();
    for recipient in recipients {
        let id = recipient.delivery_id(&event);
        let delivery = Delivery {
            id: id.clone(),
            event: event.clone(),
            scope: recipient.scope,
            endpoint_key: recipient.key,
            endpoint: None,
            status: DeliveryStatus::Pending,
            attempts: 0,
            created_at: event.at,
            due_at: event.at,
            fence: 0,
            last_status: None,
            last_response: None,
        };
        let parcel = Parcel { delivery, index, endpoint_number: recipient.number, leased_until: None };
        tables.deliveries.insert(id, Arc::new(parcel));
    }
    let place = (event.scope.organization.clone(), event.change_seq, index);
    tables.outbox.insert(place, Arc::new(event));
}

struct Writing<'a> {
    tables: &'a mut Tables,
    at: Timestamp,
    entries: Vec<Entry>,
    touched: Touched,
}

/// Names a resource within a mutation.
struct Address {
    kind: ResourceKind,
    scope: Scope,
    key: Key,
}

impl Writing<'_> {
    fn write(&mut self, organization: &Key, mutation: Mutation) -> Result<(), StoreError> {
        match mutation {
            Mutation::PutResource { kind, scope, key, body, expected } => {
                self.put(Address { kind, scope, key }, body, expected)
            }
            Mutation::ArchiveResource { kind, scope, key, expected } => {
                self.archive(Address { kind, scope, key }, expected)
            }
            Mutation::AddCredential(credential) => self.add_credential(credential),
            Mutation::RevokeCredential { scope, id } => self.revoke_credential(&scope, &id),
            Mutation::PutRollout { rollout, expected_version } => self.put_rollout(*rollout, expected_version),
            Mutation::AppendDecision(decision) => self.append_decision(organization, decision),
            Mutation::PutRun(run) => self.put_run(*run),
        }
    }

    /// The scope's project and environment must be there and not archived.
    fn scope_is_live(&self, scope: &Scope) -> Result<(), StoreError> {
        let organization = Scope { project: None, environment: None, ..scope.clone() };
        let owners = [
            (ResourceKind::Project, organization, &scope.project),
            (ResourceKind::Environment, scope.to_project(), &scope.environment),
        ];
        for (kind, owner, key) in owners {
            if let Some(key) = key
                && self.tables.live(kind, &owner, key).is_none()
            {
                return Err(StoreError::NotFound { what: describe(kind, key) });
            }
        }
        Ok(())
    }

    fn put(
        &mut self,
        Address { kind, scope, key }: Address,
        body: Value,
        expected: Expected,
    ) -> Result<(), StoreError> {
        self.scope_is_live(&scope)?;
        let old = self.tables.resources.get(&(kind, scope.clone(), key.clone())).cloned();
        let present = old.as_ref().map(|row| Present { revision: row.revision, archived: row.archived });
        let write = compare::put(&describe(kind, &key), expected, present)?;
        let (number, revision, created_at) = match &old {
            Some(row) => (row.number, row.revision + 1, row.created_at),
            None => (self.tables.take_number(kind.as_str()), 1, self.at),
        };
        let before = old.as_ref().filter(|_| write == Write::Edited).map(|row| &row.body);
        self.entries.push(entry::resource(kind, &scope, &key, revision, Bodies { before, after: Some(&body) }));
        self.touched.note(kind, &scope, &key, write);
        if kind == ResourceKind::Environment {
            self.tables.ruleset_revisions.entry(scope.with_environment(key.clone())).or_insert((0, Timestamp(0)));
        }
        let row = Resource {
            kind,
            scope: scope.clone(),
            key: key.clone(),
            number,
            revision,
            body,
            archived: false,
            created_at,
            updated_at: self.at,
        };
        self.tables.resources.insert((kind, scope, key), Arc::new(row));
        Ok(())
    }

    fn archive(&mut self, Address { kind, scope, key }: Address, expected: Expected) -> Result<(), StoreError> {
        self.scope_is_live(&scope)?;
        let at = self.at;
        let old = self.tables.resources.get_mut(&(kind, scope.clone(), key.clone()));
        let present = old.as_ref().map(|row| Present { revision: row.revision, archived: row.archived });
        let what = describe(kind, &key);
        let write = compare::archive(&what, expected, present)?;
        let row = old.ok_or(StoreError::NotFound { what })?;
        let row = Arc::make_mut(row);
        row.archived = true;
        row.revision += 1;
        row.updated_at = at;
        let bodies = Bodies { before: Some(&row.body), after: None };
        self.entries.push(entry::resource(kind, &scope, &key, row.revision, bodies));
        self.touched.note(kind, &scope, &key, write);
        Ok(())
    }

    fn add_credential(&mut self, credential: Credential) -> Result<(), StoreError> {
        self.scope_is_live(&credential.scope)?;
        let taken = |row: &Arc<Credential>| row.id == credential.id || row.lookup == credential.lookup;
        if self.tables.credentials.values().any(taken) {
            return Err(StoreError::Exists { what: format!("credential `{}`", credential.name) });
        }
        self.entries.push(entry::credential(None, &credential)?);
        self.tables.credentials.insert(credential.id.clone(), Arc::new(credential));
        Ok(())
    }

    fn revoke_credential(&mut self, scope: &Scope, id: &Id) -> Result<(), StoreError> {
        let row = self.tables.credentials.get_mut(id);
        let Some(row) = row.filter(|row| row.scope == *scope && row.revoked_at.is_none()) else {
            return Err(StoreError::NotFound { what: format!("credential `{id}`") });
        };
        let before = Arc::clone(row);
        Arc::make_mut(row).revoked_at = Some(self.at);
        self.entries.push(entry::credential(Some(&before), row)?);
        Ok(())
    }

    fn put_rollout(&mut self, rollout: Rollout, expected_version: Option<u64>) -> Result<(), StoreError> {
        self.scope_is_live(&rollout.scope)?;
        let what = format!("rollout `{}`", rollout.key);
        let place = (rollout.scope.clone(), rollout.key.clone());
        let old = self.tables.rollouts.get(&place);
        match expected_version {
            None if old.is_some() || self.tables.rollout_by_id(&rollout.id).is_some() => {
                return Err(StoreError::Exists { what });
            }
            Some(version) if old.is_none_or(|row| row.version != version || row.id != rollout.id) => {
                return Err(StoreError::Conflict { what });
            }
            _ => {}
        }
        self.entries.push(entry::rollout(old.map(Arc::as_ref), &rollout)?);
        self.tables.rollouts.insert(place, Arc::new(rollout));
        Ok(())
    }

    fn append_decision(&mut self, organization: &Key, decision: Decision) -> Result<(), StoreError> {
        let rollout = self.tables.rollout_by_id(&decision.rollout);
        let Some(rollout) = rollout.filter(|rollout| rollout.scope.organization == *organization) else {
            return Err(StoreError::NotFound { what: format!("rollout `{}`", decision.rollout) });
        };
        let chain = (decision.rollout.clone(), 0)..=(decision.rollout.clone(), u64::MAX);
        let last = self.tables.decisions.range(chain).next_back().map_or(0, |(_, last)| last.seq);
        compare::append(decision.rollout.as_str(), decision.seq, last)?;
        self.entries.push(entry::decision(&rollout.scope, &decision));
        self.tables.decisions.insert((decision.rollout.clone(), decision.seq), Arc::new(decision));
        Ok(())
    }

    fn put_run(&mut self, run: Run) -> Result<(), StoreError> {
        self.scope_is_live(&run.scope)?;
        let old = self.tables.runs.get(&run.number());
        if old.is_some_and(|old| old.scope != run.scope) {
            return Err(StoreError::Exists { what: format!("run `{}`", run.number()) });
        }
        self.entries.push(entry::run(old.map(Arc::as_ref), &run)?);
        self.tables.runs.insert(run.number(), Arc::new(run));
        Ok(())
    }

    fn bump_rulesets(&mut self) -> Vec<(Scope, u64)> {
        let at = self.at;
        let moved = self.tables.ruleset_revisions.iter_mut().filter(|(scope, _)| self.touched.covers(scope));
        moved
            .map(|(scope, (revision, moved_at))| {
                *revision += 1;
                *moved_at = if *moved_at < at { at } else { Timestamp(moved_at.0 + 1) };
                (scope.clone(), *revision)
            })
            .collect()
    }
}
