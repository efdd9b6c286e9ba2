//! `GET /api/v1/flags/`: the flags of the environment, without an identity; `?feature=name` asks for one.

use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;

use super::{Keyed, Refusal, answer};
use crate::app::App;

/// What may be asked.
#[derive(Debug, Deserialize)]
pub struct Question {
    feature: Option<String>,
}

pub async fn show(
    State(app): State<App>,
    Keyed(caller): Keyed,
    Query(question): Query<Question>,
) -> Result<Response, Refusal> {
    let snapshot = &caller.snapshot;
    app.count_evaluations(if question.feature.is_some() { 1 } else { snapshot.ruleset.len() });
    let feature = question.feature.as_deref();
    if !snapshot.flagsmith.has_environment() {
        let snapshot = snapshot.clone();
        let made = tokio::task::spawn_blocking(move || drop(snapshot.flagsmith.environment(&snapshot, None)));
        made.await.map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the flags were not written"))?;
    }
    match snapshot.flagsmith.environment(snapshot, feature) {
        Some(body) => Ok(answer(snapshot.flagsmith.updated_at_header(), body)),
        None => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            format!("feature `{}` not found in this environment", question.feature.unwrap_or_default()),
        )),
    }
}
