//! The rows of an environment as SQL: each event once, as it was received first. Whether merges have happened, and what
//! the server has recognized as a retry, does not matter to it.

use super::question::Seen;
use super::statement::Parameters;

/// Identities with several rows are named one by one up to here; more are looked for anew by each statement.
pub(super) const REPEATS_LISTED_MAX: usize = 4_000;

/// What several rows have, by the hash of their identity. That two identities share a hash only costs time.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Repeats {
    None,
    Listed(Vec<u64>),
    Many,
}

/// The rows of one environment, each event once.
pub(super) struct Relation<'a> {
    pub(super) environment: u64,
    pub(super) seen: &'a Seen,
    pub(super) repeats: &'a Repeats,
}

/// The statement that looks for hashes with several rows; at most one more than can be listed.
pub(super) fn repeats_sql(environment: u64) -> String {
    format!("SELECT event_hash FROM ({}) LIMIT {}", all_repeats(environment), REPEATS_LISTED_MAX + 1)
}

pub(super) fn all_repeats(environment: u64) -> String {
    format!("SELECT event_hash FROM events WHERE environment = {environment} GROUP BY event_hash HAVING count() > 1")
}

impl Repeats {
    pub(super) fn of(hashes: Vec<u64>) -> Self {
        match hashes.len() {
            0 => Self::None,
            number if number > REPEATS_LISTED_MAX => Self::Many,
            _ => Self::Listed(hashes),
        }
    }
}

impl Relation<'_> {
    /// Selects these columns of the rows that fulfil the condition. A condition may only name what is selected.
    pub(super) fn select(&self, columns: &[&str], condition: &str, parameters: &mut Parameters) -> String {
        let environment = self.environment;
        let seen = self.seen_sql(parameters);
        let list = columns.join(", ");
        let of_all = format!("environment = {environment} AND {seen}");
        let repeated = match self.repeats {
            Repeats::None => return format!("SELECT {list} FROM events WHERE {of_all} AND {condition}"),
            Repeats::Listed(hashes) => parameters.numbers(hashes.iter().copied()),
            Repeats::Many => format!("({})", all_repeats(environment)),
        };
        let items: Vec<String> =
            columns.iter().enumerate().map(|(i, column)| format!("first_row.{} AS {column}", i + 1)).collect();
        format!(
            "SELECT {list} FROM events WHERE {of_all} AND event_hash GLOBAL NOT IN {repeated} AND {condition} UNION ALL \
             SELECT {list} FROM (SELECT {items} FROM (SELECT argMin(tuple({list}), (received_at, node, epoch, sequence)) \
             AS first_row FROM events WHERE {of_all} AND event_hash GLOBAL IN {repeated} GROUP BY event_id, unit_type)) \
             WHERE {condition}",
            items = items.join(", ")
        )
    }

    fn seen_sql(&self, parameters: &mut Parameters) -> String {
        let mut conditions = Vec::new();
        if let Some(through) = self.seen.through {
            conditions.push(format!("{RECEIVED} <= {through}"));
        }
        // A node without a mark is gone for good, or has not recorded its first: what it has written stays.
        for (node, through) in &self.seen.by_node {
            let node = parameters.text(node);
            conditions.push(format!("(node != {node} OR {RECEIVED} <= {through})"));
        }
        if conditions.is_empty() { "1".to_owned() } else { conditions.join(" AND ") }
    }
}

/// Instants as microseconds.
pub(super) const RECEIVED: &str = "toUnixTimestamp64Micro(received_at)";
pub(super) const TS: &str = "toUnixTimestamp64Micro(ts)";
