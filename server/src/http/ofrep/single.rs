//! `POST /ofrep/v1/evaluate/flags/{key}`: one flag for one context. Emits the exposure of a unit in a run.

use std::sync::atomic::Ordering;

use axum::{
    extract::{OriginalUri, Path, Request, State, rejection::PathRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    answer::{self, Failure, Tail},
    context,
    refusal::Refusal,
};
use crate::{access::EnvironmentCaller, app::App, http::exposure, problem::ApiError};

/// Room for an answer whose value is not large.
const ANSWER_BYTES: usize = 512;
/// What stands before the key in the path.
const FLAGS: &str = "/flags/";

/// Evaluates one flag and emits its exposure.
pub async fn single(
    State(app): State<App>,
    key: Result<Path<String>, PathRejection>,
    OriginalUri(uri): OriginalUri,
    caller: Result<EnvironmentCaller, ApiError>,
    request: Request,
) -> Response {
    // A key that is not text even after decoding is no flag's; it is answered as it was sent.
    let key = key.map_or_else(|_| uri.path().split_once(FLAGS).map_or("", |(_, key)| key).to_owned(), |Path(key)| key);
    match evaluate(&app, &key, caller, request).await {
        Ok(body) => ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response(),
        Err(refusal) => refusal.of_flag(&key).into_response(),
    }
}

async fn evaluate(
    app: &App,
    key: &str,
    caller: Result<EnvironmentCaller, ApiError>,
    request: Request,
) -> Result<Vec<u8>, Refusal> {
    let EnvironmentCaller { snapshot, .. } = caller?;
    let context = context::read(request).await?;
    app.evaluations.fetch_add(1, Ordering::Relaxed);
    let Some(flag) = snapshot.fragments.find(key) else {
        let Failure { code, details } = Failure::not_found(key);
        return Err(Refusal::new(StatusCode::NOT_FOUND, code, details));
    };
    let tail = Tail::of(&context);
    let mut body = Vec::with_capacity(ANSWER_BYTES);
    if let Some(whole) = flag.fixed() {
        answer::write_fixed(&mut body, whole, &tail);
        return Ok(body);
    }
    let evaluation = snapshot.ruleset.evaluate_at(key, &context, app.clock.now());
    if let Some(Failure { code, details }) = Failure::of(&evaluation, &context) {
        return Err(Refusal::bad_request(code, details));
    }
    exposure::emit(app, &snapshot, &evaluation, app.clock.now());
    answer::write(&mut body, flag, &evaluation, &tail);
    Ok(body)
}
