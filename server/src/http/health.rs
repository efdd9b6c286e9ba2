//! What operators' probes ask: is the process alive, is it ready for traffic.

use std::sync::atomic::Ordering;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde_json::json;

use crate::{app::App, problem::ApiError};

/// 200 while the process answers at all.
pub async fn livez() -> impl IntoResponse {
    Json(json!({"status": "alive"}))
}

/// 200 once stores are open and the log is replayed, and until shutdown begins; 503 when the catalog does not answer.
pub async fn readyz(State(app): State<App>) -> Result<impl IntoResponse, ApiError> {
    if !app.ready.load(Ordering::Acquire) || app.stop.is_cancelled() {
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", "the server is starting or stopping")
            .retry_after(1));
    }
    app.catalog.now().await?;
    Ok(Json(json!({"status": "ready", "environments": app.rulesets.len()})))
}
