//! Changes reach whoever listens: on this node, on another node of the same PostgreSQL, and when notifications are lost.

#![allow(clippy::disallowed_methods, reason = "a test that waits needs a deadline")]

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use crate::{
    harness::{Server, read, shop},
    postgres::Cluster,
};

/// How long anything may take to arrive before a test gives up.
const DEADLINE: Duration = Duration::from_secs(30);

/// A stream of updates, read event by event.
struct Stream {
    body: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
}

impl Stream {
    async fn open(server: &Server, path: &str) -> Self {
        let answer = server.http().get(server.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
        Self { body: answer.bytes_stream().boxed(), text: String::new() }
    }

    /// The data of the next event.
    async fn next(&mut self) -> Value {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(data) = event.lines().find_map(|line| line.strip_prefix("data:")) {
                    return serde_json::from_str(data.trim()).unwrap();
                }
                continue;
            }
            let chunk = tokio::time::timeout(DEADLINE, self.body.next()).await.unwrap().unwrap().unwrap();
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

async fn serve(server: &Server, variation: &str) {
    let state = format!(
        "{{kind: flag_state, project: shop, environment: production, key: checkout, spec: {{enabled: true, \
         fallthrough: {{variation: \"{variation}\"}}}}}}"
    );
    server.apply(&state).await;
}

async fn enabled(server: &Server, key: &str) -> bool {
    let request = server.http().get(server.url("/api/v1/flags/?feature=checkout")).header("x-environment-key", key);
    read(request.send().await.unwrap()).await.1["enabled"].as_bool().unwrap()
}

async fn streams(server: &Server) -> u64 {
    let page = server.http().get(server.url("/metrics")).send().await.unwrap().text().await.unwrap();
    let line = page.lines().find(|line| line.starts_with("liftgate_streams ")).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_on_one_node_reaches_the_listeners_of_another() {
    let cluster = Cluster::shared();
    let url = cluster.database().await;
    let first = Server::start_with(&[("LIFTGATE_CATALOG", &url)]).await;
    let second = Server::start_with(&[("LIFTGATE_CATALOG", &url)]).await;
    let key = shop(&first).await;
    // The second node opens the key once it has heard of the environment.
    let deadline = Instant::now() + DEADLINE;
    while second.http().get(second.url(&format!("/sse/environments/{key}/stream"))).send().await.unwrap().status()
        != StatusCode::OK
    {
        assert!(Instant::now() < deadline, "{}", second.log());
    }
    let mut flagsmith = Stream::open(&second, &format!("/sse/environments/{key}/stream")).await;
    let mut ofrep = Stream::open(&second, &format!("/ofrep/v1/streams/{key}")).await;
    let mut seen = flagsmith.next().await["updated_at"].as_f64().unwrap();
    let mut slowest = Duration::ZERO;
    for round in 0..10 {
        let (variation, expected) = if round % 2 == 0 { ("on", true) } else { ("off", false) };
        serve(&first, variation).await;
        let applied = Instant::now();
        let told = loop {
            let at = flagsmith.next().await["updated_at"].as_f64().unwrap();
            if at > seen {
                break at;
            }
        };
        slowest = slowest.max(applied.elapsed());
        seen = told;
        assert_eq!(ofrep.next().await["type"], json!("refetchEvaluation"));
        // Who asks at once gets what it was told of.
        assert_eq!(enabled(&second, &key).await, expected, "round {round}");
    }
    println!("a change reached the other node's listeners within {} ms", slowest.as_millis());

    // Notifications are lost: their connections are cut, and the change comes all the same.
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE datname = current_database() AND query LIKE 'LISTEN%' AND pid <> pg_backend_pid()";
    let ended: i64 = sqlx::query_scalar(cut).fetch_one(&mut connection).await.unwrap();
    assert!(ended >= 2, "{ended} connections listened");
    serve(&first, "on").await;
    loop {
        let at = flagsmith.next().await["updated_at"].as_f64().unwrap();
        if at > seen {
            break;
        }
    }
    assert!(enabled(&second, &key).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_that_are_gone_are_let_go_and_strangers_are_refused() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(Stream::open(&server, &format!("/ofrep/v1/streams/{key}")).await);
    }
    assert_eq!(streams(&server).await, 5);
    drop(open);
    let deadline = Instant::now() + DEADLINE;
    while streams(&server).await > 0 {
        assert!(Instant::now() < deadline, "{} streams are still open", streams(&server).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for path in ["/sse/environments/nobody/stream", "/ofrep/v1/streams/nobody"] {
        let answer = server.http().get(server.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_mixes_two_revisions() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let flags = |value: &str| {
        let flag = |number: u32| {
            format!(
                "{{kind: flag, project: shop, key: f{number}, spec: {{kind: string, off_variation: v, variations: \
                 [{{key: v, value: \"{value}\"}}]}}}}"
            )
        };
        (0..40).map(flag).collect::<Vec<_>>().join("\n---\n")
    };
    server.apply(&flags("0")).await;
    let url = server.url("/ofrep/v1/evaluate/flags");
    let (http, api_key) = (server.http().clone(), key.clone());
    let stop = tokio_util::sync::CancellationToken::new();
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (http, url, key, stop) = (http.clone(), url.clone(), api_key.clone(), stop.clone());
            tokio::spawn(async move {
                let mut values = std::collections::BTreeSet::new();
                while !stop.is_cancelled() {
                    let request = http.post(&url).header("x-api-key", &key).body(r#"{"context":{"targetingKey":"u"}}"#);
                    let (status, answer) = read(request.send().await.unwrap()).await;
                    assert_eq!(status, StatusCode::OK);
                    let own = answer["flags"].as_array().unwrap().iter();
                    let own: Vec<&Value> =
                        own.filter(|it| it["key"].as_str().unwrap().starts_with('f')).map(|it| &it["value"]).collect();
                    assert_eq!(own.len(), 40);
                    assert!(own.iter().all(|value| *value == own[0]), "two revisions in one answer: {own:?}");
                    values.insert(own[0].to_string());
                }
                values.len()
            })
        })
        .collect();
    for round in 1..=15 {
        server.apply(&flags(&round.to_string())).await;
    }
    stop.cancel();
    for reader in readers {
        assert!(reader.await.unwrap() > 1, "the readers saw no change");
    }
}
