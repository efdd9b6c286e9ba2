//! The composition: opens the stores, wires the rooms together, serves, and stops in order.
//!
//! Shutdown: stop accepting, flush ingest, finish the scheduler's step, drain deliveries, close the stores.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use liftgate_domain::{Attribution, Catalog, Clock, Entropy, StoreError, Warehouse};
use liftgate_ingest::{Ingest, IngestConfig, OpenReport};
use liftgate_scheduler::{ExposureLoss, Scheduler, SchedulerConfig};
use liftgate_store::catalog::SqlCatalog;
use liftgate_webhooks::{Dispatcher, DispatcherConfig, guard::AllowList};
use thiserror::Error;
use tokio::{
    net::TcpListener,
    sync::{Notify, broadcast, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    access::CredentialCache,
    app::{App, Parts},
    bootstrap,
    config::{Config, WarehouseConfig},
    http,
    live::{KEEP_ALIVE, Live},
    retention,
    rulesets::Rulesets,
    usage::Usage,
    warehouse::Engine,
};

/// How often a node looks for rulesets that other nodes changed, in milliseconds.
const RULESET_POLL_MS: u64 = 500;
/// The least time between two looks that callers ask for, in milliseconds.
const BEHIND_PAUSE_MS: u64 = 20;
/// Files that a node wants to have open at most: twice its streams. Services are often started with room for 1 024.
const FILES_WANTED: u64 = 40_000;
/// Changes that a slow stream may lag behind; it then reads the log instead.
const CHANGES_KEPT: usize = 1_024;

/// Why the server cannot start, or stopped.
#[derive(Debug, Error)]
pub enum Error {
    /// The data folder cannot be written.
    #[error(
        "data folder `{path}` cannot be written: {source}; make it writable for this user or choose another with `--data-dir`"
    )]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}: {source}; stop what uses that port or choose another with `--listen`")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The webhooks' allow-list is wrong.
    #[error("setting `webhooks.allow`: {0}")]
    AllowList(#[from] liftgate_webhooks::guard::GuardError),
    /// A store cannot be opened.
    #[error("{what} cannot be opened: {source}")]
    Store {
        /// Which one.
        what: &'static str,
        /// Why.
        source: StoreError,
    },
    /// The event log cannot be opened.
    #[error("the event log cannot be opened: {0}")]
    Ingest(#[from] liftgate_ingest::Error),
    /// Webhooks cannot be prepared.
    #[error("webhooks cannot be prepared: {0}")]
    Webhooks(#[from] liftgate_webhooks::Error),
    /// Serving ended by itself.
    #[error("the listener failed: {0}")]
    Http(#[source] std::io::Error),
}

/// How many exposures evaluation had to drop, as the scheduler asks for it.
struct IngestLoss(Ingest);

impl ExposureLoss for IngestLoss {
    fn dropped(&self, environment: u64, run: u64) -> u64 {
        self.0.exposures_dropped(environment, run)
    }
}

/// Serves until `stop`, then shuts down in order.
pub async fn run(
    config: Config,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    stop: CancellationToken,
) -> Result<(), Error> {
    let listener =
        TcpListener::bind(config.listen).await.map_err(|source| Error::Listen { listen: config.listen, source })?;
    let address = listener.local_addr().map_err(Error::Http)?;
    let grace = Duration::from_millis(config.shutdown_grace.as_ms());
    let (app, report) = compose(config, clock, entropy).await?;
    tell_of(&report);

    let jobs = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(app.scheduler.clone().run(jobs.clone()));
    tasks.spawn(follow_scheduler(app.clone(), jobs.clone()));
    tasks.spawn(follow_other_nodes(app.clone(), jobs.clone()));
    tasks.spawn(follow_keys(app.clone(), jobs.clone()));
    tasks.spawn(retention::run(app.clone(), jobs.clone()));
    let dispatcher_stop = CancellationToken::new();
    let dispatcher = {
        let (app, stop) = (app.clone(), dispatcher_stop.clone());
        tokio::spawn(async move { app.dispatcher.run(app.wake_webhooks.clone(), stop).await })
    };

    app.ready.store(true, Ordering::Release);
    tracing::info!(%address, data_dir = %app.config.data_dir.display(), "Liftgate is ready.");
    let closing = {
        let (stop, app) = (stop.clone(), app.clone());
        async move {
            stop.cancelled().await;
            app.ready.store(false, Ordering::Release);
            app.stop.cancel();
        }
    };
    let serving = axum::serve(listener, http::router(app.clone())).with_graceful_shutdown(closing);
    let served = tokio::select! {
        served = std::future::IntoFuture::into_future(serving) => served.map_err(Error::Http),
        () = late(&stop, grace) => {
            tracing::warn!("Some requests did not end in time and were cut off.");
            Ok(())
        }
    };

    app.stop.cancel();
    if let Err(error) = app.ingest.shutdown().await {
        tracing::error!(%error, "The event log could not be flushed; it is replayed at the next start.");
    }
    jobs.cancel();
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "A background task ended badly.");
        }
    }
    dispatcher_stop.cancel();
    if tokio::time::timeout(grace, dispatcher).await.is_err() {
        tracing::warn!("Some deliveries did not end in time; they are sent again at the next start.");
    }
    tracing::info!("Liftgate has stopped.");
    served
}

async fn late(stop: &CancellationToken, grace: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(grace).await;
}

/// Opens everything and wires it together; nothing runs yet.
pub async fn compose(
    config: Config,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<(App, OpenReport), Error> {
    let data_dir = &config.data_dir;
    writable(data_dir).map_err(|source| Error::DataDir { path: data_dir.clone(), source })?;
    let allow = AllowList::parse(&config.webhooks_allow)?;
    let catalog: Arc<dyn Catalog> = Arc::new(open_catalog(&config, clock.clone()).await?);
    let engine = open_warehouse(&config, clock.clone()).await?;
    let warehouse: Arc<dyn Warehouse> = engine.port();
    bootstrap::first_admin(&config, &*catalog, &*entropy).await?;

    let rulesets =
        Rulesets::load(catalog.clone()).await.map_err(|source| Error::Store { what: "the catalog", source })?;
    let attribution: Arc<dyn Attribution> = rulesets.clone();
    let ingest_config = ingest_config(&config);
    let (ingest, report) =
        Ingest::open(ingest_config, clock.clone(), &*entropy, warehouse.clone(), attribution).await?;
    let loss: Arc<dyn ExposureLoss> = Arc::new(IngestLoss(ingest.clone()));
    let scheduler = Scheduler::new(
        catalog.clone(),
        warehouse.clone(),
        entropy.clone(),
        loss.clone(),
        SchedulerConfig { look_every_ms: config.look_every.as_ms(), ..SchedulerConfig::default() },
    );
    let dispatcher = Dispatcher::new(
        catalog.clone(),
        entropy.clone(),
        DispatcherConfig { allow: allow.clone(), ..DispatcherConfig::default() },
    )?;
    let app = App(Arc::new(Parts {
        exposures: ingest.exposures(),
        config,
        catalog,
        warehouse,
        engine,
        node: report.node.clone(),
        ingest,
        rulesets,
        credentials: CredentialCache::default(),
        scheduler: Arc::new(scheduler),
        loss,
        dispatcher: Arc::new(dispatcher),
        webhooks_allow: allow,
        wake_webhooks: Arc::new(Notify::new()),
        changes: broadcast::channel(CHANGES_KEPT).0,
        clock,
        entropy,
        ready: AtomicBool::new(false),
        evaluations: AtomicU64::new(0),
        usage: Usage::default(),
        live: Live::new(files_max()),
        stop: CancellationToken::new(),
    }));
    Ok((app, report))
}

/// What `liftgate doctor` tries: each store, opened as the server would, in its name.
pub async fn check(config: &Config, clock: Arc<dyn Clock>) -> Vec<(&'static str, Result<String, String>)> {
    let data_dir = writable(&config.data_dir)
        .map(|()| format!("`{}` can be written", config.data_dir.display()))
        .map_err(|error| format!("`{}` cannot be written: {error}", config.data_dir.display()));
    let catalog = match open_catalog(config, clock.clone()).await {
        Ok(catalog) => {
            catalog.now().await.map(|now| format!("answers; its clock says {now}")).map_err(|e| e.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    let warehouse = match &config.warehouse {
        // Its folder belongs to one process at a time, which may be running.
        WarehouseConfig::Parquet { dir } => Ok(format!("Parquet in `{}`", dir.display())),
        WarehouseConfig::ClickHouse(settings) => Engine::open(config, clock)
            .await
            .map(|_| format!("ClickHouse at {} answers, and its tables are there", settings.url))
            .map_err(|error| error.to_string()),
    };
    let allow = AllowList::parse(&config.webhooks_allow)
        .map(|_| format!("{} entries", config.webhooks_allow.len()))
        .map_err(|error| error.to_string());
    let listen = match TcpListener::bind(config.listen).await {
        Ok(_) => Ok(format!("{} is free", config.listen)),
        Err(error) => Err(format!("{}: {error}; a server may be running there", config.listen)),
    };
    vec![
        ("data folder", data_dir),
        ("catalog", catalog),
        ("warehouse", warehouse),
        ("webhooks.allow", allow),
        ("listen", listen),
    ]
}

/// Raises the limit of open files as far as this process may, and answers it.
fn files_max() -> u64 {
    rlimit::increase_nofile_limit(FILES_WANTED).unwrap_or_else(|error| {
        tracing::warn!(%error, "The limit of open files could not be raised.");
        rlimit::Resource::NOFILE.get_soft().unwrap_or(FILES_WANTED)
    })
}

async fn open_catalog(config: &Config, clock: Arc<dyn Clock>) -> Result<SqlCatalog, Error> {
    SqlCatalog::connect(&config.catalog, clock).await.map_err(|source| Error::Store { what: "the catalog", source })
}

async fn open_warehouse(config: &Config, clock: Arc<dyn Clock>) -> Result<Engine, Error> {
    Engine::open(config, clock).await.map_err(|source| Error::Store { what: "the warehouse", source })
}

fn ingest_config(config: &Config) -> IngestConfig {
    IngestConfig {
        dir: config.data_dir.join("log"),
        dedup_window_ms: config.ingest.dedup_window.as_ms_i64(),
        backlog_bytes_max: config.ingest.backlog_max.0,
        retention_ms: config.retention.as_ms_i64(),
        quarantine_bytes_max: config.ingest.quarantine_max.0,
        disk_free_min_bytes: config.ingest.disk_free_min.0,
        ..IngestConfig::default()
    }
}

/// Creates a folder and proves that it can be written.
fn writable(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(path)?;
    let probe = path.join(".writable");
    std::fs::write(&probe, b"")?;
    std::fs::remove_file(probe)
}

fn tell_of(report: &OpenReport) {
    if !report.damage.is_empty() {
        tracing::warn!(?report, "The event log was damaged; every valid event was kept and the damage moved aside.");
    } else {
        tracing::info!(?report, "The event log was opened.");
    }
}

/// Every step of the scheduler is visible on this node at once.
async fn follow_scheduler(app: App, stop: CancellationToken) {
    let mut applied = app.scheduler.applied();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            step = applied.recv() => match step {
                Ok(applied) => app.after(&applied).await,
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    // The poll below heals what was missed.
                    app.wake_webhooks.notify_one();
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }
}

/// Rulesets that other nodes changed, and those whose refresh failed.
async fn follow_other_nodes(app: App, stop: CancellationToken) {
    let mut wakes = app.catalog.wakes();
    let mut keys_seen = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            // A signal may be lost; the poll heals that.
            () = tokio::time::sleep(Duration::from_millis(RULESET_POLL_MS)) => {}
            keys = woken(&mut wakes) => if keys != keys_seen {
                keys_seen = keys;
                app.keys_changed().await;
            },
            // A caller knows of a later revision than this node.
            () = app.rulesets.is_behind() => tokio::time::sleep(Duration::from_millis(BEHIND_PAUSE_MS)).await,
        }
        if let Err(error) = app.rulesets.refresh_stale().await {
            tracing::warn!(%error, "Rulesets could not be polled; the last known ones stay.");
        }
    }
}

/// Streams of keys that another process revoked without a signal.
async fn follow_keys(app: App, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(KEEP_ALIVE) => app.live.end_revoked(&app).await,
        }
    }
}

/// Waits for another node's signal, for ever where there are none; answers the state of keys.
async fn woken(wakes: &mut Option<watch::Receiver<u64>>) -> u64 {
    if let Some(receiver) = wakes
        && receiver.changed().await.is_ok()
    {
        return *receiver.borrow_and_update();
    }
    // The catalog has none, or is closing.
    *wakes = None;
    std::future::pending().await
}
