//! `POST /v1/events`: exposures and conversions as Flagsmith's SDKs send them. 202 with what was refused; 400 when
//! nothing could be taken.

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use liftgate_evaluator::CONTROL;
use liftgate_ingest::{Limits, ParsedEvent, RawBody, flagsmith_events};
use serde_json::json;

use super::{Keyed, Refusal};
use crate::{app::App, http::ingest, rulesets::Snapshot};

/// What the rows of these events say that they came from.
const SOURCE: &str = "flagsmith";

pub async fn receive(State(app): State<App>, Keyed(caller): Keyed, request: Request) -> Result<Response, Refusal> {
    let mut events = ingest::parsed(request, move |bytes| {
        flagsmith_events::parse(bytes, &Limits::default()).map_err(ingest::malformed)
    })
    .await?;
    let sent = events.len();
    for event in &mut events {
        in_our_words(&caller.snapshot, event);
    }
    let receipt = ingest::admit(&app, caller.snapshot.declared.number, events, SOURCE).await?;
    let rejected: Vec<_> = receipt.rejected.iter().map(|it| json!({"index": it.index, "error": it.detail})).collect();
    let accepted = receipt.accepted + receipt.duplicates;
    let status = if accepted == 0 && sent > 0 { StatusCode::BAD_REQUEST } else { StatusCode::ACCEPTED };
    Ok((status, Json(json!({"accepted": accepted, "rejected": rejected}))).into_response())
}

/// A feature's name becomes its flag's key, and its `control` the variation that its run has as control.
fn in_our_words(snapshot: &Snapshot, event: &mut ParsedEvent) {
    let ParsedEvent::Ok(event) = event else { return };
    let RawBody::Exposure { flag, variation, .. } = &mut event.body else { return };
    if let Some(key) = snapshot.flag_of_feature(flag) {
        *flag = key.to_owned();
    }
    if variation == CONTROL
        && let Some(control) = snapshot.control_of(flag)
    {
        *variation = control.to_owned();
    }
}
