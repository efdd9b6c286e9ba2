//! The API's description: a committed OpenAPI document, a page that shows it, and the index.

use axum::{Json, Router, http::header, response::IntoResponse};
use serde_json::json;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::app::App;

/// The OpenAPI 3.1 document as committed; a test keeps it in step with the routes.
pub const DOCUMENT: &str = include_str!("openapi.json");

/// `GET /openapi.json`.
pub async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

/// `GET /docs`: Swagger UI from files inside the binary; it loads nothing from elsewhere.
pub fn pages() -> Router<App> {
    SwaggerUi::new("/docs").config(Config::from("/openapi.json")).into()
}

/// `GET /`: where to go next.
pub async fn index() -> impl IntoResponse {
    Json(json!({
        "name": "Liftgate",
        "version": env!("CARGO_PKG_VERSION"),
        "docs": "/docs",
        "openapi": "/openapi.json",
        "health": ["/livez", "/readyz"],
        "metrics": "/metrics",
    }))
}
