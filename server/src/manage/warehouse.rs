//! What is stored: counts that a sender's journal is checked against, and how large or healthy the warehouse is.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use liftgate_domain::{Role, Scope};
use serde_json::{Value, json};

use super::paths::InEnvironment;
use crate::{access::Caller, app::App, problem::ApiError, warehouse::Engine};

/// `GET .../events/counts`.
pub async fn counts(
    State(app): State<App>,
    caller: Caller,
    InEnvironment(scope): InEnvironment,
) -> Result<Json<Value>, ApiError> {
    caller.may(Role::Viewer, &scope)?;
    let snapshot = app.rulesets.get(&scope).ok_or_else(|| ApiError::not_found(format!("environment `{scope}`")))?;
    let stored = app.warehouse.counts(snapshot.declared.number).await?;
    // The counters are the node's, of all its tenants: only a token of the organization sees them.
    let ingest = caller.scope().project.is_none().then(|| app.ingest.counters());
    Ok(Json(json!({"stored": stored, "ingest": ingest})))
}

/// `GET /manage/v1/warehouse`: which nodes write and how far each is; of Parquet files, rows, bytes, and the pattern that
/// other engines read them by; of ClickHouse how inserts fare.
pub async fn show(State(app): State<App>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.may(Role::Viewer, &Scope::organization())?;
    let mut described = app.engine.describe();
    described["node"] = json!(app.node);
    described["nodes"] = json!(app.warehouse.evidence().borrow().nodes);
    Ok(Json(described))
}

/// `DELETE /manage/v1/warehouse/nodes/{node}`: a node that is gone for good no longer holds decisions back.
pub async fn retire(State(app): State<App>, caller: Caller, Path(node): Path<String>) -> Result<StatusCode, ApiError> {
    caller.may(Role::Admin, &Scope::organization())?;
    let refuse = |detail: &str| ApiError::new(StatusCode::CONFLICT, "conflict", detail);
    if node == app.node {
        return Err(
            refuse("this node is alive: it answers you").next("ask another node to retire it, once it is stopped")
        );
    }
    let Engine::ClickHouse(warehouse) = &app.engine else {
        return Err(refuse("a Parquet warehouse has one node, and forgets others by itself"));
    };
    if !app.warehouse.evidence().borrow().nodes.contains_key(&node) {
        return Err(ApiError::not_found(format!("node `{node}`")).next("`GET /manage/v1/warehouse` lists the nodes"));
    }
    warehouse.retire(&node).await?;
    tracing::info!(node, "A node was retired: its mark no longer bounds the watermark.");
    Ok(StatusCode::NO_CONTENT)
}
