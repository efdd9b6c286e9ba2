//! Changes reach whoever listens: on this node, on another node of the same PostgreSQL, and when notifications are lost.

#![allow(clippy::disallowed_methods, reason = "a test that waits needs a deadline")]

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

use crate::{
    harness::{Server, read, shop},
    postgres::Cluster,
};

/// How long anything may take to arrive before a test gives up.
const DEADLINE: Duration = Duration::from_secs(30);

const KEYS: &str = "/projects/shop/environments/production/keys";

/// A stream of updates, read event by event.
struct Stream {
    body: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
}

impl Stream {
    async fn open(server: &Server, path: &str) -> Self {
        Self::of(server.http().get(server.url(path))).await
    }

    async fn of(request: reqwest::RequestBuilder) -> Self {
        let answer = request.send().await.unwrap();
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

    /// Reads until the server ends it.
    async fn until_end(mut self) {
        let read = async { while let Some(Ok(_)) = self.body.next().await {} };
        tokio::time::timeout(DEADLINE, read).await.expect("the stream should have ended");
    }
}

/// A socket of updates.
type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// Opens a socket, with a key in a header where one is given; or the status that it was refused with.
async fn socket(server: &Server, path: &str, key: Option<&str>) -> Result<Socket, StatusCode> {
    let mut request = server.url(path).replacen("http", "ws", 1).into_client_request().unwrap();
    if let Some(key) = key {
        request.headers_mut().insert("x-api-key", key.parse().unwrap());
    }
    match tokio_tungstenite::connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => Err(answer.status()),
        Err(error) => panic!("{error}"),
    }
}

/// The next update of a socket; `None` when the server closes it.
async fn update(socket: &mut Socket) -> Option<Value> {
    loop {
        match tokio::time::timeout(DEADLINE, socket.next()).await.unwrap()? {
            Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// Another key of the environment: its id and itself.
async fn another_key(server: &Server, kind: &str) -> (String, String) {
    let body = json!({"name": kind, "kind": kind});
    let (status, made) = server.manage(Method::POST, KEYS, Some(body)).await;
    assert!(status.is_success(), "{made}");
    (made["id"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned())
}

/// Opens a stream as soon as the node knows the key.
async fn open_soon(server: &Server, path: &str) -> Stream {
    let deadline = Instant::now() + DEADLINE;
    while server.http().get(server.url(path)).send().await.unwrap().status() != StatusCode::OK {
        assert!(Instant::now() < deadline, "{}", server.log());
    }
    Stream::open(server, path).await
}

/// All flags for a user, and the path of the stream that goes with the answer.
async fn bulk(server: &Server, key: &str, query: &str) -> (Value, String) {
    let url = server.url(&format!("/ofrep/v1/evaluate/flags{query}"));
    let request = server.http().post(url).header("x-api-key", key).body(r#"{"context":{"targetingKey":"u"}}"#);
    let (status, answer) = read(request.send().await.unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let path = answer["eventStreams"][0]["endpoint"]["requestUri"].as_str().unwrap().to_owned();
    (answer, path)
}

fn value<'a>(answer: &'a Value, flag: &str) -> &'a Value {
    &answer["flags"].as_array().unwrap().iter().find(|it| it["key"] == flag).unwrap()["value"]
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

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_at_once_what_changed_before_it_was_opened() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let (_, before) = bulk(&server, &key, "").await;
    serve(&server, "on").await;
    let (_, after) = bulk(&server, &key, "").await;
    assert_ne!(before, after);

    let told = Stream::open(&server, &before).await.next().await;
    assert_eq!(told["type"], "refetchEvaluation");
    let revision: u64 = told["etag"].as_str().unwrap().parse().unwrap();

    // Who has the newest hears of the next change first; an event source that comes again says what it saw last, whatever
    // its address says.
    let mut current = Stream::open(&server, &after).await;
    let again = |seen: u64| server.http().get(server.url(&before)).header("last-event-id", seen.to_string());
    let mut resumed = Stream::of(again(revision)).await;
    assert_eq!(Stream::of(again(revision - 1)).await.next().await["etag"], revision.to_string());
    serve(&server, "off").await;
    for stream in [&mut current, &mut resumed] {
        assert_eq!(stream.next().await["etag"], (revision + 1).to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_never_answered_with_the_flags_before_it_whichever_node_is_asked() {
    let cluster = Cluster::shared();
    let url = cluster.database().await;
    let first = Server::start_with(&[("LIFTGATE_CATALOG", &url)]).await;
    let second = Server::start_with(&[("LIFTGATE_CATALOG", &url)]).await;
    let key = shop(&first).await;
    let path = format!("/ofrep/v1/streams/{key}");
    drop(open_soon(&second, &path).await);
    let mut told = Stream::open(&first, &path).await;
    for round in 0..20 {
        let variation = if round % 2 == 0 { "on" } else { "off" };
        serve(&first, variation).await;
        let etag = told.next().await["etag"].as_str().unwrap().to_owned();
        let (answer, _) = bulk(&second, &key, &format!("?flagConfigEtag={etag}")).await;
        assert_eq!(value(&answer, "checkout"), &json!(variation == "on"), "round {round}");
    }
    // What cannot be is not waited for.
    for odd in ["18446744073709551615", "0", "x", "%22%22", ""] {
        bulk(&second, &key, &format!("?flagConfigEtag={odd}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_takes_its_streams_along_on_every_node() {
    let cluster = Cluster::shared();
    let url = cluster.database().await;
    let first = Server::start_with(&[("LIFTGATE_CATALOG", &url)]).await;
    let second = Server::start_with(&[("LIFTGATE_CATALOG", &url)]).await;
    let kept = shop(&first).await;
    let (id, key) = another_key(&first, "client").await;
    let path = format!("/ofrep/v1/streams/{key}");
    let mut open = Vec::new();
    for server in [&first, &second] {
        open.push(open_soon(server, &path).await);
        open.push(open_soon(server, &format!("/sse/environments/{key}/stream")).await);
    }
    let mut beside = Stream::open(&second, &format!("/ofrep/v1/streams/{kept}")).await;
    let mut own = socket(&first, "/ws/flags", Some(&key)).await.unwrap();
    let (status, answer) = first.manage(Method::DELETE, &format!("{KEYS}/{id}"), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
    for stream in open {
        stream.until_end().await;
    }
    assert_eq!(update(&mut own).await, None);
    for server in [&first, &second] {
        let answer = server.http().get(server.url(&path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    serve(&first, "on").await;
    assert_eq!(beside.next().await["type"], "refetchEvaluation", "the others go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_names_the_flags_that_may_answer_differently() {
    let server = Server::start().await;
    let key = shop(&server).await;
    server
        .apply(
            "{kind: segment, project: shop, key: staff, spec: {included: [u1]}}\n---\n\
             {kind: flag, project: shop, key: banner, spec: {kind: boolean}}\n---\n\
             {kind: flag_state, project: shop, environment: production, key: banner, spec: {enabled: true, rules: [{id: \
             staff, when: {segment: staff}, serve: {variation: \"on\"}}]}}",
        )
        .await;
    let (_, secret) = another_key(&server, "server").await;
    let mut sockets = [
        socket(&server, &format!("/ws/flags?key={key}"), None).await.unwrap(),
        socket(&server, "/ws/flags", Some(&secret)).await.unwrap(),
    ];
    assert_eq!(streams(&server).await, 2);
    serve(&server, "on").await;
    server.apply("{kind: segment, project: shop, key: staff, spec: {included: [u1, u2]}}").await;
    let (status, _) = server.manage(Method::DELETE, "/projects/shop/flags/checkout", None).await;
    assert!(status.is_success());
    for socket in &mut sockets {
        let told = update(socket).await.unwrap();
        assert_eq!((&told["type"], &told["flag_name"]), (&json!("flag_update"), &json!("checkout")));
        assert_eq!((&told["data"]["enabled"], &told["data"]["kind"]), (&json!(true), &json!("boolean")));
        assert!(told["data"]["version"].is_string());
        let told = update(socket).await.unwrap();
        assert_eq!(told["flag_name"], "banner", "the flag that reads the segment");
        assert!(!told.to_string().contains("u2"), "who is in a segment is not told");
        let told = update(socket).await.unwrap();
        assert_eq!(told, json!({"type": "flag_update", "flag_name": "checkout", "data": null}));
    }

    assert_eq!(socket(&server, "/ws/flags", None).await.err(), Some(StatusCode::UNAUTHORIZED));
    assert_eq!(socket(&server, "/ws/flags?key=nobody", None).await.err(), Some(StatusCode::UNAUTHORIZED));
    let in_url = format!("/ws/flags?key={secret}");
    assert_eq!(socket(&server, &in_url, None).await.err(), Some(StatusCode::BAD_REQUEST), "secrets stay out of URLs");
    let plain = server.http().get(server.url(&format!("/ws/flags?key={key}"))).send().await.unwrap();
    assert_eq!(plain.status(), StatusCode::UPGRADE_REQUIRED);
    assert_eq!(read(plain).await.1["code"], "websocket_needed");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_with_their_environment_and_with_the_server() {
    let mut server = Server::start().await;
    let key = shop(&server).await;
    let staging = "{kind: environment, project: shop, key: staging}";
    let applied = server.apply(staging).await;
    let other = applied["results"][0]["client_key"].as_str().unwrap().to_owned();
    let gone = Stream::open(&server, &format!("/ofrep/v1/streams/{other}")).await;
    let mut socket_gone = socket(&server, "/ws/flags", Some(&other)).await.unwrap();
    let (status, answer) = server.manage(Method::DELETE, "/projects/shop/environments/staging", None).await;
    assert!(status.is_success(), "{answer}");
    gone.until_end().await;
    assert_eq!(update(&mut socket_gone).await, None);

    let ofrep = Stream::open(&server, &format!("/ofrep/v1/streams/{key}")).await;
    let flagsmith = Stream::open(&server, &format!("/sse/environments/{key}/stream")).await;
    let mut socket = socket(&server, "/ws/flags", Some(&key)).await.unwrap();
    assert_eq!(server.terminate().await, Some(0), "{}", server.log());
    ofrep.until_end().await;
    flagsmith.until_end().await;
    assert_eq!(update(&mut socket).await, None);
    assert!(!server.log().contains("cut off"), "{}", server.log());
}
