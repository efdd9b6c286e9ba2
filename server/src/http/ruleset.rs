//! `GET /evaluation/v1/ruleset`: everything that evaluation in one's own process needs, for `Ruleset::parse` of the evaluator.
//! Only for server keys: it tells who is in which segment. The tag is the revision.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{access::EnvironmentCaller, problem::ApiError};

/// The ruleset, or that the caller has it.
pub async fn show(caller: EnvironmentCaller, headers: HeaderMap) -> Result<Response, ApiError> {
    if !caller.is_server {
        let detail = "the ruleset tells who is in which segment, so it needs a server key";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "server_key_needed", detail)
            .next("make one with `POST /manage/v1/projects/{project}/environments/{environment}/keys`"));
    }
    let snapshot = caller.snapshot;
    let tag = format!("\"{}\"", snapshot.ruleset.revision());
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|seen| seen.as_bytes() == tag.as_bytes());
    let tag = HeaderValue::from_str(&tag).expect("digits within quotes are a valid header");
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    // Thousands of flags take a while to write.
    let body = tokio::task::spawn_blocking(move || serde_json::to_vec(&snapshot.source)).await;
    let body = body.ok().and_then(Result::ok).ok_or_else(|| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the ruleset could not be written")
    })?;
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::ETAG, tag), (header::CONTENT_TYPE, json)], body).into_response())
}
