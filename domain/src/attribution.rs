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

/// A unit that a client says it showed a flag to.
#[derive(Copy, Clone, Debug)]
pub struct Sighting<'s> {
    /// The environment's number.
    pub environment: u64,
    /// The flag.
    pub flag: &'s str,
    /// The unit's type.
    pub unit_type: &'s str,
    /// The unit's id.
    pub unit_id: &'s str,
    /// When.
    pub at: Timestamp,
    /// The run that the client was told when it asked for the flag: the unit then had matched the run's rule.
    pub told_run: Option<u64>,
}

/// Looks units up in the history of runs.
pub trait Attribution: Send + Sync {
    /// The assignment of a unit to the run of the flag at that time; `None` when no run explains it.
    fn attribute(&self, sighting: &Sighting<'_>) -> Option<Attributed>;
}
