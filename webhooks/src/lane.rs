//! Keeps endpoints apart: each has a lane with few places, and one that keeps failing has fewer still and shares a
//! small pool of sends with its like, so that however many are dead, the healthy ones do not wait for them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use liftgate_domain::{Key, Scope};
use tokio::sync::{Semaphore, SemaphorePermit};

/// The most requests to one endpoint at a time.
const SENDS_PER_LANE: usize = 4;
/// The most claimed deliveries that wait in one lane.
const ROOM_HEALTHY: usize = 128;
/// Likewise, while the endpoint keeps failing.
const ROOM_FAILING: usize = 4;
/// After this many failures in a row an endpoint counts as failing; one success ends it.
const FAILURES_FAILING: u32 = 3;
/// When a delivery that found no room is due again.
const AGAIN_HEALTHY_MS: i64 = 500;
/// Likewise, while the endpoint keeps failing.
const AGAIN_FAILING_MS: i64 = 30_000;
/// The most lanes that are remembered; beyond it, those without deliveries are forgotten.
const LANES_MAX: usize = 4_096;

/// The lanes of all endpoints, and the sends that they share.
pub(crate) struct Lanes {
    lanes: Mutex<HashMap<(Scope, Key), Arc<Lane>>>,
    sends: Semaphore,
    probes: Semaphore,
}

struct Lane {
    sends: Semaphore,
    inside: AtomicUsize,
    failures_in_a_row: AtomicU32,
}

/// A claimed delivery's place in its endpoint's lane, given up when dropped.
pub(crate) struct Place<'a> {
    lane: Arc<Lane>,
    lanes: &'a Lanes,
}

/// The right to send now.
pub(crate) struct Turn<'a> {
    _in_lane: SemaphorePermit<'a>,
    _among_all: SemaphorePermit<'a>,
}

impl Lanes {
    /// Lanes that share `concurrency` sends, and a quarter as many for failing endpoints.
    pub(crate) fn new(concurrency: usize) -> Self {
        Self {
            lanes: Mutex::default(),
            sends: Semaphore::new(concurrency.max(1)),
            probes: Semaphore::new((concurrency / 4).max(1)),
        }
    }

    /// Enters an endpoint's lane; the milliseconds to come back after when it is full.
    pub(crate) fn enter(&self, scope: &Scope, endpoint: &Key) -> Result<Place<'_>, i64> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() >= LANES_MAX {
            lanes.retain(|_, lane| lane.inside.load(Ordering::Relaxed) > 0);
        }
        let lane = lanes.entry((scope.clone(), endpoint.clone())).or_insert_with(|| {
            Arc::new(Lane {
                sends: Semaphore::new(SENDS_PER_LANE),
                inside: AtomicUsize::new(0),
                failures_in_a_row: AtomicU32::new(0),
            })
        });
        let (room, again_ms) =
            if lane.is_failing() { (ROOM_FAILING, AGAIN_FAILING_MS) } else { (ROOM_HEALTHY, AGAIN_HEALTHY_MS) };
        // Only entered under the lock, so that two cannot take the last place.
        if lane.inside.load(Ordering::Relaxed) >= room {
            return Err(again_ms);
        }
        lane.inside.fetch_add(1, Ordering::Relaxed);
        Ok(Place { lane: lane.clone(), lanes: self })
    }
}

impl Lane {
    fn is_failing(&self) -> bool {
        self.failures_in_a_row.load(Ordering::Relaxed) >= FAILURES_FAILING
    }
}

impl Place<'_> {
    /// Waits for a turn: first in the lane, then among all, so that a waiting lane holds nothing that others need.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        let in_lane = self.lane.sends.acquire().await.expect("the semaphore is never closed");
        let shared = if self.lane.is_failing() { &self.lanes.probes } else { &self.lanes.sends };
        let among_all = shared.acquire().await.expect("the semaphore is never closed");
        Turn { _in_lane: in_lane, _among_all: among_all }
    }

    /// Notes that the endpoint took a delivery.
    pub(crate) fn succeeded(&self) {
        self.lane.failures_in_a_row.store(0, Ordering::Relaxed);
    }

    /// Notes that it did not.
    pub(crate) fn failed(&self) {
        self.lane.failures_in_a_row.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.lane.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    fn key(text: &str) -> Key {
        Key::new(text).unwrap()
    }

    #[test]
    fn one_endpoint_never_has_more_than_its_sends() {
        let (lanes, scope) = (Lanes::new(16), Scope::organization());
        let places: Vec<_> = (0..5).map(|_| lanes.enter(&scope, &key("a")).ok().unwrap()).collect();
        let turns: Vec<_> = places.iter().map(|place| place.turn().now_or_never()).collect();
        assert_eq!(turns.iter().filter(|turn| turn.is_some()).count(), SENDS_PER_LANE);
        let other = lanes.enter(&scope, &key("b")).ok().unwrap();
        assert!(other.turn().now_or_never().is_some());
    }

    #[test]
    fn any_number_of_failing_endpoints_leaves_the_healthy_their_sends() {
        let (lanes, scope) = (Lanes::new(4), Scope::organization());
        let dead: Vec<_> = (0..50).map(|n| lanes.enter(&scope, &key(&format!("dead-{n}"))).ok().unwrap()).collect();
        for place in &dead {
            (0..FAILURES_FAILING).for_each(|_| place.failed());
        }
        let turns: Vec<_> = dead.iter().filter_map(|place| place.turn().now_or_never()).collect();
        assert_eq!(turns.len(), 1, "a quarter of the sends");
        let healthy = lanes.enter(&scope, &key("healthy")).ok().unwrap();
        assert!(healthy.turn().now_or_never().is_some());
    }

    #[test]
    fn a_full_lane_says_when_to_come_back_and_one_success_heals_it() {
        let (lanes, scope) = (Lanes::new(4), Scope::organization());
        let mut places: Vec<_> = (0..ROOM_HEALTHY).map(|_| lanes.enter(&scope, &key("a")).ok().unwrap()).collect();
        assert_eq!(lanes.enter(&scope, &key("a")).err(), Some(AGAIN_HEALTHY_MS));
        (0..FAILURES_FAILING).for_each(|_| places[0].failed());
        places.truncate(ROOM_FAILING);
        assert_eq!(lanes.enter(&scope, &key("a")).err(), Some(AGAIN_FAILING_MS));
        places[0].succeeded();
        assert!(lanes.enter(&scope, &key("a")).is_ok());
    }
}
