//! The door through which evaluation tells how many exposures it had to drop.

/// Counts exposures that were served and could not be logged.
pub trait ExposureLoss: Send + Sync {
    /// Exposures of the flag in the environment (its number) dropped since the flag's current run started, or since this
    /// process did, whichever is later.
    fn dropped(&self, environment: u64, flag: &str) -> u64;
}

/// Nothing is ever dropped: for tests, and where exposures come only from clients.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLoss;

impl ExposureLoss for NoLoss {
    fn dropped(&self, _environment: u64, _flag: &str) -> u64 {
        0
    }
}
