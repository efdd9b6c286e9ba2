//! The engine of Flagsmith against its published cases, and the laws of its splits.

mod conformance;
mod laws;
mod refusals;
mod rules;
