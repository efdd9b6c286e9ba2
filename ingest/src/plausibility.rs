//! Which times of events are believed: not before retention begins, not more than a day ahead of this node's clock.

use liftgate_domain::Timestamp;

use crate::quarantine::{Doubt, QuarantineReason};

/// How far ahead of this node's clock an event may be.
const AHEAD_MAX_MS: i64 = 86_400_000;

/// The bounds at one instant.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Plausibility {
    earliest: Timestamp,
    latest: Timestamp,
}

impl Plausibility {
    pub(crate) fn at(now: Timestamp, retention_ms: i64) -> Self {
        Self { earliest: now.plus_millis(-retention_ms), latest: now.plus_millis(AHEAD_MAX_MS) }
    }

    /// What is wrong with an event's times. Both count: the corrected one is what is analysed, the one that was sent is
    /// what the warehouse files the event under.
    pub(crate) fn doubt(&self, ts: Timestamp, ts_client: Timestamp) -> Option<Doubt> {
        if ts.min(ts_client) < self.earliest {
            Some(Doubt { reason: QuarantineReason::TimestampTooOld, limit: self.earliest })
        } else if ts.max(ts_client) > self.latest {
            Some(Doubt { reason: QuarantineReason::TimestampInFuture, limit: self.latest })
        } else {
            None
        }
    }
}
