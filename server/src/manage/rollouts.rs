//! Rollouts: start, watch, ask why, and the human commands. All go through the scheduler's own commands.

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use liftgate_domain::{Actor, Applied, Decision, Key, Role, Rollout, Scope, catalog::LIST_MAX};
use liftgate_scheduler::{CommandError, Policy, StartRollout, command, replay as replay_engine, why as why_engine};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    apply::RolloutSpec,
    paths::{InEnvironment, Named},
};
use crate::{
    access::Caller,
    app::App,
    body::{self, MaybeJson},
    problem::ApiError,
};

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::NotFound { what } => ApiError::not_found(what),
            CommandError::Conflict { what } => ApiError::new(StatusCode::CONFLICT, "conflict", what),
            CommandError::Invalid { field, message } => ApiError::invalid_field("the request", &field, message),
            CommandError::Store(error) => error.into(),
            other => ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", other.to_string()),
        }
    }
}

/// A rollout to start.
#[derive(Debug, Deserialize)]
pub struct Start {
    key: Key,
    #[serde(flatten)]
    spec: RolloutSpecFields,
    #[serde(default)]
    reason: Option<String>,
}

/// [`RolloutSpec`] refuses unknown fields, which does not go with flattening: gather first, decode then.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct RolloutSpecFields(serde_json::Map<String, Value>);

/// Why, in the caller's words.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    #[serde(default)]
    reason: Option<String>,
}

/// Starts a rollout and makes it visible on this node.
pub async fn start_command(
    app: &App,
    command: StartRollout,
    actor: Actor,
    reason: Option<String>,
) -> Result<Rollout, ApiError> {
    let (rollout, applied) = command::start(&*app.catalog, &*app.entropy, command, actor, reason).await?;
    app.after(&applied).await;
    Ok(rollout)
}

/// `POST .../rollouts`.
pub async fn start(
    State(app): State<App>,
    caller: Caller,
    InEnvironment(scope): InEnvironment,
    body::Json(start): body::Json<Start>,
) -> Result<Response, ApiError> {
    caller.may(Role::ReleaseManager, &scope)?;
    let spec: RolloutSpec = serde_path_to_error::deserialize(Value::Object(start.spec.0))
        .map_err(|error| ApiError::invalid_field("the body", &error.path().to_string(), error.inner().to_string()))?;
    let rollout = start_command(&app, spec.command(scope, start.key), caller.actor(), start.reason).await?;
    Ok((StatusCode::CREATED, Json(with_share(&rollout))).into_response())
}

/// `GET .../rollouts`.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    InEnvironment(scope): InEnvironment,
) -> Result<Json<Value>, ApiError> {
    caller.may(Role::Viewer, &scope)?;
    let items = app.catalog.rollouts(&scope).await?;
    let items: Vec<Value> = items.iter().map(with_share).collect();
    Ok(Json(json!({ "items": items })))
}

/// `GET .../rollouts/{key}`.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    InEnvironment(scope): InEnvironment,
    Named(key): Named,
) -> Result<Json<Value>, ApiError> {
    caller.may(Role::Viewer, &scope)?;
    Ok(Json(with_share(&find(&app, &scope, &key).await?)))
}

/// `GET .../rollouts/{key}/why`: what the next look would say, and why it stands where it stands.
pub async fn why(
    State(app): State<App>,
    caller: Caller,
    InEnvironment(scope): InEnvironment,
    Named(key): Named,
) -> Result<Json<Value>, ApiError> {
    caller.may(Role::Viewer, &scope)?;
    let report = why_engine(&*app.catalog, &*app.warehouse, &*app.loss, &scope, &key).await?;
    let rollout = find(&app, &scope, &key).await?;
    Ok(Json(json!({
        "rollout": rollout,
        "share": share_of(&rollout),
        "sentence": report.sentence,
        "outcome": report.outcome,
    })))
}

/// Which decisions.
#[derive(Debug, Deserialize)]
pub struct After {
    after: Option<u64>,
    limit: Option<usize>,
}

/// `GET .../rollouts/{key}/decisions`.
pub async fn decisions(
    State(app): State<App>,
    caller: Caller,
    InEnvironment(scope): InEnvironment,
    Named(key): Named,
    Query(page): Query<After>,
) -> Result<Json<Value>, ApiError> {
    caller.may(Role::Viewer, &scope)?;
    let rollout = find(&app, &scope, &key).await?;
    let limit = page.limit.unwrap_or(100).clamp(1, LIST_MAX);
    let items = app.catalog.decisions(&rollout.id, page.after.unwrap_or(0), limit).await?;
    Ok(Json(json!({ "items": items })))
}

/// `GET .../rollouts/{key}/replay`: every decision computed again from its record and compared bit for bit.
pub async fn replay(
    State(app): State<App>,
    caller: Caller,
    InEnvironment(scope): InEnvironment,
    Named(key): Named,
) -> Result<Response, ApiError> {
    caller.may(Role::Viewer, &scope)?;
    let rollout = find(&app, &scope, &key).await?;
    let mut records: Vec<Decision> = Vec::new();
    loop {
        let after = records.last().map_or(0, |last| last.seq);
        let page = app.catalog.decisions(&rollout.id, after, LIST_MAX).await?;
        let full = page.len() == LIST_MAX;
        records.extend(page);
        if !full {
            break;
        }
    }
    if records.last().map_or("", |last| &last.hash) != rollout.decision_hash {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "replay_differs",
            format!("record {} is missing or altered: the rollout names another last hash", rollout.decision_seq),
        )
        .next("compare the records with a backup"));
    }
    match replay_engine(&records) {
        Ok(report) => Ok(Json(report).into_response()),
        Err(error) => Err(ApiError::new(StatusCode::CONFLICT, "replay_differs", error.to_string())
            .next("the records or the engine have changed since; compare the named record with a backup")),
    }
}

macro_rules! commands {
    ($($name:ident: $what:literal),*) => {$(
        #[doc = $what]
        pub async fn $name(
            State(app): State<App>, caller: Caller, InEnvironment(scope): InEnvironment, Named(key): Named,
            MaybeJson(why): MaybeJson<Reason>,
        ) -> Result<Json<Value>, ApiError> {
            caller.may(Role::ReleaseManager, &scope)?;
            let (rollout, applied): (Rollout, Applied) =
                command::$name(&*app.catalog, &*app.entropy, &scope, &key, caller.actor(), why.reason).await?;
            app.after(&applied).await;
            Ok(Json(with_share(&rollout)))
        }
    )*};
}

commands! {
    pause: "`POST .../pause`: no more advances; guardrails keep acting.",
    resume: "`POST .../resume`: goes on; after a rollback, as a new attempt from the first stage.",
    rollback: "`POST .../rollback`: takes the change back to share 0 now.",
    cancel: "`POST .../cancel`: ends the rollout and leaves the share where it is."
}

async fn find(app: &App, scope: &Scope, key: &Key) -> Result<Rollout, ApiError> {
    app.catalog.rollout(scope, key).await?.ok_or_else(|| ApiError::not_found(format!("rollout `{key}` in `{scope}`")))
}

/// The share that the rollout's stage stands for; nothing once it was taken back.
fn share_of(rollout: &Rollout) -> Option<liftgate_domain::Share> {
    let policy: Policy = serde_json::from_value(rollout.policy_body.clone()).ok()?;
    if rollout.status == liftgate_domain::RolloutStatus::RolledBack {
        return Some(liftgate_domain::Share::ZERO);
    }
    policy.stages.get(usize::try_from(rollout.stage).ok()?).map(|stage| stage.share)
}

fn with_share(rollout: &Rollout) -> Value {
    let mut shown = serde_json::to_value(rollout).expect("a rollout has string keys and finite numbers");
    shown["share"] = json!(share_of(rollout));
    shown
}
