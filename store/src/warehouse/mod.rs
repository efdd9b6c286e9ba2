//! The warehouse on its engines.
//!
//! | module | what it is |
//! |---|---|
//! | `definition` | what a question means, as a naive fold over rows: the oracle |
//! | [`MemoryWarehouse`] | rows in a list, answered by the definition; for tests |
//! | [`ParquetWarehouse`] | sorted files named by a manifest, plus an in-memory tail (feature `parquet`) |
//! | [`ClickHouseWarehouse`] | tables on a ClickHouse server or cluster (feature `clickhouse`) |
//! | `sequences` | which batches of a node are already here |
//!
//! The engines share no rule with the definition, only this bookkeeping: their agreement is a test, not an identity.

#[cfg(feature = "clickhouse")]
mod clickhouse;
mod definition;
mod memory;
#[cfg(feature = "parquet")]
mod parquet;
mod sequences;

#[cfg(feature = "clickhouse")]
pub use clickhouse::{BreakerState, ClickHouseHealth, ClickHouseOptions, ClickHouseWarehouse};
pub use memory::MemoryWarehouse;
#[cfg(feature = "parquet")]
pub use parquet::{Description, ParquetOptions, ParquetWarehouse};
