//! Batches that come again, in any order, at once, from two nodes; what a node knows after a restart and of others.

use std::collections::BTreeMap;
use std::sync::Arc;

use liftgate_domain::{EventCounts, EventRow, MomentsQuery, NodeMark, RowRule, SealedBatch, Timestamp, Warehouse};
use liftgate_evaluator::TREATMENT;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::clickhouse_server::{Server, connect, fresh_database};
use super::examples::*;

/// So many batches of a node, four rows each: two units seen and what they bought.
fn batches(node: &str, epoch: u64, number: u64) -> Vec<Arc<SealedBatch>> {
    let rows = |sequence: u64| {
        let unit = |n| format!("{node}-{epoch}-{sequence}-{n}");
        let ms = i64::try_from(sequence).unwrap() * 100;
        (0..2)
            .flat_map(|n| {
                let (id, unit) = (unit(n), unit(n));
                [exposure(&format!("x{id}"), &unit, TREATMENT, ms), event(&format!("e{id}"), &unit, 2.0, ms + 1)]
            })
            .collect::<Vec<_>>()
    };
    (1..=number).map(|n| batch(node, epoch, n, i64::try_from(n).unwrap() * 100 + 1, rows(n))).collect()
}

fn stored(server: &Server, database: &str) -> u64 {
    server.sql(&format!("SELECT count() FROM {database}.events")).parse().unwrap()
}

/// Has only the server's memory of inserts keep a batch from being stored again.
fn forget_batches(server: &Server, database: &str) {
    server.sql(&format!("TRUNCATE TABLE {database}.batches"));
}

#[tokio::test]
async fn the_same_batches_again_and_again_change_nothing() {
    let (server, database) = (Server::shared(), fresh_database());
    let all = batches("a", 1, 6);
    // A process of its own each time: none knows what the others have appended, only the server does.
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..5 {
        let warehouse = connect(server, &database).await;
        let mut again: Vec<_> = all.iter().chain(&all).chain(&all).collect();
        again.shuffle(&mut rng);
        for batch in &again[..rng.random_range(6..18)] {
            warehouse.append(Arc::clone(batch)).await.unwrap();
        }
        warehouse.flush().await.unwrap();
        forget_batches(server, &database);
    }
    let warehouse = connect(server, &database).await;
    for batch in &all {
        warehouse.append(Arc::clone(batch)).await.unwrap();
    }
    let expected = EventCounts { exposures: 12, metrics: 12, surplus: 0 };
    assert_eq!((warehouse.counts(ENVIRONMENT).await.unwrap(), stored(server, &database)), (expected, 24));
}

#[tokio::test]
async fn the_same_batch_at_once_is_stored_once() {
    let (server, database) = (Server::shared(), fresh_database());
    let all = batches("a", 1, 4);
    let mut warehouses = Vec::new();
    for _ in 0..6 {
        warehouses.push(Arc::new(connect(server, &database).await));
    }
    let mut running = tokio::task::JoinSet::new();
    for (n, warehouse) in warehouses.iter().enumerate() {
        for position in 0..all.len() {
            let (warehouse, batch) = (Arc::clone(warehouse), Arc::clone(&all[(position + n) % all.len()]));
            running.spawn(async move { warehouse.append(batch).await });
        }
    }
    while let Some(outcome) = running.join_next().await {
        outcome.unwrap().unwrap();
    }
    assert_eq!(stored(server, &database), 16);
    let counts = warehouses[0].counts(ENVIRONMENT).await.unwrap();
    assert_eq!(counts, EventCounts { exposures: 8, metrics: 8, surplus: 0 });
}

#[tokio::test]
async fn what_the_server_no_longer_recognizes_is_stored_twice_and_counted_once() {
    let (server, database) = (Server::shared(), fresh_database());
    let mut options = server.options(&database);
    options.dedup_window = 1;
    let all = batches("a", 1, 3);
    for _ in 0..2 {
        let clock = Arc::new(liftgate_domain::SystemClock);
        let warehouse = liftgate_store::warehouse::ClickHouseWarehouse::connect(options.clone(), clock).await.unwrap();
        for batch in &all {
            warehouse.append(Arc::clone(batch)).await.unwrap();
        }
        forget_batches(server, &database);
    }
    let warehouse = connect(server, &database).await;
    let through = batch("a", 1, 3, 90_000, vec![]);
    warehouse.append(through).await.unwrap();
    let counts = warehouse.counts(ENVIRONMENT).await.unwrap();
    assert_eq!((counts.exposures, counts.metrics), (6, 6));
    assert_eq!((counts.surplus, stored(server, &database)), (12, 24));
    let answer = warehouse.moments(&question()).await.unwrap();
    assert_eq!(total(&answer, "revenue", TREATMENT), Some((6, 12.0)));
}

#[tokio::test]
async fn more_repeats_than_can_be_listed_count_once() {
    let (server, database) = (Server::shared(), fresh_database());
    let warehouse = connect(server, &database).await;
    let rows = |node: &str| -> Vec<EventRow> {
        let value = if node == "a" { 1.0 } else { 100.0 };
        (0..4_500).map(|n| event(&format!("e{n}"), &format!("u{}", n % 10), value, 1_001)).collect()
    };
    let exposures = (0..10).map(|n| exposure(&format!("x{n}"), &format!("u{n}"), TREATMENT, 1_000)).collect();
    let later = rows("b").into_iter().map(|row| received(row, 2_000)).collect();
    for (node, sequence, rows) in [("b", 1, later), ("a", 1, rows("a")), ("a", 2, exposures)] {
        warehouse.append(batch(node, 1, sequence, 60_000, rows)).await.unwrap();
    }
    let counts = warehouse.counts(ENVIRONMENT).await.unwrap();
    assert_eq!(counts, EventCounts { exposures: 10, metrics: 4_500, surplus: 4_500 });
    let answer = warehouse.moments(&question()).await.unwrap();
    assert_eq!(total(&answer, "revenue", TREATMENT), Some((10, 4_500.0)));
}

#[tokio::test]
async fn two_nodes_with_the_same_events_count_them_once() {
    let (server, database) = (Server::shared(), fresh_database());
    let (one, other) = (connect(server, &database).await, connect(server, &database).await);
    let rows = || vec![exposure("x", "u", TREATMENT, 1_000), event("e", "u", 2.0, 1_500), event("f", "u", 4.0, 1_500)];
    let late = rows().into_iter().map(|row| received(row, 1_700)).collect();
    one.append(batch("a", 1, 1, 60_000, rows())).await.unwrap();
    other.append(batch("b", 1, 1, 60_000, late)).await.unwrap();
    let counts = one.counts(ENVIRONMENT).await.unwrap();
    assert_eq!(counts, EventCounts { exposures: 1, metrics: 2, surplus: 3 });
    let answer = one.moments(&question()).await.unwrap();
    assert_eq!(total(&answer, "revenue", TREATMENT), Some((1, 6.0)));
}

#[tokio::test]
async fn a_batch_of_many_months_is_stored_whole_and_once() {
    let (server, database) = (Server::shared(), fresh_database());
    let month_ms = 30 * 86_400_000;
    let rows = (0..110_i64).map(|n| {
        let ts_client = at(n * month_ms);
        EventRow { ts_client, ..event(&format!("e{n}"), "u", 1.0, 1_500) }
    });
    // Whatever a sender's clock says must not keep its neighbours out.
    let wild = [i64::MIN, i64::MIN / 2, -1, i64::MAX / 2, i64::MAX]
        .into_iter()
        .enumerate()
        .map(|(n, micros)| EventRow { ts_client: Timestamp(micros), ..event(&format!("w{n}"), "u", 1.0, 1_500) });
    let rows: Vec<_> = rows.chain(wild).chain([exposure("x", "u", TREATMENT, 1_000)]).collect();
    for _ in 0..2 {
        let warehouse = connect(server, &database).await;
        warehouse.append(batch("a", 1, 1, 60_000, rows.clone())).await.unwrap();
        assert!(warehouse.health().inserts > 1, "{:?}", warehouse.health());
        warehouse.flush().await.unwrap();
        forget_batches(server, &database);
        let answer = warehouse.moments(&question()).await.unwrap();
        assert_eq!(total(&answer, "revenue", TREATMENT), Some((1, 115.0)));
    }
    assert_eq!(stored(server, &database), 116);
}

#[tokio::test]
async fn a_restarted_node_knows_what_is_stored() {
    let (server, database) = (Server::shared(), fresh_database());
    let all = batches("a", 2, 5);
    let warehouse = connect(server, &database).await;
    for position in [0, 1, 3] {
        warehouse.append(Arc::clone(&all[position])).await.unwrap();
    }
    warehouse.flush().await.unwrap();
    for warehouse in [warehouse, connect(server, &database).await] {
        assert_eq!(warehouse.durable_through("a", 2), 2);
        let durable: Vec<_> = (1..=5).map(|sequence| warehouse.is_durable("a", 2, sequence)).collect();
        assert_eq!(durable, [true, true, false, true, false]);
        assert!(!warehouse.is_durable("a", 1, 1) && !warehouse.is_durable("b", 2, 1));
        let mark = NodeMark { epoch: 2, sequence: 4, received_at: at(401) };
        assert_eq!(warehouse.evidence().borrow().nodes, BTreeMap::from([("a".to_owned(), mark)]));
    }
}

#[tokio::test]
async fn each_node_follows_the_marks_of_the_others_until_one_is_retired() {
    let (server, database) = (Server::shared(), fresh_database());
    let (one, other) = (connect(server, &database).await, connect(server, &database).await);
    let mut evidence = one.evidence();
    one.append(batch("one", 1, 1, 5_000, vec![exposure("x", "u", TREATMENT, 1_000)])).await.unwrap();
    other.append(batch("other", 1, 1, 2_000, vec![event("e", "u", 2.0, 1_500)])).await.unwrap();
    evidence.wait_for(|watermark| watermark.time() == Some(at(2_000))).await.unwrap();
    let readout = MomentsQuery { rule: RowRule::Readout, ..question() };
    assert_eq!(total(&one.moments(&readout).await.unwrap(), "revenue", TREATMENT), Some((1, 2.0)));
    // An idle node's heartbeats are seen by the others as well.
    other.append(batch("other", 1, 1, 4_000, vec![])).await.unwrap();
    evidence.wait_for(|watermark| watermark.time() == Some(at(4_000))).await.unwrap();
    drop(other);
    one.retire("other").await.unwrap();
    assert_eq!(evidence.borrow().time(), Some(at(5_000)));
    assert_eq!(connect(server, &database).await.counts(ENVIRONMENT).await.unwrap().metrics, 1, "its rows stay");
    one.flush().await.unwrap();
    assert_eq!(connect(server, &database).await.evidence().borrow().time(), Some(at(5_000)));
}

#[tokio::test]
async fn names_are_only_ever_names() {
    let (server, database) = (Server::shared(), fresh_database());
    let warehouse = connect(server, &database).await;
    for (n, name) in ["it's", "back\\slash", "tab\tline\nquote\"", "?", "{p0:String}", "`; DROP", "ü✓", "a\\'b\0c"]
        .into_iter()
        .enumerate()
    {
        let (x, e) = (format!("x{n}"), format!("e{n}"));
        let mut amount = metric("amount", liftgate_domain::MetricKind::Mean, name, 10_000);
        amount.metric.value = Some(name.to_owned());
        let properties = serde_json::json!({ name: 3.0 }).as_object().cloned();
        let rows = vec![
            EventRow { arm: Some(name.into()), properties: properties.clone(), ..exposure(&x, name, TREATMENT, 1_000) },
            EventRow { name: name.into(), properties, ..event(&e, name, 0.0, 1_001) },
        ];
        warehouse.append(batch("no'de", 1, n as u64 + 1, 60_000, rows)).await.unwrap();
        let slices = vec![liftgate_domain::Dimension::Attribute(name.into())];
        let query = MomentsQuery {
            arms: vec![name.into()],
            metrics: vec![amount],
            slices,
            rule: RowRule::Readout,
            ..question()
        };
        let answer = warehouse.moments(&query).await.unwrap();
        let sums: Vec<_> = answer.cells.iter().map(|cell| (cell.moments.n, cell.moments.mean)).collect();
        assert_eq!(sums, [(1, 3.0), (1, 3.0)], "{name:?}: {answer:?}");
    }
}

/// A server that dies between remembering the name of an insert and keeping its rows takes the repetition for known.
#[tokio::test]
async fn a_name_that_the_server_remembers_without_the_rows_does_not_lose_them() {
    let (server, database) = (Server::shared(), fresh_database());
    let all = batches("a", 1, 2);
    let warehouse = connect(server, &database).await;
    // A foreign row takes the name, in the month of the batch's own rows.
    server.sql(&format!(
        "INSERT INTO {database}.events (environment, kind, event_id, ts_client) SETTINGS \
         insert_deduplication_token = 'a-1-1', async_insert = 0 VALUES (99, 'metric', 'foreign', '1970-01-01 00:00:01')"
    ));
    for batch in &all {
        warehouse.append(Arc::clone(batch)).await.unwrap();
    }
    let expected = EventCounts { exposures: 4, metrics: 4, surplus: 0 };
    assert_eq!((warehouse.counts(ENVIRONMENT).await.unwrap(), stored(server, &database)), (expected, 9));
}

#[tokio::test]
async fn repeats_that_come_between_questions_count_once_as_they_were_received_first() {
    let (server, database) = (Server::shared(), fresh_database());
    let warehouse = connect(server, &database).await;
    let nodes = ["a", "b", "c"];
    for node in nodes {
        let rows = if node == "a" { vec![exposure("x", "u", TREATMENT, 1_000)] } else { vec![] };
        warehouse.append(batch(node, 1, 1, 1_000, rows)).await.unwrap();
    }
    let readout = MomentsQuery { rule: RowRule::Readout, ..question() };
    let mut rng = StdRng::seed_from_u64(5);
    let mut first: BTreeMap<u64, u32> = BTreeMap::new();
    let mut repeats = 0;
    for round in 2..20_u32 {
        let ms = 1_000 + i64::from(round) * 10;
        let mut ids: Vec<u64> = (0..30).collect();
        ids.shuffle(&mut rng);
        let row = |id: &u64| received(event(&format!("e{id}"), "u", f64::from(round), 1_001), ms);
        let rows = ids[..3].iter().map(row).collect();
        warehouse.append(batch(nodes[rng.random_range(0..3)], 1, u64::from(round), ms, rows)).await.unwrap();
        for id in &ids[..3] {
            repeats += usize::from(first.contains_key(id));
            first.entry(*id).or_insert(round);
        }
        let sum = first.values().copied().map(f64::from).sum::<f64>();
        let answer = warehouse.moments(&readout).await.unwrap();
        assert_eq!(total(&answer, "revenue", TREATMENT), Some((1, sum)), "round {round}");
    }
    assert!(repeats > 10 && first.len() > 10);
}
