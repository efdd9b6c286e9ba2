//! From declared things to one change: looks up what is there, checks what is new, and plans the writes and events.

use std::collections::HashMap;

use liftgate_domain::{
    Actor, Applied, Catalog, Change, ChangeKind, Credential, CredentialKind, EventDraft, Expected, Id, Key, Mutation,
    Resource, ResourceKind, Role, Scope, StoreError,
};
use liftgate_scheduler::command;
use serde::Serialize;
use serde_json::{Value, json};

use super::{in_use, spec};
use crate::{
    app::App,
    problem::{ApiError, FieldError},
};

/// A resource to create or replace.
#[derive(Clone, Debug)]
pub struct Put {
    /// What it is.
    pub kind: ResourceKind,
    /// Who owns it.
    pub scope: Scope,
    /// Its name.
    pub key: Key,
    /// Its body as declared.
    pub spec: Value,
    /// What the caller expects to be there.
    pub expected: Expected,
    /// Its place among several declarations of one request.
    pub place: Option<usize>,
}

impl Put {
    /// The role that writing this kind needs.
    pub fn role(&self) -> Role {
        role_to_write(self.kind)
    }
}

/// The role that writing a kind needs.
pub fn role_to_write(kind: ResourceKind) -> Role {
    match kind {
        ResourceKind::Project | ResourceKind::Environment | ResourceKind::Endpoint => Role::Admin,
        _ => Role::Editor,
    }
}

/// What became of one put.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// What it is.
    pub kind: String,
    /// Where it is.
    #[serde(flatten)]
    pub scope: Scope,
    /// Its name.
    pub key: Key,
    /// `created`, `updated`, `unchanged`, `started` or `failed` (a start; see `error`).
    pub action: &'static str,
    /// A secret that is shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Why a start failed, when it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The first client key of a new environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<String>,
}

impl Outcome {
    /// Where those who follow a project or an environment look for it: a project's own row is found inside it.
    fn inside(&self) -> Scope {
        match self.kind.as_str() {
            "project" => Scope { project: Some(self.key.clone()), ..self.scope.clone() },
            "environment" => self.scope.with_environment(self.key.clone()),
            _ => self.scope.clone(),
        }
    }
}

/// The catalog with the things of this request laid over it, so that a batch may refer to itself.
pub struct Lookup<'a> {
    catalog: &'a dyn Catalog,
    pending: HashMap<(ResourceKind, Scope, Key), Value>,
}

impl<'a> Lookup<'a> {
    /// Nothing laid over yet.
    pub fn new(catalog: &'a dyn Catalog) -> Self {
        Self { catalog, pending: HashMap::new() }
    }

    /// The catalog itself.
    pub fn catalog(&self) -> &'a dyn Catalog {
        self.catalog
    }

    /// The body of a live resource.
    pub async fn body(&self, kind: ResourceKind, scope: &Scope, key: &Key) -> Result<Option<Value>, StoreError> {
        if let Some(body) = self.pending.get(&(kind, scope.clone(), key.clone())) {
            return Ok(Some(body.clone()));
        }
        let stored = self.catalog.resource(kind, scope, key).await?;
        Ok(stored.filter(|resource| !resource.archived).map(|resource| resource.body))
    }

    /// The live resources of a kind in a scope, by key.
    pub async fn bodies(&self, kind: ResourceKind, scope: &Scope) -> Result<HashMap<Key, Value>, StoreError> {
        let stored = all_resources(self.catalog, kind, scope).await?;
        let mut bodies: HashMap<Key, Value> = stored.into_iter().map(|it| (it.key, it.body)).collect();
        let pending = self.pending.iter().filter(|((k, s, _), _)| *k == kind && s == scope);
        bodies.extend(pending.map(|((_, _, key), body)| (key.clone(), body.clone())));
        Ok(bodies)
    }
}

/// Every live resource of a kind that exactly this scope owns.
pub async fn all_resources(
    catalog: &dyn Catalog,
    kind: ResourceKind,
    scope: &Scope,
) -> Result<Vec<Resource>, StoreError> {
    let mut all: Vec<Resource> = Vec::new();
    loop {
        let after = all.last().map(|last| last.key.clone());
        let page = catalog.resources(kind, scope, after.as_ref(), liftgate_domain::catalog::LIST_MAX).await?;
        let full = page.len() == liftgate_domain::catalog::LIST_MAX;
        all.extend(page);
        if !full {
            return Ok(all);
        }
    }
}

/// Checks and applies puts as one change: all or none. `None` when nothing was to be written.
pub async fn put_all(
    app: &App,
    puts: Vec<Put>,
    actor: Actor,
    reason: Option<String>,
) -> Result<(Option<Applied>, Vec<Outcome>), ApiError> {
    let now = app.catalog.now().await?;
    let mut lookup = Lookup::new(&*app.catalog);
    let mut mutations = Vec::new();
    let mut events = Vec::new();
    let mut outcomes = Vec::with_capacity(puts.len());
    let mut problems: Vec<FieldError> = Vec::new();
    for put in puts {
        let current = app.catalog.resource(put.kind, &put.scope, &put.key).await?.filter(|it| !it.archived);
        expect(&put, current.as_ref())?;
        let checked = match spec::check(app, &lookup, &put, current.as_ref()).await {
            Err(error) if problems.is_empty() || error.status().is_server_error() => return Err(error),
            // What is missing here is probably what is wrong above.
            Err(_) => continue,
            Ok(Ok(checked)) => checked,
            Ok(Err(found)) => {
                let named = |index| format!("[{index}] {} `{}`: spec.", put.kind.as_str(), put.key);
                let prefix = put.place.map_or_else(String::new, named);
                problems.extend(
                    found
                        .into_iter()
                        .map(|it| FieldError { field: format!("{prefix}{}", it.path), message: it.message }),
                );
                continue;
            }
        };
        lookup.pending.insert((put.kind, put.scope.clone(), put.key.clone()), checked.body.clone());
        let action = match &current {
            None => "created",
            Some(current) if current.body == checked.body => "unchanged",
            Some(_) => "updated",
        };
        let mut outcome = Outcome {
            kind: put.kind.as_str().to_owned(),
            scope: put.scope.clone(),
            key: put.key.clone(),
            action,
            secret: checked.secret,
            error: None,
            client_key: None,
        };
        if action != "unchanged" {
            if put.kind == ResourceKind::FlagState && is_disabled_by(current.as_ref(), &checked.body) {
                let (paused, told) =
                    command::pause_mutations(&*app.catalog, &put.scope, &put.key, now, actor.clone()).await?;
                mutations.extend(paused);
                events.extend(told);
            }
            events.push(event_of(&put, action, current.as_ref(), &checked.body));
            let expected = current.as_ref().map_or(Expected::Absent, |it| Expected::Revision(it.revision));
            let client_key = (put.kind == ResourceKind::Environment && current.is_none())
                .then(|| checked.body["hash_key"].as_str().unwrap_or_default().to_owned());
            if let Some(client_key) = &client_key {
                let inside = put.scope.with_environment(put.key.clone());
                mutations.push(Mutation::PutResource {
                    kind: put.kind,
                    scope: put.scope,
                    key: put.key,
                    body: checked.body,
                    expected,
                });
                mutations.push(Mutation::AddCredential(Credential {
                    id: Id::new(now, &*app.entropy),
                    scope: inside,
                    kind: CredentialKind::Client,
                    name: "first".to_owned(),
                    role: None,
                    lookup: client_key.clone(),
                    display: client_key.clone(),
                    created_at: now,
                    revoked_at: None,
                }));
            } else {
                mutations.push(Mutation::PutResource {
                    kind: put.kind,
                    scope: put.scope,
                    key: put.key,
                    body: checked.body,
                    expected,
                });
            }
            outcome.client_key = client_key;
        }
        outcomes.push(outcome);
    }
    if !problems.is_empty() {
        return Err(ApiError::invalid("what you declared", problems)
            .next("nothing was changed; mend the fields and send it again"));
    }
    if mutations.is_empty() {
        return Ok((None, outcomes));
    }
    let scope = widest(&outcomes);
    let change =
        Change { id: Id::new(now, &*app.entropy), scope, actor, reason, kind: ChangeKind::Edit, mutations, events };
    let applied = app.apply(change).await?;
    Ok((Some(applied), outcomes))
}

/// Archives one resource.
pub async fn archive(
    app: &App,
    kind: ResourceKind,
    scope: Scope,
    key: Key,
    expected: Expected,
    actor: Actor,
) -> Result<Applied, ApiError> {
    let now = app.catalog.now().await?;
    let current = app.catalog.resource(kind, &scope, &key).await?.filter(|it| !it.archived);
    let Some(current) = current else {
        return Err(ApiError::not_found(format!("{} `{key}`", kind.as_str())));
    };
    let active = app.catalog.rollouts(&scope).await?.into_iter().find(|rollout| {
        rollout.status.is_active()
            && match kind {
                ResourceKind::Flag | ResourceKind::FlagState => rollout.flag == key,
                ResourceKind::Environment => rollout.scope.environment.as_ref() == Some(&key),
                ResourceKind::Project => rollout.scope.project.as_ref() == Some(&key),
                _ => false,
            }
    });
    if let Some(rollout) = active {
        return Err(owned(&rollout.key, "it cannot be archived while that rollout is active"));
    }
    in_use::refuse_if_used(app, kind, &scope, &key).await?;
    let event = EventDraft {
        kind: format!("{}.archived", kind.as_str().trim_end_matches("_state")),
        scope: scope.clone(),
        subject: key.to_string(),
        data: json!({"kind": kind.as_str(), "key": key}),
    };
    let change = Change {
        id: Id::new(now, &*app.entropy),
        scope: scope.clone(),
        actor,
        reason: None,
        kind: ChangeKind::Edit,
        mutations: vec![Mutation::ArchiveResource {
            kind,
            scope,
            key,
            expected: match expected {
                Expected::Any => Expected::Revision(current.revision),
                other => other,
            },
        }],
        events: vec![event],
    };
    app.apply(change).await
}

/// The refusal of an edit that would take a rule from under a running rollout.
pub fn owned(rollout: &Key, why: &str) -> ApiError {
    ApiError::new(axum::http::StatusCode::CONFLICT, "owned_by_rollout", format!("rollout `{rollout}` owns this: {why}"))
        .next("pause, roll back or cancel the rollout first; disabling the flag is always allowed")
}

fn expect(put: &Put, current: Option<&Resource>) -> Result<(), ApiError> {
    let what = format!("{} `{}`", put.kind.as_str(), put.key);
    match (put.expected, current) {
        (Expected::Absent, Some(_)) => Err(StoreError::Exists { what }.into()),
        (Expected::Revision(seen), now) if now.map(|it| it.revision) != Some(seen) => {
            Err(StoreError::Conflict { what }.into())
        }
        _ => Ok(()),
    }
}

fn is_disabled_by(current: Option<&Resource>, body: &Value) -> bool {
    current.is_some_and(|it| it.body["enabled"] == json!(true)) && body["enabled"] != json!(true)
}

fn event_of(put: &Put, action: &str, current: Option<&Resource>, body: &Value) -> EventDraft {
    let noun = match put.kind {
        ResourceKind::FlagState => "flag",
        kind => kind.as_str(),
    };
    // The state of a flag in an environment belongs to the flag: its first writing is an update of the flag.
    let verb = if put.kind == ResourceKind::FlagState { "updated" } else { action };
    let data = if put.kind == ResourceKind::Endpoint {
        json!({"kind": put.kind.as_str(), "key": put.key})
    } else {
        json!({"kind": put.kind.as_str(), "key": put.key, "before": current.map(|it| &it.body), "after": body})
    };
    EventDraft { kind: format!("{noun}.{verb}"), scope: put.scope.clone(), subject: put.key.to_string(), data }
}

/// The scope that the change is logged under: the one all its parts share.
fn widest(outcomes: &[Outcome]) -> Scope {
    let mut scopes = outcomes.iter().filter(|outcome| outcome.action != "unchanged").map(Outcome::inside);
    let first = scopes.next().unwrap_or_else(Scope::organization);
    scopes.fold(first, |scope, other| {
        if scope.contains(&other) {
            scope
        } else if scope.to_project().contains(&other) {
            scope.to_project()
        } else {
            Scope { project: None, environment: None, ..scope }
        }
    })
}
