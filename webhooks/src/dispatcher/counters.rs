//! What came of claims: of one tick, and since the start.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a claim came to.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    /// Answered with success.
    Delivered,
    /// Failed, and due again on the schedule.
    Retried,
    /// Given up.
    Dead,
    /// Not sent: no room, no time left on the lease, or stopping.
    HandedBack,
    /// Somebody else claimed it since; their outcome counts.
    Overtaken,
    /// The catalog was away.
    Unwritten,
}

/// What one tick did.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct TickReport {
    /// Deliveries claimed: the sum of the others.
    pub claimed: u64,
    /// Answered with success.
    pub delivered: u64,
    /// Failed, and due again on the schedule.
    pub retried: u64,
    /// Given up: out of attempts, 410, or the endpoint is gone.
    pub dead: u64,
    /// Claimed but not sent, because the endpoint's lane was full or the lease too short; due again soon.
    pub handed_back: u64,
    /// Claimed by somebody else before the outcome was written.
    pub overtaken: u64,
    /// Outcomes that the catalog could not take; claimed again when their leases end.
    pub unwritten: u64,
}

/// Totals since the start, for metrics.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// What came of all claims.
    pub deliveries: TickReport,
    /// Endpoints disabled because they answered 410.
    pub endpoints_disabled: u64,
}

impl TickReport {
    fn add(&mut self, fate: Fate) {
        let count = match fate {
            Fate::Delivered => &mut self.delivered,
            Fate::Retried => &mut self.retried,
            Fate::Dead => &mut self.dead,
            Fate::HandedBack => &mut self.handed_back,
            Fate::Overtaken => &mut self.overtaken,
            Fate::Unwritten => &mut self.unwritten,
        };
        *count += 1;
    }
}

impl FromIterator<Fate> for TickReport {
    fn from_iter<I: IntoIterator<Item = Fate>>(fates: I) -> Self {
        let mut report = Self::default();
        for fate in fates {
            report.claimed += 1;
            report.add(fate);
        }
        report
    }
}

/// The running totals.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counters>);

impl Tally {
    pub(super) fn claimed(&self, deliveries: usize) {
        self.lock().deliveries.claimed += deliveries as u64;
    }

    pub(super) fn ended(&self, fate: Fate) {
        self.lock().deliveries.add(fate);
    }

    pub(super) fn disabled(&self) {
        self.lock().endpoints_disabled += 1;
    }

    pub(super) fn counters(&self) -> Counters {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
