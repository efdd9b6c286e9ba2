//! The keys of an environment: public client keys and secret server keys. A secret is shown once, when it is made.

use std::fmt::Write as _;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use liftgate_domain::{
    Change, ChangeKind, Credential, CredentialKind, EventDraft, Id, Mutation, Role, Scope, credential::lookup_of_secret,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::paths::InEnvironment;
use crate::{access::Caller, app::App, body, problem::ApiError};

/// 128 bits or more of every key are random; these are 192.
const KEY_BYTES: usize = 24;

/// A new random key with a prefix that tells what it is.
pub fn random_key(app: &App, prefix: &str) -> String {
    let mut bytes = [0_u8; KEY_BYTES];
    app.entropy.fill(&mut bytes);
    bytes.iter().fold(prefix.to_owned(), |mut key, byte| {
        let _ = write!(key, "{byte:02x}");
        key
    })
}

/// A key to make.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    name: String,
    #[serde(default)]
    kind: NewKeyKind,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NewKeyKind {
    #[default]
    Client,
    Server,
}

/// `GET .../keys`.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    InEnvironment(scope): InEnvironment,
) -> Result<Json<Value>, ApiError> {
    caller.may(Role::Viewer, &scope)?;
    let mut items = app.catalog.credentials(&scope).await?;
    items.retain(|credential| credential.kind != CredentialKind::Token);
    Ok(Json(json!({ "items": items })))
}

/// `POST .../keys`.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    InEnvironment(scope): InEnvironment,
    body::Json(new): body::Json<NewKey>,
) -> Result<Response, ApiError> {
    caller.may(Role::Admin, &scope)?;
    if app.rulesets.get(&scope).is_none() {
        return Err(ApiError::not_found(format!("environment `{scope}`")));
    }
    let (kind, key) = match new.kind {
        NewKeyKind::Client => (CredentialKind::Client, random_key(&app, "env_")),
        NewKeyKind::Server => (CredentialKind::Server, random_key(&app, "ser.")),
    };
    let lookup = if kind == CredentialKind::Client { key.clone() } else { lookup_of_secret(&key) };
    let display = if kind == CredentialKind::Client { key.clone() } else { format!("{}...", &key[..8]) };
    let credential = add(&app, &caller, scope, kind, new.name, None, lookup, display).await?;
    Ok((StatusCode::CREATED, Json(with_secret(&credential, key))).into_response())
}

/// `DELETE .../keys/{id}`.
pub async fn revoke(
    State(app): State<App>,
    caller: Caller,
    InEnvironment(scope): InEnvironment,
    Path((_, _, id)): Path<(String, String, String)>,
) -> Result<StatusCode, ApiError> {
    caller.may(Role::Admin, &scope)?;
    revoke_in(&app, &caller, scope, id).await
}

/// Stores a credential as a change of its own.
#[allow(clippy::too_many_arguments, reason = "the columns of one credential")]
pub async fn add(
    app: &App,
    caller: &Caller,
    scope: Scope,
    kind: CredentialKind,
    name: String,
    role: Option<Role>,
    lookup: String,
    display: String,
) -> Result<Credential, ApiError> {
    if name.trim().is_empty() || name.len() > 200 {
        return Err(ApiError::invalid_field(
            "the body",
            "name",
            "must be 1 to 200 characters that tell people what it is for",
        ));
    }
    let now = app.catalog.now().await?;
    let credential = Credential {
        id: Id::new(now, &*app.entropy),
        scope: scope.clone(),
        kind,
        name,
        role,
        lookup,
        display,
        created_at: now,
        revoked_at: None,
    };
    let event = EventDraft {
        kind: "key.created".to_owned(),
        scope: scope.clone(),
        subject: credential.id.to_string(),
        data: json!({"id": credential.id, "kind": credential.kind, "name": credential.name}),
    };
    app.apply(Change {
        id: Id::new(now, &*app.entropy),
        scope,
        actor: caller.actor(),
        reason: None,
        kind: ChangeKind::Edit,
        mutations: vec![Mutation::AddCredential(credential.clone())],
        events: vec![event],
    })
    .await?;
    Ok(credential)
}

/// Revokes a credential of exactly this scope.
pub async fn revoke_in(app: &App, caller: &Caller, scope: Scope, id: String) -> Result<StatusCode, ApiError> {
    let now = app.catalog.now().await?;
    let event = EventDraft {
        kind: "key.revoked".to_owned(),
        scope: scope.clone(),
        subject: id.clone(),
        data: json!({ "id": id }),
    };
    app.apply(Change {
        id: Id::new(now, &*app.entropy),
        scope: scope.clone(),
        actor: caller.actor(),
        reason: None,
        kind: ChangeKind::Edit,
        mutations: vec![Mutation::RevokeCredential { scope, id: Id::from_stored(id) }],
        events: vec![event],
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A credential with its key, for the one answer that shows it.
pub fn with_secret(credential: &Credential, key: String) -> Value {
    let mut shown = serde_json::to_value(credential).expect("a credential has string keys");
    shown["key"] = key.into();
    shown
}
