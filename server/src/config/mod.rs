//! What the server is told: `liftgate.toml` < `LIFTGATE_*` environment < flags, each value with where it came from.

mod effective;
mod setting;

pub use effective::{Effective, Error, Source, Value};
pub use setting::{SETTINGS, Setting};

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
    /// The warehouse's folder.
    pub warehouse_dir: PathBuf,
    /// The token that a first admin gets; generated when absent.
    pub admin_token: Option<String>,
    /// Hosts and addresses that webhooks may reach although they are private.
    pub webhooks_allow: Vec<String>,
    /// The oldest that an event may get before it stands in a Parquet file.
    pub flush_after: Span,
    /// How often a rollout is looked at, at most.
    pub look_every: Span,
    /// Threads that answer questions of the warehouse.
    pub query_threads: usize,
    /// How long a shutdown may take.
    pub shutdown_grace: Span,
}

impl Config {
    /// The typed form of what is in effect; an error names the setting, its source and what it must look like.
    pub fn from_effective(effective: &Effective) -> Result<Self, Error> {
        let data_dir = PathBuf::from(effective.text("data_dir"));
        let catalog = match effective.text("catalog") {
            "" => format!("sqlite:{}", data_dir.join("catalog.db").display()),
            url => url.to_owned(),
        };
        let warehouse_dir = match effective.text("warehouse") {
            "" => data_dir.join("warehouse"),
            url => match url.strip_prefix("file:") {
                Some(path) => PathBuf::from(path),
                None => return Err(effective.wrong("warehouse", "a folder as `file:PATH`")),
            },
        };
        if !["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| catalog.starts_with(scheme)) {
            return Err(effective.wrong("catalog", "`sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`"));
        }
        Ok(Self {
            listen: parse(effective, "listen", "an address and port such as `127.0.0.1:8080`")?,
            data_dir,
            catalog,
            warehouse_dir,
            admin_token: Some(effective.text("admin_token").to_owned()).filter(|token| !token.is_empty()),
            webhooks_allow: effective
                .text("webhooks.allow")
                .split(',')
                .map(|entry| entry.trim().to_owned())
                .filter(|entry| !entry.is_empty())
                .collect(),
            flush_after: parse(effective, "warehouse_flush_after", "a length of time such as `60s`")?,
            look_every: parse(effective, "scheduler_look_every", "a length of time such as `500ms`")?,
            query_threads: parse(effective, "query_threads", "a whole number of threads")?,
            shutdown_grace: parse(effective, "shutdown_grace", "a length of time such as `10s`")?,
        })
    }
}

fn parse<T: FromStr>(effective: &Effective, name: &'static str, form: &str) -> Result<T, Error> {
    effective.text(name).parse().map_err(|_| effective.wrong(name, form))
}
