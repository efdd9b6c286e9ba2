//! The server as a child process: started, started again when it dies, killed when the demo is told to, stopped in the
//! end. The demo speaks to it over HTTP alone.

use std::{
    fs::{File, OpenOptions},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use liftgate_domain::Clock;
use tokio::{
    process::{Child, Command},
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::Error;

/// A server that dies sooner than this after its start has failed to start.
const SHORT_LIFE_MS: i64 = 3_000;
/// That many failed starts in a row end the demo.
const SHORT_LIVES_MAX: u32 = 4;
const RESTART_AFTER: Duration = Duration::from_millis(200);
const STOP_GRACE: Duration = Duration::from_secs(10);
const LOG_TAIL_LINES: usize = 12;
const LOG_TAIL_BYTES: u64 = 8_192;

/// All that starting the server needs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program, normally this one.
    pub program: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its data folder.
    pub data_dir: PathBuf,
    /// The first admin's token.
    pub admin_token: String,
    /// What webhooks may reach although it is on loopback.
    pub webhooks_allow: String,
    /// Where its output goes.
    pub log: PathBuf,
}

/// Where the server stands.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Standing {
    /// Times it was started.
    pub starts: u32,
    /// Times it was killed on purpose.
    pub kills: u32,
    /// Why it was given up, once it was.
    pub failure: Option<String>,
}

enum Order {
    Kill(oneshot::Sender<()>),
    Stop,
}

/// The running server. Dropping it kills the process; [`Server::stop`] lets it finish first.
#[derive(Debug)]
pub struct Server {
    orders: mpsc::Sender<Order>,
    standing: watch::Receiver<Standing>,
    supervisor: JoinHandle<()>,
    log: PathBuf,
}

impl Server {
    /// Starts the server and whatever it takes to keep it up.
    pub fn start(plan: Plan, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let log = plan.log.clone();
        let first = spawn(&plan)?;
        let (orders, inbox) = mpsc::channel(4);
        let (tell, standing) = watch::channel(Standing { starts: 1, ..Standing::default() });
        let supervisor = tokio::spawn(supervise(plan, clock, first, inbox, tell));
        Ok(Self { orders, standing, supervisor, log })
    }

    /// Where it stands.
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// An error once the server has been given up.
    pub fn check(&self) -> Result<(), Error> {
        match &self.standing.borrow().failure {
            None => Ok(()),
            Some(reason) => Err(self.failure(reason)),
        }
    }

    /// The error that tells what the log says.
    pub fn failure(&self, reason: &str) -> Error {
        Error::Server { reason: reason.to_owned(), log: self.log.clone(), tail: tail(&self.log) }
    }

    /// Kills it as a power cut would; it is started again at once.
    pub async fn kill(&self) {
        let (done, killed) = oneshot::channel();
        if self.orders.send(Order::Kill(done)).await.is_ok() {
            // An error only says that the supervisor has ended, which `check` tells.
            let _ = killed.await;
        }
    }

    /// Asks it to finish, waits, and kills it if it does not.
    pub async fn stop(self) {
        // Both fail only when the supervisor has ended already, and the server with it.
        let _ = self.orders.send(Order::Stop).await;
        let _ = self.supervisor.await;
    }
}

/// The address asked for when it is free, else a free one on the same interface.
pub fn choose_address(wanted: SocketAddr) -> Result<SocketAddr, Error> {
    let listener = match TcpListener::bind(wanted) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => TcpListener::bind((wanted.ip(), 0)),
        result => result,
    };
    listener.and_then(|listener| listener.local_addr()).map_err(|source| Error::Listen { address: wanted, source })
}

async fn supervise(
    plan: Plan,
    clock: Arc<dyn Clock>,
    mut child: Child,
    mut orders: mpsc::Receiver<Order>,
    standing: watch::Sender<Standing>,
) {
    let mut short_lives = 0;
    loop {
        let started = clock.now();
        let end = tokio::select! {
            status = child.wait() => match status {
                Ok(status) => format!("it ended by itself with {status}"),
                Err(error) => format!("it could not be waited for: {error}"),
            },
            order = orders.recv() => match order {
                Some(Order::Kill(done)) => {
                    // Fails only when it is dead already, and then it is started again just the same.
                    let _ = child.kill().await;
                    standing.send_modify(|standing| standing.kills += 1);
                    let _ = done.send(());
                    String::new()
                }
                Some(Order::Stop) | None => return finish(child).await,
            },
        };
        let lived_ms = clock.now().micros_since(started) / 1_000;
        let failed = !end.is_empty() && lived_ms < SHORT_LIFE_MS;
        short_lives = if failed { short_lives + 1 } else { 0 };
        if short_lives >= SHORT_LIVES_MAX {
            standing.send_modify(|standing| standing.failure = Some(end));
            return;
        }
        sleep(RESTART_AFTER).await;
        match spawn(&plan) {
            Ok(next) => child = next,
            Err(error) => {
                standing.send_modify(|standing| standing.failure = Some(error.to_string()));
                return;
            }
        }
        standing.send_modify(|standing| standing.starts += 1);
    }
}

fn spawn(plan: &Plan) -> Result<Child, Error> {
    let folder = |source| Error::Folder { path: plan.log.clone(), source };
    let log: File = OpenOptions::new().create(true).append(true).open(&plan.log).map_err(folder)?;
    let errors = log.try_clone().map_err(folder)?;
    let mut command = Command::new(&plan.program);
    // Settings of another installation must not reach the demo's server, nor a `liftgate.toml` beside the caller.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LIFTGATE_")) {
        command.env_remove(name);
    }
    command
        .arg("serve")
        .current_dir(&plan.data_dir)
        .env("LIFTGATE_LISTEN", plan.listen.to_string())
        .env("LIFTGATE_DATA_DIR", &plan.data_dir)
        .env("LIFTGATE_ADMIN_TOKEN", &plan.admin_token)
        .env("LIFTGATE_WEBHOOKS_ALLOW", &plan.webhooks_allow)
        .env("LIFTGATE_WAREHOUSE_FLUSH_AFTER", "5s")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .kill_on_drop(true);
    // Ctrl-C is for the demo: it drains first and then stops the server.
    #[cfg(unix)]
    command.process_group(0);
    command.spawn().map_err(|source| Error::Start { program: plan.program.clone(), source })
}

async fn finish(mut child: Child) {
    if let Some(id) = child.id() {
        let asked = Command::new("kill").arg("-TERM").arg(id.to_string()).stderr(Stdio::null()).status().await;
        if asked.is_ok_and(|status| status.success()) && timeout(STOP_GRACE, child.wait()).await.is_ok() {
            return;
        }
    }
    // Fails only when it is dead already.
    let _ = child.kill().await;
}

/// The last lines of the log, for an error message.
fn tail(log: &Path) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_else(|error| format!("(the log cannot be read: {error})"));
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use liftgate_domain::SystemClock;

    use super::*;

    /// A stand-in for the server: a shell script that ignores `serve`.
    fn plan(dir: &Path, script: &str) -> Plan {
        let program = dir.join("stand-in");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Plan {
            program,
            listen: "127.0.0.1:1".parse().unwrap(),
            data_dir: dir.to_owned(),
            admin_token: "t".to_owned(),
            webhooks_allow: "127.0.0.1:2".to_owned(),
            log: dir.join("log"),
        }
    }

    async fn until(server: &mut Server, reached: impl Fn(&Standing) -> bool) -> Standing {
        let wait = server.standing.wait_for(|standing| reached(standing));
        timeout(Duration::from_secs(20), wait).await.unwrap().unwrap().clone()
    }

    #[tokio::test]
    async fn starts_again_after_a_kill_and_stops_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Server::start(plan(dir.path(), "exec sleep 60"), Arc::new(SystemClock)).unwrap();
        server.kill().await;
        let standing = until(&mut server, |standing| standing.starts == 2).await;
        assert_eq!(standing.kills, 1);
        server.check().unwrap();
        timeout(Duration::from_secs(5), server.stop()).await.unwrap();
    }

    #[tokio::test]
    async fn gives_up_a_server_that_does_not_stay_up_and_shows_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut server =
            Server::start(plan(dir.path(), "echo the folder is in use; exit 3"), Arc::new(SystemClock)).unwrap();
        until(&mut server, |standing| standing.failure.is_some()).await;
        let message = server.check().unwrap_err().to_string();
        assert!(message.contains("the folder is in use") && message.contains("exit status: 3"), "{message}");
    }

    #[test]
    fn a_taken_port_is_replaced_by_a_free_one() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let wanted = taken.local_addr().unwrap();
        let chosen = choose_address(wanted).unwrap();
        assert_eq!(chosen.ip(), wanted.ip());
        assert!(chosen.port() != 0 && chosen.port() != wanted.port());
    }
}
