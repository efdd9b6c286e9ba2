//! Which identities have several rows, remembered from question to question, so that only new rows are looked at.
//!
//! Rows that the watermark covers stay as they are: their batches are confirmed, and none is inserted again once this
//! process or the table `batches` knows it. So two rows of one identity that were covered when somebody looked were found
//! then. Rows of nodes without a mark, and rows that no mark covers yet, are looked at every time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use liftgate_domain::{NodeMark, StoreError, Watermark};

use super::connection::Connection;
use super::relation::{RECEIVED, REPEATS_LISTED_MAX, Repeats, all_repeats};
use super::statement::Parameters;

/// What was found so far, by environment.
#[derive(Debug, Default)]
pub(super) struct KnownRepeats(Mutex<BTreeMap<u64, Known>>);

/// All repeats among rows that these marks cover; rows beyond them may be missing.
#[derive(Clone, Debug, Default)]
struct Known {
    covered: Watermark,
    /// Hashes of identities; beyond [`REPEATS_LISTED_MAX`] it is enough to know that they are many.
    hashes: BTreeSet<u64>,
}

impl KnownRepeats {
    /// The repeats among all rows that are visible now. `watermark` must have been published before.
    pub(super) async fn find(
        &self,
        connection: &Connection,
        environment: u64,
        watermark: &Watermark,
    ) -> Result<Repeats, StoreError> {
        let known = self.lock().get(&environment).cloned().unwrap_or_default();
        if known.hashes.len() > REPEATS_LISTED_MAX {
            return Ok(Repeats::Many);
        }
        let mut parameters = Parameters::default();
        let sql = new_repeats_sql(environment, &known.covered, &mut parameters);
        let found: Vec<u64> = connection.rows(parameters.query(&connection.reading(), &sql)).await?;
        let mut all = self.lock();
        let entry = all.entry(environment).or_default();
        // Both looked at all rows beyond what was known to be covered before, so that the union lacks nothing.
        entry.hashes.extend(found.iter().chain(&known.hashes));
        for (node, mark) in &watermark.nodes {
            entry.covered.advance(node, *mark);
        }
        Ok(Repeats::of(entry.hashes.iter().copied().collect()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks for hashes with several rows, of which one is not covered; at most one more than can be listed.
fn new_repeats_sql(environment: u64, covered: &Watermark, parameters: &mut Parameters) -> String {
    let limit = REPEATS_LISTED_MAX + 1;
    if covered.nodes.is_empty() {
        return format!("SELECT event_hash FROM ({}) LIMIT {limit}", all_repeats(environment));
    }
    let first = covered.nodes.values().map(|mark| mark.received_at.as_micros()).min().unwrap_or(i64::MIN);
    let is_covered = |(node, mark): (&String, &NodeMark)| {
        format!("node = {} AND {RECEIVED} <= {}", parameters.text(node), mark.received_at.as_micros())
    };
    let is_covered = covered.nodes.iter().map(is_covered).collect::<Vec<_>>().join(" OR ");
    let nodes = parameters.texts(covered.nodes.keys());
    // The first half reads only what was received lately, by the table's index.
    format!(
        "SELECT event_hash FROM events WHERE environment = {environment} AND event_hash GLOBAL IN \
         (SELECT event_hash FROM events WHERE environment = {environment} AND \
         received_at > fromUnixTimestamp64Micro({first}) AND NOT ({is_covered}) UNION ALL \
         SELECT event_hash FROM events WHERE environment = {environment} AND \
         received_at <= fromUnixTimestamp64Micro({first}) AND node NOT IN {nodes}) \
         GROUP BY event_hash HAVING count() > 1 LIMIT {limit}"
    )
}
