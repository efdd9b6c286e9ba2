//! `POST /ofrep/v1/evaluate/flags`: all flags for one context, from one snapshot. What a single flag misses is an error in
//! its own place. Emits exposures only where the environment opts in: nobody knows yet which flags will be used.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use liftgate_evaluator::Context;

use super::{
    answer::{self, Failure, Tail, member},
    context, etag,
    refusal::Refusal,
    stream,
};
use crate::{access::EnvironmentCaller, app::App, http::exposure, problem::ApiError, rulesets::Snapshot};

/// Room for what stands around the flags.
const AROUND_BYTES: usize = 1_024;

/// Evaluates all flags, or answers that nothing changed since the caller's `ETag`.
pub async fn bulk(
    State(app): State<App>,
    caller: Result<EnvironmentCaller, ApiError>,
    request: Request,
) -> Result<Response, Refusal> {
    let EnvironmentCaller { snapshot, .. } = caller?;
    let snapshot = caught_up(&app, snapshot, request.uri().query()).await;
    let if_none_match: Vec<HeaderValue> = request.headers().get_all(header::IF_NONE_MATCH).iter().cloned().collect();
    let context = context::read(request).await?;
    let body = write(&app, &snapshot, &context);
    app.evaluations.fetch_add(u64::try_from(snapshot.ruleset.len()).unwrap_or(0), Ordering::Relaxed);
    let tag = etag::of(&body);
    if etag::is_known(&if_none_match, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::ETAG, tag), (header::CONTENT_TYPE, json)], body).into_response())
}

/// A caller whom a stream told of a change names its revision, and may ask another node than the one that told.
async fn caught_up(app: &App, snapshot: Arc<Snapshot>, query: Option<&str>) -> Arc<Snapshot> {
    match query.and_then(|query| stream::revision_in(query, "flagConfigEtag")) {
        Some(revision) => app.rulesets.at_least(&snapshot.scope, revision).await.unwrap_or(snapshot),
        None => snapshot,
    }
}

/// The whole body: everything that the tag covers.
fn write(app: &App, snapshot: &Snapshot, context: &Context) -> Vec<u8> {
    let fragments = &snapshot.fragments;
    let tail = Tail::of(context);
    let room = fragments.bytes() + fragments.flags().len() * tail.bytes().len() + AROUND_BYTES;
    let mut body = Vec::with_capacity(room);
    let now = app.clock.now();
    let mut batch = snapshot.ruleset.batch_at(context, now);
    let emits = snapshot.declared.environment.bulk_exposures;
    body.extend_from_slice(br#"{"flags":["#);
    for (index, flag) in fragments.flags().iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        if let Some(whole) = flag.fixed() {
            answer::write_fixed(&mut body, whole, &tail);
            continue;
        }
        let Some(evaluation) = batch.evaluate(index) else { break };
        debug_assert_eq!(evaluation.flag, flag.key(), "both stand in the order of keys");
        if let Some(failure) = Failure::of(&evaluation, context) {
            failure.write(&mut body, flag.key());
            continue;
        }
        if emits {
            exposure::emit(app, snapshot, &evaluation, now);
        }
        answer::write(&mut body, flag, &evaluation, &tail);
    }
    body.extend_from_slice(br#"],"metadata":{"#);
    body.extend_from_slice(fragments.set());
    body.push(b',');
    member(&mut body, "version", &snapshot.ruleset.revision().to_string());
    body.extend_from_slice(tail.bytes());
    body.push(b'}');
    body.extend_from_slice(&snapshot.event_streams);
    body.push(b'}');
    body
}
