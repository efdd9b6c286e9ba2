//! Rollouts, their decision records and runs.

use liftgate_domain::{Decision, Id, Key, Rollout, RulesetBundle, Run, Scope, StoreError, Timestamp};

use super::failure::Failure;
use super::row::{Row, binds, json};
use super::session::Session;

fn read(mut row: Row) -> Result<Rollout, StoreError> {
    row.json()
}

/// One rollout.
pub(super) async fn find(session: &mut Session, scope: &Scope, key: &Key) -> Result<Option<Rollout>, Failure> {
    let sql = "SELECT body FROM rollouts WHERE organization = $1 AND project = $2 AND environment = $3 AND key = $4";
    let binds = binds![&scope.organization, scope.project_column(), scope.environment_column(), key];
    Ok(session.row(sql, binds).await?.map(read).transpose()?)
}

/// A rollout by its row, within an organization.
pub(super) async fn find_by_id(session: &mut Session, organization: &Key, id: &Id) -> Result<Option<Rollout>, Failure> {
    let sql = "SELECT body FROM rollouts WHERE id = $1 AND organization = $2";
    Ok(session.row(sql, binds![id, organization]).await?.map(read).transpose()?)
}

/// Whether a row of that id is there, whoever owns it.
pub(super) async fn is_taken(session: &mut Session, id: &Id) -> Result<bool, Failure> {
    Ok(session.row("SELECT id FROM rollouts WHERE id = $1", binds![id]).await?.is_some())
}

/// The rollouts of this scope or inside it, by (scope, key).
pub(super) async fn list(session: &mut Session, scope: &Scope) -> Result<Vec<Rollout>, Failure> {
    let sql = "SELECT body FROM rollouts \
               WHERE organization = $1 AND ($2 = '' OR project = $2) AND ($3 = '' OR environment = $3) \
               ORDER BY organization, project, environment, key";
    let binds = binds![&scope.organization, scope.project_column(), scope.environment_column()];
    Ok(session.rows(sql, binds).await?.into_iter().map(read).collect::<Result<_, _>>()?)
}

/// Active rollouts of every organization that are due, the longest due first. One that cannot be read is left out and
/// told of: it must not keep the others waiting.
pub(super) async fn due(session: &mut Session, now: Timestamp, limit: usize) -> Result<Vec<Rollout>, Failure> {
    let sql = "SELECT body FROM rollouts WHERE next_due_at <= $1 AND status IN ('running', 'paused') \
               ORDER BY next_due_at, organization, project, environment, key LIMIT $2";
    let rows = session.rows(sql, binds![now, limit]).await?;
    let tell = |error: &StoreError| tracing::error!(%error, "A rollout cannot be read and is left alone.");
    Ok(rows.into_iter().filter_map(|row| read(row).inspect_err(tell).ok()).collect())
}

/// Writes a rollout that was not there.
pub(super) async fn insert(session: &mut Session, rollout: &Rollout) -> Result<(), Failure> {
    let sql = "INSERT INTO rollouts (id, organization, project, environment, key, status, version, next_due_at, body) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let binds = binds![
        &rollout.id,
        &rollout.scope.organization,
        rollout.scope.project_column(),
        rollout.scope.environment_column(),
        &rollout.key,
        rollout.status.as_str(),
        rollout.version,
        rollout.next_due_at,
        json(rollout)?,
    ];
    session.rows(sql, binds).await?;
    Ok(())
}

/// Replaces a rollout that stands at `version`; `false` when it does not.
pub(super) async fn replace(session: &mut Session, rollout: &Rollout, version: u64) -> Result<bool, Failure> {
    let sql = "UPDATE rollouts SET status = $3, version = $4, next_due_at = $5, body = $6 \
               WHERE id = $1 AND version = $2 RETURNING id";
    let binds =
        binds![&rollout.id, version, rollout.status.as_str(), rollout.version, rollout.next_due_at, json(rollout)?,];
    Ok(session.row(sql, binds).await?.is_some())
}

/// Notes a look that decided nothing; `false` when the version has moved on.
pub(super) async fn looked_at(session: &mut Session, seen: &Rollout) -> Result<bool, Failure> {
    let Some(stored) = find(session, &seen.scope, &seen.key).await? else {
        return Ok(false);
    };
    if stored.id != seen.id || stored.version != seen.version {
        return Ok(false);
    }
    let looked = Rollout {
        last_looked_at: seen.last_looked_at,
        next_due_at: seen.next_due_at,
        baked_ms: seen.baked_ms,
        baked_until: seen.baked_until,
        treated_units: seen.treated_units,
        ..stored
    };
    replace(session, &looked, seen.version).await
}

/// The number of a rollout's last decision record; 0 before the first.
pub(super) async fn last_decision(session: &mut Session, rollout: &Id) -> Result<u64, Failure> {
    let sql = "SELECT seq FROM decisions WHERE rollout = $1 ORDER BY seq DESC LIMIT 1";
    Ok(session.row(sql, binds![rollout]).await?.map_or(Ok(0), |mut row| row.number())?)
}

/// Writes a decision record under the rollout's scope.
pub(super) async fn insert_decision(session: &mut Session, scope: &Scope, decision: &Decision) -> Result<(), Failure> {
    let sql = "INSERT INTO decisions (rollout, seq, organization, project, environment, at, verdict, body, \
               previous_hash, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let binds = binds![
        &decision.rollout,
        decision.seq,
        &scope.organization,
        scope.project_column(),
        scope.environment_column(),
        decision.at,
        decision.verdict.as_str(),
        decision.body.as_str(),
        decision.previous_hash.as_str(),
        decision.hash.as_str(),
    ];
    session.rows(sql, binds).await?;
    Ok(())
}

/// A rollout's decision records after a sequence, in order.
pub(super) async fn decisions(
    session: &mut Session,
    rollout: &Id,
    after: u64,
    limit: usize,
) -> Result<Vec<Decision>, Failure> {
    let sql = "SELECT seq, at, verdict, body, previous_hash, hash FROM decisions WHERE rollout = $1 AND seq > $2 \
               ORDER BY seq LIMIT $3";
    let read = |mut row: Row| {
        Ok(Decision {
            rollout: rollout.clone(),
            seq: row.number()?,
            at: row.timestamp()?,
            verdict: row.text()?,
            body: row.text()?,
            previous_hash: row.text()?,
            hash: row.text()?,
        })
    };
    let rows = session.rows(sql, binds![rollout, after, limit]).await?;
    Ok(rows.into_iter().map(read).collect::<Result<_, StoreError>>()?)
}

/// A run by its number, whoever owns it.
pub(super) async fn find_run(session: &mut Session, number: u64) -> Result<Option<Run>, Failure> {
    let row = session.row("SELECT body FROM runs WHERE number = $1", binds![number]).await?;
    Ok(row.map(|mut row| row.json()).transpose()?)
}

/// Writes a run, new or not.
pub(super) async fn put_run(session: &mut Session, run: &Run) -> Result<(), Failure> {
    let sql = "INSERT INTO runs (number, organization, project, environment, body) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (number) DO UPDATE SET body = excluded.body";
    let binds = binds![
        run.number(),
        &run.scope.organization,
        run.scope.project_column(),
        run.scope.environment_column(),
        json(run)?,
    ];
    session.rows(sql, binds).await?;
    Ok(())
}

/// An environment's newest runs, newest last.
pub(super) async fn newest_runs(session: &mut Session, environment: &Scope) -> Result<Vec<Run>, Failure> {
    let sql = "SELECT body FROM runs WHERE organization = $1 AND project = $2 AND environment = $3 \
               ORDER BY number DESC LIMIT $4";
    let binds = binds![
        &environment.organization,
        environment.project_column(),
        environment.environment_column(),
        RulesetBundle::RUNS_MAX
    ];
    let rows = session.rows(sql, binds).await?;
    Ok(rows.into_iter().rev().map(|mut row| row.json()).collect::<Result<_, StoreError>>()?)
}
