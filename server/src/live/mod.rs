//! Streams of updates, on any protocol: who listens to an environment hears of each new snapshot, the newest only, however
//! slow it reads. A snapshot is told after this node serves it, so that a client that asks at once gets what it was told of.

pub mod difference;
mod place;
pub mod sse;

pub use place::{Live, Place};

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;

use crate::{access::EnvironmentCaller, app::App, problem::ApiError, rulesets::Snapshot};

/// How often a stream says something, so that both ends notice when the other is gone.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The environment that a key in a URL opens, with a place for its stream. Event sources of browsers send no headers, so
/// their URLs have a client key, or the environment's hash key: neither is a secret, and a stream tells only that something
/// changed. The hash key names the environment for good, whatever becomes of keys; any other key that is revoked takes its
/// streams along.
pub async fn admit(app: &App, key: &str) -> Result<(Arc<Snapshot>, Place), ApiError> {
    if let Some(snapshot) = app.rulesets.with_hash_key(key) {
        return Ok((snapshot, app.live.enter(None)?));
    }
    admit_key(app, key).await
}

/// The same for a stream that tells more than that something changed: the hash key is no more than the first client key
/// there, and opens nothing once that is revoked.
pub async fn admit_key(app: &App, key: &str) -> Result<(Arc<Snapshot>, Place), ApiError> {
    let place = app.live.enter(Some(key))?;
    let caller = EnvironmentCaller::with_key(app, key).await?;
    if caller.is_server {
        let detail = "a server key is a secret, and URLs stand in logs and histories";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "secret_in_url", detail)
            .next("use a client key of the environment here, and make a new server key in place of this one"));
    }
    Ok((caller.snapshot, place))
}
