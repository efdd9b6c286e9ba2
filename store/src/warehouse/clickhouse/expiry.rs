//! What expires: whole days of an environment, counted before they are deleted.
//!
//! A row is counted under its day and node, up to a place in that node's log (epoch, sequence). Nodes append in the order
//! of their logs, so what lies before a place never becomes more. A count is written before its rows are deleted: whoever
//! comes after a crash in between finds them counted already, and two nodes that do it at once write the same.

use std::collections::{BTreeMap, BTreeSet};

use clickhouse::Row;
use liftgate_domain::{StoreError, Timestamp, Watermark, failpoint};
use serde::{Deserialize, Serialize};

use super::connection::{Connection, InsertTerms};
use super::layout::Layout;
use super::relation::{Repeats, TS, all_repeats, repeats_sql};
use super::statement::Parameters;

/// The number of a row's day, since 1970.
const DAY: &str = "toInt32(floor(toUnixTimestamp64Micro(ts) / 86400000000))";
const DAY_MICROS: i64 = 86_400_000_000;

/// How often events are counted anew because another node has counted meanwhile.
const ATTEMPTS_MAX: u32 = 10;

/// A node's log up to here: epoch and sequence.
type Place = (u64, u64);

/// How far a node's log has been counted, and how many events that were: epoch, sequence, events. Only ever grows.
type Counted = (u64, u64, u64);

/// By day (since 1970) and node.
type CountedDays = BTreeMap<(i32, String), Counted>;

/// A row of the table `expired`.
#[derive(Row, Serialize)]
struct ExpiredRecord<'a> {
    environment: u64,
    day: i32,
    node: &'a str,
    counted: Counted,
}

#[derive(Row, Deserialize)]
struct FoundCounted {
    day: i32,
    node: String,
    counted: Counted,
}

/// Rows of a day and node, and the last of them.
#[derive(Row, Deserialize)]
struct FoundRows {
    day: i32,
    node: String,
    last: Place,
}

/// Events of a day and node that nobody has counted.
#[derive(Row, Deserialize)]
struct FoundEvents {
    day: i32,
    node: String,
    events: u64,
}

/// The rows that go: those of an environment's days before `first_kept`, up to a place in each node's log.
struct Expiry {
    environment: u64,
    /// In microseconds.
    first_kept: i64,
    through: BTreeMap<String, Place>,
}

/// Deletes the environment's days that end no later than `before`. Answers how many distinct events went, and have not
/// been counted before. Every mark must be in the table `marks`.
pub(super) async fn expire(
    connection: &Connection,
    layout: &Layout,
    environment: u64,
    before: Timestamp,
    marks: &Watermark,
) -> Result<u64, StoreError> {
    let client = connection.inside();
    let mut expiry = Expiry::new(environment, before);
    let found: Vec<FoundRows> = connection.rows(client.query_raw(&expiry.rows_sql())).await?;
    if found.is_empty() {
        return Ok(0);
    }
    let days = expiry.bound(found, marks);
    let (mut counted, mut events);
    let mut attempt = 0;
    loop {
        counted = counted_days(connection, environment).await?;
        counted.retain(|place, _| days.contains(place));
        let repeats = Repeats::of(connection.rows(client.query_raw(&repeats_sql(environment))).await?);
        let mut parameters = Parameters::default();
        let sql = expiry.events_sql(&repeats, &counted, &mut parameters);
        events = connection.rows::<FoundEvents>(parameters.query(&client, &sql)).await?;
        let mut now = counted_days(connection, environment).await?;
        now.retain(|place, _| days.contains(place));
        attempt += 1;
        // What another node has counted in between it may have deleted in between, too.
        if now == counted {
            break;
        }
        if attempt == ATTEMPTS_MAX {
            return Err(StoreError::Unavailable("other nodes take out the same events at the moment".to_owned()));
        }
    }
    let sum = events.iter().map(|found| found.events).sum();
    let records = expiry.records(&events, &counted);
    if !records.is_empty() {
        let terms = InsertTerms { token: None, quorum: layout.quorum() };
        connection.insert::<ExpiredRecord<'_>>("expired", &terms, records.into_iter()).await?;
    }
    failpoint::hit("clickhouse.expiry_recorded");
    let mut parameters = Parameters::default();
    let condition = expiry.condition(&mut parameters);
    let sql = layout.delete_sql(&connection.options().database, "events", &condition);
    connection.execute(parameters.query(&client, &sql)).await?;
    failpoint::hit("clickhouse.expiry_deleted");
    Ok(sum)
}

/// How many distinct events of the environment have expired so far.
pub(super) async fn expired(connection: &Connection, environment: u64) -> Result<u64, StoreError> {
    let counted = counted_days(connection, environment).await?;
    Ok(counted.values().map(|(_, _, events)| events).sum())
}

async fn counted_days(connection: &Connection, environment: u64) -> Result<CountedDays, StoreError> {
    let sql = format!(
        "SELECT day, toString(node) AS node, max(expired.counted) AS counted FROM expired \
         WHERE environment = {environment} GROUP BY day, node"
    );
    let found: Vec<FoundCounted> = connection.rows(connection.inside().query_raw(&sql)).await?;
    Ok(found.into_iter().map(|found| ((found.day, found.node), found.counted)).collect())
}

impl Expiry {
    /// The days of the environment that end no later than `before`; nothing goes until nodes are known.
    fn new(environment: u64, before: Timestamp) -> Self {
        let first_kept = before.as_micros().div_euclid(DAY_MICROS).saturating_mul(DAY_MICROS);
        Self { environment, first_kept, through: BTreeMap::new() }
    }

    fn of_days(&self) -> String {
        format!("environment = {} AND {TS} < {}", self.environment, self.first_kept)
    }

    /// Asks for [`FoundRows`].
    fn rows_sql(&self) -> String {
        format!(
            "SELECT {DAY} AS day, toString(node) AS node, max((epoch, sequence)) AS last FROM events WHERE {} \
             GROUP BY day, node",
            self.of_days()
        )
    }

    /// Takes the rows of these nodes, as far as their marks say that nothing is on its way any more; a node without a mark
    /// is gone for good. Answers the days and nodes.
    fn bound(&mut self, found: Vec<FoundRows>, marks: &Watermark) -> BTreeSet<(i32, String)> {
        for FoundRows { node, last, .. } in &found {
            let mark = marks.nodes.get(node).map_or(*last, |mark| (mark.epoch, mark.sequence));
            let through = self.through.entry(node.clone()).or_default();
            *through = (*through).max(mark.min(*last));
        }
        found.into_iter().map(|found| (found.day, found.node)).collect()
    }

    /// What is counted now, with what was counted before.
    fn records<'a>(&self, events: &'a [FoundEvents], counted: &CountedDays) -> Vec<ExpiredRecord<'a>> {
        let record = |found: &'a FoundEvents| {
            let (epoch, sequence) = self.through[&found.node];
            let before = counted.get(&(found.day, found.node.clone())).map_or(0, |(_, _, events)| *events);
            let counted = (epoch, sequence, before + found.events);
            ExpiredRecord { environment: self.environment, day: found.day, node: &found.node, counted }
        };
        events.iter().map(record).collect()
    }

    /// Whether a row goes.
    fn condition(&self, parameters: &mut Parameters) -> String {
        let of_node = |(node, (epoch, sequence)): (&String, &Place)| {
            format!("node = {} AND (epoch, sequence) <= ({epoch}, {sequence})", parameters.text(node))
        };
        let of_nodes: Vec<String> = self.through.iter().map(of_node).collect();
        format!("{} AND ({})", self.of_days(), of_nodes.join(" OR "))
    }

    /// Asks for [`FoundEvents`]: distinct events of which no row stays, under the last of their rows. An event is the row
    /// of a first unit that was received first.
    fn events_sql(&self, repeats: &Repeats, counted: &CountedDays, parameters: &mut Parameters) -> String {
        let environment = self.environment;
        let goes = self.condition(parameters);
        let columns = format!("{DAY} AS day, node, epoch, sequence");
        let of_repeats = match repeats {
            Repeats::None => None,
            Repeats::Listed(hashes) => Some(parameters.numbers(hashes.iter().copied())),
            Repeats::Many => Some(format!("({})", all_repeats(environment))),
        };
        let rows = match of_repeats {
            None => format!("SELECT {columns} FROM events WHERE {goes} AND unit_index = 0"),
            Some(repeated) => format!(
                "SELECT {columns} FROM events WHERE {goes} AND unit_index = 0 AND event_hash GLOBAL NOT IN {repeated} \
                 UNION ALL SELECT last.1 AS day, last.2 AS node, last.3 AS epoch, last.4 AS sequence FROM \
                 (SELECT max(tuple(day, node, epoch, sequence)) AS last FROM (SELECT {columns}, event_id, unit_type, \
                 unit_index, received_at, toUInt8({goes}) AS goes FROM events WHERE environment = {environment} AND \
                 event_hash GLOBAL IN {repeated}) GROUP BY event_id, unit_type HAVING min(goes) = 1 AND \
                 argMin(unit_index, (received_at, node, epoch, sequence)) = 0)"
            ),
        };
        let mut uncounted = String::new();
        for ((day, node), (epoch, sequence, _)) in counted {
            let node = parameters.text(node);
            uncounted.push_str(&format!(
                " AND NOT (day = {day} AND node = {node} AND (epoch, sequence) <= ({epoch}, {sequence}))"
            ));
        }
        format!(
            "SELECT day, toString(node) AS node, count() AS events FROM ({rows}) WHERE 1{uncounted} GROUP BY day, node"
        )
    }
}
