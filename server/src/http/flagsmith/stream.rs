//! `GET /sse/environments/{key}/stream`: tells that flags have changed, and when. The path has a client key, or the
//! environment's hash key, which is all that clients with local evaluation know; neither is a secret.

use axum::{
    extract::{Path, State},
    response::Response,
};

use super::Refusal;
use crate::{
    app::App,
    live::{
        self,
        sse::{self, Message, Start},
    },
};

/// Some clients come again at once, without end, whatever the answer says.
const REFUSAL_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

pub async fn updates(State(app): State<App>, Path(key): Path<String>) -> Result<Response, Refusal> {
    let (snapshot, place) = match live::admit(&app, &key).await {
        Ok(admitted) => admitted,
        Err(error) => {
            tokio::time::sleep(REFUSAL_PAUSE).await;
            return Err(error.into());
        }
    };
    // The first event closes the gap between a client's first answer and this stream; clients skip what is not newer.
    let message = |snapshot: &crate::rulesets::Snapshot| {
        Message::named("environment_updated", format!("{{\"updated_at\":{}}}", snapshot.flagsmith.updated_at()))
    };
    Ok(sse::stream(&app, &snapshot, place, Start::WithCurrent, message)?)
}
