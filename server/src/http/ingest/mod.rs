//! The doors for events: our own format and Segment's. Each reads its body, names what it refuses, and hands the rest to
//! the same pipe.

pub mod native;
pub mod segment;

use axum::{
    extract::Request,
    http::{StatusCode, header},
};
use bytes::Bytes;
use liftgate_ingest::{Error, ParsedEvent, Receipt};

use crate::{
    app::App,
    body::{self, BATCH_BYTES_MAX},
    problem::ApiError,
};

/// Bodies above this are parsed away from the request threads.
const INLINE_BYTES_MAX: usize = 64 * 1024;
/// When to come back after the log could not be written, in seconds.
const LOG_RETRY_AFTER_S: u64 = 5;

/// Reads, unpacks and parses the body of a request.
pub(super) async fn parsed<T: Send + 'static>(
    request: Request,
    parse: impl FnOnce(&[u8]) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let headers = request.headers().clone();
    let packed = body::read(request, BATCH_BYTES_MAX).await?;
    let large = packed.len() > INLINE_BYTES_MAX || headers.contains_key(header::CONTENT_ENCODING);
    let work = move || {
        let bytes: Bytes = body::unpack(&headers, packed, BATCH_BYTES_MAX)?;
        parse(&bytes)
    };
    if !large {
        return work();
    }
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "A batch of events could not be parsed because the parser stopped.");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server met an error; its log says more")
    })?
}

/// The refusal of a body that cannot be read as a whole.
pub(super) fn malformed(error: impl std::fmt::Display) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "malformed_json", error.to_string())
        .next("nothing of this batch was taken; send it again once it is valid JSON")
}

/// Admits what was parsed. A receipt means: everything accepted is on disk and will be counted once.
pub(super) async fn admit(
    app: &App,
    environment: u64,
    events: Vec<ParsedEvent>,
    source: &'static str,
) -> Result<Receipt, ApiError> {
    let later = "send the same batch again later; what of it was taken counts once";
    app.ingest.admit(environment, events, source).await.map_err(|error| match error {
        Error::Backlog { retry_after_s } => ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "backlog",
            "the event log is full: the warehouse has not taken what is there",
        )
        .next(later)
        .retry_after(retry_after_s),
        Error::LowDisk { retry_after_s } => {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "low_disk", "the disk of the event log is nearly full")
                .next(later)
                .retry_after(retry_after_s)
        }
        Error::TooLarge { .. } => ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", error.to_string())
            .next("send it in several smaller requests"),
        Error::Closed => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", "the server is stopping")
            .next(later)
            .retry_after(1),
        error => {
            tracing::error!(%error, "A batch of events could not be written to the log.");
            ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "log_unavailable",
                "the event log could not be written; its disk may be full",
            )
            .next("send the same batch again later; events that were taken will count as duplicates")
            .retry_after(LOG_RETRY_AFTER_S)
        }
    })
}
