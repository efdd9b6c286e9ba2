//! One conformance suite a port, run on every engine.

mod catalog;
mod warehouse;
