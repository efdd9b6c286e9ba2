//! Path segments as keys, scopes and kinds; a wrong one is a clear error, not a panic and not an empty list.

use axum::{extract::FromRequestParts, extract::Path, http::request::Parts};
use liftgate_domain::{Key, ResourceKind, Scope, resource::Level};
use serde::Deserialize;

use crate::{app::App, problem::ApiError};

/// A key in the path.
pub fn key(field: &str, text: &str) -> Result<Key, ApiError> {
    Key::new(text).map_err(|error| ApiError::invalid_field("the path", field, error.to_string()))
}

/// `/projects/{project}/environments/{environment}/...` as a scope.
pub struct InEnvironment(pub Scope);

/// `/projects/{project}/...` as a scope.
pub struct InProject(pub Scope);

#[derive(Deserialize)]
struct Segments {
    project: String,
    environment: Option<String>,
}

impl FromRequestParts<App> for InEnvironment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let segments = segments(parts, app).await?;
        let environment = segments.environment.unwrap_or_default();
        Ok(Self(Scope::environment(key("project", &segments.project)?, key("environment", &environment)?)))
    }
}

impl FromRequestParts<App> for InProject {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        Ok(Self(Scope::project(key("project", &segments(parts, app).await?.project)?)))
    }
}

async fn segments(parts: &mut Parts, app: &App) -> Result<Segments, ApiError> {
    Path::<Segments>::from_request_parts(parts, app)
        .await
        .map(|Path(segments)| segments)
        .map_err(|error| ApiError::invalid_field("the path", "project", error.to_string()))
}

/// The last key of the path.
pub struct Named(pub Key);

#[derive(Deserialize)]
struct LastSegment {
    key: String,
}

impl FromRequestParts<App> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Path(LastSegment { key: text }) = Path::from_request_parts(parts, app)
            .await
            .map_err(|error| ApiError::invalid_field("the path", "key", error.to_string()))?;
        Ok(Self(key("key", &text)?))
    }
}

/// A collection's name in the path as the kind it holds, at a level.
pub struct Collection(pub ResourceKind);

#[derive(Deserialize)]
struct CollectionSegment {
    collection: String,
    environment: Option<String>,
}

impl FromRequestParts<App> for Collection {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Path(CollectionSegment { collection, environment }) = Path::from_request_parts(parts, app)
            .await
            .map_err(|error| ApiError::invalid_field("the path", "collection", error.to_string()))?;
        let level = if environment.is_some() { Level::Environment } else { Level::Project };
        collection_kind(&collection, level)
            .map(Self)
            .ok_or_else(|| ApiError::not_found(format!("collection `{collection}`")).next("`/docs` lists them"))
    }
}

fn collection_kind(name: &str, level: Level) -> Option<ResourceKind> {
    let kind = match (name, level) {
        ("environments", Level::Project) => ResourceKind::Environment,
        ("flags", Level::Project) => ResourceKind::Flag,
        ("segments", Level::Project) => ResourceKind::Segment,
        ("metrics", Level::Project) => ResourceKind::Metric,
        ("policies", Level::Project) => ResourceKind::Policy,
        ("endpoints", Level::Project) => ResourceKind::Endpoint,
        ("flags", Level::Environment) => ResourceKind::FlagState,
        ("experiments", Level::Environment) => ResourceKind::Experiment,
        _ => return None,
    };
    Some(kind)
}
