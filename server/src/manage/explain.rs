//! `POST .../flags/{flag}/explain`: what a context would get from a flag now, and how that comes about: every rule,
//! condition, bucket and threshold. Nothing is recorded; no exposure is emitted.

use axum::{
    Json,
    extract::{Path, State},
};
use liftgate_domain::Role;
use liftgate_evaluator::{Context, TARGETING_KEY};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::paths::InEnvironment;
use crate::{access::Caller, app::App, body, problem::ApiError};

/// Whom to explain for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// As in an evaluation: the unit's own key as `targetingKey`, attributes beside it.
    #[serde(default)]
    context: Map<String, Value>,
}

/// The evaluation, its trace, and the trace as text.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    InEnvironment(scope): InEnvironment,
    Path((_, _, flag)): Path<(String, String, String)>,
    body::MaybeJson(question): body::MaybeJson<Question>,
) -> Result<Json<Value>, ApiError> {
    caller.may(Role::Viewer, &scope)?;
    let snapshot = app.rulesets.get(&scope).ok_or_else(|| ApiError::not_found(format!("environment `{scope}`")))?;
    if snapshot.source.flags.iter().all(|source| source.flag.key.as_str() != flag) {
        return Err(ApiError::not_found(format!("flag `{flag}`")));
    }
    let mut attributes = question.context;
    let targeting_key = match attributes.remove(TARGETING_KEY) {
        None | Some(Value::Null) => None,
        Some(Value::String(key)) => Some(key),
        Some(_) => {
            return Err(ApiError::invalid_field("the body", "context.targetingKey", "must be text"));
        }
    };
    let context = Context { targeting_key, attributes: attributes.into() };
    let now = app.clock.now();
    let explanation = snapshot.ruleset.explain(&flag, &context, now);
    let evaluation = snapshot.ruleset.evaluate_at(&flag, &context, now);
    Ok(Json(json!({
        "revision": snapshot.ruleset.revision(),
        "evaluation": evaluation,
        "explanation": explanation,
        "text": explanation.to_string(),
    })))
}
