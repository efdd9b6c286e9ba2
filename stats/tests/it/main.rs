//! Integration tests of the statistics: outside oracles, laws, calibration.

mod calibration;
mod guardrail;
mod laws;
mod methods;
mod oracle;
mod robustness;
mod special;
