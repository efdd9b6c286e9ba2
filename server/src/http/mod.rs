//! The one HTTP listener: every route, its limits and its middleware.

mod browsers;
mod exposition;
mod exposure;
pub mod flag_socket;
pub mod flagsmith;
mod gatekeeper;
mod health;
mod ingest;
mod metrics;
pub mod ofrep;
pub mod openapi;
mod ruleset;

use axum::{
    Router,
    extract::Request,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tower_http::{
    cors::{Any, CorsLayer},
    set_header::SetResponseHeaderLayer,
};

use crate::{app::App, manage, problem::ApiError};

/// The whole service.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/", get(openapi::index))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::show))
        .route("/openapi.json", get(openapi::document))
        .merge(openapi::pages())
        .nest("/manage/v1", manage::router())
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(hardened())
        // Layers cost every request a little, each time that they are put around routes: these have all of theirs at once.
        .merge(evaluation())
        .merge(flagsmith::router())
        .with_state(app)
}

/// What applications call.
fn evaluation() -> Router<App> {
    Router::new()
        .route("/ofrep/v1/evaluate/flags", post(ofrep::bulk))
        .route("/ofrep/v1/evaluate/flags/{*key}", post(ofrep::single))
        .route("/ofrep/v1/streams/{key}", get(ofrep::stream::updates))
        .route("/evaluation/v1/ruleset", get(ruleset::show))
        .route("/flags/evaluate", get(gatekeeper::evaluate))
        .route("/ws/flags", get(flag_socket::updates))
        .route("/ingest/v1/events", post(ingest::native::events))
        .route("/v1/track", post(ingest::segment::track))
        .route("/v1/identify", post(ingest::segment::identify))
        .route("/v1/page", post(ingest::segment::page))
        .route("/v1/screen", post(ingest::segment::screen))
        .route("/v1/group", post(ingest::segment::group))
        .route("/v1/alias", post(ingest::segment::alias))
        .route("/v1/batch", post(ingest::segment::batch))
        // Before the layer, which answers preflights.
        .method_not_allowed_fallback(wrong_method)
        .layer((hardened(), browsers::layers(cors())))
}

/// Browsers may evaluate and send events from anywhere: their keys are public identifiers.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST, Method::OPTIONS])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::CONTENT_ENCODING,
            header::IF_NONE_MATCH,
            HeaderName::from_static("x-api-key"),
            HeaderName::from_static("x-environment-key"),
        ])
        .expose_headers([header::ETAG, header::RETRY_AFTER])
}

/// The header that every answer carries.
fn hardened() -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
}

async fn unknown_route(request: Request) -> Response {
    ApiError::new(StatusCode::NOT_FOUND, "route_unknown", format!("there is nothing at `{}`", request.uri().path()))
        .next("`/docs` lists every route")
        .into_response()
}

async fn wrong_method(request: Request) -> Response {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("`{}` does not take {}", request.uri().path(), request.method()),
    )
    .next("`/docs` lists the methods of every route")
    .into_response()
}
