//! The example of evaluation in one's own process, run against the server: what it evaluates is what the server answers, and it
//! hears of a change.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{Server, shop};

/// Longer than the example takes to look again.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program that ends with its test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn lines_of(program: &mut Program) -> mpsc::Receiver<String> {
    let output = BufReader::new(program.0.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_pulls_evaluates_and_refreshes() {
    let tests = std::env::current_exe().unwrap();
    let example = tests.parent().and_then(|deps| deps.parent()).unwrap().join("examples/in_process");
    if !example.is_file() {
        eprintln!("SKIPPED: {} is not built; run `cargo build --examples`", example.display());
        return;
    }
    let server = Server::start().await;
    let client_key = shop(&server).await;
    let split = "{kind: flag, project: shop, key: local, spec: {kind: boolean}}";
    server.apply(split).await;
    let state = |serve: &str| {
        format!(
            "{{kind: flag_state, project: shop, environment: production, key: local, spec: {{enabled: true, fallthrough: {serve}}}}}"
        )
    };
    server.apply(&state("{split: {weights: {on: 50, off: 50}}}")).await;
    let keys = "/projects/shop/environments/production/keys";
    let (status, made) = server.manage(Method::POST, keys, Some(json!({"name": "local", "kind": "server"}))).await;
    assert_eq!(status, StatusCode::CREATED, "{made:#}");
    let key = made["key"].as_str().unwrap_or_else(|| panic!("{made:#}"));

    let users: Vec<String> = (0..20).map(|number| format!("user-{number}")).collect();
    let mut command = Command::new(example);
    command.args([server.url("/").as_str(), key, "local"]).args(&users).stdout(Stdio::piped());
    let mut program = Program(command.spawn().unwrap());
    let lines = lines_of(&mut program);
    let mut values = Vec::new();
    for user in &users {
        let line = lines.recv_timeout(PATIENCE).unwrap();
        let (_, answer) = server.evaluate(&client_key, "local", user).await;
        let expected = format!("local for {user}: {} ({})", answer["value"], answer["reason"].as_str().unwrap());
        assert!(line.ends_with(&expected), "{line}, but {expected}");
        values.push(answer["value"].as_bool());
    }
    assert!(values.contains(&Some(true)) && values.contains(&Some(false)), "{values:?}");

    server.apply(&state("{variation: on}")).await;
    for user in &users {
        let line = lines.recv_timeout(PATIENCE).unwrap();
        assert!(line.ends_with(&format!("local for {user}: true (STATIC)")), "{line}");
    }
}
