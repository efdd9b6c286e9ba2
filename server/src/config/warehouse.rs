//! Which warehouse events go to, and how it is reached.

use std::{fmt, path::PathBuf};

use liftgate_domain::Span;

use super::{Effective, Error};

/// Where events go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WarehouseConfig {
    /// Files of this machine, for one node.
    Parquet {
        /// Their folder.
        dir: PathBuf,
    },
    /// A ClickHouse server or cluster, for any number of nodes.
    ClickHouse(ClickHouseConfig),
}

/// How ClickHouse is reached.
#[derive(Clone, Eq, PartialEq)]
pub struct ClickHouseConfig {
    /// Its HTTP address.
    pub url: String,
    /// The database.
    pub database: String,
    /// The user.
    pub user: String,
    /// The user's password; empty for none.
    pub password: String,
    /// The cluster's name, for several servers.
    pub cluster: Option<String>,
    /// How long inserts rest after several failures in a row.
    pub breaker_pause: Span,
}

impl fmt::Debug for ClickHouseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClickHouseConfig")
            .field("url", &self.url)
            .field("database", &self.database)
            .field("user", &self.user)
            .field("password", &if self.password.is_empty() { "(none)" } else { "(set, hidden)" })
            .field("cluster", &self.cluster)
            .field("breaker_pause", &self.breaker_pause)
            .finish()
    }
}

impl WarehouseConfig {
    /// The warehouse in effect; an error names the setting and what it must look like.
    pub(super) fn from_effective(effective: &Effective) -> Result<Self, Error> {
        match effective.text("warehouse") {
            "" | "parquet" => Ok(Self::Parquet { dir: PathBuf::from(effective.text("data_dir")).join("warehouse") }),
            "clickhouse" => ClickHouseConfig::from_effective(effective).map(Self::ClickHouse),
            other => match other.strip_prefix("file:").filter(|path| !path.is_empty()) {
                Some(path) => Ok(Self::Parquet { dir: PathBuf::from(path) }),
                None => Err(effective.wrong("warehouse", "`parquet`, `file:PATH` or `clickhouse`")),
            },
        }
    }
}

impl ClickHouseConfig {
    fn from_effective(effective: &Effective) -> Result<Self, Error> {
        let text = |name| effective.text(name).to_owned();
        let url = text("clickhouse.url");
        let is_plain = url
            .parse::<reqwest::Url>()
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some() && is_without_user(&url));
        if !is_plain {
            let form = "an address such as `https://clickhouse:8443`; user and password have settings of their own";
            return Err(effective.wrong("clickhouse.url", form));
        }
        for name in ["clickhouse.database", "clickhouse.user"] {
            if effective.text(name).is_empty() {
                return Err(effective.wrong(name, "a name"));
            }
        }
        Ok(Self {
            url,
            database: text("clickhouse.database"),
            user: text("clickhouse.user"),
            password: text("clickhouse.password"),
            cluster: Some(text("clickhouse.cluster")).filter(|name| !name.is_empty()),
            breaker_pause: super::parse(effective, "clickhouse.breaker_pause", "a length of time such as `60s`")?,
        })
    }
}

fn is_without_user(url: &reqwest::Url) -> bool {
    url.username().is_empty() && url.password().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warehouse(settings: &[(&str, &str)]) -> Result<WarehouseConfig, String> {
        let flags: Vec<_> = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let effective = Effective::gather(None, |_| None, &flags).unwrap();
        WarehouseConfig::from_effective(&effective).map_err(|error| error.to_string())
    }

    #[test]
    fn a_warehouse_is_parquet_unless_it_is_clickhouse() {
        let dir = |path: &str| Ok(WarehouseConfig::Parquet { dir: PathBuf::from(path) });
        assert_eq!(warehouse(&[("data_dir", "/d")]), dir("/d/warehouse"));
        assert_eq!(warehouse(&[("data_dir", "/d"), ("warehouse", "parquet")]), dir("/d/warehouse"));
        assert_eq!(warehouse(&[("warehouse", "file:/elsewhere")]), dir("/elsewhere"));
        let Ok(WarehouseConfig::ClickHouse(config)) = warehouse(&[
            ("warehouse", "clickhouse"),
            ("clickhouse.url", "https://db:8443"),
            ("clickhouse.password", "hunter2"),
        ]) else {
            panic!("it is ClickHouse");
        };
        assert_eq!((config.url.as_str(), config.cluster.as_deref()), ("https://db:8443", None));
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    }

    #[test]
    fn a_wrong_warehouse_names_its_setting() {
        let with_user = "http://u:hunter2@db:8123";
        for (settings, name) in [
            (&[("warehouse", "duckdb")][..], "`warehouse`"),
            (&[("warehouse", "file:")], "`warehouse`"),
            (&[("warehouse", "clickhouse"), ("clickhouse.url", "db:8123")], "`clickhouse.url`"),
            (&[("warehouse", "clickhouse"), ("clickhouse.url", with_user)], "`clickhouse.url`"),
            (&[("warehouse", "clickhouse"), ("clickhouse.database", "")], "`clickhouse.database`"),
        ] {
            let error = warehouse(settings).unwrap_err();
            assert!(error.contains(name) && !error.contains("hunter2"), "{settings:?}: {error}");
        }
    }
}
