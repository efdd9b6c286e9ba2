//! Which events are in quarantine, in memory, and where the rest of them is on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use liftgate_domain::failpoint;

use crate::Error;
use crate::folder::Folder;
use crate::ledger::Events;
use crate::quarantine::entry::{Entry, QuarantineId, QuarantineReason};
use crate::quarantine::file::{self, QuarantineFile, Records};
use crate::quarantine::room::{Charge, Room};
use crate::record::Release;
use crate::replay::Damage;
use crate::row_codec;
use crate::segment::Segments;

/// How often a record is looked for: it may move from the log to a file meanwhile.
const READ_ATTEMPTS: u32 = 3;

/// An event in quarantine, as much as memory holds of it.
#[derive(Copy, Clone, Debug)]
struct Known {
    reason: QuarantineReason,
    charge_bytes: u32,
}

/// All events in quarantine.
#[derive(Debug)]
pub(crate) struct Held {
    room: Arc<Room>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By environment, then in order of arrival.
    events: BTreeMap<(u64, QuarantineId), Known>,
    files: Vec<QuarantineFile>,
}

impl Held {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { room: Room::new(bytes_max), state: Mutex::default() }
    }

    /// Reads the quarantine files of a folder; answers what was damaged, and the last record that any may have.
    pub(crate) fn load(&self, folder: &Folder) -> Result<(Vec<Damage>, u64), Error> {
        let (mut damage, mut last) = (Vec::new(), 0);
        for file in file::list(folder)? {
            let (records, mut damaged) = file.load(folder)?;
            damage.append(&mut damaged);
            last = last.max(file.last);
            for (number, (_, entries)) in records {
                self.find(number, &entries);
            }
            self.lock().files.push(file);
        }
        Ok((damage, last))
    }

    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// Events of a record that was read from disk.
    pub(crate) fn find(&self, record: u64, entries: &[Entry]) {
        let mut encoded = Vec::new();
        for entry in entries {
            encoded.clear();
            entry.rows.iter().for_each(|row| row_codec::encode(row, &mut encoded));
            let Some(environment) = entry.rows.first().map(|row| row.environment) else {
                continue;
            };
            let id = QuarantineId { record, position: entry.position };
            self.insert(environment, id, entry.doubt.reason, self.room.charge_found(encoded.len()));
        }
    }

    /// An event has become durable in quarantine.
    pub(crate) fn insert(&self, environment: u64, id: QuarantineId, reason: QuarantineReason, charge: Charge) {
        let mut state = self.lock();
        // The same event may be in the log and in a file; it is charged for once.
        if let std::collections::btree_map::Entry::Vacant(vacant) = state.events.entry((environment, id)) {
            vacant.insert(Known { reason, charge_bytes: charge.keep() });
        }
    }

    /// Events have left, durably.
    pub(crate) fn remove(&self, release: &Release) {
        let mut state = self.lock();
        for id in &release.ids {
            if let Some(known) = state.events.remove(&(release.environment, *id)) {
                self.room.give_back(known.charge_bytes);
            }
        }
    }

    /// Those that are in quarantine behind `after`, in order.
    pub(crate) fn list(
        &self,
        environment: u64,
        after: Option<QuarantineId>,
        reason: Option<QuarantineReason>,
        limit: usize,
    ) -> Vec<QuarantineId> {
        let from = after.map_or(std::ops::Bound::Included((environment, QuarantineId::default())), |after| {
            std::ops::Bound::Excluded((environment, after))
        });
        let state = self.lock();
        let all = state.events.range((from, std::ops::Bound::Unbounded));
        all.take_while(|((of, _), _)| *of == environment)
            .filter(|(_, known)| reason.is_none_or(|reason| known.reason == reason))
            .take(limit)
            .map(|((_, id), _)| *id)
            .collect()
    }

    pub(crate) fn contains(&self, environment: u64, id: QuarantineId) -> bool {
        self.lock().events.contains_key(&(environment, id))
    }

    /// The last one that came in.
    pub(crate) fn last(&self, environment: u64) -> Option<QuarantineId> {
        let end = QuarantineId { record: u64::MAX, position: u32::MAX };
        let state = self.lock();
        let mut all = state.events.range((environment, QuarantineId::default())..=(environment, end));
        all.next_back().map(|((_, id), _)| *id)
    }

    /// How many of these events, from the first on, take at most so many bytes together.
    pub(crate) fn count_within(&self, environment: u64, ids: &[QuarantineId], bytes_max: u64) -> usize {
        let state = self.lock();
        let mut bytes = 0;
        let fits = |id: &&QuarantineId| {
            bytes += state.events.get(&(environment, **id)).map_or(0, |known| u64::from(known.charge_bytes));
            bytes <= bytes_max
        };
        ids.iter().take_while(fits).count()
    }

    pub(crate) fn counts(&self) -> Events {
        let mut events = Events::new();
        for (environment, _) in self.lock().events.keys() {
            *events.entry(*environment).or_default() += 1;
        }
        events
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().events.len()
    }

    /// Reads the records, from files or from the log. Those of which everything has left may be missing.
    pub(crate) fn read(&self, records: &BTreeSet<u64>, log: &Segments) -> Result<Records, Error> {
        let mut missing = records.clone();
        let mut found = Records::new();
        for _ in 0..READ_ATTEMPTS {
            let files = self.lock().files.clone();
            for file in files {
                if missing.range(file.first..=file.last).next().is_some() {
                    found.extend(file.read()?.into_iter().filter(|(number, _)| missing.contains(number)));
                }
            }
            missing.retain(|number| !found.contains_key(number));
            found.extend(log.read_held(&missing)?);
            missing.retain(|number| !found.contains_key(number));
            if missing.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    /// Takes over what a segment that is about to be deleted holds: `records` of its own, and the releases in it of
    /// events of the records `released`, which files may have. Durable once this returns.
    pub(crate) fn take_over(
        &self,
        folder: &Folder,
        mut records: Records,
        released: &BTreeSet<u64>,
    ) -> Result<(), Error> {
        let files = self.lock().files.clone();
        for file in files {
            if released.range(file.first..=file.last).next().is_none() {
                continue;
            }
            // Damage would be lost with the rest of the old file.
            let (mut kept, damage) = file.load(folder)?;
            for damage in damage {
                tracing::error!(file = %damage.file.display(), offset = damage.offset, bytes = damage.bytes,
                    moved_to = %damage.moved_to.display(), "A part of a quarantine file is damaged and was moved aside.");
            }
            self.retain_held(&mut kept);
            file.write(&kept)?;
            failpoint::hit("ingest.quarantine_file_rewritten");
            if kept.is_empty() {
                self.lock().files.retain(|other| *other != file);
            }
        }
        self.retain_held(&mut records);
        let (Some((first, _)), Some((last, _))) = (records.first_key_value(), records.last_key_value()) else {
            return Ok(());
        };
        let file = QuarantineFile::new(folder, *first, *last);
        file.write(&records)?;
        let mut state = self.lock();
        // It is there already when a release was interrupted after it was written.
        if !state.files.contains(&file) {
            state.files.push(file);
        }
        Ok(())
    }

    fn retain_held(&self, records: &mut Records) {
        let state = self.lock();
        for (number, (_, entries)) in records.iter_mut() {
            entries.retain(|entry| {
                let environment = entry.rows.first().map_or(0, |row| row.environment);
                let id = QuarantineId { record: *number, position: entry.position };
                state.events.contains_key(&(environment, id))
            });
        }
        records.retain(|_, (_, entries)| !entries.is_empty());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is one insertion or removal, so the lists are whole even after a panic elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
