//! From a URL to connections with the settings that the catalog relies on. It decides nothing about rows.

use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use liftgate_domain::StoreError;
use sqlx::pool::PoolOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, PgPool, Postgres, Sqlite, SqlitePool};

use super::failure::{Failure, explain};
use super::migrate;
use super::session::Session;

/// How long a SQLite writer waits for one of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Attempts at opening a SQLite file that another process is just opening, and the pause between two.
const OPEN_ATTEMPTS_MAX: u32 = 200;
const OPEN_PAUSE: Duration = Duration::from_millis(25);
/// How long a caller waits for a connection before the store counts as unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);
/// Readers beside SQLite's one writer.
const SQLITE_READERS_MAX: u32 = 4;
/// Connections of one node to PostgreSQL.
const POSTGRES_CONNECTIONS_MAX: u32 = 16;

/// Connections to one catalog.
pub(super) enum Pools {
    /// One writer, because SQLite has one; readers see the last commit and wait for nobody.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

impl Pools {
    /// Connects and migrates.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        match url.split_once(':') {
            Some(("sqlite", _)) => open_sqlite(url).await,
            Some(("postgres" | "postgresql", _)) => open_postgres(url).await,
            // Whatever follows the scheme may hold a password.
            Some((scheme, _)) => Err(StoreError::Invalid(format!(
                "a catalog cannot be kept at a `{scheme}:` URL; write `sqlite:path/to/file.db` or `postgres://...`"
            ))),
            None => Err(StoreError::Invalid(
                "the catalog's URL has no scheme; write `sqlite:path/to/file.db` or `postgres://...`".to_owned(),
            )),
        }
    }

    /// A connection for one statement that reads.
    pub async fn read(&self) -> Result<Session, Failure> {
        Ok(match self {
            Self::Sqlite { readers, .. } => Session::Sqlite(readers.acquire().await?),
            Self::Postgres(pool) => Session::Postgres(pool.acquire().await?),
        })
    }

    /// A connection for one statement that writes.
    pub async fn write(&self) -> Result<Session, Failure> {
        Ok(match self {
            Self::Sqlite { writer, .. } => Session::Sqlite(writer.acquire().await?),
            Self::Postgres(pool) => Session::Postgres(pool.acquire().await?),
        })
    }

    /// A transaction that sees one instant and writes nothing.
    pub async fn begin_read(&self) -> Result<Session, Failure> {
        Ok(match self {
            Self::Sqlite { readers, .. } => Session::SqliteTransaction(readers.begin().await?),
            Self::Postgres(pool) => {
                Session::PostgresTransaction(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?)
            }
        })
    }

    /// A transaction that writes. SQLite's takes the write lock at once: one that reads first could never be retried.
    pub async fn begin_write(&self) -> Result<Session, Failure> {
        Ok(match self {
            Self::Sqlite { writer, .. } => Session::SqliteTransaction(writer.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => Session::PostgresTransaction(pool.begin().await?),
        })
    }

    /// Ends all connections; SQLite folds its write-ahead log into the file.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

async fn open_sqlite(url: &str) -> Result<Pools, StoreError> {
    let base = SqliteConnectOptions::from_str(url)
        .map_err(explain)?
        .create_if_missing(true)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging();
    let in_memory = url.contains(":memory:") || url.contains("mode=memory");
    let path = base.get_filename().to_path_buf();
    if !in_memory {
        let folder = path.clone();
        let prepared = tokio::task::spawn_blocking(move || prepare_place(&folder)).await;
        prepared.map_err(|error| StoreError::Unavailable(error.to_string()))??;
    }
    let named = |error: StoreError| match error {
        StoreError::Unavailable(text) if !in_memory => {
            StoreError::Unavailable(format!("{text} (`{}`)", path.display()))
        }
        other => other,
    };

    // An in-memory database lives as long as its connection, which therefore is one and never replaced.
    let single = || {
        let options = PoolOptions::<Sqlite>::new().max_connections(1).acquire_timeout(ACQUIRE_TIMEOUT);
        options.idle_timeout(None).max_lifetime(None)
    };
    let writing = if in_memory { base.clone() } else { base.clone().journal_mode(SqliteJournalMode::Wal) };
    let mut attempt = 1;
    let writer = loop {
        match open_writer(single(), writing.clone()).await {
            // A process that turns a new file to its write-ahead log answers "busy" to others at once, whatever their
            // timeout: SQLite does not call the busy handler where two could wait for each other.
            Err(failure) if failure.is_busy() && attempt < OPEN_ATTEMPTS_MAX => {
                attempt += 1;
                tokio::time::sleep(OPEN_PAUSE).await;
            }
            opened => break opened.map_err(|failure| named(failure.into()))?,
        }
    };
    if in_memory {
        return Ok(Pools::Sqlite { readers: writer.clone(), writer });
    }
    let readers = PoolOptions::<Sqlite>::new().max_connections(SQLITE_READERS_MAX).acquire_timeout(ACQUIRE_TIMEOUT);
    let readers = readers.connect_lazy_with(base.create_if_missing(false).pragma("query_only", "ON"));
    Ok(Pools::Sqlite { writer, readers })
}

/// Opens SQLite's one writer and migrates; doing it again does no harm.
async fn open_writer(pool: PoolOptions<Sqlite>, options: SqliteConnectOptions) -> Result<SqlitePool, Failure> {
    let writer = pool.connect_with(options).await?;
    let mut connection = writer.acquire().await?;
    migrate::sqlite(&mut connection).await?;
    drop(connection);
    Ok(writer)
}

/// Makes the folder of a database file.
fn prepare_place(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Err(StoreError::Invalid(format!("`{}` is a folder; name a file in it", path.display())));
    }
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    std::fs::create_dir_all(folder).map_err(|error| {
        StoreError::Unavailable(format!(
            "the folder `{}` cannot be made ({error}); make it, give the user that runs liftgate write permission to \
             it, or name another place",
            folder.display()
        ))
    })
}

async fn open_postgres(url: &str) -> Result<Pools, StoreError> {
    let options = PgConnectOptions::from_str(url).map_err(explain)?.disable_statement_logging();
    // A pool would try until its timeout; the first connection says at once what is wrong.
    let mut connection = options.connect().await.map_err(|error| match error {
        sqlx::Error::Io(error) => StoreError::Unavailable(format!(
            "PostgreSQL does not answer at `{}:{}` ({error}); start it, or correct the URL",
            options.get_host(),
            options.get_port()
        )),
        error => explain(error),
    })?;
    migrate::postgres(&mut connection).await?;
    connection.close().await.map_err(explain)?;
    let pool = PoolOptions::<Postgres>::new()
        .max_connections(POSTGRES_CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_lazy_with(options);
    Ok(Pools::Postgres(pool))
}
