//! Flagsmith's protocol, for its official SDKs as they are: flags, identities, the environment document, usage, events
//! and the stream of updates. Errors are `{"detail": ...}`, as its clients expect.
//!
//! Traits are not stored: an answer uses those that were sent with the question, and a question without traits has none.

mod analytics;
mod document;
mod environment_document;
mod events;
mod flags;
mod identities;
mod stream;
pub mod terms;
pub mod view;
mod writer;

pub use view::View;

use axum::{
    Json, Router,
    body::Body,
    extract::{FromRequestParts, Request},
    http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use tower_http::cors::{Any, CorsLayer};

use crate::{access::EnvironmentCaller, app::App, http::browsers, problem::ApiError};

/// When the flags of an answer were last changed; clients compare it with what the stream says.
const UPDATED_AT: HeaderName = HeaderName::from_static("x-flagsmith-document-updated-at");

/// Every route of the protocol.
pub fn router() -> Router<App> {
    Router::new()
        .route("/api/v1/flags/", get(flags::show))
        .route("/api/v1/identities/", get(identities::show).post(identities::evaluate))
        .route("/api/v1/environment-document/", get(document::show))
        .route("/api/v1/analytics/flags/", post(analytics::first))
        .route("/api/v2/analytics/flags/", post(analytics::second))
        .route("/sse/environments/{key}/stream", get(stream::updates))
        .route("/v1/events", post(events::receive))
        .method_not_allowed_fallback(wrong_method)
        .layer((super::hardened(), browsers::layers(cors())))
}

/// Browsers call from anywhere: their keys are public identifiers.
fn cors() -> CorsLayer {
    let named = |name: &'static str| HeaderName::from_static(name);
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST, Method::OPTIONS])
        .allow_headers([
            header::CONTENT_TYPE,
            header::CONTENT_ENCODING,
            header::CACHE_CONTROL,
            named("last-event-id"),
            named("x-environment-key"),
            named("flagsmith-sdk-user-agent"),
            named("flagsmith-application-name"),
            named("flagsmith-application-version"),
        ])
        .expose_headers([UPDATED_AT, header::RETRY_AFTER])
}

/// An error in the protocol's shape.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    detail: String,
    retry_after: Option<HeaderValue>,
}

impl Refusal {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None }
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let detail = error.detail().to_owned();
        let response = error.into_response();
        // A body that cannot be used is 400 in this protocol.
        let status = match response.status() {
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            status => status,
        };
        Self { status, detail, retry_after: response.headers().get(header::RETRY_AFTER).cloned() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({"detail": self.detail}))).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

/// The environment of the key in `X-Environment-Key`.
struct Keyed(EnvironmentCaller);

impl FromRequestParts<App> for Keyed {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        if !parts.headers.contains_key("x-environment-key") && !parts.headers.contains_key("x-api-key") {
            let detail = "send the key of an environment as `X-Environment-Key`";
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, detail));
        }
        EnvironmentCaller::from_request_parts(parts, app).await.map(Self).map_err(Refusal::from)
    }
}

async fn wrong_method(request: Request) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("Method \"{}\" not allowed.", request.method()))
}

/// JSON that is written already.
fn answer(updated_at: HeaderValue, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(UPDATED_AT, updated_at);
    response
}
