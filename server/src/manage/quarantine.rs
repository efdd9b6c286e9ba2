//! Events that were accepted and are not believed: look at them, hand them to the warehouse after all, or throw them
//! away. Quarantine is kept by the node that received the events; each node answers for its own.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
};
use liftgate_domain::{Role, Scope};
use liftgate_ingest::{
    Discarded, Error, QuarantineFilter, QuarantineId, QuarantinePage, QuarantineReason, QuarantineSelection,
    ReplayTime, Replayed,
};
use serde::Deserialize;

use super::paths::InEnvironment;
use crate::{access::Caller, app::App, body, problem::ApiError};

/// The most ids of one request.
const IDS_MAX: usize = 10_000;

/// Which events are to leave: exactly one of the three.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// These.
    ids: Option<BTreeSet<QuarantineId>>,
    /// All of this reason.
    reason: Option<QuarantineReason>,
    /// All.
    all: Option<bool>,
}

/// What to replay, and with which times.
#[derive(Debug, Deserialize)]
pub struct Replay {
    #[serde(default)]
    time: ReplayTime,
    #[serde(flatten)]
    selection: serde_json::Map<String, serde_json::Value>,
}

impl Selection {
    fn resolve(self) -> Result<QuarantineSelection, ApiError> {
        let wrong = |field: &str, message: &str| Err(ApiError::invalid_field("the body", field, message));
        match (self.ids, self.reason, self.all) {
            (Some(ids), None, None) if ids.len() > IDS_MAX => {
                wrong("ids", &format!("names {} events; at most {IDS_MAX} are allowed", ids.len()))
            }
            (Some(ids), None, None) => Ok(QuarantineSelection::Ids(ids)),
            (None, Some(reason), None) => Ok(QuarantineSelection::Reason(reason)),
            (None, None, Some(true)) => Ok(QuarantineSelection::All),
            _ => wrong("ids", "say which events: exactly one of `ids`, `reason` and `all: true`"),
        }
    }
}

/// `GET .../quarantine?reason=&after=&limit=`.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    InEnvironment(scope): InEnvironment,
    filter: Result<Query<QuarantineFilter>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<QuarantinePage>, ApiError> {
    let environment = environment(&app, &caller, Role::Viewer, &scope)?;
    let Query(filter) =
        filter.map_err(|error| ApiError::invalid_field("the query", "reason, after or limit", error.body_text()))?;
    app.ingest.quarantined(environment, filter).await.map(Json).map_err(refused)
}

/// `POST .../quarantine/replay`.
pub async fn replay(
    State(app): State<App>,
    caller: Caller,
    InEnvironment(scope): InEnvironment,
    body::Json(replay): body::Json<Replay>,
) -> Result<Json<Replayed>, ApiError> {
    let environment = environment(&app, &caller, Role::ReleaseManager, &scope)?;
    let selection: Selection = serde_json::from_value(replay.selection.into())
        .map_err(|error| ApiError::invalid_field("the body", "ids, reason or all", error.to_string()))?;
    let outcome = app.ingest.replay(environment, selection.resolve()?, replay.time).await.map_err(refused)?;
    tracing::info!(%scope, replayed = outcome.replayed, still_refused = outcome.still_refused, "Events left quarantine.");
    Ok(Json(outcome))
}

/// `POST .../quarantine/discard`.
pub async fn discard(
    State(app): State<App>,
    caller: Caller,
    InEnvironment(scope): InEnvironment,
    body::Json(selection): body::Json<Selection>,
) -> Result<Json<Discarded>, ApiError> {
    let environment = environment(&app, &caller, Role::ReleaseManager, &scope)?;
    let outcome = app.ingest.discard(environment, selection.resolve()?).await.map_err(refused)?;
    tracing::info!(%scope, discarded = outcome.discarded, "Events in quarantine were thrown away.");
    Ok(Json(outcome))
}

fn environment(app: &App, caller: &Caller, role: Role, scope: &Scope) -> Result<u64, ApiError> {
    caller.may(role, scope)?;
    let snapshot = app.rulesets.get(scope);
    snapshot.map(|it| it.declared.number).ok_or_else(|| ApiError::not_found(format!("environment `{scope}`")))
}

/// What was done before the error stays done, and doing the rest again is safe.
fn refused(error: Error) -> ApiError {
    tracing::warn!(%error, "Quarantine could not be read or emptied.");
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "log_unavailable", error.to_string())
        .next("send the same request again later")
        .retry_after(5)
}
