//! The tables, as statements. Every statement may be run any number of times, by any number of nodes at once.
//!
//! On one server the tables are `events`, `batches`, `marks`, `expired` and `migrations`. On a cluster each but the last is a
//! `Distributed` table over `<name>_local`: `events` by unit, so that a unit's rows are together, the others by node.

/// Where the tables are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Layout {
    /// On one server.
    Single,
    /// On the shards of a cluster.
    Cluster {
        /// Its name in `remote_servers`.
        name: String,
        /// Servers with the same rows; all of them confirm an insert.
        replicas: u32,
        /// Whether the servers share a Keeper: tables are then replicated, and made on all servers by one statement.
        /// Without, each server makes its own.
        has_keeper: bool,
    },
}

/// A numbered step. Once released, never changed: a later step changes what it made.
pub(super) struct Migration {
    pub(super) number: u32,
    pub(super) statements: Vec<String>,
}

/// Every step, ascending.
pub(super) fn migrations(layout: &Layout, database: &str, dedup_window: u32) -> Vec<Migration> {
    vec![Migration { number: 1, statements: first(layout, database, dedup_window) }]
}

/// The table of the steps that were made.
pub(super) fn migrations_table(layout: &Layout, database: &str) -> String {
    let table =
        Table { name: "migrations", columns: MIGRATIONS, order: "number", partition: None, shard_by: "", ttl: None };
    table.stored(layout, database, "migrations", "ReplacingMergeTree", 1)
}

/// `name` as an identifier of SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

const MIGRATIONS: &str = "
    number UInt32,
    applied_at DateTime64(6, 'UTC') DEFAULT now64(6)";

// Partition and sorting key have only what a sender repeats when it sends an event again, so that its copies meet in
// one part. `ts_client` is therefore in them and `ts`, which is corrected on arrival, is not.
const EVENTS: &str = "
    environment UInt64 CODEC(Delta, ZSTD),
    kind Enum8('exposure' = 1, 'metric' = 2),
    name LowCardinality(String),
    unit_type LowCardinality(String),
    unit_hash UInt64,
    unit_id String CODEC(ZSTD),
    unit_index UInt8 CODEC(ZSTD),
    event_id String CODEC(ZSTD),
    event_hash UInt64 CODEC(NONE),
    ts DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    ts_client DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    received_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    variation LowCardinality(Nullable(String)),
    run Nullable(UInt64) CODEC(ZSTD),
    stage Nullable(UInt32) CODEC(ZSTD),
    arm LowCardinality(Nullable(String)),
    bucket Nullable(UInt32) CODEC(ZSTD),
    value Nullable(Float64) CODEC(ZSTD),
    properties Nullable(String) CODEC(ZSTD),
    numbers Map(LowCardinality(String), Float64) CODEC(ZSTD),
    texts Map(LowCardinality(String), String) CODEC(ZSTD),
    source LowCardinality(String),
    revision UInt64 CODEC(ZSTD),
    node LowCardinality(String),
    epoch UInt64 CODEC(ZSTD),
    sequence UInt64 CODEC(Delta, ZSTD),
    schema_version UInt16 CODEC(ZSTD),
    INDEX by_receipt received_at TYPE minmax GRANULARITY 1";

const BATCHES: &str = "
    node LowCardinality(String),
    epoch UInt64,
    sequence UInt64 CODEC(Delta, ZSTD),
    received_through SimpleAggregateFunction(max, DateTime64(6, 'UTC')) CODEC(Delta, ZSTD),
    rows SimpleAggregateFunction(max, UInt64) CODEC(ZSTD),
    confirmed_at SimpleAggregateFunction(max, DateTime) DEFAULT now()";

const MARKS: &str = "
    node LowCardinality(String),
    mark SimpleAggregateFunction(max, Tuple(UInt64, UInt64)),
    received_through SimpleAggregateFunction(max, DateTime64(6, 'UTC'))";

// Days are counted from 1970. The largest count of a node's log is the whole: see `expiry`.
const EXPIRED: &str = "
    environment UInt64,
    day Int32,
    node LowCardinality(String),
    counted SimpleAggregateFunction(max, Tuple(UInt64, UInt64, UInt64))";

struct Table {
    name: &'static str,
    columns: &'static str,
    order: &'static str,
    partition: Option<&'static str>,
    /// What decides about the shard.
    shard_by: &'static str,
    ttl: Option<&'static str>,
}

fn first(layout: &Layout, database: &str, dedup_window: u32) -> Vec<String> {
    let tables = [
        (
            Table {
                name: "events",
                columns: EVENTS,
                order: "environment, kind, name, unit_hash, ts_client, event_id",
                partition: Some("toYYYYMM(ts_client)"),
                shard_by: "unit_hash",
                ttl: None,
            },
            "MergeTree",
        ),
        (
            Table {
                name: "batches",
                columns: BATCHES,
                order: "node, epoch, sequence",
                partition: None,
                shard_by: "cityHash64(node)",
                // What was confirmed that long ago has long left its node's log. Should it be asked for after all, the batch is
                // sent again, and its rows are repeats.
                ttl: Some("confirmed_at + INTERVAL 14 DAY"),
            },
            "AggregatingMergeTree",
        ),
        (
            Table {
                name: "marks",
                columns: MARKS,
                order: "node",
                partition: None,
                shard_by: "cityHash64(node)",
                ttl: None,
            },
            "AggregatingMergeTree",
        ),
        (
            Table {
                name: "expired",
                columns: EXPIRED,
                order: "environment, day, node",
                partition: None,
                shard_by: "cityHash64(node)",
                ttl: None,
            },
            "AggregatingMergeTree",
        ),
    ];
    tables.iter().flat_map(|(table, engine)| table.statements(layout, database, engine, dedup_window)).collect()
}

impl Table {
    fn statements(&self, layout: &Layout, database: &str, engine: &str, dedup_window: u32) -> Vec<String> {
        let Layout::Cluster { name, .. } = layout else {
            return vec![self.stored(layout, database, self.name, engine, dedup_window)];
        };
        let local = format!("{}_local", self.name);
        let distributed = format!(
            "CREATE TABLE IF NOT EXISTS {}.{}{} AS {}.{} ENGINE = Distributed({}, {}, {}, {})",
            quoted(database),
            quoted(self.name),
            layout.everywhere(),
            quoted(database),
            quoted(&local),
            quoted(name),
            quoted(database),
            quoted(&local),
            self.shard_by
        );
        vec![self.stored(layout, database, &local, engine, dedup_window), distributed]
    }

    /// A table that holds rows.
    fn stored(&self, layout: &Layout, database: &str, name: &str, engine: &str, dedup_window: u32) -> String {
        let engine = match layout {
            // Path and replica come from the server's macros, as its administrator set them.
            Layout::Cluster { has_keeper: true, .. } => {
                format!("Replicated{engine}('/clickhouse/tables/{{shard}}/{{database}}/{{table}}', '{{replica}}')")
            }
            _ => engine.to_owned(),
        };
        let window = match layout {
            // A week: as long as a sender's event ids are remembered.
            Layout::Cluster { has_keeper: true, .. } => format!(
                "replicated_deduplication_window = {dedup_window}, replicated_deduplication_window_seconds = 604800"
            ),
            _ => format!("non_replicated_deduplication_window = {dedup_window}"),
        };
        let partition = self.partition.map_or_else(String::new, |by| format!(" PARTITION BY {by}"));
        let ttl = self.ttl.map_or_else(String::new, |ttl| format!(" TTL {ttl}"));
        format!(
            "CREATE TABLE IF NOT EXISTS {}.{}{} ({}\n) ENGINE = {engine}{partition} ORDER BY ({}){ttl} SETTINGS \
             fsync_after_insert = 1, fsync_part_directory = 1, {window}",
            quoted(database),
            quoted(name),
            layout.everywhere(),
            self.columns,
            self.order,
        )
    }
}

impl Layout {
    /// What makes a statement run on all servers.
    pub(super) fn everywhere(&self) -> String {
        match self {
            Self::Cluster { name, has_keeper: true, .. } => format!(" ON CLUSTER {}", quoted(name)),
            _ => String::new(),
        }
    }

    /// Servers that must have rows before they count as stored; 0 where nothing is replicated.
    pub(super) fn quorum(&self) -> u32 {
        match self {
            Self::Cluster { replicas, has_keeper: true, .. } => *replicas,
            _ => 0,
        }
    }

    /// Deletes rows on all servers, and waits until they are gone.
    pub(super) fn delete_sql(&self, database: &str, table: &str, condition: &str) -> String {
        let (database, stored) = (quoted(database), quoted(&self.stored(table)));
        let everywhere = self.everywhere();
        format!("ALTER TABLE {database}.{stored}{everywhere} DELETE WHERE {condition} SETTINGS mutations_sync = 2")
    }

    /// The table that holds the rows of `table` on a server.
    fn stored(&self, table: &str) -> String {
        match self {
            Self::Single => table.to_owned(),
            Self::Cluster { .. } => format!("{table}_local"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(layout: &Layout) -> String {
        migrations(layout, "li`ft", 7).into_iter().flat_map(|step| step.statements).collect::<Vec<_>>().join(";\n")
    }

    #[test]
    fn every_table_that_holds_rows_remembers_its_blocks_and_writes_through() {
        let cluster = |has_keeper| Layout::Cluster { name: "main".into(), replicas: 2, has_keeper };
        for (layout, window, stored) in [
            (Layout::Single, " non_replicated_deduplication_window = 7", 4),
            (cluster(false), " non_replicated_deduplication_window = 7", 4),
            (cluster(true), " replicated_deduplication_window = 7", 4),
        ] {
            let text = all(&layout);
            assert_eq!(text.matches("fsync_after_insert = 1, fsync_part_directory = 1").count(), stored, "{text}");
            assert_eq!(text.matches(window).count(), stored, "{text}");
            assert_eq!(text.matches("CREATE TABLE IF NOT EXISTS `li\\`ft`.").count(), text.matches("CREATE").count());
        }
        let text = all(&cluster(true));
        assert_eq!((text.matches("ON CLUSTER `main`").count(), text.matches("ENGINE = Distributed(").count()), (8, 4));
        assert_eq!(text.matches("ENGINE = Replicated").count(), 4);
    }

    #[test]
    fn the_steps_are_numbered_without_a_gap() {
        let numbers: Vec<_> = migrations(&Layout::Single, "d", 1).iter().map(|step| step.number).collect();
        assert_eq!(numbers, (1..=u32::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());
    }

    #[test]
    fn the_statements_for_a_cluster_are_those_that_operators_read() {
        let layout = Layout::Cluster { name: "main".into(), replicas: 2, has_keeper: true };
        let steps = migrations(&layout, "liftgate", 100_000).into_iter().flat_map(|step| step.statements);
        let statements = [migrations_table(&layout, "liftgate")].into_iter().chain(steps);
        let text: String = statements.map(|statement| format!("{statement};\n\n")).collect();
        let written = include_str!("../../../../deploy/clickhouse/cluster.sql");
        let written = written.split_once("-- statements\n").map_or(written, |(_, statements)| statements);
        assert_eq!(text.trim(), written.trim(), "write this into deploy/clickhouse/cluster.sql");
    }
}
