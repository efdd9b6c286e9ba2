//! `POST /v1/{track,identify,page,screen,group,alias,batch}`: what the clients of Segment and RudderStack send. The write
//! key is the key of an environment. Answers are Segment's: `{"success": true}`, or a status that its clients act upon:
//! they give up on 400, 401, 413, 415 and come again after 429 and 5xx.

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use liftgate_ingest::{
    Limits, Receipt,
    segment_api::{self, Call},
};
use serde_json::{Value, json};

use crate::{
    access::{EnvironmentCaller, write_key},
    app::App,
    problem::ApiError,
};

/// What the rows of these events say that they came from.
const SOURCE: &str = "segment";

/// `POST /v1/track`.
pub async fn track(State(app): State<App>, request: Request) -> Result<Json<Value>, ApiError> {
    receive(&app, Call::Track, request).await
}

/// `POST /v1/identify`.
pub async fn identify(State(app): State<App>, request: Request) -> Result<Json<Value>, ApiError> {
    receive(&app, Call::Identify, request).await
}

/// `POST /v1/page`.
pub async fn page(State(app): State<App>, request: Request) -> Result<Json<Value>, ApiError> {
    receive(&app, Call::Page, request).await
}

/// `POST /v1/screen`.
pub async fn screen(State(app): State<App>, request: Request) -> Result<Json<Value>, ApiError> {
    receive(&app, Call::Screen, request).await
}

/// `POST /v1/group`.
pub async fn group(State(app): State<App>, request: Request) -> Result<Json<Value>, ApiError> {
    receive(&app, Call::Group, request).await
}

/// `POST /v1/alias`.
pub async fn alias(State(app): State<App>, request: Request) -> Result<Json<Value>, ApiError> {
    receive(&app, Call::Alias, request).await
}

/// `POST /v1/batch`.
pub async fn batch(State(app): State<App>, request: Request) -> Result<Json<Value>, ApiError> {
    receive(&app, Call::Batch, request).await
}

async fn receive(app: &App, call: Call, request: Request) -> Result<Json<Value>, ApiError> {
    admit(app, call, request).await.map(Json).map_err(ApiError::with_message)
}

async fn admit(app: &App, call: Call, request: Request) -> Result<Value, ApiError> {
    // A key in the headers is checked before the body is read.
    let caller = match write_key(request.headers()) {
        Some(key) => Some(EnvironmentCaller::with_key(app, &key).await?),
        None => None,
    };
    let received_at = app.clock.now();
    let sent = super::parsed(request, move |bytes| {
        segment_api::parse(call, bytes, &Limits::default(), received_at).map_err(super::malformed)
    })
    .await?;
    let caller = match (caller, &sent.write_key) {
        (Some(caller), _) => caller,
        (None, Some(key)) => EnvironmentCaller::with_key(app, key).await?,
        (None, None) => {
            let error =
                ApiError::new(StatusCode::UNAUTHORIZED, "key_missing", "this call needs the key of an environment");
            return Err(error.next("use it as the write key: Basic authentication's user name, or `writeKey`"));
        }
    };
    let receipt = super::admit(app, caller.snapshot.declared.number, sent.events, SOURCE).await?;
    answer(&caller, call, &receipt)
}

/// A refused event of a batch does not refuse its neighbours: clients would send all of them again, or none.
fn answer(caller: &EnvironmentCaller, call: Call, receipt: &Receipt) -> Result<Value, ApiError> {
    for rejection in &receipt.rejected {
        let (index, code, field) = (rejection.index, rejection.code, rejection.field.as_deref());
        tracing::debug!(scope = %caller.snapshot.scope, index, ?code, field, "An event of a Segment client was refused.");
    }
    if call != Call::Batch
        && let Some(only) = receipt.rejected.first()
    {
        return Err(ApiError::rejected_event(only.field.as_deref().unwrap_or("body"), &only.detail));
    }
    let mut answer = json!({"success": true});
    if !receipt.rejected.is_empty() {
        answer["rejected"] = json!(receipt.rejected);
    }
    if !receipt.quarantined.is_empty() {
        answer["quarantined"] = json!(receipt.quarantined);
    }
    Ok(answer)
}
