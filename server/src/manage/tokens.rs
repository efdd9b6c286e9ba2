//! Named tokens: who may manage what. A token is shown once, when it is made.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use liftgate_domain::{CredentialKind, Key, Role, Scope, credential::lookup_of_secret};
use serde::Deserialize;
use serde_json::{Value, json};

use super::keys::{add, random_key, revoke_in, with_secret};
use crate::{access::Caller, app::App, body, problem::ApiError};

/// A token to make.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    name: String,
    role: Role,
    #[serde(default)]
    project: Option<Key>,
}

/// `GET /manage/v1/tokens`.
pub async fn list(State(app): State<App>, caller: Caller) -> Result<Json<Value>, ApiError> {
    let scope = caller.scope().clone();
    caller.may(Role::Admin, &scope)?;
    let mut items = app.catalog.credentials(&scope).await?;
    items.retain(|credential| credential.kind == CredentialKind::Token);
    Ok(Json(json!({ "items": items })))
}

/// `POST /manage/v1/tokens`: for the whole organization, or for one project.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    body::Json(new): body::Json<NewToken>,
) -> Result<Response, ApiError> {
    let scope = new.project.map_or_else(|| caller.scope().clone(), Scope::project);
    caller.may(Role::Admin, &scope)?;
    let key = random_key(&app, "lgt_");
    let display = format!("{}...", &key[..8]);
    let token =
        add(&app, &caller, scope, CredentialKind::Token, new.name, Some(new.role), lookup_of_secret(&key), display)
            .await?;
    Ok((StatusCode::CREATED, Json(with_secret(&token, key))).into_response())
}

/// `DELETE /manage/v1/tokens/{id}`.
pub async fn revoke(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    caller.may(Role::Admin, caller.scope())?;
    let tokens = app.catalog.credentials(caller.scope()).await?;
    let token = tokens
        .into_iter()
        .find(|token| token.kind == CredentialKind::Token && token.id.as_str() == id)
        .ok_or_else(|| ApiError::not_found(format!("token `{id}`")))?;
    revoke_in(&app, &caller, token.scope, id).await
}
