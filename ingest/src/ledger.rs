//! The books: what became of every event that this node has accepted, by environment, over restarts. What released
//! segments of the log did is in the checkpoint; what the log still holds is counted again when a node opens.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use liftgate_domain::{EventRow, Timestamp};
use serde::{Deserialize, Serialize};

use crate::counters::Cells;
use crate::prepared::Content;
use crate::record::{Fate, Release};

/// The books of one environment on this node. All but `duplicates` survive restarts, and
/// `accepted = stored + pending + quarantined + discarded + lost` at every instant.
///
/// Two limits. Damage of the log that is found when a node opens is in neither `accepted` nor `lost`: how many events were
/// in it cannot be read; it is reported as [`crate::Damage`]. Events that become unreadable in the log while the node is
/// open are counted as `lost`; after a restart before their segment is released they are such damage, and leave both.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EnvironmentLedger {
    /// Events acknowledged as new: durable here, and counted once.
    pub accepted: u64,
    /// Events acknowledged as repeats, since the node opened.
    pub duplicates: u64,
    /// Events that the warehouse has taken.
    pub stored: u64,
    /// Events that are in the log, on their way to the warehouse.
    pub pending: u64,
    /// Events in quarantine now.
    pub quarantined: u64,
    /// Events that were thrown away on request, or proved to be repeats when they left quarantine.
    pub discarded: u64,
    /// Events whose bytes became unreadable on this node's disk before anything was made of them.
    pub lost: u64,
}

/// What records of the log did to the books of one environment, in events.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counts {
    pub admitted: u64,
    pub held: u64,
    pub replayed: u64,
    pub discarded: u64,
    pub lost: u64,
}

/// What records of the log did to the books.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(BTreeMap<u64, Counts>);

/// Events by environment.
pub(crate) type Events = BTreeMap<u64, u64>;

/// Events on their way to the warehouse.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending {
    pub events: Events,
    /// About when the oldest was received.
    pub oldest: Option<Timestamp>,
}

/// Books kept by environment.
pub(crate) type Ledgers = BTreeMap<u64, EnvironmentLedger>;

/// The books as they are now.
#[derive(Debug, Default)]
pub(crate) struct Books {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ledgers: Ledgers,
    pending: u64,
    oldest_pending: Option<Timestamp>,
}

impl EnvironmentLedger {
    /// Whether everything that was accepted is accounted for.
    pub fn is_balanced(&self) -> bool {
        self.accepted == self.stored + self.pending + self.quarantined + self.discarded + self.lost
    }
}

/// Counts events, each by its first row.
pub(crate) fn events_of(rows: &[EventRow]) -> Events {
    let mut events = Events::new();
    let mut firsts = rows.iter().filter(|row| row.unit_index == 0).map(|row| row.environment).peekable();
    // Neighbours are nearly always of one environment, so the map is seldom asked.
    while let Some(environment) = firsts.next() {
        let mut count = 1;
        while firsts.next_if_eq(&environment).is_some() {
            count += 1;
        }
        *events.entry(environment).or_default() += count;
    }
    events
}

impl Tally {
    pub(crate) fn of(&mut self, environment: u64) -> &mut Counts {
        self.0.entry(environment).or_default()
    }

    pub(crate) fn admit(&mut self, rows: &[EventRow]) {
        for (environment, count) in events_of(rows) {
            self.of(environment).admitted += count;
        }
    }

    /// What one request adds to the log.
    pub(crate) fn append(&mut self, content: &Content) {
        if content.releases.is_empty() {
            self.admit(&content.rows);
        }
        content.held.iter().for_each(|held| self.of(held.environment).held += 1);
        content.releases.iter().for_each(|release| self.release(release));
    }

    /// Adds to the node's counters.
    pub(crate) fn count(&self, cells: &Cells) {
        for counts in self.0.values() {
            cells.accepted.fetch_add(counts.admitted + counts.held, Ordering::Relaxed);
            cells.quarantined.fetch_add(counts.held, Ordering::Relaxed);
            cells.replayed.fetch_add(counts.replayed, Ordering::Relaxed);
            cells.discarded.fetch_add(counts.discarded, Ordering::Relaxed);
        }
    }

    /// An event, by its rows, has gone into quarantine.
    pub(crate) fn hold(&mut self, rows: &[EventRow]) {
        if let Some(row) = rows.first() {
            self.of(row.environment).held += 1;
        }
    }

    /// Events have left quarantine.
    pub(crate) fn release(&mut self, release: &Release) {
        let counts = self.of(release.environment);
        let count = release.ids.len() as u64;
        match release.fate {
            Fate::Replayed => counts.replayed += count,
            Fate::Discarded => counts.discarded += count,
        }
    }

    pub(crate) fn lose(&mut self, events: &Events) {
        for (environment, count) in events {
            self.of(*environment).lost += count;
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (environment, counts) in &other.0 {
            let into = self.of(*environment);
            into.admitted += counts.admitted;
            into.held += counts.held;
            into.replayed += counts.replayed;
            into.discarded += counts.discarded;
            into.lost += counts.lost;
        }
    }

    /// Adds records whose rows the warehouse has.
    pub(crate) fn settle(&self, ledgers: &mut Ledgers) {
        for (environment, counts) in &self.0 {
            let ledger = ledgers.entry(*environment).or_default();
            ledger.accepted += counts.admitted + counts.held;
            // What left quarantine without ever having entered it by these books, because a checkpoint is gone, was
            // accepted all the same.
            let left = counts.replayed + counts.discarded;
            ledger.accepted += left.saturating_sub(ledger.quarantined + counts.held);
            ledger.stored = (ledger.stored + counts.admitted + counts.replayed).saturating_sub(counts.lost);
            ledger.quarantined = (ledger.quarantined + counts.held).saturating_sub(left);
            ledger.discarded += counts.discarded;
            ledger.lost += counts.lost;
        }
    }
}

impl Books {
    /// The books of a node that opens: what the checkpoint says, then what the log has done since, of which `pending` is
    /// still to be stored. What is missing in quarantine has been lost.
    pub(crate) fn open(checkpoint: &Ledgers, log: &Tally, pending: &Pending, quarantined: &Events) -> Self {
        let mut ledgers = checkpoint.clone();
        log.settle(&mut ledgers);
        for environment in pending.events.keys().chain(quarantined.keys()) {
            ledgers.entry(*environment).or_default();
        }
        for (environment, ledger) in &mut ledgers {
            let found = |events: &Events| events.get(environment).copied().unwrap_or(0);
            ledger.duplicates = 0;
            ledger.pending = found(&pending.events);
            // With a checkpoint that is gone, what is there is all that is known to have been accepted.
            ledger.accepted += ledger.pending.saturating_sub(ledger.stored);
            ledger.stored = ledger.stored.saturating_sub(ledger.pending);
            let held = found(quarantined);
            ledger.accepted += held.saturating_sub(ledger.quarantined);
            ledger.lost += ledger.quarantined.saturating_sub(held);
            ledger.quarantined = held;
        }
        let state = State { pending: pending.events.values().sum(), ledgers, oldest_pending: pending.oldest };
        Self { state: Mutex::new(state) }
    }

    /// Records of the log, the last stamped `stamp`, have become durable.
    pub(crate) fn commit(&self, tally: &Tally, stamp: Timestamp) {
        let mut state = self.lock();
        for (environment, counts) in &tally.0 {
            let coming = counts.admitted + counts.replayed;
            if state.pending == 0 && coming > 0 {
                state.oldest_pending = Some(stamp);
            }
            state.pending += coming;
            let ledger = state.ledgers.entry(*environment).or_default();
            ledger.accepted += counts.admitted + counts.held;
            ledger.pending += coming;
            ledger.quarantined = (ledger.quarantined + counts.held).saturating_sub(counts.replayed + counts.discarded);
            ledger.discarded += counts.discarded;
        }
    }

    /// The warehouse has a batch of `pending` events received up to `through`; `lost` of them could no longer be read.
    pub(crate) fn store(&self, pending: &Events, lost: &Events, through: Timestamp) {
        let mut state = self.lock();
        for (environment, count) in pending {
            let lost = lost.get(environment).copied().unwrap_or(0);
            state.pending = state.pending.saturating_sub(*count);
            let ledger = state.ledgers.entry(*environment).or_default();
            ledger.pending = ledger.pending.saturating_sub(*count);
            ledger.stored += count.saturating_sub(lost);
            ledger.lost += lost;
        }
        // What is left was received after it.
        state.oldest_pending = if state.pending == 0 { None } else { state.oldest_pending.max(Some(through)) };
    }

    pub(crate) fn repeat(&self, environment: u64, count: u64) {
        self.lock().ledgers.entry(environment).or_default().duplicates += count;
    }

    pub(crate) fn read(&self) -> Ledgers {
        self.lock().ledgers.clone()
    }

    /// How many events are not yet stored, and about when the oldest of them was received.
    pub(crate) fn pending(&self) -> (u64, Option<Timestamp>) {
        let state = self.lock();
        (state.pending, state.oldest_pending)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Sums of whole numbers: a panic elsewhere leaves them as whole as before.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
