//! `POST .../experiments/{key}/start` and `/stop`.

use axum::{Json, extract::State};
use liftgate_domain::{Applied, Role};
use serde_json::{Value, json};

use super::{
    paths::{InEnvironment, Named},
    start_experiment,
};
use crate::{access::Caller, app::App, problem::ApiError};

/// Starts an experiment: from here on its definition is fixed.
pub async fn start(
    State(app): State<App>,
    caller: Caller,
    InEnvironment(scope): InEnvironment,
    Named(key): Named,
) -> Result<Json<Value>, ApiError> {
    caller.may(Role::ReleaseManager, &scope)?;
    start_experiment::start(&app, &scope, &key, caller.actor()).await.map(answer)
}

/// Stops an experiment: its split leaves the flag, its results stay.
pub async fn stop(
    State(app): State<App>,
    caller: Caller,
    InEnvironment(scope): InEnvironment,
    Named(key): Named,
) -> Result<Json<Value>, ApiError> {
    caller.may(Role::ReleaseManager, &scope)?;
    start_experiment::stop(&app, &scope, &key, caller.actor()).await.map(answer)
}

fn answer(applied: Applied) -> Json<Value> {
    Json(json!({"seq": applied.seq, "at": applied.at}))
}
