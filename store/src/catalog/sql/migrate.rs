//! Brings a database to the tables that this binary knows, and refuses one that knows more.

use liftgate_domain::StoreError;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection as _, PgConnection, SqlSafeStr as _, SqliteConnection};

use super::failure::Failure;

/// Names the advisory lock under which nodes migrate one after the other: `liftgate` in ASCII.
const LOCK: i64 = 0x6c69_6674_6761_7465;

/// Every migration, oldest first. One that has been released is never edited: its checksum is compared.
fn migrator() -> Migrator {
    let catalog = include_str!("../../../migrations/0001_catalog.sql").into_sql_str();
    let ruleset_times = include_str!("../../../migrations/0002_ruleset_times.sql").into_sql_str();
    let mut migrator = Migrator::with_migrations(vec![
        Migration::new(1, "catalog".into(), MigrationType::Simple, catalog, false),
        Migration::new(2, "ruleset times".into(), MigrationType::Simple, ruleset_times, false),
    ]);
    // Both callers hold a lock of their own that ends with the transaction.
    migrator.set_locking(false);
    migrator
}

/// Migrates a SQLite database in one transaction.
pub(super) async fn sqlite(connection: &mut SqliteConnection) -> Result<(), Failure> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    migrator().run_direct(None, &mut *transaction, false).await.map_err(refusal)?;
    Ok(transaction.commit().await?)
}

/// Migrates a PostgreSQL database in one transaction.
pub(super) async fn postgres(connection: &mut PgConnection) -> Result<(), Failure> {
    let mut transaction = connection.begin().await?;
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK);
    lock.execute(&mut *transaction).await?;
    // Names sort by bytes on every engine, whatever the locale of the database.
    let collation = sqlx::query(r#"CREATE COLLATION IF NOT EXISTS "binary" FROM "C""#);
    collation.execute(&mut *transaction).await?;
    migrator().run_direct(None, &mut *transaction, false).await.map_err(refusal)?;
    Ok(transaction.commit().await?)
}

fn refusal(error: MigrateError) -> Failure {
    let refused = match error {
        MigrateError::VersionMissing(version) => StoreError::Invalid(format!(
            "the catalog was written by a newer liftgate (migration `{version}` is unknown here); run that version or a \
             newer one"
        )),
        MigrateError::VersionMismatch(version) => StoreError::Corrupt(format!(
            "migration `{version}` of the catalog was applied with another text; restore the catalog from a backup, or \
             run the liftgate that made it"
        )),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => return error.into(),
        error => StoreError::Unavailable(format!("the catalog cannot be migrated: {error}")),
    };
    refused.into()
}
