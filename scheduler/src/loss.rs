//! The door through which evaluation tells how many exposures it had to drop.

/// Counts exposures that were served and could not be logged.
pub trait ExposureLoss: Send + Sync {
    /// Exposures of a run (its number) in an environment (its number) dropped since this process started.
    fn dropped(&self, environment: u64, run: u64) -> u64;
}

/// Nothing is ever dropped: for tests, and where exposures come only from clients.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLoss;

impl ExposureLoss for NoLoss {
    fn dropped(&self, _environment: u64, _run: u64) -> u64 {
        0
    }
}
