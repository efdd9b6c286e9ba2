//! OFREP (OpenFeature Remote Evaluation Protocol): one flag or all flags for one context.
//! Errors are the protocol's own: `errorCode` and `errorDetails`.

use std::sync::atomic::Ordering;

use axum::{
    Json,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use liftgate_domain::Timestamp;
use liftgate_evaluator::{Context, Evaluation, EvaluationError};
use liftgate_ingest::ServedExposure;
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_128;

use crate::{
    access::EnvironmentCaller,
    app::App,
    body::{self, CONTEXT_BYTES_MAX},
    problem::ApiError,
    rulesets::Snapshot,
};

/// An error in the protocol's own shape.
struct Refusal {
    status: StatusCode,
    key: Option<String>,
    code: &'static str,
    details: String,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut answer = Map::new();
        if let Some(key) = self.key {
            answer.insert("key".to_owned(), key.into());
        }
        answer.insert("errorCode".to_owned(), self.code.into());
        answer.insert("errorDetails".to_owned(), self.details.into());
        (self.status, Json(Value::Object(answer))).into_response()
    }
}

/// Evaluates one flag and emits its exposure.
pub async fn single(
    State(app): State<App>,
    Path(key): Path<String>,
    caller: EnvironmentCaller,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(request, CONTEXT_BYTES_MAX).await?;
    let context = match context_of(&bytes, Some(&key)) {
        Ok(context) => context,
        Err(refusal) => return Ok(refusal.into_response()),
    };
    let snapshot = &caller.snapshot;
    let evaluation = snapshot.ruleset.evaluate(&key, &context);
    app.evaluations.fetch_add(1, Ordering::Relaxed);
    if let Some(error) = &evaluation.error {
        return Ok(refusal_of(&key, error).into_response());
    }
    if let Some(refusal) = missing_unit(&key, &evaluation, &context) {
        return Ok(refusal.into_response());
    }
    expose(&app, snapshot, &evaluation, app.clock.now());
    Ok(Json(answer(snapshot, &evaluation)).into_response())
}

/// Evaluates all flags from one snapshot. Emits exposures only where the environment opts in.
pub async fn bulk(State(app): State<App>, caller: EnvironmentCaller, request: Request) -> Result<Response, ApiError> {
    let if_none_match = request.headers().get(header::IF_NONE_MATCH).cloned();
    let bytes = body::read(request, CONTEXT_BYTES_MAX).await?;
    let context = match context_of(&bytes, None) {
        Ok(context) => context,
        Err(refusal) => return Ok(refusal.into_response()),
    };
    let snapshot = &caller.snapshot;
    let now = app.clock.now();
    let mut flags = Vec::with_capacity(snapshot.ruleset.len());
    for evaluation in snapshot.ruleset.evaluate_all(&context) {
        if snapshot.environment.bulk_exposures {
            expose(&app, snapshot, &evaluation, now);
        }
        flags.push(answer(snapshot, &evaluation));
    }
    app.evaluations.fetch_add(u64::try_from(flags.len()).unwrap_or(0), Ordering::Relaxed);
    let body = serde_json::to_vec(&json!({ "flags": flags })).expect("JSON values always serialize");
    let etag = format!("\"{:032x}\"", xxh3_128(&body));
    let mut headers = HeaderMap::new();
    headers.insert(header::ETAG, HeaderValue::from_str(&etag).expect("hex is a valid header"));
    if if_none_match.is_some_and(|seen| seen.as_bytes() == etag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok((headers, body).into_response())
}

/// Reads `{"context": {"targetingKey": ..., ...}}`.
fn context_of(bytes: &[u8], key: Option<&str>) -> Result<Context, Refusal> {
    let refuse =
        |code, details: String| Refusal { status: StatusCode::BAD_REQUEST, key: key.map(str::to_owned), code, details };
    let request: Value = serde_json::from_slice(bytes)
        .map_err(|error| refuse("PARSE_ERROR", format!("the body is not valid JSON: {error}")))?;
    let Value::Object(mut request) = request else {
        return Err(refuse("INVALID_CONTEXT", "the body must be an object with the field `context`".to_owned()));
    };
    let mut attributes = match request.remove("context") {
        Some(Value::Object(attributes)) => attributes,
        None => return Err(refuse("INVALID_CONTEXT", "the field `context` is missing".to_owned())),
        Some(_) => return Err(refuse("INVALID_CONTEXT", "the field `context` must be an object".to_owned())),
    };
    let targeting_key = match attributes.remove("targetingKey") {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        None => None,
        Some(Value::String(_)) => {
            return Err(refuse("TARGETING_KEY_MISSING", "the field `context.targetingKey` is empty".to_owned()));
        }
        Some(_) => {
            return Err(refuse("INVALID_CONTEXT", "the field `context.targetingKey` must be a string".to_owned()));
        }
    };
    Ok(Context { targeting_key, attributes })
}

fn refusal_of(key: &str, error: &EvaluationError) -> Refusal {
    match error {
        EvaluationError::FlagNotFound => Refusal {
            status: StatusCode::NOT_FOUND,
            key: Some(key.to_owned()),
            code: "FLAG_NOT_FOUND",
            details: format!("flag `{key}` not found in this environment; check its spelling and the key you use"),
        },
        other => Refusal {
            status: StatusCode::BAD_REQUEST,
            key: Some(key.to_owned()),
            code: "GENERAL",
            details: other.to_string(),
        },
    }
}

/// A flag whose answer would have depended on the unit, asked without one.
fn missing_unit(key: &str, evaluation: &Evaluation<'_, '_>, context: &Context) -> Option<Refusal> {
    let unit_type = evaluation.missing_unit?;
    (unit_type == "user" && context.targeting_key.is_none()).then(|| Refusal {
        status: StatusCode::BAD_REQUEST,
        key: Some(key.to_owned()),
        code: "TARGETING_KEY_MISSING",
        details: format!("flag `{key}` divides users; send `context.targetingKey`"),
    })
}

fn answer(snapshot: &Snapshot, evaluation: &Evaluation<'_, '_>) -> Value {
    if let Some(error) = &evaluation.error {
        let code = if *error == EvaluationError::FlagNotFound { "FLAG_NOT_FOUND" } else { "GENERAL" };
        return json!({"key": evaluation.flag, "errorCode": code, "errorDetails": error.to_string()});
    }
    let mut metadata = Map::new();
    metadata.insert("flagSetId".to_owned(), snapshot.scope.to_string().into());
    metadata.insert("version".to_owned(), evaluation.revision.to_string().into());
    if let Some(rule) = evaluation.rule {
        metadata.insert("rule".to_owned(), rule.into());
    }
    if let Some(assignment) = &evaluation.assignment {
        metadata.insert("run".to_owned(), assignment.run.number.into());
        metadata.insert("stage".to_owned(), assignment.run.stage.into());
        if let Some(arm) = assignment.arm {
            metadata.insert("arm".to_owned(), arm.into());
        }
    }
    json!({
        "key": evaluation.flag,
        "value": evaluation.value,
        "variant": evaluation.variation,
        "reason": evaluation.reason.as_str(),
        "metadata": metadata,
    })
}

/// Emits the exposure of an analysed unit, and of every unit that a ramp serves its treatment: the last stage has
/// nobody to compare with, but its users are counted.
fn expose(app: &App, snapshot: &Snapshot, evaluation: &Evaluation<'_, '_>, at: Timestamp) {
    let Some(assignment) = &evaluation.assignment else { return };
    let counts = assignment.arm.is_some()
        || snapshot.treatment_of(&evaluation.flag, assignment.run.number) == Some(assignment.variation);
    if !counts {
        return;
    }
    app.exposures.try_send(ServedExposure {
        environment: snapshot.number,
        flag: evaluation.flag.to_string(),
        variation: assignment.variation.to_owned(),
        unit_type: assignment.unit_type.to_owned(),
        unit_id: assignment.unit_id.to_owned(),
        run: assignment.run.number,
        stage: assignment.run.stage,
        arm: assignment.arm.map(str::to_owned),
        bucket: assignment.bucket,
        revision: snapshot.ruleset.revision(),
        at,
    });
}
