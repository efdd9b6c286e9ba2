//! The engine of Flagsmith against its published cases, and the laws of its splits.

mod conformance;
mod import;
mod laws;
mod refusals;
mod rules;
