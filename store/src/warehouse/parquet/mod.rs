//! The embedded warehouse: sorted Parquet files named by a manifest, plus a tail of batches not yet written.
//!
//! ```text
//! <dir>/manifest.log                                        what counts: files, batches, marks (one record a flush)
//! <dir>/env=1/kind=metric/day=2026-03-01/0000000007-000.parquet
//! <dir>/lock                                                one process at a time
//! ```
//!
//! A question is answered from one [`snapshot::Snapshot`]: the files of the manifest and the tail, each row once.

mod cells;
mod censoring;
mod columns;
mod compaction;
mod data_file;
mod engine;
mod events;
mod exact_sum;
mod exposures;
mod file_writer;
mod first_exposures;
mod firsts;
mod flush;
mod identity;
mod layout;
mod manifest;
mod merge;
mod options;
mod population;
mod property;
mod pruning;
mod quantiles;
mod question;
mod readout;
mod record;
mod retention;
mod scan;
mod schema;
mod slices;
mod snapshot;
mod state;
mod tallies;
mod units;
mod warehouse;
mod writer;

pub use options::ParquetOptions;
pub use snapshot::Description;
pub use warehouse::ParquetWarehouse;
