//! What only databases can get wrong: files, folders, restarts, versions, several nodes on one database.

use std::path::Path;
use std::sync::Arc;

use liftgate_domain::{Catalog, Change, Key, ManualClock, ResourceKind, Scope, StoreError};
use liftgate_store::catalog::SqlCatalog;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

use super::fixture::*;
use super::postgres::Cluster;

async fn open(url: &str) -> Result<SqlCatalog, StoreError> {
    SqlCatalog::connect(url, Arc::new(ManualClock::at(START))).await
}

async fn refusal(url: &str) -> StoreError {
    open(url).await.err().unwrap()
}

fn url_of(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

fn project(name: &str) -> Change {
    change(Scope::organization(), vec![put(ResourceKind::Project, &Scope::organization(), name)], vec![])
}

async fn projects(catalog: &SqlCatalog) -> Vec<Key> {
    let rows = catalog.resources(ResourceKind::Project, &Scope::organization(), None, 100).await.unwrap();
    rows.into_iter().map(|row| row.key).collect()
}

#[test]
fn a_sqlite_catalog_survives_a_restart() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let url = url_of(&folder.path().join("not/there/yet/catalog.db"));
        let catalog = open(&url).await.unwrap();
        assert_eq!(catalog.apply(project("shop")).await.unwrap().seq, 1);
        // Not closed: what was acknowledged is there all the same.
        let next = open(&url).await.unwrap();
        assert_eq!(projects(&next).await, [key("shop")]);
        catalog.close().await;
        next.close().await;
        let last = open(&url).await.unwrap();
        assert_eq!(last.apply(project("zoo")).await.unwrap().seq, 2);
        assert_eq!(projects(&last).await, [key("shop"), key("zoo")]);
    });
}

#[test]
fn a_sqlite_catalog_in_memory_answers_like_one_in_a_file() {
    block_on(async {
        for url in ["sqlite::memory:", "sqlite://:memory:"] {
            let catalog = open(url).await.unwrap();
            catalog.apply(project("shop")).await.unwrap();
            assert_eq!(projects(&catalog).await, [key("shop")], "{url}");
            assert!(catalog.ruleset(&production()).await.unwrap().is_none());
            assert!(projects(&open(url).await.unwrap()).await.is_empty(), "each connection is a catalog of its own");
        }
    });
}

#[test]
fn sqlite_keeps_the_promised_settings() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.db");
        let _catalog = open(&url_of(&path)).await.unwrap();
        let mut connection = SqliteConnection::connect(&url_of(&path)).await.unwrap();
        let mode: (String,) = sqlx::query_as("PRAGMA journal_mode").fetch_one(&mut connection).await.unwrap();
        assert_eq!(mode.0, "wal");
    });
}

#[test]
fn a_place_that_cannot_be_written_is_named_with_the_next_step() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        // Longer than a page: SQLite takes a shorter file for an empty database.
        std::fs::write(&file, "notes ".repeat(1_000)).unwrap();

        let below_a_file = refusal(&url_of(&file.join("data/catalog.db"))).await;
        let text = below_a_file.to_string();
        assert!(matches!(below_a_file, StoreError::Unavailable(_)), "{text}");
        assert!(text.contains("file/data` cannot be made") && text.contains("write permission"), "{text}");

        let a_folder = refusal(&url_of(folder.path())).await.to_string();
        assert!(a_folder.ends_with("is a folder; name a file in it"), "{a_folder}");

        let not_a_database = refusal(&url_of(&file)).await;
        assert!(matches!(not_a_database, StoreError::Corrupt(_)), "{not_a_database}");

        // Read-only, as an unwritable file is opened by users other than root.
        let path = folder.path().join("catalog.db");
        open(&url_of(&path)).await.unwrap().close().await;
        let error = match open(&format!("{}?mode=ro", url_of(&path))).await {
            Ok(catalog) => catalog.apply(project("shop")).await.unwrap_err(),
            Err(error) => error,
        };
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        assert!(error.to_string().contains("cannot be written; give the user that runs liftgate"), "{error}");
    });
}

#[test]
fn a_url_without_an_engine_is_refused() {
    block_on(async {
        for (url, says) in [
            ("mysql://root:hunter2@localhost/x", "a catalog cannot be kept at a `mysql:` URL"),
            ("catalog.db", "the catalog's URL has no scheme"),
            ("sqlite:x.db?mode=sideways", "the catalog's URL cannot be used"),
        ] {
            let error = refusal(url).await;
            assert!(matches!(error, StoreError::Invalid(_)));
            assert!(error.to_string().starts_with(says), "{error}");
            assert!(!error.to_string().contains("hunter2"), "passwords stay out of errors");
        }
    });
}

const NEWER: &str = "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1";
const EDITED: &str = "UPDATE _sqlx_migrations SET checksum = ";

fn assert_names_a_newer_version(error: &StoreError) {
    assert!(matches!(error, StoreError::Invalid(_)), "{error}");
    assert!(error.to_string().starts_with("the catalog was written by a newer liftgate"), "{error}");
}

#[test]
fn a_database_of_a_newer_version_is_refused() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let url = url_of(&folder.path().join("catalog.db"));
        open(&url).await.unwrap().close().await;
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        let edit = AssertSqlSafe(format!("{EDITED} x'00'"));
        sqlx::query(edit).execute(&mut connection).await.unwrap();
        assert!(matches!(refusal(&url).await, StoreError::Corrupt(_)), "another text under a known version");
        sqlx::query(NEWER).execute(&mut connection).await.unwrap();
        assert_names_a_newer_version(&refusal(&url).await);

        let cluster = Cluster::shared();
        let url = cluster.database().await;
        open(&url).await.unwrap().close().await;
        let mut connection = PgConnection::connect(&url).await.unwrap();
        sqlx::query(NEWER).execute(&mut connection).await.unwrap();
        assert_names_a_newer_version(&refusal(&url).await);
    });
}

/// Starts nodes on one database at once and lets them write against each other.
async fn nodes_share(url: String) {
    const NODES: u64 = 4;
    const CHANGES_EACH: u64 = 5;
    let nodes: Vec<_> = (0..NODES)
        .map(|node| {
            let url = url.clone();
            tokio::spawn(async move {
                let catalog = open(&url).await.unwrap();
                let mut seqs = Vec::new();
                for turn in 0..CHANGES_EACH {
                    seqs.push(catalog.apply(project(&format!("p-{node}-{turn}"))).await.unwrap().seq);
                }
                catalog.close().await;
                seqs
            })
        })
        .collect();
    let mut seqs = Vec::new();
    for node in nodes {
        seqs.extend(node.await.unwrap());
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=NODES * CHANGES_EACH).collect::<Vec<_>>());
    assert_eq!(projects(&open(&url).await.unwrap()).await.len() as u64, NODES * CHANGES_EACH);
}

#[test]
fn sqlite_processes_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    block_on(nodes_share(url_of(&folder.path().join("catalog.db"))));
}

#[test]
fn postgres_nodes_share_a_database() {
    block_on(async {
        let cluster = Cluster::shared();
        nodes_share(cluster.database().await).await;
    });
}

#[test]
fn postgres_tells_the_time_and_says_what_is_wrong() {
    block_on(async {
        let cluster = Cluster::shared();
        let catalog = open(&cluster.database().await).await.unwrap();
        let first = catalog.now().await.unwrap();
        let applied = catalog.apply(project("shop")).await.unwrap().at;
        let last = catalog.now().await.unwrap();
        assert!(START < first && first <= applied && applied <= last, "not the clock that stands at START");

        let missing = refusal(&cluster.url("nowhere")).await;
        assert!(matches!(missing, StoreError::Invalid(_)), "{missing}");
        assert!(missing.to_string().contains("nowhere"), "{missing}");
        let silent = refusal("postgres://root:hunter2@127.0.0.1:1/x").await;
        assert!(matches!(silent, StoreError::Unavailable(_)), "{silent}");
        let text = silent.to_string();
        assert!(text.contains("does not answer at `127.0.0.1:1`") && !text.contains("hunter2"), "{text}");
    });
}
