//! A real ClickHouse for the tests: the engine of a Python wheel, served by a script. It ends with the test's process.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use liftgate_domain::SystemClock;
use liftgate_store::warehouse::{ClickHouseOptions, ClickHouseWarehouse};
use tempfile::TempDir;

/// How often a server that starts is asked whether it answers.
const ASK_EVERY: Duration = Duration::from_millis(20);
const ASK_MAX: u32 = 3_000;

/// A server that is killed when dropped.
pub struct Server {
    process: Option<Child>,
    dir: PathBuf,
    pub http_port: u16,
    pub tcp_port: u16,
    fragment: String,
    /// Removes the folder with the server; the process-wide server removes its own.
    _folder: Option<TempDir>,
}

impl Server {
    /// The server that all tests of this process share, each in a database of its own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| {
            let folder = TempDir::with_prefix("liftgate-clickhouse-").unwrap().keep();
            let (http_port, tcp_port) = (free_port(), free_port());
            let mut server =
                Self { process: None, dir: folder, http_port, tcp_port, fragment: String::new(), _folder: None };
            server.run(true);
            server
        })
    }

    /// A server of one's own, with this in its configuration.
    pub fn own(fragment: &str) -> Self {
        Self::at(free_port(), free_port(), fragment)
    }

    /// A server of one's own at these ports.
    pub fn at(http_port: u16, tcp_port: u16, fragment: &str) -> Self {
        let folder = TempDir::with_prefix("liftgate-clickhouse-").unwrap();
        let dir = folder.path().to_owned();
        let fragment = fragment.to_owned();
        let mut server = Self { process: None, dir, http_port, tcp_port, fragment, _folder: Some(folder) };
        server.run(false);
        server
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts it again on what it had stored, at the same ports.
    pub fn start_again(&mut self) {
        self.run(false);
    }

    fn run(&mut self, is_ephemeral: bool) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clickhouse/server.py");
        let fragment = self.dir.join("fragment.xml");
        std::fs::write(&fragment, &self.fragment).unwrap();
        let output = std::fs::File::create(self.dir.join("output.txt")).unwrap();
        let python = python();
        let started = Command::new(&python)
            .arg(script)
            .arg(&self.dir)
            .args([self.http_port.to_string(), self.tcp_port.to_string()])
            .arg(&fragment)
            .env("CLICKHOUSE_EPHEMERAL", if is_ephemeral { "1" } else { "0" })
            .stdin(Stdio::piped())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn();
        let process = started.unwrap_or_else(|error| {
            panic!("ClickHouse cannot be started with {} ({error}); `make test-deps` installs it", python.display())
        });
        let process = self.process.insert(process);
        for _ in 0..ASK_MAX {
            if get(self.http_port, "/ping").is_some_and(|answer| answer.ends_with("Ok.\n")) {
                return;
            }
            if let Some(status) = process.try_wait().unwrap() {
                let said = std::fs::read_to_string(self.dir.join("output.txt")).unwrap_or_default();
                panic!("ClickHouse ended with {status}: {said}\n`make test-deps` installs what it needs");
            }
            std::thread::sleep(ASK_EVERY);
        }
        panic!("ClickHouse does not answer; its log is in {}", self.dir.display());
    }

    /// Options for a database of this name, as the user who may do everything.
    pub fn options(&self, database: &str) -> ClickHouseOptions {
        ClickHouseOptions {
            url: format!("http://127.0.0.1:{}", self.http_port),
            database: database.to_owned(),
            insert_timeout: Duration::from_secs(60),
            ..ClickHouseOptions::default()
        }
    }

    /// A statement by the administrator; its answer as text.
    pub fn sql(&self, statement: &str) -> String {
        let length = statement.len();
        let head = format!("POST / HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{statement}");
        let answer = exchange(self.http_port, &head).expect("the server answers");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200"), "{statement}: {body}");
        body.trim_end().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Connects to an empty database of its own.
pub async fn connect(server: &Server, database: &str) -> ClickHouseWarehouse {
    ClickHouseWarehouse::connect(server.options(database), Arc::new(SystemClock)).await.unwrap()
}

/// A database name that no other test of this process has.
pub fn fresh_database() -> String {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    format!("test_{}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn python() -> PathBuf {
    let installed = || {
        let home = std::env::var_os("HOME").unwrap_or_default();
        Path::new(&home).join(".cache/liftgate/venv/bin/python")
    };
    std::env::var_os("LIFTGATE_PYTHON").map_or_else(installed, PathBuf::from)
}

fn get(port: u16, path: &str) -> Option<String> {
    exchange(port, &format!("GET {path} HTTP/1.0\r\n\r\n"))
}

fn exchange(port: u16, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
