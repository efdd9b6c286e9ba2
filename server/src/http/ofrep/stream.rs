//! `GET /ofrep/v1/streams/{key}`: tells browsers to ask again. Their event sources send no headers, so the path has the
//! environment's hash key, which is public; what a stream tells is only that something changed.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use reqwest::Url;
use serde_json::json;

use super::refusal::Refusal;
use crate::{
    access::EnvironmentCaller,
    app::App,
    live::{self, Message, Start},
    problem::ApiError,
    rulesets::Snapshot,
};

/// The stream of an environment.
pub async fn updates(State(app): State<App>, Path(key): Path<String>) -> Result<Response, Refusal> {
    let snapshot = match app.rulesets.with_hash_key(&key) {
        Some(snapshot) => snapshot,
        None => EnvironmentCaller::with_key(&app, &key).await?.snapshot,
    };
    live::stream(&app, &snapshot.scope, Start::WithNews, message).ok_or_else(|| {
        let detail = "too many streams are open on this node";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "streams_full", detail).retry_after(5).into()
    })
}

fn message(snapshot: &Snapshot) -> Message {
    let at_s = snapshot.moved_at.as_micros() / 1_000_000;
    let etag = snapshot.ruleset.revision().to_string();
    Message::plain(json!({"type": "refetchEvaluation", "etag": etag, "lastModified": at_s}).to_string())
}

/// What a bulk answer says of the stream, as a member of its body. Without an origin: clients know the server under a name
/// that it cannot know.
pub fn member(hash_key: &str) -> Box<[u8]> {
    let path = Url::parse("http://localhost/ofrep/v1/streams").ok().and_then(|mut url| {
        url.path_segments_mut().ok()?.push(hash_key);
        Some(url.path().to_owned())
    });
    let streams = json!([{"type": "sse", "endpoint": {"requestUri": path}}]);
    format!(",\"eventStreams\":{streams}").into_bytes().into()
}
