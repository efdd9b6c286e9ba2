//! The door through which ingest asks: which run, stage and arm was this unit in, at that instant?

use crate::Timestamp;

/// What an exposure is stamped with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributed {
    /// The run's number.
    pub run: u64,
    /// The stage at that instant.
    pub stage: u32,
    /// The arm; `None` for a unit that is served but not analysed.
    pub arm: Option<String>,
    /// The unit's bucket, 0 to 99 999.
    pub bucket: u32,
    /// The variation that the run's history assigns. An exposure that claims another one is unattributable.
    pub variation: String,
}

/// Looks units up in the history of runs.
pub trait Attribution: Send + Sync {
    /// The assignment of a unit to the run of `flag` in the environment at `at`; `None` when no run explains it.
    fn attribute(
        &self,
        environment: u64,
        flag: &str,
        unit_type: &str,
        unit_id: &str,
        at: Timestamp,
    ) -> Option<Attributed>;
}
