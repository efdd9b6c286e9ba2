//! The change log, as a list and as a stream. A stream that reconnects with `Last-Event-ID` misses nothing.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::{Query, State},
    http::HeaderMap,
    response::{
        IntoResponse,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt, stream};
use liftgate_domain::{ChangeRecord, Role, Scope};
use serde::Deserialize;
use serde_json::{Value, json};

use super::paths;
use crate::{access::Caller, app::App, problem::ApiError};

/// How often a stream looks for changes of other nodes, in milliseconds.
const POLL_MS: u64 = 1_000;
/// How many changes one look takes.
const CHUNK: usize = 20;
/// The most changes of one page: each carries whole bodies, before and after.
const PAGE_MAX: usize = 200;

/// Which part of the log.
#[derive(Debug, Deserialize)]
pub struct Part {
    after: Option<u64>,
    project: Option<String>,
    environment: Option<String>,
    limit: Option<usize>,
}

impl Part {
    fn scope(&self, caller: &Caller) -> Result<Scope, ApiError> {
        let mut scope = caller.scope().clone();
        if let Some(project) = &self.project {
            scope.project = Some(paths::key("project", project)?);
        }
        if let Some(environment) = &self.environment {
            if scope.project.is_none() {
                return Err(ApiError::invalid_field("the query", "project", "is needed with `environment`"));
            }
            scope.environment = Some(paths::key("environment", environment)?);
        }
        caller.may(Role::Viewer, &scope)?;
        Ok(scope)
    }
}

/// `GET /manage/v1/changes`.
pub async fn list(State(app): State<App>, caller: Caller, Query(part): Query<Part>) -> Result<Json<Value>, ApiError> {
    let scope = part.scope(&caller)?;
    let limit = part.limit.unwrap_or(100).clamp(1, PAGE_MAX);
    let items = app.catalog.changes(&scope, part.after.unwrap_or(0), limit).await?;
    Ok(Json(json!({ "items": items })))
}

/// `GET /manage/v1/changes/stream`: server-sent events, one a change, id = sequence. Without `after` or
/// `Last-Event-ID` it begins with what is committed after the call.
pub async fn stream(
    State(app): State<App>,
    caller: Caller,
    Query(part): Query<Part>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ApiError> {
    let scope = part.scope(&caller)?;
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let after = match resumed.or(part.after) {
        Some(after) => after,
        None => newest(&app, &scope).await?,
    };
    Ok(Sse::new(follow(app, caller, scope, after)).keep_alive(KeepAlive::default()))
}

/// The last sequence in the scope. "Nothing after n" stays true once it is, so it can be searched for without reading
/// the log.
async fn newest(app: &App, scope: &Scope) -> Result<u64, ApiError> {
    let (mut low, mut high) = (0_u64, 1_u64);
    while !app.catalog.changes(scope, high, 1).await?.is_empty() {
        (low, high) = (high, high.saturating_mul(2));
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if app.catalog.changes(scope, middle, 1).await?.is_empty() { high = middle } else { low = middle + 1 }
    }
    Ok(low)
}

/// Sequence order is commit order without gaps, so "after the last one seen" never skips a change.
/// It ends when the token is revoked.
fn follow(app: App, caller: Caller, scope: Scope, after: u64) -> impl Stream<Item = Result<Event, Infallible>> {
    let heard = app.changes.subscribe();
    stream::unfold((app, caller, scope, after, heard), |(app, caller, scope, mut after, mut heard)| async move {
        loop {
            if !caller.is_still_welcome(&app).await {
                return None;
            }
            match app.catalog.changes(&scope, after, CHUNK).await {
                Ok(records) if !records.is_empty() => {
                    after = records.last().map_or(after, |last| last.seq);
                    let events: Vec<_> = records.iter().map(|record| Ok(event_of(record))).collect();
                    return Some((stream::iter(events), (app, caller, scope, after, heard)));
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "A change stream could not read the log; it tries again."),
            }
            tokio::select! {
                () = app.stop.cancelled() => return None,
                _ = heard.recv() => {}
                () = tokio::time::sleep(Duration::from_millis(POLL_MS)) => {}
            }
        }
    })
    .flatten()
}

fn event_of(record: &ChangeRecord) -> Event {
    let data = serde_json::to_string(record).expect("a change record has string keys");
    Event::default().id(record.seq.to_string()).event("change").data(data)
}
