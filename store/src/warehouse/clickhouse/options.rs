//! How ClickHouse is reached, and what bounds every call to it.

use std::fmt;
use std::time::Duration;

use liftgate_domain::StoreError;

/// The settings of a ClickHouse warehouse.
#[derive(Clone, Eq, PartialEq)]
pub struct ClickHouseOptions {
    /// The HTTP address, such as `http://127.0.0.1:8123` or `https://clickhouse:8443`, without user and password.
    pub url: String,
    /// The database that holds the tables; made when it is missing and the user may.
    pub database: String,
    /// The user.
    pub user: String,
    /// The user's password; empty for none. Never shown.
    pub password: String,
    /// The cluster's name in `remote_servers`, for several servers.
    pub cluster: Option<String>,
    /// How long one insert may take, from its first byte to the server's confirmation.
    pub insert_timeout: Duration,
    /// How long a question, a count or a change of tables may take.
    pub query_timeout: Duration,
    /// How many of the last inserted blocks a table remembers, so that one that is sent again is not stored again. Must
    /// exceed what all nodes insert during the longest time that a batch may wait for its retry.
    pub dedup_window: u32,
    /// Failures in a row after which inserts are refused without trying.
    pub breaker_failures: u32,
    /// How long they are refused; then one is tried.
    pub breaker_pause: Duration,
}

impl Default for ClickHouseOptions {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8123".to_owned(),
            database: "liftgate".to_owned(),
            user: "default".to_owned(),
            password: String::new(),
            cluster: None,
            insert_timeout: Duration::from_secs(60),
            query_timeout: Duration::from_secs(120),
            dedup_window: 100_000,
            breaker_failures: 5,
            breaker_pause: Duration::from_secs(60),
        }
    }
}

impl fmt::Debug for ClickHouseOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClickHouseOptions")
            .field("url", &if is_address(&self.url) { &self.url } else { "(not an address, hidden)" })
            .field("database", &self.database)
            .field("user", &self.user)
            .field("password", &if self.password.is_empty() { "(none)" } else { "(set, hidden)" })
            .field("cluster", &self.cluster)
            .field("insert_timeout", &self.insert_timeout)
            .field("query_timeout", &self.query_timeout)
            .field("dedup_window", &self.dedup_window)
            .field("breaker_failures", &self.breaker_failures)
            .field("breaker_pause", &self.breaker_pause)
            .finish()
    }
}

impl ClickHouseOptions {
    /// Refuses settings under which nothing could be written or read; the error names the setting.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let refuse = |text: &str| Err(StoreError::Invalid(text.to_owned()));
        // The text is not repeated: what looks wrong may hold a password.
        if !is_address(&self.url) {
            return refuse(
                "`url` of ClickHouse must be an address such as `https://clickhouse:8443`; user and password have \
                 settings of their own",
            );
        }
        if self.database.is_empty() || self.user.is_empty() {
            return refuse("`database` and `user` of ClickHouse must not be empty");
        }
        if self.cluster.as_deref() == Some("") {
            return refuse("`cluster` of ClickHouse must be a name from its `remote_servers`, or be left out");
        }
        let numbers = [("dedup_window", self.dedup_window), ("breaker_failures", self.breaker_failures)];
        let spans = [("insert_timeout", self.insert_timeout), ("query_timeout", self.query_timeout)];
        let zero = numbers.iter().filter(|(_, value)| *value == 0).map(|(name, _)| *name);
        let zero = zero.chain(spans.iter().filter(|(_, value)| value.is_zero()).map(|(name, _)| *name)).next();
        zero.map_or(Ok(()), |name| refuse(&format!("`{name}` of ClickHouse must be more than 0")))
    }
}

/// Whether the text is an HTTP address with a host and without user, path, query or fragment.
fn is_address(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
        return false;
    };
    let host = rest.strip_suffix('/').unwrap_or(rest);
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    !host.is_empty() && host.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let options = ClickHouseOptions { password: "hunter2".into(), ..ClickHouseOptions::default() };
        assert!(!format!("{options:?}").contains("hunter2"));
        let in_url = ClickHouseOptions { url: "http://u:hunter2@db:8123".into(), ..ClickHouseOptions::default() };
        assert!(!format!("{in_url:?} {}", in_url.check().unwrap_err()).contains("hunter2"));
    }

    #[test]
    fn a_setting_that_cannot_work_is_named() {
        assert!(ClickHouseOptions::default().check().is_ok());
        type Change = fn(&mut ClickHouseOptions);
        let cases: [(Change, &str); 8] = [
            (|options| options.url = "db:8123".into(), "`url`"),
            (|options| options.url = "ftp://db".into(), "`url`"),
            (|options| options.url = "http://db:8123/?user=x".into(), "`url`"),
            (|options| options.database = String::new(), "`database`"),
            (|options| options.cluster = Some(String::new()), "`cluster`"),
            (|options| options.dedup_window = 0, "`dedup_window`"),
            (|options| options.breaker_failures = 0, "`breaker_failures`"),
            (|options| options.insert_timeout = Duration::ZERO, "`insert_timeout`"),
        ];
        for (change, name) in cases {
            let mut options = ClickHouseOptions::default();
            change(&mut options);
            let error = options.check().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        for good in ["https://clickhouse:8443", "http://[::1]:8123/", "http://10.0.0.1"] {
            assert!(ClickHouseOptions { url: good.into(), ..ClickHouseOptions::default() }.check().is_ok(), "{good}");
        }
    }
}
