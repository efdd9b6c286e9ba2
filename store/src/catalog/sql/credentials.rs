//! Keys and tokens. The lookup has a column of its own and never stands in a body.

use liftgate_domain::{Credential, Id, Scope, StoreError};

use super::failure::Failure;
use super::row::{Row, binds, json};
use super::session::Session;

fn read(mut row: Row) -> Result<Credential, StoreError> {
    let lookup = row.text()?;
    let credential: Credential = row.json()?;
    Ok(Credential { lookup, ..credential })
}

/// The credential under a lookup, revoked or not.
pub(super) async fn find_by_lookup(session: &mut Session, lookup: &str) -> Result<Option<Credential>, Failure> {
    let sql = "SELECT lookup, body FROM credentials WHERE lookup = $1";
    Ok(session.row(sql, binds![lookup]).await?.map(read).transpose()?)
}

/// A credential by its row, within exactly this scope.
pub(super) async fn find(session: &mut Session, scope: &Scope, id: &Id) -> Result<Option<Credential>, Failure> {
    let sql = "SELECT lookup, body FROM credentials \
               WHERE id = $1 AND organization = $2 AND project = $3 AND environment = $4";
    let binds = binds![id, &scope.organization, scope.project_column(), scope.environment_column()];
    Ok(session.row(sql, binds).await?.map(read).transpose()?)
}

/// Whether the row or the lookup of `credential` is taken.
pub(super) async fn is_taken(session: &mut Session, credential: &Credential) -> Result<bool, Failure> {
    let sql = "SELECT id FROM credentials WHERE id = $1 OR lookup = $2";
    Ok(session.row(sql, binds![&credential.id, credential.lookup.as_str()]).await?.is_some())
}

/// The credentials of this scope and inside it, oldest first.
pub(super) async fn list(session: &mut Session, scope: &Scope) -> Result<Vec<Credential>, Failure> {
    let sql = "SELECT lookup, body FROM credentials \
               WHERE organization = $1 AND ($2 = '' OR project = $2) AND ($3 = '' OR environment = $3) \
               ORDER BY created_at, id";
    let binds = binds![&scope.organization, scope.project_column(), scope.environment_column()];
    Ok(session.rows(sql, binds).await?.into_iter().map(read).collect::<Result<_, _>>()?)
}

/// Writes a credential that was not there.
pub(super) async fn insert(session: &mut Session, credential: &Credential) -> Result<(), Failure> {
    let sql = "INSERT INTO credentials (id, organization, project, environment, lookup, created_at, body) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let binds = binds![
        &credential.id,
        &credential.scope.organization,
        credential.scope.project_column(),
        credential.scope.environment_column(),
        credential.lookup.as_str(),
        credential.created_at,
        json(credential)?,
    ];
    session.rows(sql, binds).await?;
    Ok(())
}

/// Writes the new body of a credential that is there.
pub(super) async fn update(session: &mut Session, credential: &Credential) -> Result<(), Failure> {
    let sql = "UPDATE credentials SET body = $2 WHERE id = $1";
    session.rows(sql, binds![&credential.id, json(credential)?]).await?;
    Ok(())
}
