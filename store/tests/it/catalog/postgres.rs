//! A throw-away PostgreSQL cluster for this process: its own folder, reached over a Unix socket, with locale-aware
//! sorting as the default so that a query that forgets to sort by bytes is found out. Stops with the last test that
//! uses it, and when the process dies.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;

/// PostgreSQL refuses to run as root; its packages make this user.
const USER: &str = "postgres";
/// How often, and how many times, a starting cluster is asked whether it is there.
const START_POLL: Duration = Duration::from_millis(50);
const START_POLLS_MAX: u32 = 400;

static CLUSTER: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A running cluster.
pub struct Cluster {
    folder: TempDir,
    /// A shell that stops the server once its standard input ends, which also happens when this process is killed.
    guard: Child,
}

impl Cluster {
    /// The cluster of this process, started by whoever asks first.
    pub fn shared() -> Arc<Self> {
        let mut shared = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let cluster = Arc::new(Self::start());
            *shared = Arc::downgrade(&cluster);
            cluster
        })
    }

    /// A new, empty database, as a URL.
    pub async fn database(&self) -> String {
        let name = format!("catalog_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let mut connection = self.connect().await;
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        self.url(&name)
    }

    /// The URL of a database of this cluster.
    pub fn url(&self, database: &str) -> String {
        format!("postgres:///{database}?host={}&user={USER}", self.folder.path().display())
    }

    async fn connect(&self) -> PgConnection {
        let url = self.url("postgres");
        for _ in 0..START_POLLS_MAX {
            if let Ok(connection) = PgConnection::connect(&url).await {
                return connection;
            }
            tokio::time::sleep(START_POLL).await;
        }
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("PostgreSQL did not start; its log says:\n{log}");
    }

    fn start() -> Self {
        let programs = programs();
        let folder = tempfile::tempdir().unwrap();
        if is_root() {
            let id = |option: &str| run(Command::new("id").args([option, USER])).trim().parse().unwrap();
            chown(folder.path(), Some(id("-u")), Some(id("-g"))).unwrap();
        }
        let data = folder.path().join("data");
        let mut initdb = as_user(&programs.join("initdb"));
        initdb.arg("-D").arg(&data).args(["-A", "trust", "-U", USER, "--no-sync", "--encoding=UTF8"]);
        run(initdb.args(["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]));

        let log = fs::File::create(folder.path().join("log")).unwrap();
        let postgres = as_user(&programs.join("postgres"));
        let mut guard = Command::new("sh");
        guard.args(["-c", r#""$@" & server=$!; cat; kill -QUIT $server; wait $server"#, "sh"]);
        guard.arg(postgres.get_program()).args(postgres.get_args()).arg("-D").arg(&data).arg("-k").arg(folder.path());
        guard.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"]);
        guard.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        Self { folder, guard: guard.spawn().unwrap() }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// The folder of `initdb` and `postgres`: the newest below the distributions' usual place, or on the PATH.
fn programs() -> PathBuf {
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = installed.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    let found = folders.into_iter().find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists());
    found.expect("these tests need PostgreSQL's server programs: run `apt-get install postgresql`")
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// A command that runs as a user PostgreSQL accepts.
fn as_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "--"]).arg(program);
    command
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
