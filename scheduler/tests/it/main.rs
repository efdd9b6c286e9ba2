//! Behaviour of the crate, end to end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should fail where it stands")]

mod calibration;
mod canned;
mod commands;
mod decide;
mod end_to_end;
mod laws;
mod lint;
mod races;
mod records;
mod scene;
mod ticks;
mod world;
