//! Reading, writing and archiving one declared thing. `ETag` is its revision; `If-Match` and `If-None-Match: *` compare.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use liftgate_domain::{Endpoint, Expected, Key, Resource, ResourceKind, Role, Scope, catalog::LIST_MAX};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    edit::{self, Put, put_all, role_to_write},
    paths::{self, Collection, InEnvironment, InProject, Named},
};
use crate::{access::Caller, app::App, body, problem::ApiError};

/// Which page of a list.
#[derive(Debug, Deserialize)]
pub struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

/// A resource as it is shown: without secrets.
fn shown(mut resource: Resource) -> Resource {
    if resource.kind == ResourceKind::Endpoint {
        resource.body = Endpoint::masked(&resource.body);
    }
    resource
}

async fn list(
    app: &App,
    caller: &Caller,
    kind: ResourceKind,
    scope: Scope,
    page: Page,
) -> Result<Json<Value>, ApiError> {
    caller.may(Role::Viewer, &scope)?;
    let after = page.after.as_deref().map(|after| paths::key("after", after)).transpose()?;
    let limit = page.limit.unwrap_or(100).clamp(1, LIST_MAX);
    let items = app.catalog.resources(kind, &scope, after.as_ref(), limit).await?;
    let next = (items.len() == limit).then(|| items.last().map(|last| last.key.clone())).flatten();
    let items: Vec<Resource> = items.into_iter().map(shown).collect();
    Ok(Json(json!({"items": items, "next": next})))
}

async fn show(app: &App, caller: &Caller, kind: ResourceKind, scope: Scope, key: Key) -> Result<Response, ApiError> {
    caller.may(Role::Viewer, &scope)?;
    let resource = app
        .catalog
        .resource(kind, &scope, &key)
        .await?
        .ok_or_else(|| ApiError::not_found(format!("{} `{key}`", kind.as_str())))?;
    let etag = HeaderValue::from_str(&format!("\"{}\"", resource.revision)).expect("a number is a valid header");
    Ok(([(header::ETAG, etag)], Json(shown(resource))).into_response())
}

async fn put(
    app: &App,
    caller: &Caller,
    kind: ResourceKind,
    scope: Scope,
    key: Key,
    headers: &HeaderMap,
    spec: Value,
) -> Result<Response, ApiError> {
    let put = Put { kind, scope: scope.clone(), key: key.clone(), spec, expected: expected(headers)?, place: None };
    caller.may(put.role(), &scope)?;
    let (_, mut outcomes) = put_all(app, vec![put], caller.actor(), reason(headers)).await?;
    let outcome = outcomes.pop().expect("one put has one outcome");
    let resource = app.catalog.resource(kind, &scope, &key).await?.map(shown);
    let status = if outcome.action == "created" { StatusCode::CREATED } else { StatusCode::OK };
    let mut answer = json!({"action": outcome.action, "resource": resource});
    for (name, secret) in [("secret", outcome.secret), ("client_key", outcome.client_key)] {
        if let Some(secret) = secret {
            answer[name] = secret.into();
        }
    }
    Ok((status, Json(answer)).into_response())
}

async fn archive(
    app: &App,
    caller: &Caller,
    kind: ResourceKind,
    scope: Scope,
    key: Key,
    headers: &HeaderMap,
) -> Result<StatusCode, ApiError> {
    caller.may(role_to_write(kind), &scope)?;
    edit::archive(app, kind, scope, key, expected(headers)?, caller.actor()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What `If-Match` and `If-None-Match` ask to compare.
fn expected(headers: &HeaderMap) -> Result<Expected, ApiError> {
    if let Some(seen) = headers.get(header::IF_MATCH) {
        let revision = seen.to_str().ok().and_then(|text| text.trim_matches('"').parse().ok());
        return revision.map(Expected::Revision).ok_or_else(|| {
            ApiError::invalid_field("the request", "If-Match", "must be the revision, such as `\"3\"`")
        });
    }
    let absent = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == b"*");
    Ok(if absent { Expected::Absent } else { Expected::Any })
}

/// Why, in the caller's words, for the change log.
fn reason(headers: &HeaderMap) -> Option<String> {
    headers.get("x-liftgate-reason").and_then(|value| value.to_str().ok()).map(|text| text.chars().take(500).collect())
}

macro_rules! handlers {
    ($list:ident, $show:ident, $put:ident, $archive:ident, $scope:ident) => {
        /// Lists a collection by key, page by page.
        pub async fn $list(
            State(app): State<App>,
            caller: Caller,
            $scope(scope): $scope,
            Collection(kind): Collection,
            Query(page): Query<Page>,
        ) -> Result<Json<Value>, ApiError> {
            list(&app, &caller, kind, scope, page).await
        }

        /// Shows one thing.
        pub async fn $show(
            State(app): State<App>,
            caller: Caller,
            $scope(scope): $scope,
            Collection(kind): Collection,
            Named(key): Named,
        ) -> Result<Response, ApiError> {
            show(&app, &caller, kind, scope, key).await
        }

        /// Creates or replaces one thing.
        pub async fn $put(
            State(app): State<App>,
            caller: Caller,
            $scope(scope): $scope,
            Collection(kind): Collection,
            Named(key): Named,
            headers: HeaderMap,
            body::Json(spec): body::Json<Value>,
        ) -> Result<Response, ApiError> {
            put(&app, &caller, kind, scope, key, &headers, spec).await
        }

        /// Archives one thing: kept, no longer served.
        pub async fn $archive(
            State(app): State<App>,
            caller: Caller,
            $scope(scope): $scope,
            Collection(kind): Collection,
            Named(key): Named,
            headers: HeaderMap,
        ) -> Result<StatusCode, ApiError> {
            archive(&app, &caller, kind, scope, key, &headers).await
        }
    };
}

handlers!(list_in_project, show_in_project, put_in_project, archive_in_project, InProject);
handlers!(list_in_environment, show_in_environment, put_in_environment, archive_in_environment, InEnvironment);

/// Lists the projects that the token opens.
pub async fn list_projects(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<Json<Value>, ApiError> {
    if caller.scope().project.is_none() {
        return list(&app, &caller, ResourceKind::Project, Scope::organization(), page).await;
    }
    let own = caller.scope().project.clone().into_iter();
    let mut items = Vec::new();
    for key in own {
        items.extend(app.catalog.resource(ResourceKind::Project, &Scope::organization(), &key).await?);
    }
    Ok(Json(json!({"items": items, "next": null})))
}

/// Shows a project.
pub async fn show_project(
    State(app): State<App>,
    caller: Caller,
    Path(project): Path<String>,
) -> Result<Response, ApiError> {
    let key = paths::key("project", &project)?;
    caller.may(Role::Viewer, &Scope::project(key.clone()))?;
    let resource = app
        .catalog
        .resource(ResourceKind::Project, &Scope::organization(), &key)
        .await?
        .ok_or_else(|| ApiError::not_found(format!("project `{key}`")))?;
    Ok(Json(resource).into_response())
}

/// Creates or replaces a project.
pub async fn put_project(
    State(app): State<App>,
    caller: Caller,
    Path(project): Path<String>,
    headers: HeaderMap,
    body::Json(spec): body::Json<Value>,
) -> Result<Response, ApiError> {
    let key = paths::key("project", &project)?;
    put(&app, &caller, ResourceKind::Project, Scope::organization(), key, &headers, spec).await
}

/// Archives a project.
pub async fn archive_project(
    State(app): State<App>,
    caller: Caller,
    Path(project): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let key = paths::key("project", &project)?;
    archive(&app, &caller, ResourceKind::Project, Scope::organization(), key, &headers).await
}
