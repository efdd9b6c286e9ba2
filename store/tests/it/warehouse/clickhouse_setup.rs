//! Connecting: users and rights, tables made by several nodes at once, newer tables, a cluster of two servers.

use std::sync::Arc;

use liftgate_domain::{EventCounts, StoreError, SystemClock, Warehouse};
use liftgate_evaluator::{CONTROL, TREATMENT};
use liftgate_store::warehouse::{ClickHouseOptions, ClickHouseWarehouse};

use super::clickhouse_server::{Server, connect, free_port, fresh_database};
use super::comparison::check_world;
use super::engine::{Engine, append_all};
use super::examples::*;
use super::world::World;

async fn refusal(options: ClickHouseOptions) -> String {
    match ClickHouseWarehouse::connect(options, Arc::new(SystemClock)).await {
        Ok(_) => panic!("it was let in"),
        Err(StoreError::Invalid(text)) => text,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_user_with_a_password_and_rights_in_the_database_is_enough() {
    let (server, database) = (Server::shared(), fresh_database());
    let app = ClickHouseOptions { user: "app".into(), password: "app".into(), ..server.options(&database) };
    let wrong = ClickHouseOptions { password: "hunter2".into(), ..app.clone() };
    let text = refusal(wrong).await;
    assert!(text.contains("`clickhouse.password`") && !text.contains("hunter2"), "{text}");
    let nobody = ClickHouseOptions { user: "nobody".into(), ..app.clone() };
    assert!(refusal(nobody).await.contains("refuses user `nobody`"));

    for name in ["reader", "maker"] {
        let options = ClickHouseOptions { user: name.into(), password: name.into(), ..app.clone() };
        let text = refusal(options).await;
        assert!(text.contains(&format!("user `{name}` lacks a right")) && text.contains("GRANT SELECT"), "{text}");
    }
    let warehouse = ClickHouseWarehouse::connect(app, Arc::new(SystemClock)).await.unwrap();
    append_all(&warehouse, &[batch("a", 1, 1, 60_000, vec![exposure("x", "u", TREATMENT, 1_000)])]).await;
    assert_eq!(warehouse.moments(&question()).await.unwrap().arms.len(), 1);
    warehouse.flush().await.unwrap();
    // With the tables made, nobody needs the right to make them; without the right to insert nobody is let in.
    let reader = ClickHouseOptions { user: "reader".into(), password: "reader".into(), ..server.options(&database) };
    assert!(refusal(reader).await.contains("INSERT"));
}

#[tokio::test]
async fn nodes_that_start_at_once_make_the_same_tables() {
    let (server, database) = (Server::shared(), fresh_database());
    let mut starting = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let options = server.options(&database);
        starting.spawn(ClickHouseWarehouse::connect(options, Arc::new(SystemClock)));
    }
    while let Some(outcome) = starting.join_next().await {
        outcome.unwrap().unwrap();
    }
    let made = |table: &str| {
        server.sql(&format!(
            "SELECT DISTINCT create_table_query FROM system.tables WHERE database = '{database}' AND name = '{table}'"
        ))
    };
    let before = ["events", "batches", "marks"].map(made);
    connect(server, &database).await;
    assert_eq!(before, ["events", "batches", "marks"].map(made));
    assert_eq!(server.sql(&format!("SELECT DISTINCT number FROM {database}.migrations")), "1");
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused() {
    let (server, database) = (Server::shared(), fresh_database());
    connect(server, &database).await;
    server.sql(&format!("INSERT INTO {database}.migrations (number) VALUES (99)"));
    let text = refusal(server.options(&database)).await;
    assert!(text.contains("migration `99`") && text.contains("newer"), "{text}");
}

#[tokio::test]
async fn a_cluster_that_the_server_does_not_know_is_named() {
    let server = Server::shared();
    let options = ClickHouseOptions { cluster: Some("nowhere".into()), ..server.options(&fresh_database()) };
    let text = refusal(options).await;
    assert!(text.contains("no cluster `nowhere`"), "{text}");
}

/// Two servers, a shard each.
struct TwoShards([Server; 2]);

impl TwoShards {
    fn start() -> Self {
        let ports = [0, 1].map(|_| (free_port(), free_port()));
        let shard = |tcp: u16| {
            format!(
                "<shard><internal_replication>true</internal_replication><replica><host>127.0.0.1</host>\
                     <port>{tcp}</port></replica></shard>"
            )
        };
        let shards: String = ports.iter().map(|(_, tcp)| shard(*tcp)).collect();
        let fragment = format!("<remote_servers><main>{shards}</main></remote_servers>");
        Self(ports.map(|(http, tcp)| Server::at(http, tcp, &fragment)))
    }

    fn options(&self, server: usize, database: &str) -> ClickHouseOptions {
        ClickHouseOptions { cluster: Some("main".into()), ..self.0[server].options(database) }
    }

    /// Without Keeper each server makes its own tables, when somebody connects to it.
    async fn connect(&self, database: &str) -> [ClickHouseWarehouse; 2] {
        let first = ClickHouseWarehouse::connect(self.options(0, database), Arc::new(SystemClock)).await;
        drop(first);
        let second = ClickHouseWarehouse::connect(self.options(1, database), Arc::new(SystemClock)).await.unwrap();
        let first = ClickHouseWarehouse::connect(self.options(0, database), Arc::new(SystemClock)).await.unwrap();
        [first, second]
    }
}

impl Engine for TwoShards {
    async fn on_empty(&self, check: impl AsyncFnOnce(&dyn Warehouse)) {
        check(&self.connect(&fresh_database()).await[0]).await;
    }
}

#[tokio::test]
async fn a_cluster_of_two_shards_answers_as_one_server_does() {
    let mut cluster = TwoShards::start();
    let mut world = World::full(1);
    let mut position = 0;
    world.questions.retain(|_| {
        position += 1;
        position % 8 == 1
    });
    check_world(&cluster, &world, "two shards").await;

    let [one, other] = cluster.connect("crash").await;
    let rows = |range: std::ops::Range<u32>| {
        let arm = |n| if n % 2 == 0 { TREATMENT } else { CONTROL };
        range.map(|n| exposure(&format!("x{n}"), &format!("u{n}"), arm(n), 1_000)).collect()
    };
    let batches = [batch("a", 1, 1, 60_000, rows(0..100)), batch("a", 1, 2, 60_000, rows(100..200))];
    one.append(Arc::clone(&batches[0])).await.unwrap();
    other.append(batch("b", 1, 1, 60_000, rows(50..60))).await.unwrap();
    let on_shards = |cluster: &TwoShards| {
        [0, 1].map(|n| cluster.0[n].sql("SELECT count() FROM crash.events_local").parse::<u64>().unwrap())
    };
    let spread = on_shards(&cluster);
    assert!(spread.iter().all(|rows| *rows > 20) && spread.iter().sum::<u64>() == 110, "{spread:?}");

    // With one shard away an insert fails; some of its rows may be stored. The retry stores the others.
    cluster.0[1].kill();
    assert!(one.append(Arc::clone(&batches[1])).await.is_err());
    cluster.0[1].start_again();
    for batch in &batches {
        one.append(Arc::clone(batch)).await.unwrap();
    }
    let restarted = ClickHouseWarehouse::connect(cluster.options(1, "crash"), Arc::new(SystemClock)).await.unwrap();
    append_all(&restarted, &batches).await;
    for warehouse in [&one, &restarted] {
        let counts = warehouse.counts(ENVIRONMENT).await.unwrap();
        assert_eq!(counts, EventCounts { exposures: 200, metrics: 0, surplus: 10 });
    }
    one.flush().await.unwrap();
    let restarted = ClickHouseWarehouse::connect(cluster.options(1, "crash"), Arc::new(SystemClock)).await.unwrap();
    assert_eq!(restarted.durable_through("a", 1), 2);
    // Without Keeper each server deletes its own. They are counted once, when the first does.
    let next_day = at(86_400_000);
    assert_eq!(restarted.expire(ENVIRONMENT, next_day).await.unwrap(), 200);
    let left = on_shards(&cluster);
    assert!(left[0] > 0 && left[1] == 0, "{left:?}");
    assert_eq!(one.expire(ENVIRONMENT, next_day).await.unwrap(), 0);
    assert_eq!((on_shards(&cluster), one.expired(ENVIRONMENT).await.unwrap()), ([0, 0], 200));
}
