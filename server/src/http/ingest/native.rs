//! `POST /ingest/v1/events`: our own event format, as JSON or NDJSON, packed with gzip or zstd or not.

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
};
use liftgate_ingest::{
    Limits, Receipt,
    native::{self, ContentType},
};

use crate::{access::EnvironmentCaller, app::App, problem::ApiError};

/// What the rows of these events say that they came from.
const SOURCE: &str = "native";

/// Admits a batch. 200 means: every accepted event is on disk and will be counted exactly once.
pub async fn events(
    State(app): State<App>,
    caller: EnvironmentCaller,
    request: Request,
) -> Result<Json<Receipt>, ApiError> {
    let content_type = content_type(request.headers())?;
    let events = super::parsed(request, move |bytes| {
        native::parse(content_type, bytes, &Limits::default()).map_err(super::malformed)
    })
    .await?;
    super::admit(&app, caller.snapshot.declared.number, events, SOURCE).await.map(Json)
}

fn content_type(headers: &HeaderMap) -> Result<ContentType, ApiError> {
    let value = headers.get(header::CONTENT_TYPE).map_or(&b"application/json"[..], |value| value.as_bytes());
    let kind = String::from_utf8_lossy(value).to_ascii_lowercase();
    match kind.split(';').next().unwrap_or_default().trim() {
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(ContentType::Ndjson),
        "application/json" | "text/plain" => Ok(ContentType::Json),
        _ => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content_type_unknown",
            format!("`Content-Type: {}` is not supported", String::from_utf8_lossy(value)),
        )
        .next("send `application/json` or `application/x-ndjson`")),
    }
}
