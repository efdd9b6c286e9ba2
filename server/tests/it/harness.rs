//! A real `liftgate serve` on a free port and a folder of its own, ended with the test.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Once,
    time::Duration,
};

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The admin's token in every test.
pub const TOKEN: &str = "test-admin-token-0123456789";
/// How long a server may take to start, in tenths of a second.
const START_TENTHS: u32 = 600;

/// A running server.
pub struct Server {
    child: Child,
    port: u16,
    dir: PathBuf,
    extra: Vec<(String, String)>,
    http: reqwest::Client,
    _own: Option<TempDir>,
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An HTTP client; installs the TLS provider that it needs.
pub fn client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap()
}

/// The command of the binary under test, with a clean configuration.
pub fn liftgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_liftgate"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LIFTGATE_")) {
        command.env_remove(name);
    }
    command
}

impl Server {
    /// Starts a server on a new folder.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a server on a new folder with further settings from the environment.
    pub async fn start_with(extra: &[(&str, &str)]) -> Self {
        let own = tempfile::tempdir().unwrap();
        Self::on(own.path().join("data"), extra, Some(own)).await
    }

    /// Ends the process as a power cut would, and starts it again on the same folder and port.
    pub async fn kill_and_restart(&mut self) {
        self.kill_then(|| {}).await;
    }

    /// The same, with something done while the process is gone.
    pub async fn kill_then(&mut self, meanwhile: impl FnOnce()) {
        self.kill();
        meanwhile();
        self.start_again().await;
    }

    /// Ends the process as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Changes a setting for the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.extra.retain(|(known, _)| known != name);
        self.extra.push((name.to_owned(), value.to_owned()));
    }

    /// Starts the process on the same folder and port, and waits until it is ready.
    pub async fn start_again(&mut self) {
        self.child = spawn(&self.dir, self.port, &self.extra);
        self.until_ready().await;
    }

    async fn on(dir: PathBuf, extra: &[(&str, &str)], own: Option<TempDir>) -> Self {
        let extra = extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let port = free_port();
        let child = spawn(&dir, port, &extra);
        let mut server = Self { child, port, dir, extra, http: client(), _own: own };
        server.until_ready().await;
        server
    }

    /// Asks the process to stop and waits for it; the answer is its exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        for _ in 0..300 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the server did not stop within 30 s");
    }

    async fn until_ready(&mut self) {
        for _ in 0..START_TENTHS {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server ended with {status} while starting:\n{}", self.log());
            }
            let answer = self.http.get(self.url("/readyz")).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the server was not ready in time:\n{}", self.log());
    }

    /// What the server wrote so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_file(&self.dir)).unwrap_or_default()
    }

    /// Its data folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its address with a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The HTTP client.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// A management call as admin.
    pub async fn manage(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.http.request(method, self.url(&format!("/manage/v1{path}"))).bearer_auth(TOKEN);
        if let Some(body) = body {
            request = request.json(&body);
        }
        read(request.send().await.unwrap()).await
    }

    /// A management call that must succeed.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.manage(Method::GET, path, None).await;
        assert!(status.is_success(), "GET {path}: {status} {body:#}");
        body
    }

    /// Declares YAML as admin; it must succeed.
    pub async fn apply(&self, yaml: &str) -> Value {
        let (status, body) = self.try_apply(yaml).await;
        assert!(status.is_success(), "apply: {status} {body:#}");
        body
    }

    /// Declares YAML as admin.
    pub async fn try_apply(&self, yaml: &str) -> (StatusCode, Value) {
        let request = self
            .http
            .post(self.url("/manage/v1/apply"))
            .bearer_auth(TOKEN)
            .header("content-type", "application/yaml")
            .body(yaml.to_owned());
        read(request.send().await.unwrap()).await
    }

    /// Evaluates one flag for a user over OFREP.
    pub async fn evaluate(&self, key: &str, flag: &str, user: &str) -> (StatusCode, Value) {
        let body = json!({"context": {"targetingKey": user}});
        let url = self.url(&format!("/ofrep/v1/evaluate/flags/{flag}"));
        read(self.http.post(url).header("x-api-key", key).json(&body).send().await.unwrap()).await
    }

    /// Sends a body to the event door.
    pub async fn send(&self, key: &str, content_type: &str, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
        let request = self
            .http
            .post(self.url("/ingest/v1/events"))
            .header("x-api-key", key)
            .header("content-type", content_type)
            .body(body);
        read(request.send().await.unwrap()).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; nothing else is to be done about it here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Status and JSON of an answer.
pub async fn read(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let bytes = response.bytes().await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

fn log_file(dir: &Path) -> PathBuf {
    dir.with_extension("log")
}

fn spawn(dir: &Path, port: u16, extra: &Vec<(String, String)>) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log_file(dir)).unwrap();
    let mut command = liftgate();
    command
        .arg("serve")
        .current_dir(dir.parent().unwrap())
        .env("LIFTGATE_LISTEN", format!("127.0.0.1:{port}"))
        .env("LIFTGATE_DATA_DIR", dir)
        .env("LIFTGATE_ADMIN_TOKEN", TOKEN)
        .stdout(Stdio::null())
        .stderr(log);
    for (name, value) in extra {
        command.env(name, value);
    }
    command.spawn().unwrap()
}

/// A project `shop` with an environment `production` and a boolean flag `checkout`; the answer is the client key.
pub async fn shop(server: &Server) -> String {
    let applied = server.apply(SHOP).await;
    let created = applied["results"].as_array().unwrap();
    created.iter().find_map(|it| it["client_key"].as_str()).unwrap().to_owned()
}

/// See [`shop`].
pub const SHOP: &str = r#"
kind: project
key: shop
---
kind: environment
project: shop
key: production
spec: {lateness: 200ms}
---
kind: flag
project: shop
key: checkout
spec: {kind: boolean}
---
kind: metric
project: shop
key: errors
spec: {kind: proportion, event: error, window: 300ms, direction: decrease}
---
kind: metric
project: shop
key: conversion
spec: {kind: proportion, event: purchase, window: 300ms, direction: increase}
---
kind: policy
project: shop
key: quick
spec:
  stages:
    - {share: 10%, bake: 500ms, min_exposed: 40}
    - {share: 50%, bake: 500ms, min_exposed: 200}
    - {share: 100%, bake: 500ms}
  guardrails:
    alpha: 0.05
    metrics:
      - {metric: errors, harm: increase, margin: 20%, detect: 200%}
  health: {srm: {alpha: 0.0001}, stale_after: 10s}
"#;
