//! Behaviour of the crate, end to end.

#![allow(clippy::unwrap_used, reason = "a test may stop where it fails, in its scenery too")]

mod crash;
mod delivery;
mod golden;
mod guard;
mod official;
mod receiver;
mod running;
mod signature;
mod world;
