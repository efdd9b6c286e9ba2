//! Integration tests of the statistics: outside oracles, laws, calibration.

mod analysis;
mod anytime;
mod bayes;
mod calibration;
mod guardrail;
mod laws;
mod methods;
mod multiplicity;
mod oracle;
mod power;
mod power_laws;
mod rate;
mod references;
mod robustness;
mod special;
mod srm;
