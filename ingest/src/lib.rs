//! Admits events: validate, log, deduplicate, seal, hand to the warehouse.
//!
//! A receipt means: on this node's disk, and counted exactly once within the deduplication window.
//!
//! ```text
//! native::parse -------------> admission -> door -> writer (log, sync) -> receipt
//! segment_api::parse -------^                         |   |
//! flagsmith_events::parse --^                         |   |
//!                                                     |   +-> quarantine: kept until replayed or discarded
//!                                                     +-> sealed batch -> appender -> Warehouse -> release
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`native`], [`segment_api`], [`flagsmith_events`] | the wire formats; `raw_event` is what any is read into, `receipt` the answer |
//! | `json_cursor`, `object`, `wire_time`, `units`, `fault`, `fuzz` | what the formats share: reading once, what is wrong, the laws |
//! | `ingest`, `open`, `config` | the handle, starting and stopping |
//! | `gate`, `disk_space` | whether anything may be admitted at all |
//! | `admission`, `plausibility` | whose time is believed, and which run explains it |
//! | `prepared`, `door`, `ticket` | encoded; new or known, stamped in order; awaited |
//! | `writer`, `log`, `segment`, `medium` | the thread that writes, and its files |
//! | `frame`, `record`, `row_codec` | what is in those files |
//! | `replay`, `folder` | reading them again after a crash |
//! | `appender`, `sealed`, `release` | on to the warehouse, and letting go of the log |
//! | `quarantine` | well-formed events that are not believed: listed, replayed, discarded |
//! | `ledger`, `checkpoint` | the books: everything accepted is stored, pending, quarantined, discarded or lost |
//! | `counters`, `histogram` | what operators watch |
//! | `keys` | which ids are known, in memory and on disk |
//! | `exposure`, `recent` | exposures that the server itself sees |
//! | `failpoints`, `log_fuzz` | where tests kill the process; reading any bytes as a log |
//!
//! ```
//! use liftgate_ingest::{IngestConfig, ParsedEvent, native};
//! let config = IngestConfig { dir: "data/ingest".into(), ..IngestConfig::default() };
//! let line = br#"{"type":"metric","id":"e1","timestamp":"2026-03-01T09:00:00Z","unit":{"id":"u1"},"event":"purchase"}"#;
//! let events = native::parse(native::ContentType::Ndjson, line, &config.limits())?;
//! assert!(matches!(events[0], ParsedEvent::Ok(_)));
//! # Ok::<(), native::ParseError>(())
//! ```

mod admission;
mod appender;
mod checkpoint;
mod config;
mod counters;
#[cfg(test)]
mod disk_failure;
mod disk_space;
mod door;
mod error;
mod exposure;
mod failpoints;
mod fault;
pub mod flagsmith_events;
mod folder;
mod frame;
#[doc(hidden)]
pub mod fuzz;
mod gate;
mod histogram;
mod ingest;
mod json_cursor;
mod keys;
mod ledger;
mod log;
mod log_fuzz;
mod medium;
pub mod native;
mod object;
mod open;
mod plausibility;
mod prepared;
mod quarantine;
mod raw_event;
mod receipt;
mod recent;
mod record;
mod release;
mod replay;
mod row_codec;
mod sealed;
mod segment;
pub mod segment_api;
mod ticket;
mod units;
mod wire_time;
mod writer;

pub use config::{IngestConfig, Limits};
pub use counters::Counters;
pub use error::Error;
pub use exposure::{ExposureSender, Sent, ServedExposure};
#[doc(hidden)]
pub use failpoints::FAILPOINTS;
pub use histogram::{HISTOGRAM_BOUNDS_US, Histogram};
pub use ingest::Ingest;
#[doc(hidden)]
pub use keys::measure;
pub use ledger::EnvironmentLedger;
#[doc(hidden)]
pub use log_fuzz::fuzz_log;
pub use open::OpenReport;
pub use quarantine::{
    Discarded, QUARANTINE_PAGE_MAX, QuarantineFilter, QuarantineId, QuarantinePage, QuarantineReason,
    QuarantineSelection, QuarantinedEvent, ReplayTime, Replayed,
};
pub use raw_event::{ParsedEvent, RawBody, RawEvent, RawUnit};
pub use receipt::{Quarantined, Receipt, RejectCode, Rejection};
pub use replay::Damage;
