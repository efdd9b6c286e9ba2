//! The two planes on their engines.
//!
//! | port | engines here |
//! |---|---|
//! | [`liftgate_domain::Catalog`] | [`catalog::MemoryCatalog`] (oracle for tests); SQLite and PostgreSQL (feature `sql`) |
//! | [`liftgate_domain::Warehouse`] | [`warehouse::MemoryWarehouse`] (oracle for tests); Parquet with DataFusion (feature `parquet`); ClickHouse (feature `clickhouse`) |

pub mod catalog;
pub mod warehouse;
