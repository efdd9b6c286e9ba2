//! `POST /ingest/v1/events`: our own event format, as JSON or NDJSON, packed with gzip or not.

use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use liftgate_ingest::{
    Error, Limits,
    native::{self, ContentType},
};

use crate::{
    access::EnvironmentCaller,
    app::App,
    body::{self, BATCH_BYTES_MAX},
    problem::ApiError,
};

/// Bodies above this are parsed away from the request threads.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Admits a batch. 200 means: every accepted event is on disk and will be counted exactly once.
pub async fn events(State(app): State<App>, caller: EnvironmentCaller, request: Request) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let content_type = match headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes()) {
        Some(value) if value.starts_with(b"application/x-ndjson") || value.starts_with(b"application/ndjson") => {
            ContentType::Ndjson
        }
        None => ContentType::Json,
        Some(value) if value.starts_with(b"application/json") || value.starts_with(b"text/plain") => ContentType::Json,
        Some(value) => {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content_type_unknown",
                format!("`Content-Type: {}` is not supported", String::from_utf8_lossy(value)),
            )
            .next("send `application/json` or `application/x-ndjson`"));
        }
    };
    let packed = body::read(request, BATCH_BYTES_MAX).await?;
    let large = packed.len() > INLINE_BYTES_MAX || headers.contains_key(header::CONTENT_ENCODING);
    let parse = move || {
        let bytes = body::unpack(&headers, packed, BATCH_BYTES_MAX)?;
        native::parse(content_type, &bytes, &Limits::default()).map_err(|error| {
            ApiError::new(StatusCode::BAD_REQUEST, "malformed_json", error.to_string())
                .next("nothing of this batch was taken; send it again once it is valid JSON")
        })
    };
    let parsed = if large {
        tokio::task::spawn_blocking(parse).await.map_err(|error| {
            tracing::error!(%error, "A batch of events could not be parsed because the parser stopped.");
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server met an error; its log says more")
        })??
    } else {
        parse()?
    };
    match app.ingest.admit(caller.snapshot.number, parsed, "native").await {
        Ok(receipt) => Ok(Json(receipt).into_response()),
        Err(Error::Backlog { retry_after_s }) => Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "backlog",
            "the event log is full: the warehouse has not taken what is there",
        )
        .next("send the same batch again later; nothing of it was taken")
        .retry_after(retry_after_s)),
        Err(error) => {
            tracing::error!(%error, "A batch of events could not be written to the log.");
            Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "log_unavailable",
                "the event log could not be written; its disk may be full",
            )
            .next("send the same batch again later; events that were taken will count as duplicates")
            .retry_after(5))
        }
    }
}
