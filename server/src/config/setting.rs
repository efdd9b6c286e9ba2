//! The table of settings: name, default, what it is for. The one place where a setting is declared.

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name in `liftgate.toml`; `LIFTGATE_` + upper case with `_` for `.` in the environment.
    pub name: &'static str,
    /// The value when nothing else is said.
    pub default: &'static str,
    /// What it is for.
    pub help: &'static str,
    /// Whether its value must never be printed.
    pub secret: bool,
}

impl Setting {
    /// Its name as an environment variable.
    pub fn variable(&self) -> String {
        format!("LIFTGATE_{}", self.name.replace('.', "_").to_uppercase())
    }
}

const fn setting(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, default, help, secret: false }
}

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    setting("listen", "127.0.0.1:8080", "address and port of the one HTTP listener"),
    setting("data_dir", "./liftgate-data", "folder of the embedded stores and of the event log"),
    setting("catalog", "", "`sqlite:PATH` or `postgres://...`; empty: a SQLite file in data_dir"),
    setting(
        "warehouse",
        "",
        "`parquet` (a folder in data_dir), `file:PATH` (Parquet elsewhere) or `clickhouse`; empty: parquet",
    ),
    setting("clickhouse.url", "http://127.0.0.1:8123", "ClickHouse's HTTP address; https for TLS"),
    setting("clickhouse.database", "liftgate", "ClickHouse's database; it must exist"),
    setting("clickhouse.user", "default", "ClickHouse's user"),
    Setting { secret: true, ..setting("clickhouse.password", "", "the password of that user") },
    setting("clickhouse.breaker_pause", "60s", "how long inserts rest after several failures in a row"),
    setting("clickhouse.cluster", "", "the cluster's name for ON CLUSTER and Distributed tables; empty: one server"),
    Setting {
        secret: true,
        ..setting("admin_token", "", "bearer token of the first admin; empty: generated into data_dir/admin-token")
    },
    setting("webhooks.allow", "", "hosts, host:port, addresses or CIDRs that webhooks may reach although private"),
    setting("warehouse_flush_after", "60s", "how old an event may get before it stands in a Parquet file"),
    setting("ingest.backlog_max", "1GiB", "event log that may wait for the warehouse before events are refused"),
    setting("ingest.disk_free_min", "512MiB", "free space of data_dir's disk below which events are refused"),
    setting("ingest.quarantine_max", "256MiB", "implausible events kept for review; beyond it they are rejected"),
    setting("ingest.dedup_window", "7d", "how long event ids are remembered"),
    setting("retention", "400d", "how old an event may be, and how long events are kept"),
    setting("scheduler_look_every", "500ms", "how often a rollout is looked at, at most"),
    setting("query_threads", "2", "threads that answer questions of the warehouse"),
    setting("shutdown_grace", "10s", "how long a graceful shutdown may take"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_its_own_name_and_variable() {
        let mut names: Vec<_> = SETTINGS.iter().map(Setting::variable).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), SETTINGS.len());
        assert!(names.contains(&"LIFTGATE_WEBHOOKS_ALLOW".to_owned()));
    }
}
