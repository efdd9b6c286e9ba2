//! Refuses calls for a while after several failures in a row, so that nobody waits for a server that is away. Pure: the
//! time comes in as an argument, and nothing here knows what is called.

use liftgate_domain::Timestamp;
use serde::Serialize;

/// What a breaker does with the next call.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Lets every call through.
    Closed,
    /// Refuses.
    Open,
    /// Lets one call through, whose outcome decides.
    HalfOpen,
}

/// Counts failures in a row.
#[derive(Debug)]
pub(super) struct Breaker {
    failures_max: u32,
    pause_ms: i64,
    failures: u32,
    opened: u64,
    refuses: Option<Refusal>,
}

#[derive(Copy, Clone, Debug)]
struct Refusal {
    since: Timestamp,
    /// A call is on its way that decides. It counts as lost after a further pause, should it never report.
    probe_since: Option<Timestamp>,
}

impl Breaker {
    /// Opens after `failures_max` failures in a row, for `pause_ms` milliseconds.
    pub(super) fn new(failures_max: u32, pause_ms: i64) -> Self {
        Self { failures_max, pause_ms, failures: 0, opened: 0, refuses: None }
    }

    /// Whether a call may be made; whoever is let through must report with [`Breaker::succeeded`] or
    /// [`Breaker::failed`].
    pub(super) fn admits(&mut self, now: Timestamp) -> bool {
        let pause_ms = self.pause_ms;
        let Some(refusal) = &mut self.refuses else {
            return true;
        };
        if refusal.probe_since.is_some_and(|since| is_within(now, since, pause_ms))
            || is_within(now, refusal.since, pause_ms)
        {
            return false;
        }
        refusal.probe_since = Some(now);
        true
    }

    /// A call went well.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.refuses = None;
    }

    /// A call failed.
    pub(super) fn failed(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.failures_max {
            self.opened += u64::from(self.refuses.is_none());
            self.refuses = Some(Refusal { since: now, probe_since: None });
        }
    }

    /// What it does with a call now.
    pub(super) fn state(&self, now: Timestamp) -> BreakerState {
        match self.refuses {
            None => BreakerState::Closed,
            Some(refusal) if is_within(now, refusal.since, self.pause_ms) => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }

    /// Failures since the last success.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// How often it has opened.
    pub(super) fn opened(&self) -> u64 {
        self.opened
    }
}

/// Whether the pause that began at `since` is not over. A clock that went back ends it: nobody knows how long it would be.
fn is_within(now: Timestamp, since: Timestamp, pause_ms: i64) -> bool {
    now >= since && now < since.plus_millis(pause_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp(ms * 1_000)
    }

    #[test]
    fn opens_after_failures_in_a_row_and_lets_one_call_decide() {
        let mut breaker = Breaker::new(3, 60_000);
        for _ in 0..2 {
            assert!(breaker.admits(at(0)));
            breaker.failed(at(0));
        }
        breaker.succeeded();
        for _ in 0..3 {
            assert!(breaker.admits(at(1)), "a success starts the count anew");
            breaker.failed(at(1));
        }
        assert_eq!((breaker.state(at(2)), breaker.admits(at(60_000))), (BreakerState::Open, false));
        assert_eq!(breaker.state(at(60_001)), BreakerState::HalfOpen);
        assert!(breaker.admits(at(60_001)));
        assert!(!breaker.admits(at(60_002)), "one call decides, the others wait");
        breaker.failed(at(61_000));
        assert_eq!((breaker.state(at(61_000)), breaker.admits(at(121_000 - 1))), (BreakerState::Open, false));
        assert!(breaker.admits(at(121_000)));
        breaker.succeeded();
        assert_eq!((breaker.state(at(121_000)), breaker.failures(), breaker.opened()), (BreakerState::Closed, 0, 1));
        assert!(breaker.admits(at(121_000)) && breaker.admits(at(121_000)));
    }

    #[test]
    fn a_call_that_never_reports_does_not_keep_it_shut_for_ever() {
        let mut breaker = Breaker::new(1, 1_000);
        breaker.failed(at(0));
        assert!(breaker.admits(at(1_000)));
        assert!(!breaker.admits(at(1_999)));
        assert!(breaker.admits(at(2_000)));
    }

    #[test]
    fn a_clock_that_goes_back_ends_the_pause_instead_of_making_it_hours() {
        let mut breaker = Breaker::new(1, 1_000);
        breaker.failed(at(5_000));
        assert!(!breaker.admits(at(5_999)));
        assert!(breaker.admits(at(0)));
        breaker.failed(at(0));
        assert!(!breaker.admits(at(999)), "and from then on it is measured by the corrected clock");
        assert!(breaker.admits(at(1_000)));
    }
}
