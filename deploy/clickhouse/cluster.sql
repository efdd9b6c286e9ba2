-- What a Liftgate node runs on a cluster named `main` with Keeper and two replicas a shard, database `liftgate`. It does so
-- by itself, at its first start; this is for reading, and for administrators who make tables themselves. Then insert the
-- number of each step, here 1, into `migrations`, on every server. Every server needs the macros `shard` and `replica`:
--
--   <macros><shard>1</shard><replica>clickhouse-1a</replica></macros>
--   <remote_servers><main>
--     <shard><internal_replication>true</internal_replication>
--       <replica><host>clickhouse-1a</host><port>9000</port></replica>
--       <replica><host>clickhouse-1b</host><port>9000</port></replica></shard>
--     ... one <shard> each
--   </main></remote_servers>
--
-- A test compares these statements with those of the program.

CREATE DATABASE IF NOT EXISTS `liftgate` ON CLUSTER `main`;

-- statements
CREATE TABLE IF NOT EXISTS `liftgate`.`migrations` ON CLUSTER `main` (
    number UInt32,
    applied_at DateTime64(6, 'UTC') DEFAULT now64(6)
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (number) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 1, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `liftgate`.`events_local` ON CLUSTER `main` (
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
    INDEX by_receipt received_at TYPE minmax GRANULARITY 1
) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') PARTITION BY toYYYYMM(ts_client) ORDER BY (environment, kind, name, unit_hash, ts_client, event_id) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `liftgate`.`events` ON CLUSTER `main` AS `liftgate`.`events_local` ENGINE = Distributed(`main`, `liftgate`, `events_local`, unit_hash);

CREATE TABLE IF NOT EXISTS `liftgate`.`batches_local` ON CLUSTER `main` (
    node LowCardinality(String),
    epoch UInt64,
    sequence UInt64 CODEC(Delta, ZSTD),
    received_through SimpleAggregateFunction(max, DateTime64(6, 'UTC')) CODEC(Delta, ZSTD),
    rows SimpleAggregateFunction(max, UInt64) CODEC(ZSTD),
    confirmed_at SimpleAggregateFunction(max, DateTime) DEFAULT now()
) ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (node, epoch, sequence) TTL confirmed_at + INTERVAL 14 DAY SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `liftgate`.`batches` ON CLUSTER `main` AS `liftgate`.`batches_local` ENGINE = Distributed(`main`, `liftgate`, `batches_local`, cityHash64(node));

CREATE TABLE IF NOT EXISTS `liftgate`.`marks_local` ON CLUSTER `main` (
    node LowCardinality(String),
    mark SimpleAggregateFunction(max, Tuple(UInt64, UInt64)),
    received_through SimpleAggregateFunction(max, DateTime64(6, 'UTC'))
) ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (node) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `liftgate`.`marks` ON CLUSTER `main` AS `liftgate`.`marks_local` ENGINE = Distributed(`main`, `liftgate`, `marks_local`, cityHash64(node));

CREATE TABLE IF NOT EXISTS `liftgate`.`expired_local` ON CLUSTER `main` (
    environment UInt64,
    day Int32,
    node LowCardinality(String),
    counted SimpleAggregateFunction(max, Tuple(UInt64, UInt64, UInt64))
) ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}') ORDER BY (environment, day, node) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS `liftgate`.`expired` ON CLUSTER `main` AS `liftgate`.`expired_local` ENGINE = Distributed(`main`, `liftgate`, `expired_local`, cityHash64(node));
