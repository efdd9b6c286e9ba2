//! What the server is told: `liftgate.toml` < `LIFTGATE_*` environment < flags, each value with where it came from.

mod effective;
mod setting;
mod size;
mod warehouse;

pub use effective::{Effective, Error, Source, Value};
pub use setting::{SETTINGS, Setting};
pub use size::Size;
pub use warehouse::{ClickHouseConfig, WarehouseConfig};

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use liftgate_domain::Span;

/// The configuration in typed form.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// Where the embedded stores and the log live.
    pub data_dir: PathBuf,
    /// The catalog's URL: `sqlite:PATH` or `postgres://...`.
    pub catalog: String,
    /// Where events go.
    pub warehouse: WarehouseConfig,
    /// The token that a first admin gets; generated when absent.
    pub admin_token: Option<String>,
    /// Hosts and addresses that webhooks may reach although they are private.
    pub webhooks_allow: Vec<String>,
    /// The oldest that an event may get before it stands in a Parquet file.
    pub flush_after: Span,
    /// What the event log may hold, and for how long.
    pub ingest: IngestSettings,
    /// How old an event may be, and how long events are kept.
    pub retention: Span,
    /// How often a rollout is looked at, at most.
    pub look_every: Span,
    /// Threads that answer questions of the warehouse.
    pub query_threads: usize,
    /// How long a shutdown may take.
    pub shutdown_grace: Span,
}

/// The limits of the event log that an operator sets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IngestSettings {
    /// Log that waits for the warehouse, before events are refused.
    pub backlog_max: Size,
    /// Free space of the disk, below which events are refused.
    pub disk_free_min: Size,
    /// What the quarantine may hold.
    pub quarantine_max: Size,
    /// How long ids are remembered.
    pub dedup_window: Span,
}

/// The least backlog: a few segments of the log.
const BACKLOG_MIN: Size = Size(1 << 20);
const DAY_MS: u64 = 86_400_000;

impl Config {
    /// The typed form of what is in effect; an error names the setting, its source and what it must look like.
    pub fn from_effective(effective: &Effective) -> Result<Self, Error> {
        let data_dir = PathBuf::from(effective.text("data_dir"));
        let catalog = match effective.text("catalog") {
            "" => format!("sqlite:{}", data_dir.join("catalog.db").display()),
            url => url.to_owned(),
        };
        if !["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| catalog.starts_with(scheme)) {
            return Err(effective.wrong("catalog", "`sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`"));
        }
        Ok(Self {
            listen: parse(effective, "listen", "an address and port such as `127.0.0.1:8080`")?,
            data_dir,
            catalog,
            warehouse: WarehouseConfig::from_effective(effective)?,
            admin_token: Some(effective.text("admin_token").to_owned()).filter(|token| !token.is_empty()),
            webhooks_allow: effective
                .text("webhooks.allow")
                .split(',')
                .map(|entry| entry.trim().to_owned())
                .filter(|entry| !entry.is_empty())
                .collect(),
            flush_after: parse(effective, "warehouse_flush_after", "a length of time such as `60s`")?,
            ingest: ingest(effective)?,
            retention: at_least_a_day(effective, "retention")?,
            look_every: parse(effective, "scheduler_look_every", "a length of time such as `500ms`")?,
            query_threads: parse(effective, "query_threads", "a whole number of threads")?,
            shutdown_grace: parse(effective, "shutdown_grace", "a length of time such as `10s`")?,
        })
    }
}

fn ingest(effective: &Effective) -> Result<IngestSettings, Error> {
    let form = "a size such as `512MiB`";
    let settings = IngestSettings {
        backlog_max: parse(effective, "ingest.backlog_max", form)?,
        disk_free_min: parse(effective, "ingest.disk_free_min", form)?,
        quarantine_max: parse(effective, "ingest.quarantine_max", form)?,
        dedup_window: at_least_a_day(effective, "ingest.dedup_window")?,
    };
    if settings.backlog_max < BACKLOG_MIN {
        return Err(effective.wrong("ingest.backlog_max", &format!("{BACKLOG_MIN} or more")));
    }
    Ok(settings)
}

/// Lengths that are counted in whole days.
fn at_least_a_day(effective: &Effective, name: &'static str) -> Result<Span, Error> {
    let form = "a length of time of a day or more, such as `7d`";
    let span: Span = parse(effective, name, form)?;
    if span.as_ms() < DAY_MS { Err(effective.wrong(name, form)) } else { Ok(span) }
}

fn parse<T: FromStr>(effective: &Effective, name: &'static str, form: &str) -> Result<T, Error> {
    effective.text(name).parse().map_err(|_| effective.wrong(name, form))
}
