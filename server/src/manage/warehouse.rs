//! What is stored: counts that a sender's journal is checked against, and where the files are.

use axum::{Json, extract::State};
use liftgate_domain::{Role, Scope};
use serde_json::{Value, json};

use super::paths::InEnvironment;
use crate::{access::Caller, app::App, problem::ApiError};

/// `GET .../events/counts`.
pub async fn counts(
    State(app): State<App>,
    caller: Caller,
    InEnvironment(scope): InEnvironment,
) -> Result<Json<Value>, ApiError> {
    caller.may(Role::Viewer, &scope)?;
    let snapshot = app.rulesets.get(&scope).ok_or_else(|| ApiError::not_found(format!("environment `{scope}`")))?;
    let stored = app.warehouse.counts(snapshot.number).await?;
    // The counters are the node's, of all its tenants: only a token of the organization sees them.
    let ingest = caller.scope().project.is_none().then(|| app.ingest.counters());
    Ok(Json(json!({"stored": stored, "ingest": ingest})))
}

/// `GET /manage/v1/warehouse`: files, rows, bytes, and the pattern that other engines read them by.
pub async fn show(State(app): State<App>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.may(Role::Viewer, &Scope::organization())?;
    Ok(Json(json!(app.parquet.describe())))
}
