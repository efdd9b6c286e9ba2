//! Simulated comparisons, unit pair by unit pair: shared by the long calibration and, in a short form, the tests.

pub mod chance;
pub mod clustered;
pub mod controls;
pub mod events;
pub mod family;
pub mod growthbook;
pub mod lift;
pub mod past;
pub mod race;
pub mod ramp;
pub mod rate;
pub mod readout;
pub mod strata;
pub mod verdict;
