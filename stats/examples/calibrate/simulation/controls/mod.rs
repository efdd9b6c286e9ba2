//! Negative controls: methods known to be wrong, each beside the right one on the same units. A calibration that would
//! not catch them could not be trusted about the rest.

pub mod censored_arm;
pub mod known_cut;
pub mod peeking;
pub mod pooled_stages;
pub mod raw_events;
pub mod request_variance;
pub mod rest_as_control;
pub mod restarted;

/// Whether each method raised its alarm in one run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alarms {
    pub wrong: bool,
    pub right: bool,
}
