//! The suites: what is promised, and the worlds it is tried in.

pub mod clustered;
pub mod controls;
pub mod coverage;
pub mod detection;
pub mod families;
pub mod margins;
pub mod models;
pub mod ramp;
pub mod readout;
pub mod type_one;
