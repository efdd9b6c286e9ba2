//! Deliveries: leases with a fence, so that one of many workers sends each attempt.

use liftgate_domain::{Delivery, DeliveryOutcome, DeliveryStatus, Event, ResourceKind, Scope, StoreError, Timestamp};

use super::failure::Failure;
use super::resources;
use super::row::{Row, binds, json, read_json};
use super::session::Session;
use crate::catalog::outbox::Recipient;

/// Writes a new delivery of the event at `index` of its change.
pub(super) async fn insert(
    session: &mut Session,
    index: usize,
    event: &Event,
    recipient: &Recipient,
) -> Result<(), Failure> {
    let sql = "INSERT INTO deliveries (id, organization, project, endpoint_key, endpoint_number, event_id, change_seq, \
               idx, status, attempts, created_at, due_at, fence) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'pending', 0, $9, $9, 0)";
    let binds = binds![
        recipient.delivery_id(event),
        &recipient.scope.organization,
        recipient.scope.project_column(),
        &recipient.key,
        recipient.number,
        event.id.as_str(),
        event.change_seq,
        index,
        event.at,
    ];
    session.rows(sql, binds).await?;
    Ok(())
}

/// Claims due deliveries, the longest due first. Claimers lock rows in one order, and each row is claimed by comparing
/// again what made it due, so that of two claimers one gets it.
pub(super) async fn claim(
    session: &mut Session,
    now: Timestamp,
    lease_ms: i64,
    limit: usize,
) -> Result<Vec<Delivery>, Failure> {
    let sql = "SELECT id FROM deliveries WHERE status = 'pending' AND due_at <= $1 \
               AND (leased_until IS NULL OR leased_until <= $1) \
               ORDER BY due_at, organization, change_seq, idx, endpoint_number LIMIT $2";
    let due = session.rows(sql, binds![now, limit]).await?;
    let mut claimed = Vec::with_capacity(due.len());
    for mut row in due {
        let sql = "UPDATE deliveries SET fence = fence + 1, attempts = attempts + 1, leased_until = $3 \
                   WHERE id = $1 AND status = 'pending' AND due_at <= $2 \
                   AND (leased_until IS NULL OR leased_until <= $2) RETURNING id";
        let binds = binds![row.text()?, now, now.plus_millis(lease_ms)];
        let Some(mut row) = session.row(sql, binds).await? else { continue };
        let Some(mut delivery) = find(session, &row.text()?).await? else { continue };
        let endpoint =
            resources::find_live(session, ResourceKind::Endpoint, &delivery.scope, &delivery.endpoint_key).await?;
        let recipient = endpoint.as_ref().and_then(Recipient::read);
        delivery.endpoint = recipient.map(|found| found.endpoint).filter(|endpoint| !endpoint.disabled);
        claimed.push(delivery);
    }
    Ok(claimed)
}

/// Writes what an attempt came to, if its claim is still the newest and open.
pub(super) async fn finish(
    session: &mut Session,
    id: &str,
    fence: u64,
    outcome: DeliveryOutcome,
) -> Result<bool, Failure> {
    let sql = "UPDATE deliveries SET status = $3, due_at = $4, last_status = $5, last_response = $6, \
               leased_until = NULL WHERE id = $1 AND fence = $2 AND leased_until IS NOT NULL RETURNING id";
    let response = outcome.response.as_ref().map(json).transpose()?;
    let binds = binds![id, fence, outcome.status.as_str(), outcome.due_at, outcome.response_status, response];
    Ok(session.row(sql, binds).await?.is_some())
}

/// Makes a delivery due again. The fence rises, so that a claim from before cannot write over it.
pub(super) async fn redeliver(session: &mut Session, scope: &Scope, id: &str, now: Timestamp) -> Result<bool, Failure> {
    let sql = "UPDATE deliveries SET status = 'pending', attempts = 0, due_at = $5, leased_until = NULL, \
               fence = fence + 1 \
               WHERE id = $1 AND organization = $2 AND ($3 = '' OR project = $3) AND $4 = '' RETURNING id";
    let binds = binds![id, &scope.organization, scope.project_column(), scope.environment_column(), now];
    Ok(session.row(sql, binds).await?.is_some())
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT d.id, o.body, d.organization, d.project, d.endpoint_key, d.status, d.attempts, d.created_at, \
             d.due_at, d.fence, d.last_status, d.last_response FROM deliveries d JOIN outbox o ON o.id = d.event_id ",
            $rest
        )
    };
}

/// A project owns its endpoints' deliveries, so a scope that names an environment has none.
pub(super) async fn list(
    session: &mut Session,
    scope: &Scope,
    status: Option<DeliveryStatus>,
    limit: usize,
) -> Result<Vec<Delivery>, Failure> {
    let sql = select!(
        "WHERE d.organization = $1 AND ($2 = '' OR d.project = $2) AND $3 = '' AND ($4 = '' OR d.status = $4) \
         ORDER BY d.change_seq DESC, d.idx DESC, d.endpoint_number DESC LIMIT $5"
    );
    let status = status.map_or("", DeliveryStatus::as_str);
    let binds = binds![&scope.organization, scope.project_column(), scope.environment_column(), status, limit];
    Ok(session.rows(sql, binds).await?.into_iter().map(read).collect::<Result<_, _>>()?)
}

async fn find(session: &mut Session, id: &str) -> Result<Option<Delivery>, Failure> {
    Ok(session.row(select!("WHERE d.id = $1"), binds![id]).await?.map(read).transpose()?)
}

fn read(mut row: Row) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        id: row.text()?,
        event: row.json()?,
        scope: Scope { organization: row.key()?, project: Some(row.key()?), environment: None },
        endpoint_key: row.key()?,
        endpoint: None,
        status: read_status(&row.text()?)?,
        attempts: u32::try_from(row.int()?).unwrap_or(u32::MAX),
        created_at: row.timestamp()?,
        due_at: row.timestamp()?,
        fence: row.number()?,
        last_status: row.optional_int()?.and_then(|code| u16::try_from(code).ok()),
        last_response: row.optional_text()?.as_deref().map(read_json).transpose()?,
    })
}

fn read_status(name: &str) -> Result<DeliveryStatus, StoreError> {
    let all = [DeliveryStatus::Pending, DeliveryStatus::Delivered, DeliveryStatus::Dead];
    let found = all.into_iter().find(|status| status.as_str() == name);
    found.ok_or_else(|| StoreError::Corrupt(format!("`{name}` is no status of a delivery")))
}
