//! The binary as users meet it: a real process, real HTTP, real stores.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod api;
mod bad_events;
mod bad_input;
mod command_line;
mod crash;
mod docs;
mod harness;
mod routes;
mod the_loop;
mod tidy;
