//! One connection or transaction of either engine, running the same statements. A transaction that is dropped before
//! [`Session::commit`] is rolled back.

use liftgate_domain::{Clock, StoreError, Timestamp};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Row as _, Sqlite, SqliteConnection, Transaction, TypeInfo as _, ValueRef as _};

use super::failure::Failure;
use super::row::{Bind, Cell, Row, binds};

/// Where statements run.
pub(super) enum Session {
    Sqlite(PoolConnection<Sqlite>),
    SqliteTransaction(Transaction<'static, Sqlite>),
    Postgres(PoolConnection<Postgres>),
    PostgresTransaction(Transaction<'static, Postgres>),
}

impl Session {
    /// Runs a statement and reads all of its rows.
    pub async fn rows(&mut self, sql: &'static str, binds: Vec<Bind>) -> Result<Vec<Row>, Failure> {
        // PostgreSQL's TEXT cannot hold it; what one engine refuses, the other must refuse too.
        let has_nul = |bind: &Bind| matches!(bind, Bind::Text(Some(text)) if text.contains('\0'));
        if binds.iter().any(has_nul) {
            let refusal = "names and ids cannot hold the character U+0000".to_owned();
            return Err(Failure::Store(StoreError::Invalid(refusal)));
        }
        let rows = match self {
            Self::Sqlite(connection) => sqlite_rows(connection, sql, binds).await,
            Self::SqliteTransaction(transaction) => sqlite_rows(transaction, sql, binds).await,
            Self::Postgres(connection) => postgres_rows(connection, sql, binds).await,
            Self::PostgresTransaction(transaction) => postgres_rows(transaction, sql, binds).await,
        };
        Ok(rows?)
    }

    /// Runs a statement and reads its first row, if there is one.
    pub async fn row(&mut self, sql: &'static str, binds: Vec<Bind>) -> Result<Option<Row>, Failure> {
        Ok(self.rows(sql, binds).await?.into_iter().next())
    }

    /// Makes what a transaction wrote durable.
    pub async fn commit(self) -> Result<(), Failure> {
        match self {
            Self::SqliteTransaction(transaction) => transaction.commit().await?,
            Self::PostgresTransaction(transaction) => transaction.commit().await?,
            Self::Sqlite(_) | Self::Postgres(_) => {}
        }
        Ok(())
    }

    /// Tells other processes of what is being written, once it is committed. SQLite has nobody to tell.
    pub async fn notify(&mut self, channel: &'static str, payload: &'static str) -> Result<(), Failure> {
        if let Self::PostgresTransaction(transaction) = self {
            sqlx::query("SELECT pg_notify($1, $2)").bind(channel).bind(payload).execute(&mut **transaction).await?;
        }
        Ok(())
    }

    /// The present instant: PostgreSQL's own, so that nodes agree; the given clock's on SQLite.
    pub async fn now(&mut self, clock: &dyn Clock) -> Result<Timestamp, Failure> {
        if matches!(self, Self::Sqlite(_) | Self::SqliteTransaction(_)) {
            return Ok(clock.now());
        }
        let sql = "SELECT CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000) AS BIGINT)";
        let row = self.row(sql, binds![]).await?;
        let mut row = row.ok_or_else(|| StoreError::Unavailable("PostgreSQL did not tell the time".to_owned()))?;
        Ok(row.timestamp()?)
    }
}

/// The same function for each driver: their rows and connections share traits, but no object-safe one.
macro_rules! driver_rows {
    ($name:ident, $database:ty, $connection:ty, $integer:literal) => {
        async fn $name(
            connection: &mut $connection,
            sql: &'static str,
            binds: Vec<Bind>,
        ) -> Result<Vec<Row>, sqlx::Error> {
            let query = binds.into_iter().fold(sqlx::query::<$database>(sql), |query, bind| match bind {
                Bind::Int(value) => query.bind(value),
                Bind::Text(value) => query.bind(value),
            });
            let rows = query.fetch_all(connection).await?;
            let read = |row: &<$database as sqlx::Database>::Row| {
                let cell = |index: usize| {
                    let value = row.try_get_raw(index)?;
                    if value.is_null() {
                        return Ok(Cell::Null);
                    }
                    if value.type_info().name() == $integer {
                        return row.try_get(index).map(Cell::Int);
                    }
                    row.try_get(index).map(Cell::Text)
                };
                let cells: Result<Vec<Cell>, sqlx::Error> = (0..row.len()).map(cell).collect();
                cells.map(|cells| Row(cells.into_iter()))
            };
            rows.iter().map(read).collect()
        }
    };
}

driver_rows!(sqlite_rows, Sqlite, SqliteConnection, "INTEGER");
driver_rows!(postgres_rows, Postgres, PgConnection, "INT8");
