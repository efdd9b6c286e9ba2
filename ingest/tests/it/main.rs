//! Behaviour of the crate, end to end.

#![allow(clippy::unwrap_used, reason = "a helper of a test may panic like the test itself")]

mod admitting;
mod damage;
mod exposures;
mod failpoints;
mod file_warehouse;
mod flagsmith_events;
mod laws;
mod ledger;
mod low_disk;
mod node;
mod parsing;
mod payload_fuzz;
mod quarantine;
mod releasing;
mod restarting;
mod segment_api;
mod warehouse;
mod watermark;
