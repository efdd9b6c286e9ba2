//! `GET /sse/environments/{key}/stream`: tells that flags have changed, and when. The path has a client key, or the
//! environment's hash key, which is all that clients with local evaluation know; neither is a secret.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};

use super::Refusal;
use crate::{
    access::EnvironmentCaller,
    app::App,
    live::{self, Message},
};

/// Some clients come again at once, without end, whatever the answer says.
const REFUSAL_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

pub async fn updates(State(app): State<App>, Path(key): Path<String>) -> Result<Response, Refusal> {
    let snapshot = match app.rulesets.with_hash_key(&key) {
        Some(snapshot) => snapshot,
        None => match EnvironmentCaller::with_key(&app, &key).await {
            Ok(caller) => caller.snapshot,
            Err(error) => {
                tokio::time::sleep(REFUSAL_PAUSE).await;
                return Err(error.into());
            }
        },
    };
    // The first event closes the gap between a client's first answer and this stream; clients skip what is not newer.
    let message = |snapshot: &crate::rulesets::Snapshot| {
        Message::named("environment_updated", format!("{{\"updated_at\":{}}}", snapshot.flagsmith.updated_at()))
    };
    live::stream(&app, &snapshot.scope, live::Start::WithCurrent, message)
        .ok_or_else(|| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many streams are open on this node"))
}
