//! From an error of the client to what the caller can do about it.

use clickhouse::error::Error;
use liftgate_domain::StoreError;

use super::options::ClickHouseOptions;

/// How much of the server's own text is passed on, in characters.
const TEXT_MAX: usize = 400;

const UNKNOWN_DATABASE: u32 = 81;
const UNKNOWN_TABLE: u32 = 60;
const UNKNOWN_USER: u32 = 192;
const WRONG_PASSWORD: u32 = 193;
const REQUIRED_PASSWORD: u32 = 194;
const ACCESS_DENIED: u32 = 497;
const AUTHENTICATION_FAILED: u32 = 516;
const CLUSTER_DOESNT_EXIST: u32 = 701;
const NO_ELEMENTS_IN_CONFIG: u32 = 139;
const BAD_GET: u32 = 170;

/// What an error means for the caller. Passwords are not in it: the server never repeats them.
pub(super) fn explain(error: &Error, options: &ClickHouseOptions) -> StoreError {
    let ClickHouseOptions { url, database, user, .. } = options;
    match error {
        Error::BadResponse(text) => refusal(text, options),
        Error::Network(source) => StoreError::Unavailable(format!(
            "ClickHouse does not answer at `{url}` ({}); start it, or correct `clickhouse.url`",
            innermost(source.as_ref())
        )),
        Error::TimedOut => StoreError::Unavailable(format!("ClickHouse at `{url}` did not answer in time")),
        Error::SchemaMismatch(text) => StoreError::Invalid(format!(
            "the tables in `{database}` are not those of this version ({}); was a table changed by hand?",
            brief(text)
        )),
        Error::InvalidParams(source) => StoreError::Invalid(format!("ClickHouse cannot be asked: {source}")),
        other => StoreError::Unavailable(format!("ClickHouse at `{url}` as `{user}`: {}", brief(&other.to_string()))),
    }
}

/// An answer that took too long.
pub(super) fn late(options: &ClickHouseOptions) -> StoreError {
    explain(&Error::TimedOut, options)
}

fn refusal(text: &str, options: &ClickHouseOptions) -> StoreError {
    let ClickHouseOptions { database, user, cluster, .. } = options;
    let said = brief(text);
    match code(text) {
        Some(UNKNOWN_USER | WRONG_PASSWORD | REQUIRED_PASSWORD | AUTHENTICATION_FAILED) => {
            StoreError::Invalid(format!(
                "ClickHouse refuses user `{user}` with this password; correct `clickhouse.user` and `clickhouse.password`"
            ))
        }
        Some(ACCESS_DENIED) => StoreError::Invalid(format!(
            "user `{user}` lacks a right in ClickHouse ({said}); an administrator can give it with GRANT SELECT, \
             INSERT, CREATE, ALTER ON `{database}`.* TO `{user}`"
        )),
        Some(UNKNOWN_DATABASE) => StoreError::Invalid(format!(
            "database `{database}` is missing in ClickHouse; an administrator can make it with CREATE DATABASE \
             `{database}`"
        )),
        Some(CLUSTER_DOESNT_EXIST | NO_ELEMENTS_IN_CONFIG | BAD_GET) if cluster.is_some() => {
            StoreError::Invalid(format!(
                "ClickHouse knows no cluster `{}` ({said}); correct `clickhouse.cluster`, or name the cluster in the \
                 server's `remote_servers`",
                cluster.as_deref().unwrap_or_default()
            ))
        }
        Some(UNKNOWN_TABLE) => StoreError::Unavailable(format!(
            "a table is missing in ClickHouse ({said}); start liftgate again to make it, on a cluster without Keeper \
             once for each server"
        )),
        _ => StoreError::Unavailable(format!("ClickHouse refuses: {said}")),
    }
}

/// The number of the server's exception.
fn code(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("Code: ")?.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn brief(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let end = line.char_indices().nth(TEXT_MAX).map_or(line.len(), |(position, _)| position);
    line[..end].to_owned()
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do() {
        let options = ClickHouseOptions { cluster: Some("main".into()), ..ClickHouseOptions::default() };
        for (text, says) in [
            ("Code: 516. DB::Exception: default: Authentication failed", "`clickhouse.password`"),
            ("Code: 497. DB::Exception: Not enough privileges", "GRANT SELECT"),
            ("Code: 81. DB::Exception: Database liftgate does not exist", "CREATE DATABASE"),
            ("Code: 701. DB::Exception: Requested cluster 'main' not found", "`clickhouse.cluster`"),
            ("Code: 241. DB::Exception: Memory limit exceeded\nsecond line", "Memory limit"),
            ("502 Bad Gateway", "502"),
        ] {
            let error = explain(&Error::BadResponse(text.into()), &options).to_string();
            assert!(error.contains(says) && !error.contains("second line"), "{error}");
        }
        assert!(matches!(explain(&Error::TimedOut, &options), StoreError::Unavailable(_)));
    }
}
