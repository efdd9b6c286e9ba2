//! Resources, their numbers, and the ruleset of an environment.

use liftgate_domain::{Key, Resource, ResourceKind, RulesetBundle, RulesetChanges, Scope, StoreError, Timestamp};

use super::changes;
use super::failure::Failure;
use super::row::{Row, binds, json};
use super::session::Session;
use crate::catalog::ruleset_changes::Concerned;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT kind, organization, project, environment, key, number, revision, body, archived, created_at, \
             updated_at FROM resources ",
            $rest
        )
    };
}

fn read(mut row: Row) -> Result<Resource, StoreError> {
    let kind = row.text()?;
    Ok(Resource {
        kind: ResourceKind::parse(&kind)
            .ok_or_else(|| StoreError::Corrupt(format!("`{kind}` is no kind of resource")))?,
        scope: row.scope()?,
        key: row.key()?,
        number: row.number()?,
        revision: row.number()?,
        body: row.json()?,
        archived: row.int()? != 0,
        created_at: row.timestamp()?,
        updated_at: row.timestamp()?,
    })
}

/// One resource, archived or not.
pub(super) async fn find(
    session: &mut Session,
    kind: ResourceKind,
    scope: &Scope,
    key: &Key,
) -> Result<Option<Resource>, Failure> {
    let sql = select!("WHERE organization = $1 AND project = $2 AND environment = $3 AND kind = $4 AND key = $5");
    let binds = binds![&scope.organization, scope.project_column(), scope.environment_column(), kind.as_str(), key];
    Ok(session.row(sql, binds).await?.map(read).transpose()?)
}

/// One resource that is not archived.
pub(super) async fn find_live(
    session: &mut Session,
    kind: ResourceKind,
    scope: &Scope,
    key: &Key,
) -> Result<Option<Resource>, Failure> {
    Ok(find(session, kind, scope, key).await?.filter(|row| !row.archived))
}

/// The resources of a kind that exactly this scope owns, not archived, by key; at most `limit`.
pub(super) async fn list(
    session: &mut Session,
    kind: ResourceKind,
    scope: &Scope,
    after: Option<&Key>,
    limit: usize,
) -> Result<Vec<Resource>, Failure> {
    let sql = select!(
        "WHERE organization = $1 AND project = $2 AND environment = $3 AND kind = $4 AND key > $5 AND archived = 0 \
         ORDER BY key LIMIT $6"
    );
    // No key is empty, so every key comes after the empty one.
    let after = after.map_or("", Key::as_str);
    let binds =
        binds![&scope.organization, scope.project_column(), scope.environment_column(), kind.as_str(), after, limit];
    Ok(session.rows(sql, binds).await?.into_iter().map(read).collect::<Result<_, _>>()?)
}

/// Writes a resource that was not there.
pub(super) async fn insert(session: &mut Session, row: &Resource) -> Result<(), Failure> {
    let sql = "INSERT INTO resources (organization, project, environment, kind, key, number, revision, body, archived, \
               created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10)";
    let binds = binds![
        &row.scope.organization,
        row.scope.project_column(),
        row.scope.environment_column(),
        row.kind.as_str(),
        &row.key,
        row.number,
        row.revision,
        json(&row.body)?,
        row.created_at,
        row.updated_at,
    ];
    session.rows(sql, binds).await?;
    Ok(())
}

/// Writes the new state of a resource that is there.
pub(super) async fn update(session: &mut Session, row: &Resource) -> Result<(), Failure> {
    let sql = "UPDATE resources SET revision = $6, body = $7, archived = $8, updated_at = $9 \
               WHERE organization = $1 AND project = $2 AND environment = $3 AND kind = $4 AND key = $5";
    let binds = binds![
        &row.scope.organization,
        row.scope.project_column(),
        row.scope.environment_column(),
        row.kind.as_str(),
        &row.key,
        row.revision,
        json(&row.body)?,
        i64::from(row.archived),
        row.updated_at,
    ];
    session.rows(sql, binds).await?;
    Ok(())
}

/// Takes the next number of a counter; given back only when the transaction is rolled back.
pub(super) async fn take_number(session: &mut Session, counter: &str) -> Result<u64, Failure> {
    let sql = "INSERT INTO counters (name, value) VALUES ($1, 1) \
               ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value";
    let row = session.row(sql, binds![counter]).await?;
    let mut row = row.ok_or_else(|| StoreError::Corrupt(format!("counter `{counter}` gave no number")))?;
    Ok(row.number()?)
}

/// The ruleset of an environment. Wants a transaction that sees one instant.
pub(super) async fn ruleset(session: &mut Session, environment: &Scope) -> Result<Option<RulesetBundle>, Failure> {
    let project = environment.to_project();
    let organization = Scope { project: None, ..project.clone() };
    let (Some(project_key), Some(environment_key)) = (&environment.project, &environment.environment) else {
        return Ok(None);
    };
    if find_live(session, ResourceKind::Project, &organization, project_key).await?.is_none() {
        return Ok(None);
    }
    let Some(row) = find_live(session, ResourceKind::Environment, &project, environment_key).await? else {
        return Ok(None);
    };
    let (revision, moved_at) = revision(session, environment).await?.unwrap_or((0, row.created_at));
    let flags = list(session, ResourceKind::Flag, &project, None, usize::MAX).await?;
    let mut states = list(session, ResourceKind::FlagState, environment, None, usize::MAX).await?;
    // Both are sorted by key. A state outlives the archival of its flag, but is not served.
    states.retain(|state| flags.binary_search_by(|flag| flag.key.cmp(&state.key)).is_ok());
    Ok(Some(RulesetBundle {
        seq: changes::last_seq(session, &environment.organization).await?,
        revision,
        // Older versions did not keep it.
        moved_at: moved_at.max(row.created_at),
        environment: row,
        states,
        segments: list(session, ResourceKind::Segment, &project, None, usize::MAX).await?,
        runs: super::rollouts::newest_runs(session, environment).await?,
        flags,
    }))
}

async fn revision(session: &mut Session, environment: &Scope) -> Result<Option<(u64, Timestamp)>, Failure> {
    let sql = "SELECT revision, moved_at FROM ruleset_revisions \
               WHERE organization = $1 AND project = $2 AND environment = $3";
    let binds = binds![&environment.organization, environment.project_column(), environment.environment_column()];
    let read = |mut row: Row| Ok::<_, StoreError>((row.number()?, row.timestamp()?));
    Ok(session.row(sql, binds).await?.map(read).transpose()?)
}

/// What changed in a ruleset. Wants a transaction that sees one instant.
pub(super) async fn ruleset_changes(
    session: &mut Session,
    environment: &Scope,
    since: u64,
) -> Result<Option<RulesetChanges>, Failure> {
    let seq = changes::last_seq(session, &environment.organization).await?;
    let Some((revision, moved_at)) = revision(session, environment).await? else { return Ok(None) };
    let (limit, bytes_max) = (RulesetChanges::CHANGES_MAX, RulesetChanges::BYTES_MAX);
    let Some(records) = changes::around(session, environment, since, limit, bytes_max).await? else { return Ok(None) };
    let Some(Concerned { entries, runs }) = Concerned::pick(environment, records) else { return Ok(None) };
    let runs = if runs { Some(super::rollouts::newest_runs(session, environment).await?) } else { None };
    Ok(Some(RulesetChanges { seq, revision, moved_at, entries, runs }))
}

/// The ruleset revision of every environment, in the order of their scopes.
pub(super) async fn ruleset_revisions(session: &mut Session) -> Result<Vec<(Scope, u64)>, Failure> {
    let sql = "SELECT organization, project, environment, revision FROM ruleset_revisions \
               ORDER BY organization, project, environment";
    let read = |mut row: Row| Ok((row.scope()?, row.number()?));
    Ok(session.rows(sql, binds![]).await?.into_iter().map(read).collect::<Result<_, StoreError>>()?)
}
