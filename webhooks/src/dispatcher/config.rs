//! The dispatcher's settings.

use crate::Error;
use crate::guard::AllowList;

/// How the dispatcher works; the defaults suit one node.
#[derive(Clone, Debug)]
pub struct DispatcherConfig {
    /// What webhooks may reach although it is not public.
    pub allow: AllowList,
    /// The longest wait for an answer; chat targets get at most 5 000.
    pub request_timeout_ms: u64,
    /// How long a claim holds. Longer than the request timeout.
    pub lease_ms: i64,
    /// Requests at a time over all endpoints; failing endpoints share a quarter as many beside it.
    pub concurrency: usize,
    /// How often the catalog is asked for what has become due.
    pub poll_ms: u64,
}

impl Default for DispatcherConfig {
    fn default() -> Self {
        Self {
            allow: AllowList::default(),
            request_timeout_ms: 15_000,
            lease_ms: 30_000,
            concurrency: 16,
            poll_ms: 200,
        }
    }
}

impl DispatcherConfig {
    /// Refuses what cannot work.
    pub(super) fn check(&self) -> Result<(), Error> {
        let lease_ms = u64::try_from(self.lease_ms).unwrap_or(0);
        if self.request_timeout_ms == 0 || lease_ms <= self.request_timeout_ms {
            return Err(Error::Config(format!(
                "`request_timeout_ms` must be positive and shorter than `lease_ms`: {} and {}",
                self.request_timeout_ms, self.lease_ms
            )));
        }
        if self.concurrency == 0 || self.poll_ms == 0 {
            return Err(Error::Config("`concurrency` and `poll_ms` must be positive".to_owned()));
        }
        Ok(())
    }
}
