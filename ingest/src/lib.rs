//! Admits events: validate, log, deduplicate, seal, hand to the warehouse.
//!
//! A receipt means: on this node's disk, and counted exactly once within the deduplication window.
//!
//! ```text
//! native::parse -> admission -> door -> writer (log, sync) -> receipt
//!                                          |
//!                                          +-> sealed batch -> appender -> Warehouse -> release
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`native`] | our own wire format; `raw_event` is what any format is read into, `receipt` the answer |
//! | `ingest`, `open`, `config` | the handle, starting and stopping |
//! | `admission`, `door`, `ticket` | plausible and attributed; new or known, stamped in order; awaited |
//! | `writer`, `log`, `segment`, `medium` | the thread that writes, and its files |
//! | `frame`, `record`, `row_codec` | what is in those files |
//! | `replay`, `folder` | reading them again after a crash |
//! | `appender`, `sealed`, `release` | on to the warehouse, and letting go of the log |
//! | `key_index`, `key_file` | which ids are known, in memory and on disk |
//! | `exposure`, `recent` | exposures that the server itself sees |
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
mod config;
mod counters;
#[cfg(test)]
mod disk_failure;
mod door;
mod error;
mod exposure;
mod folder;
mod frame;
mod ingest;
mod key_file;
mod key_index;
mod log;
mod medium;
pub mod native;
mod open;
mod raw_event;
mod receipt;
mod recent;
mod record;
mod release;
mod replay;
mod row_codec;
mod sealed;
mod segment;
mod ticket;
mod writer;

pub use config::{IngestConfig, Limits};
pub use counters::Counters;
pub use error::Error;
pub use exposure::{ExposureSender, Sent, ServedExposure};
pub use ingest::Ingest;
pub use open::OpenReport;
pub use raw_event::{ParsedEvent, RawBody, RawEvent, RawUnit};
pub use receipt::{Receipt, RejectCode, Rejection};
pub use replay::Damage;
