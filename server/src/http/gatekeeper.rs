//! `GET /flags/evaluate?userId=`: the shape of Gatekeeper, for services that ask in it: `{"flag": true, ...}` for all
//! boolean flags. Its steps are those of every evaluation here:
//!
//! | Gatekeeper | here |
//! |---|---|
//! | 1. globally disabled | the flag is disabled: its off variation |
//! | 2. an individual user | an individual target |
//! | 3. groups of users | the first rule whose condition, segments among them, is met |
//! | 4. a percentage of users | the split or ramp of that rule or of the fallthrough, by the user's bucket |

use std::{collections::BTreeMap, sync::atomic::Ordering};

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use liftgate_evaluator::{Context, FlagKind};
use serde::Deserialize;

use super::exposure;
use crate::{access::EnvironmentCaller, app::App, problem::ApiError};

/// The longest id of a user, in bytes; no event may have a longer one.
const USER_ID_BYTES_MAX: usize = 1024;

/// The parameters of the call.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parameters {
    user_id: Option<String>,
}

/// Evaluates all boolean flags for a user. A broken flag is left out: nobody knows what it would say.
pub async fn evaluate(
    State(app): State<App>,
    caller: EnvironmentCaller,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Json<BTreeMap<String, bool>>, ApiError> {
    let context = Context::user(user_id(parameters)?);
    let EnvironmentCaller { snapshot, .. } = &caller;
    let now = app.clock.now();
    let mut answer = BTreeMap::new();
    for source in snapshot.source.flags.iter().filter(|source| source.flag.kind == FlagKind::Boolean) {
        let evaluation = snapshot.ruleset.evaluate_at(source.flag.key.as_str(), &context, now);
        let Some(value) = evaluation.value.and_then(|value| value.as_bool()) else { continue };
        if snapshot.declared.environment.bulk_exposures {
            exposure::emit(&app, snapshot, &evaluation, now);
        }
        answer.insert(evaluation.flag.into_owned(), value);
    }
    app.evaluations.fetch_add(u64::try_from(answer.len()).unwrap_or(0), Ordering::Relaxed);
    Ok(Json(answer))
}

fn user_id(parameters: Result<Query<Parameters>, QueryRejection>) -> Result<String, ApiError> {
    let refuse = |code, detail: String| {
        Err(ApiError::new(StatusCode::BAD_REQUEST, code, detail).next("call `/flags/evaluate?userId=USER`"))
    };
    match parameters.map(|Query(parameters)| parameters.user_id) {
        Ok(Some(id)) if id.len() > USER_ID_BYTES_MAX => {
            refuse("user_id_invalid", format!("the parameter `userId` is longer than {USER_ID_BYTES_MAX} bytes"))
        }
        Ok(Some(id)) if !id.is_empty() => Ok(id),
        Ok(_) => refuse("user_id_missing", "the parameter `userId` is missing or empty".to_owned()),
        Err(error) => refuse("user_id_invalid", format!("the parameter `userId` cannot be read: {error}")),
    }
}
