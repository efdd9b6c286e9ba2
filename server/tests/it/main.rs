//! The binary as users meet it: a real process, real HTTP, real stores.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod analyze;
mod api;
mod bad_events;
mod bad_input;
mod clickhouse;
mod clickhouse_server;
mod clients;
mod command_line;
mod crash;
mod docs;
mod explain;
mod exposures;
mod flagsmith;
mod formats;
mod gatekeeper;
mod harness;
mod import;
mod in_process;
mod kills;
mod live;
mod moving_on;
mod notebooks;
mod ofrep;
mod poison;
#[path = "../../../store/tests/it/catalog/postgres.rs"]
mod postgres;
mod pressure;
mod quarantine;
mod results;
mod routes;
mod sdks;
mod segment;
mod the_loop;
mod tidy;
