//! Events leave quarantine: replayed into the log, which hands them to the warehouse like any other, or discarded. The
//! record that makes them rows is the one that takes them out, so that a crash leaves them in one place.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::admission;
use crate::keys;
use crate::prepared::{Leaving, Prepared};
use crate::quarantine::page::{self, QuarantinedEvent};
use crate::quarantine::{Held, QuarantineFilter, QuarantineId, QuarantinePage, QuarantineReason};
use crate::record::{Fate, Release};
use crate::segment::Segments;
use crate::{Error, Ingest};

/// The most events that leave together: they share a record.
const CHUNK: usize = 500;
/// As many bytes as they have in quarantine, unless a single one has more. Far below what a record may have.
const CHUNK_BYTES: u64 = 8 << 20;

/// Which events are to leave.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuarantineSelection {
    /// These. Ids that are not in quarantine (any more) are passed over.
    Ids(BTreeSet<QuarantineId>),
    /// All that are there for this reason when it begins.
    Reason(QuarantineReason),
    /// All that are there when it begins.
    All,
}

/// Which time replayed events have.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayTime {
    /// Their own. Those that are still not believed stay.
    #[default]
    AsSent,
    /// The instant at which this node received them.
    ReceivedAt,
}

/// What became of the events of a replay.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// They are on their way to the warehouse, durably.
    pub replayed: u64,
    /// They are still not believed, or a repeat of them is just being written; they stay in quarantine.
    pub still_refused: u64,
    /// Their bytes cannot be read any more. They stay in quarantine, until they are discarded.
    pub unreadable: u64,
    /// They were accepted once more after the deduplication window had passed, so they were discarded.
    pub duplicates: u64,
}

/// What became of the events that were discarded.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Discarded {
    /// They are gone.
    pub discarded: u64,
}

/// Walks over a selection, a chunk at a time.
struct Walk {
    environment: u64,
    selection: QuarantineSelection,
    after: Option<QuarantineId>,
    /// What comes in later is left for another walk, so that this one ends.
    last: Option<QuarantineId>,
}

impl Walk {
    fn new(environment: u64, selection: QuarantineSelection, held: &Held) -> Self {
        Self { environment, selection, after: None, last: held.last(environment) }
    }

    fn next(&mut self, held: &Held) -> Vec<QuarantineId> {
        let mut ids: Vec<QuarantineId> = match &self.selection {
            QuarantineSelection::Ids(ids) => {
                let from = self.after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
                let rest = ids.range((from, std::ops::Bound::Unbounded));
                rest.filter(|id| held.contains(self.environment, **id)).take(CHUNK).copied().collect()
            }
            QuarantineSelection::Reason(reason) => held.list(self.environment, self.after, Some(*reason), CHUNK),
            QuarantineSelection::All => held.list(self.environment, self.after, None, CHUNK),
        };
        ids.retain(|id| Some(*id) <= self.last);
        ids.truncate(held.count_within(self.environment, &ids, CHUNK_BYTES).max(1));
        self.after = ids.last().copied().or(self.after);
        ids
    }
}

impl Ingest {
    /// The events of an environment that are in quarantine, in order of arrival.
    ///
    /// # Errors
    /// [`Error::Disk`] when they cannot be read.
    pub async fn quarantined(&self, environment: u64, filter: QuarantineFilter) -> Result<QuarantinePage, Error> {
        let limit = filter.limit();
        let desk = self.desk();
        let mut ids = desk.held.list(environment, filter.after, filter.reason, limit + 1);
        let has_more = ids.len() > limit;
        ids.truncate(limit);
        let next = ids.last().copied().filter(|_| has_more);
        let events = desk.read(ids).await?;
        Ok(QuarantinePage { events, next })
    }

    /// Hands events of quarantine to the warehouse, exactly once. Attribution looks at them again. Goes on to its end even
    /// when nobody waits for the answer any more.
    ///
    /// # Errors
    /// As of [`Ingest::admit`]. After an error some may have been replayed; the others are still in quarantine.
    pub async fn replay(
        &self,
        environment: u64,
        selection: QuarantineSelection,
        time: ReplayTime,
    ) -> Result<Replayed, Error> {
        self.in_turn(|ingest| async move { ingest.replay_in_turn(environment, selection, time).await }).await
    }

    /// Throws events of quarantine away. Their ids stay known, so that they do not come in again within the window. Goes
    /// on to its end even when nobody waits for the answer any more.
    ///
    /// # Errors
    /// As of [`Ingest::admit`]. After an error some may have been discarded; the others are still in quarantine.
    pub async fn discard(&self, environment: u64, selection: QuarantineSelection) -> Result<Discarded, Error> {
        self.in_turn(|ingest| async move { ingest.discard_in_turn(environment, selection).await }).await
    }

    /// Does something to quarantine while nothing else does. A task of its own has the turn: a caller that goes away
    /// would otherwise give it back while its write, which nobody can call back, still takes events out.
    async fn in_turn<T, Work>(&self, work: impl FnOnce(Self) -> Work) -> Result<T, Error>
    where
        T: Send + 'static,
        Work: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let turn = Arc::clone(&self.desk().turn).lock_owned().await;
        let work = work(self.clone());
        let task = tokio::spawn(async move {
            let _turn = turn;
            work.await
        });
        task.await.map_err(|_| Error::Closed)?
    }

    async fn replay_in_turn(
        &self,
        environment: u64,
        selection: QuarantineSelection,
        time: ReplayTime,
    ) -> Result<Replayed, Error> {
        let desk = self.desk();
        let mut walk = Walk::new(environment, selection, &desk.held);
        let mut outcome = Replayed::default();
        loop {
            let ids = walk.next(&desk.held);
            if ids.is_empty() {
                return Ok(outcome);
            }
            let count = ids.len();
            let events = desk.read(ids).await?;
            outcome.unreadable += (count - events.len()) as u64;
            let (prepared, refused) = self.prepare_replay(events, time);
            outcome.still_refused += refused;
            if prepared.is_empty() {
                continue;
            }
            self.check_gate()?;
            let sent = prepared.keys.len();
            let mut entered = self.enter(prepared).await?;
            entered.durable().await?;
            outcome.replayed += entered.accepted as u64;
            outcome.duplicates += entered.discarded as u64;
            outcome.still_refused += (sent - entered.accepted - entered.discarded) as u64;
        }
    }

    async fn discard_in_turn(&self, environment: u64, selection: QuarantineSelection) -> Result<Discarded, Error> {
        let desk = self.desk();
        let mut walk = Walk::new(environment, selection, &desk.held);
        let mut outcome = Discarded::default();
        loop {
            let ids = walk.next(&desk.held);
            if ids.is_empty() {
                return Ok(outcome);
            }
            let count = ids.len() as u64;
            let mut prepared = Prepared::default();
            prepared.content.releases.push(Release { environment, fate: Fate::Discarded, ids });
            self.enter(prepared).await?.durable().await?;
            outcome.discarded += count;
        }
    }

    /// The events that are believed now, and how many are not.
    fn prepare_replay(&self, events: Vec<QuarantinedEvent>, time: ReplayTime) -> (Prepared, u64) {
        let plausibility = self.plausibility();
        let (mut prepared, mut refused) = (Prepared::default(), 0);
        for mut event in events {
            if time == ReplayTime::ReceivedAt {
                for row in &mut event.rows {
                    (row.ts, row.ts_client) = (row.received_at, row.received_at);
                }
            }
            let is_doubted = event.rows.first().is_none_or(|row| plausibility.doubt(row.ts, row.ts_client).is_some());
            if is_doubted {
                refused += 1;
                continue;
            }
            let leaving = Leaving { id: event.id, day: keys::day_of(event.received_at) };
            let rows = event.rows.into_iter().map(|mut row| {
                admission::attribute(self.attribution(), &mut row);
                row
            });
            prepared.push_leaving(leaving, rows);
        }
        (prepared, refused)
    }
}

/// What works on quarantine.
pub(crate) struct Desk {
    pub held: Arc<Held>,
    pub log: Arc<Segments>,
    /// Events leave in turn, so that none leaves twice.
    pub turn: Arc<tokio::sync::Mutex<()>>,
}

impl Desk {
    async fn read(&self, ids: Vec<QuarantineId>) -> Result<Vec<QuarantinedEvent>, Error> {
        let (held, log) = (Arc::clone(&self.held), Arc::clone(&self.log));
        let read = tokio::task::spawn_blocking(move || page::read(&held, &log, &ids)).await;
        read.map_err(|_| Error::Closed)?
    }
}
