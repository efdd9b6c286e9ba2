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
/// The largest window of a zstd frame that is unpacked: 8 MiB, what RFC 8878 asks every decoder to support.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
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
    let encoding = headers.get(header::CONTENT_ENCODING).map_or(&b""[..], |value| value.as_bytes().trim_ascii());
    match encoding.to_ascii_lowercase().as_slice() {
        b"" | b"identity" => Ok(bytes),
        b"gzip" | b"x-gzip" => bounded(flate2::read::MultiGzDecoder::new(&bytes[..]), bytes.len(), bytes_max, "gzip"),
        b"zstd" => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(&bytes[..]).map_err(|error| malformed("zstd", &error))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|error| malformed("zstd", &error))?;
            bounded(decoder, bytes.len(), bytes_max, "zstd")
        }
        _ => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "encoding_unknown",
            format!("`Content-Encoding: {}` is not supported", String::from_utf8_lossy(encoding)),
        )
        .next("send `gzip`, `zstd` or nothing")),
    }
}

/// Reads at most `bytes_max` out of a decoder.
fn bounded(decoder: impl Read, packed: usize, bytes_max: usize, encoding: &str) -> Result<Bytes, ApiError> {
    let mut unpacked = Vec::with_capacity(packed.saturating_mul(4).min(bytes_max));
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(limit).read_to_end(&mut unpacked).map_err(|error| malformed(encoding, &error))?;
    if unpacked.len() > bytes_max { Err(too_large(bytes_max)) } else { Ok(unpacked.into()) }
}

fn malformed(encoding: &str, error: &std::io::Error) -> ApiError {
    let code = if encoding == "gzip" { "malformed_gzip" } else { "malformed_zstd" };
    ApiError::new(StatusCode::BAD_REQUEST, code, format!("the body is not valid {encoding}: {error}"))
        .next("nothing of it was taken; pack it again, or send it unpacked without `Content-Encoding`")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use axum::http::HeaderValue;

    use super::*;

    fn unpacked(encoding: &'static str, body: &[u8], bytes_max: usize) -> Result<Bytes, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        unpack(&headers, Bytes::copy_from_slice(body), bytes_max)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ::zstd::stream::encode_all(bytes, 3).unwrap()
    }

    #[test]
    fn what_was_packed_comes_out_up_to_the_limit_and_not_a_byte_beyond() {
        let body = b"0123456789".repeat(100);
        for (encoding, packed) in [("gzip", gzip(&body)), ("GZIP ", gzip(&body)), ("zstd", zstd(&body))] {
            assert_eq!(unpacked(encoding, &packed, body.len()).unwrap(), body, "{encoding}");
            let error = unpacked(encoding, &packed, body.len() - 1).unwrap_err();
            assert!(error.detail().contains("larger than 999 bytes"), "{encoding}: {}", error.detail());
        }
        assert_eq!(unpacked("identity", &body, body.len()).unwrap(), body);
    }

    #[test]
    fn several_packed_members_are_one_body() {
        for (encoding, pack) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("zstd", zstd)] {
            let packed = [pack(b"one "), pack(b"two")].concat();
            assert_eq!(unpacked(encoding, &packed, 100).unwrap(), &b"one two"[..], "{encoding}");
        }
    }

    #[test]
    fn what_cannot_be_unpacked_says_why() {
        let cut = |packed: Vec<u8>| packed[..packed.len() - 4].to_vec();
        let rows: [(&str, Vec<u8>, &str); 6] = [
            ("gzip", b"not gzip".to_vec(), "not valid gzip"),
            ("zstd", b"not zstd".to_vec(), "not valid zstd"),
            ("gzip", cut(gzip(&b"0123456789".repeat(100))), "not valid gzip"),
            ("zstd", cut(zstd(&b"0123456789".repeat(100))), "not valid zstd"),
            ("br", b"x".to_vec(), "`Content-Encoding: br` is not supported"),
            ("gzip, zstd", b"x".to_vec(), "not supported"),
        ];
        for (encoding, body, words) in rows {
            let error = unpacked(encoding, &body, 10_000).unwrap_err();
            assert!(error.detail().contains(words), "{encoding}: {}", error.detail());
        }
    }

    #[test]
    fn a_frame_that_asks_for_a_huge_window_is_refused_before_it_is_allocated() {
        let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.include_contentsize(false).unwrap();
        encoder.write_all(&b"0123456789".repeat(10)).unwrap();
        let packed = encoder.finish().unwrap();
        let error = unpacked("zstd", &packed, 10_000).unwrap_err();
        assert!(error.detail().contains("not valid zstd"), "{}", error.detail());
    }
}
