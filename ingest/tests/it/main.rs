//! Behaviour of the crate, end to end.

#![allow(clippy::unwrap_used, reason = "a helper of a test may panic like the test itself")]

mod admitting;
mod damage;
mod exposures;
mod laws;
mod node;
mod parsing;
mod releasing;
mod restarting;
mod warehouse;
mod watermark;
