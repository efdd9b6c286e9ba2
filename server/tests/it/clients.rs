//! The clients that people really use, against the real server: each sends with its own batching and its own retries
//! while the server is killed under it and refuses for lack of room, and every event is counted exactly once.

use std::{collections::BTreeSet, path::PathBuf, process::Stdio};

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{ChildStdout, Command},
};

use crate::{
    crash::until_stored,
    harness::{Server, shop},
};

/// Events of one run: a tenth each of identify, page and group, two of exposures, five of track.
const EVENTS: u64 = 400;
const EXPOSURES: u64 = EVENTS / 10 * 2;
/// The server is gone while the client sends the events between these.
const GONE: (u64, u64) = (100, 150);
/// The server answers 503 while the client sends the events between these, and is killed before and after.
const REFUSING: (u64, u64) = (220, 300);
/// More room than any disk has.
const FULL: &str = "8000TiB";

fn cache(path: &str, variable: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/liftgate").join(path),
        PathBuf::from,
    )
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients").join(name)
}

/// A script of `clients/` under Node.js; its first argument is where the npm clients are.
pub fn node(name: &str) -> Command {
    let clients = cache("clients", "LIFTGATE_CLIENTS");
    assert!(clients.join("node_modules").is_dir(), "the npm clients are missing: run `make test-deps`");
    let mut command = Command::new("node");
    command.arg(script(name)).arg(clients);
    command
}

/// A script of `clients/` under Python; `module` is the client that it needs.
pub fn python(name: &str, module: &str) -> Command {
    let python = cache("venv/bin/python", "LIFTGATE_PYTHON");
    let has_client = std::process::Command::new(&python).args(["-c", &format!("import {module}")]).output();
    assert!(has_client.is_ok_and(|it| it.status.success()), "the Python client is missing: run `make test-deps`");
    let mut command = Command::new(python);
    command.arg(script(name));
    command
}

/// Reads the journal up to the event.
async fn until_sent(journal: &mut Lines<BufReader<ChildStdout>>, event: u64) {
    let wanted = format!("sent {event}");
    while let Some(line) = journal.next_line().await.unwrap() {
        if line == wanted {
            return;
        }
    }
    panic!("the client ended before it had sent event {event}");
}

/// Waits until the client has been answered with a 503.
async fn until_refused(server: &Server) {
    let mut page = String::from("liftgate_requests_refused_low_disk_total 0\n");
    while page.contains("liftgate_requests_refused_low_disk_total 0\n") {
        page = server.http().get(server.url("/metrics")).send().await.unwrap().text().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn each_event_is_counted_once(mut command: Command) {
    let mut server = Server::start().await;
    let key = shop(&server).await;
    let mut client = command
        .args([server.url("").as_str(), &key, &EVENTS.to_string()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node and python are there after `make test-deps`");
    let mut journal = BufReader::new(client.stdout.take().unwrap()).lines();
    until_sent(&mut journal, GONE.0).await;
    server.kill();
    until_sent(&mut journal, GONE.1).await;
    server.start_again().await;
    until_sent(&mut journal, REFUSING.0).await;
    server.set("LIFTGATE_INGEST_DISK_FREE_MIN", FULL);
    server.kill_and_restart().await;
    until_sent(&mut journal, REFUSING.1).await;
    until_refused(&server).await;
    server.set("LIFTGATE_INGEST_DISK_FREE_MIN", "0");
    server.kill_and_restart().await;
    let (mut ids, mut is_done) = (BTreeSet::new(), false);
    while let Some(line) = journal.next_line().await.unwrap() {
        ids.extend(line.strip_prefix("id ").map(str::to_owned));
        is_done |= line == "done";
    }
    assert!(client.wait().await.unwrap().success() && is_done, "the client gave up:\n{}", server.log());
    assert_eq!(ids.len() as u64, EVENTS, "the client journals every id once");
    let expected = json!({"exposures": EXPOSURES, "metrics": EVENTS - EXPOSURES, "surplus": 0});
    assert_eq!(until_stored(&server, EVENTS - EXPOSURES).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_node_client_delivers_each_event_once_through_crashes_and_refusals() {
    each_event_is_counted_once(node("segment_node.cjs")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_python_client_delivers_each_event_once_through_crashes_and_refusals() {
    each_event_is_counted_once(python("segment_python.py", "segment.analytics")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rudderstacks_node_client_delivers_each_event_once_through_crashes_and_refusals() {
    each_event_is_counted_once(node("rudder_node.cjs")).await;
}
