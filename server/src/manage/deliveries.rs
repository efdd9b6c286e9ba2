//! Webhook deliveries: what was sent where, and sending it again.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use liftgate_domain::{DeliveryStatus, Role, catalog::LIST_MAX};
use serde::Deserialize;
use serde_json::{Value, json};

use super::paths::InProject;
use crate::{access::Caller, app::App, problem::ApiError};

/// Which deliveries.
#[derive(Debug, Deserialize)]
pub struct Filter {
    status: Option<DeliveryStatus>,
    limit: Option<usize>,
}

/// `GET /manage/v1/projects/{project}/deliveries`, newest first.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    InProject(scope): InProject,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, ApiError> {
    caller.may(Role::Viewer, &scope)?;
    let limit = filter.limit.unwrap_or(100).clamp(1, LIST_MAX);
    let items = app.catalog.deliveries(&scope, filter.status, limit).await?;
    Ok(Json(json!({ "items": items })))
}

/// `POST /manage/v1/projects/{project}/deliveries/{id}/replay`: due again at once, under the same id.
pub async fn replay(
    State(app): State<App>,
    caller: Caller,
    InProject(scope): InProject,
    Path((_, id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    caller.may(Role::Admin, &scope)?;
    if !app.catalog.redeliver(&scope, &id, app.catalog.now().await?).await? {
        return Err(ApiError::not_found(format!("delivery `{id}`")));
    }
    app.wake_webhooks.notify_one();
    Ok(StatusCode::ACCEPTED)
}
