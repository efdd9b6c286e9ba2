//! A real ClickHouse for these tests: the engine of a Python wheel, served by the script of the store's tests.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::harness::{client, free_port};

/// How often a server that starts is asked whether it answers, at most.
const QUESTIONS_MAX: u32 = 600;
const PAUSE: Duration = Duration::from_millis(50);

/// A server that ends with its owner: killed when dropped, and by itself when the test's process is gone.
pub struct ClickHouse {
    process: Option<Child>,
    ports: [u16; 2],
    dir: TempDir,
}

impl ClickHouse {
    /// Starts one on an empty folder.
    pub async fn start() -> Self {
        let dir = TempDir::with_prefix("liftgate-clickhouse-").unwrap();
        let mut server = Self { process: None, ports: [free_port(), free_port()], dir };
        server.start_again().await;
        server
    }

    /// Its HTTP address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts it on what it had stored, at the same ports.
    pub async fn start_again(&mut self) {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../store/tests/clickhouse/server.py");
        let python = std::env::var_os("LIFTGATE_PYTHON").map_or_else(
            || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/liftgate/venv/bin/python"),
            PathBuf::from,
        );
        let output = std::fs::File::create(self.dir.path().join("output.txt")).unwrap();
        let process = Command::new(&python)
            .arg(script)
            .arg(self.dir.path())
            .args(self.ports.map(|port| port.to_string()))
            .stdin(Stdio::piped())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn();
        let process = process.unwrap_or_else(|error| {
            panic!("ClickHouse cannot be started with {} ({error}): run `make test-deps`", python.display())
        });
        let process = self.process.insert(process);
        let (http, ping) = (client(), format!("http://127.0.0.1:{}/ping", self.ports[0]));
        for _ in 0..QUESTIONS_MAX {
            if http.get(&ping).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            if let Some(status) = process.try_wait().unwrap() {
                let said = std::fs::read_to_string(self.dir.path().join("output.txt")).unwrap_or_default();
                panic!("ClickHouse ended with {status}: {said}\nrun `make test-deps`");
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("ClickHouse does not answer");
    }
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        self.kill();
    }
}
