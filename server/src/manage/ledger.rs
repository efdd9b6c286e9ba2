//! The books of events: what this node accepted and what became of it, beside what the warehouse has.

use axum::{Json, extract::State};
use liftgate_domain::{EventCounts, Role, Timestamp};
use liftgate_ingest::EnvironmentLedger;
use serde::Serialize;

use super::paths::InEnvironment;
use crate::{access::Caller, app::App, problem::ApiError};

/// How often the books are read again while events arrive between two readings.
const READINGS_MAX: u32 = 20;

/// One environment's books.
#[derive(Debug, Serialize)]
pub struct Ledger {
    /// Who answers: the books are this node's alone.
    node: String,
    /// When they were read.
    at: Timestamp,
    /// What this node accepted, and what became of it.
    ledger: EnvironmentLedger,
    /// What the warehouse has, of all nodes.
    warehouse: EventCounts,
    /// Distinct events that retention has taken out of the warehouse.
    expired: u64,
    /// Whether nothing happened while the books were read: only then do they add up to the last event.
    quiet: bool,
}

/// `GET .../events/ledger`.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    InEnvironment(scope): InEnvironment,
) -> Result<Json<Ledger>, ApiError> {
    caller.may(Role::Viewer, &scope)?;
    let snapshot = app.rulesets.get(&scope).ok_or_else(|| ApiError::not_found(format!("environment `{scope}`")))?;
    let number = snapshot.declared.number;
    let ledger_of = || app.ingest.ledger().get(&number).copied().unwrap_or_default();
    let mut readings = 0;
    loop {
        let before = ledger_of();
        let warehouse = app.warehouse.counts(number).await?;
        let expired = app.engine.expired(number).await?;
        let ledger = ledger_of();
        readings += 1;
        let quiet = before == ledger;
        if quiet || readings == READINGS_MAX {
            let node = app.node.clone();
            return Ok(Json(Ledger { node, at: app.clock.now(), ledger, warehouse, expired, quiet }));
        }
    }
}
