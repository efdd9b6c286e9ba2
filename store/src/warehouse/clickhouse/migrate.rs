//! Brings a server or cluster to the tables that this binary knows, and refuses one that knows more.
//!
//! Two nodes may start at once: every step can be run again and by both, so no lock is needed, and a step is recorded
//! only after it was made.

use std::time::Duration;

use liftgate_domain::StoreError;

use super::connection::Connection;
use super::layout::{self, Layout, quoted};
use super::version;

/// How often a statement that meets the same statement of another node is tried.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

/// Checks the server and makes what is missing. Answers where the tables are.
pub(super) async fn prepare(connection: &Connection) -> Result<Layout, StoreError> {
    let server: String = connection.row(connection.outside().query_raw("SELECT version()")).await?;
    version::check(&server)?;
    let layout = find_layout(connection).await?;
    let options = connection.options();
    let database = options.database.as_str();

    let exists = connection.outside().query_raw("SELECT count() FROM system.databases WHERE name = {name:String}");
    if connection.row::<u64>(exists.param("name", database)).await? == 0 {
        run(connection, &format!("CREATE DATABASE IF NOT EXISTS {}{}", quoted(database), layout.everywhere())).await?;
    }
    let exists = "SELECT count() FROM system.tables WHERE database = {name:String} AND name = 'migrations'";
    let exists = connection.outside().query_raw(exists).param("name", database);
    if connection.row::<u64>(exists).await? == 0 {
        run(connection, &layout::migrations_table(&layout, database)).await?;
    }
    let made = connection.inside().query_raw("SELECT DISTINCT number FROM migrations ORDER BY number");
    let made: Vec<u32> = connection.rows(made).await?;
    let known = layout::migrations(&layout, database, options.dedup_window);
    let newest = known.last().map_or(0, |step| step.number);
    if let Some(newer) = made.iter().find(|number| **number > newest) {
        return Err(StoreError::Invalid(format!(
            "database `{database}` in ClickHouse was written by a newer liftgate (migration `{newer}` is unknown here); \
             run that version or a newer one"
        )));
    }
    for step in known.iter().filter(|step| !made.contains(&step.number)) {
        for statement in &step.statements {
            run(connection, statement).await?;
        }
        let record = format!("INSERT INTO migrations (number) VALUES ({})", step.number);
        connection.execute(connection.inside().query_raw(&record)).await?;
    }
    Ok(layout)
}

async fn find_layout(connection: &Connection) -> Result<Layout, StoreError> {
    let Some(name) = connection.options().cluster.clone() else {
        return Ok(Layout::Single);
    };
    let count = "SELECT toUInt32(max(replica_num)) FROM system.clusters WHERE cluster = {name:String}";
    let replicas: u32 = connection.row(connection.outside().query_raw(count).param("name", &name)).await?;
    if replicas == 0 {
        return Err(StoreError::Invalid(format!(
            "ClickHouse knows no cluster `{name}`; correct `clickhouse.cluster`, or name the cluster in the server's \
             `remote_servers`"
        )));
    }
    let keeper = "SELECT count() FROM system.tables WHERE database = 'system' AND name = 'zookeeper'";
    let has_keeper = connection.row::<u64>(connection.outside().query_raw(keeper)).await? > 0;
    if replicas > 1 && !has_keeper {
        return Err(StoreError::Invalid(format!(
            "cluster `{name}` has {replicas} replicas of a shard but no Keeper, so nothing would copy rows between them; \
             configure ClickHouse Keeper, or a cluster of one replica a shard"
        )));
    }
    Ok(Layout::Cluster { name, replicas, has_keeper })
}

/// Runs a statement that changes tables. That another node runs the same one at the same time is no error.
async fn run(connection: &Connection, statement: &str) -> Result<(), StoreError> {
    for _ in 1..ATTEMPTS {
        match connection.execute(connection.outside().query_raw(statement)).await {
            Err(StoreError::Unavailable(text))
                if text.contains("ALREADY_EXISTS") || text.contains("already exists") =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
    connection.execute(connection.outside().query_raw(statement)).await
}
