//! The change log and the outbox of events.

use liftgate_domain::{ChangeRecord, Event, Id, Key, Scope, StoreError};

use super::failure::Failure;
use super::row::{Row, binds, json};
use super::session::Session;
use crate::catalog::outbox::cut_between_changes;

/// Takes the next place in an organization's order of commits. The row stays locked until the transaction ends, so
/// that the order of the numbers is the order of the commits.
pub(super) async fn take_seq(session: &mut Session, organization: &Key) -> Result<Option<u64>, Failure> {
    let sql = "UPDATE organizations SET seq = seq + 1 WHERE key = $1 RETURNING seq";
    Ok(session.row(sql, binds![organization]).await?.map(|mut row| row.number()).transpose()?)
}

/// Whether a change of that id was applied.
pub(super) async fn is_applied(session: &mut Session, id: &Id) -> Result<bool, Failure> {
    Ok(session.row("SELECT id FROM changes WHERE id = $1", binds![id]).await?.is_some())
}

/// Writes a change's log entry.
pub(super) async fn insert(session: &mut Session, record: &ChangeRecord) -> Result<(), Failure> {
    let sql = "INSERT INTO changes (organization, seq, id, project, environment, at, body) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let binds = binds![
        &record.scope.organization,
        record.seq,
        &record.id,
        record.scope.project_column(),
        record.scope.environment_column(),
        record.at,
        json(record)?,
    ];
    session.rows(sql, binds).await?;
    Ok(())
}

/// The change log of this scope and inside it after a sequence, in order.
pub(super) async fn list(
    session: &mut Session,
    scope: &Scope,
    after: u64,
    limit: usize,
) -> Result<Vec<ChangeRecord>, Failure> {
    let sql = "SELECT body FROM changes WHERE organization = $1 AND ($2 = '' OR project = $2) \
               AND ($3 = '' OR environment = $3) AND seq > $4 ORDER BY seq LIMIT $5";
    let binds = binds![&scope.organization, scope.project_column(), scope.environment_column(), after, limit];
    Ok(session.rows(sql, binds).await?.into_iter().map(|mut row| row.json()).collect::<Result<_, StoreError>>()?)
}

/// The organization's last change.
pub(super) async fn last_seq(session: &mut Session, organization: &Key) -> Result<u64, Failure> {
    let row = session.row("SELECT seq FROM organizations WHERE key = $1", binds![organization]).await?;
    Ok(row.map_or(Ok(0), |mut row| row.number())?)
}

/// The changes after a sequence that may have written something in this scope: of the scopes around it, its own and
/// those inside it. `None` when they are more than `limit`, or longer than `bytes_max` together.
pub(super) async fn around(
    session: &mut Session,
    scope: &Scope,
    after: u64,
    limit: usize,
    bytes_max: usize,
) -> Result<Option<Vec<ChangeRecord>>, Failure> {
    let sql = "SELECT COUNT(*), CAST(COALESCE(SUM(OCTET_LENGTH(body)), 0) AS BIGINT) FROM changes \
               WHERE organization = $1 AND (project = '' OR project = $2) AND seq > $3";
    let row = session.row(sql, binds![&scope.organization, scope.project_column(), after]).await?;
    let mut row = row.ok_or_else(|| StoreError::Corrupt("a count has no row".to_owned()))?;
    let (count, bytes) = (row.number()?, row.number()?);
    if usize::try_from(count).map_or(true, |count| count > limit)
        || usize::try_from(bytes).map_or(true, |bytes| bytes > bytes_max)
    {
        return Ok(None);
    }
    let sql = "SELECT body FROM changes WHERE organization = $1 AND (project = '' OR project = $2) \
               AND seq > $3 ORDER BY seq LIMIT $4";
    let binds = binds![&scope.organization, scope.project_column(), after, limit];
    let rows = session.rows(sql, binds).await?.into_iter();
    Ok(Some(rows.map(|mut row| row.json()).collect::<Result<_, StoreError>>()?))
}

/// Writes the event at `index` of a change.
pub(super) async fn insert_event(
    session: &mut Session,
    change: &Id,
    index: usize,
    event: &Event,
) -> Result<(), Failure> {
    let sql = "INSERT INTO outbox (id, organization, project, environment, change_seq, change_id, idx, body) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let binds = binds![
        event.id.as_str(),
        &event.scope.organization,
        event.scope.project_column(),
        event.scope.environment_column(),
        event.change_seq,
        change,
        index,
        json(event)?,
    ];
    session.rows(sql, binds).await?;
    Ok(())
}

/// The events of this scope and inside it after a sequence, whole changes only: about `limit`, and more only when one
/// change alone has more.
pub(super) async fn events(
    session: &mut Session,
    scope: &Scope,
    after: u64,
    limit: usize,
) -> Result<Vec<Event>, Failure> {
    let sql = "SELECT body FROM outbox WHERE organization = $1 AND ($2 = '' OR project = $2) \
               AND ($3 = '' OR environment = $3) AND change_seq > $4 ORDER BY change_seq, idx LIMIT $5";
    let binds = binds![&scope.organization, scope.project_column(), scope.environment_column(), after, limit + 1];
    let mut events = read(session.rows(sql, binds).await?)?;
    let Some(whole) = cut_between_changes(&mut events, limit).filter(|_| limit > 0) else {
        return Ok(events);
    };
    let sql = "SELECT body FROM outbox WHERE organization = $1 AND ($2 = '' OR project = $2) \
               AND ($3 = '' OR environment = $3) AND change_seq = $4 ORDER BY idx";
    let binds = binds![&scope.organization, scope.project_column(), scope.environment_column(), whole];
    Ok(read(session.rows(sql, binds).await?)?)
}

fn read(rows: Vec<Row>) -> Result<Vec<Event>, StoreError> {
    rows.into_iter().map(|mut row| row.json()).collect()
}
