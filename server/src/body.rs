//! Request bodies: bounded, unpacked, and decoded with the path of the field that is wrong.

use std::{io::Read, time::Duration};

use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde::de::DeserializeOwned;

use crate::{app::App, problem::ApiError};

/// The most bytes of a management request.
pub const MANAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most bytes of an evaluation context.
pub const CONTEXT_BYTES_MAX: usize = 256 * 1024;
/// The most bytes of an event batch, packed or unpacked.
pub const BATCH_BYTES_MAX: usize = 5 * 1024 * 1024;
/// How long a sender may pause within a body.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(20);
/// The most bytes that are read only to be thrown away before an answer.
const DRAIN_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The answer to a body that is too large.
pub fn too_large(bytes_max: usize) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", format!("the body is larger than {bytes_max} bytes"))
        .next("send it in several smaller requests")
}

/// Decodes JSON; an error names the field by its path.
pub fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_data() {
            ApiError::invalid_field("the body", if path == "." { "body" } else { &path }, inner.to_string())
        } else {
            ApiError::new(StatusCode::BAD_REQUEST, "malformed_json", format!("the body is not valid JSON: {inner}"))
        }
    })?;
    deserializer.end().map_err(|error| {
        ApiError::new(StatusCode::BAD_REQUEST, "malformed_json", format!("the body is not valid JSON: {error}"))
    })?;
    Ok(value)
}

/// A JSON body of a management request.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &App) -> Result<Self, ApiError> {
        let bytes = read(request, MANAGE_BYTES_MAX).await?;
        json(&bytes).map(Self)
    }
}

/// An optional JSON body: nothing sent is the default.
pub struct MaybeJson<T>(pub T);

impl<T: DeserializeOwned + Default> FromRequest<App> for MaybeJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &App) -> Result<Self, ApiError> {
        let bytes = read(request, MANAGE_BYTES_MAX).await?;
        if bytes.is_empty() { Ok(Self(T::default())) } else { json(&bytes).map(Self) }
    }
}

/// Reads a body of at most `bytes_max`. What is beyond is read and thrown away, up to a bound, so that the sender hears
/// why it was refused instead of a broken connection.
pub async fn read(request: Request, bytes_max: usize) -> Result<Bytes, ApiError> {
    let declared = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
        .unwrap_or(0);
    if declared > DRAIN_BYTES_MAX {
        return Err(too_large(bytes_max));
    }
    let mut stream = request.into_body().into_data_stream();
    let mut body = BytesMut::with_capacity(declared.min(bytes_max));
    let mut seen = 0_usize;
    loop {
        let next = tokio::time::timeout(CHUNK_TIMEOUT, stream.next())
            .await
            .map_err(|_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_slow", "the body did not arrive in time"))?;
        let Some(chunk) = next else { break };
        let chunk = chunk.map_err(|error| {
            ApiError::new(StatusCode::BAD_REQUEST, "body_incomplete", format!("the body could not be read: {error}"))
        })?;
        seen = seen.saturating_add(chunk.len());
        if seen > DRAIN_BYTES_MAX {
            break;
        }
        if seen <= bytes_max {
            body.extend_from_slice(&chunk);
        }
    }
    if seen > bytes_max { Err(too_large(bytes_max)) } else { Ok(body.freeze()) }
}

/// Unpacks a body by its `Content-Encoding`, never beyond `bytes_max`.
pub fn unpack(headers: &HeaderMap, bytes: Bytes, bytes_max: usize) -> Result<Bytes, ApiError> {
    match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"" | b"identity") => Ok(bytes),
        Some(b"gzip") => {
            let mut unpacked = Vec::with_capacity(bytes.len().saturating_mul(4).min(bytes_max));
            let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
            flate2::read::MultiGzDecoder::new(&bytes[..]).take(limit).read_to_end(&mut unpacked).map_err(|error| {
                ApiError::new(StatusCode::BAD_REQUEST, "malformed_gzip", format!("the body is not valid gzip: {error}"))
            })?;
            if unpacked.len() > bytes_max { Err(too_large(bytes_max)) } else { Ok(unpacked.into()) }
        }
        Some(other) => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "encoding_unknown",
            format!("`Content-Encoding: {}` is not supported", String::from_utf8_lossy(other)),
        )
        .next("send `gzip` or nothing")),
    }
}
