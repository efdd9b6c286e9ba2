//! The port `Warehouse`: the definition in examples, the engines against the definition, and what survives a crash.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests, which clippy cannot know")]

#[path = "warehouse/conformance.rs"]
mod conformance;
#[cfg(feature = "parquet")]
#[path = "warehouse/durability.rs"]
mod durability;
#[path = "warehouse/examples.rs"]
mod examples;
#[cfg(feature = "parquet")]
#[path = "warehouse/parity.rs"]
mod parity;
#[cfg(feature = "parquet")]
#[path = "warehouse/stand.rs"]
mod stand;
#[cfg(feature = "parquet")]
#[path = "warehouse/world.rs"]
mod world;
