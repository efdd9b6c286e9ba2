//! `POST /api/v1/analytics/flags/` and `/api/v2/...`: how often an application looked at each flag. It feeds counters
//! only; clients do not look at the answer.

use std::collections::BTreeMap;

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::Value;

use super::{Keyed, Refusal};
use crate::{
    app::App,
    body::{self, CONTEXT_BYTES_MAX},
};

#[derive(Deserialize)]
struct Evaluations {
    evaluations: Vec<Evaluated>,
}

#[derive(Deserialize)]
struct Evaluated {
    feature_name: String,
    #[serde(default)]
    count: u64,
}

/// `{"name": count}`. What is no count is named; the others are counted.
pub async fn first(State(app): State<App>, Keyed(caller): Keyed, request: Request) -> Result<Response, Refusal> {
    let bytes = body::read(request, CONTEXT_BYTES_MAX).await?;
    let counts: BTreeMap<String, Value> = body::json(&bytes)?;
    let mut bad = None;
    for (name, count) in counts {
        match count.as_u64() {
            Some(count) => record(&app, &caller, &name, count),
            None => bad = Some(name),
        }
    }
    match bad {
        None => Ok(StatusCode::OK.into_response()),
        Some(name) => {
            let detail = format!("`{name}` must be a whole number of evaluations");
            Err(Refusal::new(StatusCode::BAD_REQUEST, detail))
        }
    }
}

/// `{"evaluations": [{"feature_name", "count"}]}`.
pub async fn second(State(app): State<App>, Keyed(caller): Keyed, request: Request) -> Result<Response, Refusal> {
    let bytes = body::read(request, CONTEXT_BYTES_MAX).await?;
    let counts: Evaluations = body::json(&bytes)?;
    for it in counts.evaluations {
        record(&app, &caller, &it.feature_name, it.count);
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Names that are no flags are counted nowhere: they would fill the memory with whatever a caller makes up.
fn record(app: &App, caller: &crate::access::EnvironmentCaller, feature: &str, count: u64) {
    if let Some(key) = caller.snapshot.flag_of_feature(feature) {
        app.usage.add(&caller.snapshot.scope, key, count);
    }
}
