//! A change as one transaction: sequence, writes, ruleset revisions, events with their deliveries, log entry.

use std::collections::BTreeMap;

use liftgate_domain::{
    Applied, Change, ChangeRecord, Clock, Credential, Decision, Entry, Expected, Id, Key, Mutation, Resource,
    ResourceKind, Rollout, Run, Scope, StoreError, Timestamp,
};
use serde_json::Value;

use super::failure::Failure;
use super::row::binds;
use super::session::Session;
use super::{changes, credentials, deliveries, resources, rollouts};
use crate::catalog::admit::describe;
use crate::catalog::compare::{self, Present, Write};
use crate::catalog::entry::{self, Bodies};
use crate::catalog::outbox::{self, Recipient};
use crate::catalog::touched::Touched;

/// Writes an admitted change; the caller commits. Everything else in the organization waits from the first statement.
pub(super) async fn apply(session: &mut Session, change: &Change, clock: &dyn Clock) -> Result<Applied, Failure> {
    let organization = &change.scope.organization;
    let seq = changes::take_seq(session, organization).await?;
    let seq = seq.ok_or_else(|| StoreError::NotFound { what: format!("organization `{organization}`") })?;
    let at = session.now(clock).await?;
    if changes::is_applied(session, &change.id).await? {
        return Err(StoreError::Exists { what: format!("change `{}`", change.id) }.into());
    }

    let mut writing = Writing { session, at, entries: Vec::new(), touched: Touched::default() };
    for mutation in &change.mutations {
        writing.write(organization, mutation).await?;
    }
    let rulesets = writing.bump_rulesets().await?;
    let entries = writing.entries;
    post(session, change, seq, at).await?;
    let record = ChangeRecord {
        seq,
        id: change.id.clone(),
        scope: change.scope.clone(),
        actor: change.actor.clone(),
        reason: change.reason.clone(),
        kind: change.kind,
        at,
        entries,
    };
    changes::insert(session, &record).await?;
    Ok(Applied { seq, at, entries: record.entries, rulesets })
}

/// Puts the change's events into the outbox, with a delivery for every endpoint that wants one.
async fn post(session: &mut Session, change: &Change, seq: u64, at: Timestamp) -> Result<(), Failure> {
    let mut endpoints: BTreeMap<Scope, Vec<Recipient>> = BTreeMap::new();
    for (index, event) in outbox::numbered(change, seq, at).into_iter().enumerate() {
        changes::insert_event(session, &change.id, index, &event).await?;
        let project = event.scope.to_project();
        if !endpoints.contains_key(&project) {
            let rows = resources::list(session, ResourceKind::Endpoint, &project, None, usize::MAX).await?;
            endpoints.insert(project.clone(), rows.iter().filter_map(Recipient::read).collect());
        }
        let recipients = endpoints.get(&project).into_iter().flatten();
        for recipient in recipients.filter(|recipient| recipient.endpoint.wants(&event)) {
            deliveries::insert(session, index, &event, recipient).await?;
        }
    }
    Ok(())
}

struct Writing<'a> {
    session: &'a mut Session,
    at: Timestamp,
    entries: Vec<Entry>,
    touched: Touched,
}

/// Names a resource within a mutation.
#[derive(Copy, Clone)]
struct Address<'a> {
    kind: ResourceKind,
    scope: &'a Scope,
    key: &'a Key,
}

impl Writing<'_> {
    async fn write(&mut self, organization: &Key, mutation: &Mutation) -> Result<(), Failure> {
        match mutation {
            Mutation::PutResource { kind, scope, key, body, expected } => {
                self.put(Address { kind: *kind, scope, key }, body, *expected).await
            }
            Mutation::ArchiveResource { kind, scope, key, expected } => {
                self.archive(Address { kind: *kind, scope, key }, *expected).await
            }
            Mutation::AddCredential(credential) => self.add_credential(credential).await,
            Mutation::RevokeCredential { scope, id } => self.revoke_credential(scope, id).await,
            Mutation::PutRollout { rollout, expected_version } => self.put_rollout(rollout, *expected_version).await,
            Mutation::AppendDecision(decision) => self.append_decision(organization, decision).await,
            Mutation::PutRun(run) => self.put_run(run).await,
        }
    }

    /// The scope's project and environment must be there and not archived.
    async fn scope_is_live(&mut self, scope: &Scope) -> Result<(), Failure> {
        let organization = Scope { project: None, environment: None, ..scope.clone() };
        let owners = [
            (ResourceKind::Project, organization, &scope.project),
            (ResourceKind::Environment, scope.to_project(), &scope.environment),
        ];
        for (kind, owner, key) in owners {
            if let Some(key) = key
                && resources::find_live(self.session, kind, &owner, key).await?.is_none()
            {
                return Err(StoreError::NotFound { what: describe(kind, key) }.into());
            }
        }
        Ok(())
    }

    async fn put(&mut self, address: Address<'_>, body: &Value, expected: Expected) -> Result<(), Failure> {
        let Address { kind, scope, key } = address;
        self.scope_is_live(scope).await?;
        let old = resources::find(self.session, kind, scope, key).await?;
        let present = old.as_ref().map(|row| Present { revision: row.revision, archived: row.archived });
        let write = compare::put(&describe(kind, key), expected, present)?;
        let before = old.as_ref().map(|row| row.body.clone()).filter(|_| write == Write::Edited);
        let row = match old {
            Some(row) => {
                Resource { revision: row.revision + 1, body: body.clone(), archived: false, updated_at: self.at, ..row }
            }
            None => Resource {
                kind,
                scope: scope.clone(),
                key: key.clone(),
                number: resources::take_number(self.session, kind.as_str()).await?,
                revision: 1,
                body: body.clone(),
                archived: false,
                created_at: self.at,
                updated_at: self.at,
            },
        };
        match write {
            Write::Created => resources::insert(self.session, &row).await?,
            _ => resources::update(self.session, &row).await?,
        }
        if kind == ResourceKind::Environment {
            self.begin_ruleset(&scope.with_environment(key.clone())).await?;
        }
        let bodies = Bodies { before: before.as_ref(), after: Some(body) };
        self.entries.push(entry::resource(kind, scope, key, row.revision, bodies));
        self.touched.note(kind, scope, key, write);
        Ok(())
    }

    async fn archive(&mut self, address: Address<'_>, expected: Expected) -> Result<(), Failure> {
        let Address { kind, scope, key } = address;
        self.scope_is_live(scope).await?;
        let old = resources::find(self.session, kind, scope, key).await?;
        let present = old.as_ref().map(|row| Present { revision: row.revision, archived: row.archived });
        let what = describe(kind, key);
        let write = compare::archive(&what, expected, present)?;
        let old = old.ok_or(StoreError::NotFound { what })?;
        let row = Resource { revision: old.revision + 1, archived: true, updated_at: self.at, ..old };
        resources::update(self.session, &row).await?;
        let bodies = Bodies { before: Some(&row.body), after: None };
        self.entries.push(entry::resource(kind, scope, key, row.revision, bodies));
        self.touched.note(kind, scope, key, write);
        Ok(())
    }

    async fn add_credential(&mut self, credential: &Credential) -> Result<(), Failure> {
        self.scope_is_live(&credential.scope).await?;
        if credentials::is_taken(self.session, credential).await? {
            return Err(StoreError::Exists { what: format!("credential `{}`", credential.name) }.into());
        }
        credentials::insert(self.session, credential).await?;
        self.entries.push(entry::credential(None, credential)?);
        Ok(())
    }

    async fn revoke_credential(&mut self, scope: &Scope, id: &Id) -> Result<(), Failure> {
        let row = credentials::find(self.session, scope, id).await?;
        let Some(before) = row.filter(|row| row.revoked_at.is_none()) else {
            return Err(StoreError::NotFound { what: format!("credential `{id}`") }.into());
        };
        let after = Credential { revoked_at: Some(self.at), ..before.clone() };
        credentials::update(self.session, &after).await?;
        self.entries.push(entry::credential(Some(&before), &after)?);
        Ok(())
    }

    async fn put_rollout(&mut self, rollout: &Rollout, expected_version: Option<u64>) -> Result<(), Failure> {
        self.scope_is_live(&rollout.scope).await?;
        let what = format!("rollout `{}`", rollout.key);
        let old = rollouts::find(self.session, &rollout.scope, &rollout.key).await?;
        match expected_version {
            None if old.is_some() || rollouts::is_taken(self.session, &rollout.id).await? => {
                return Err(StoreError::Exists { what }.into());
            }
            None => rollouts::insert(self.session, rollout).await?,
            Some(version) => {
                let same = old.as_ref().is_some_and(|row| row.id == rollout.id);
                if !same || !rollouts::replace(self.session, rollout, version).await? {
                    return Err(StoreError::Conflict { what }.into());
                }
            }
        }
        self.entries.push(entry::rollout(old.as_ref(), rollout)?);
        Ok(())
    }

    async fn append_decision(&mut self, organization: &Key, decision: &Decision) -> Result<(), Failure> {
        let rollout = rollouts::find_by_id(self.session, organization, &decision.rollout).await?;
        let what = || StoreError::NotFound { what: format!("rollout `{}`", decision.rollout) };
        let rollout = rollout.ok_or_else(what)?;
        let last = rollouts::last_decision(self.session, &decision.rollout).await?;
        compare::append(decision.rollout.as_str(), decision.seq, last)?;
        rollouts::insert_decision(self.session, &rollout.scope, decision).await?;
        self.entries.push(entry::decision(&rollout.scope, decision));
        Ok(())
    }

    async fn put_run(&mut self, run: &Run) -> Result<(), Failure> {
        self.scope_is_live(&run.scope).await?;
        let old = rollouts::find_run(self.session, run.number()).await?;
        if old.as_ref().is_some_and(|old| old.scope != run.scope) {
            return Err(StoreError::Exists { what: format!("run `{}`", run.number()) }.into());
        }
        rollouts::put_run(self.session, run).await?;
        self.entries.push(entry::run(old.as_ref(), run)?);
        Ok(())
    }

    /// Gives an environment its revision, if it has none; the bump at the end of its change makes it 1.
    async fn begin_ruleset(&mut self, environment: &Scope) -> Result<(), Failure> {
        let sql = "INSERT INTO ruleset_revisions (organization, project, environment, revision) \
                   VALUES ($1, $2, $3, 0) ON CONFLICT (organization, project, environment) DO NOTHING";
        let binds = binds![&environment.organization, environment.project_column(), environment.environment_column()];
        self.session.rows(sql, binds).await?;
        Ok(())
    }

    async fn bump_rulesets(&mut self) -> Result<Vec<(Scope, u64)>, Failure> {
        let sql = "UPDATE ruleset_revisions SET revision = revision + 1, \
                   moved_at = CASE WHEN moved_at < $4 THEN $4 ELSE moved_at + 1 END \
                   WHERE organization = $1 AND project = $2 AND ($3 = '' OR environment = $3) \
                   RETURNING organization, project, environment, revision";
        let mut moved = Vec::new();
        let Touched { projects, environments } = &self.touched;
        let single = environments.iter().filter(|scope| !projects.contains(&scope.to_project()));
        for scope in projects.iter().chain(single) {
            let at = self.at.as_micros();
            let binds = binds![&scope.organization, scope.project_column(), scope.environment_column(), at];
            for mut row in self.session.rows(sql, binds).await? {
                moved.push((row.scope()?, row.number()?));
            }
        }
        moved.sort();
        Ok(moved)
    }
}
