//! The segments of the log that are on disk: which records each holds, and reading the rows of a batch back from them.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use liftgate_domain::EventRow;

use crate::Error;
use crate::counters::Cells;
use crate::frame;
use crate::ledger::{Events, Tally};
use crate::quarantine::{Records, entry};
use crate::record::{self, EncodedRows, Record};

/// One file of the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Segment {
    pub path: PathBuf,
    /// The first record in it, its head.
    pub first: u64,
    /// The last rows record in it; 0 when there is none.
    pub last_rows: u64,
    pub bytes: u64,
    /// What its records did to the books.
    pub tally: Tally,
    /// It has events for quarantine.
    pub has_held: bool,
    /// The records of the events whose leaving quarantine it tells of. Also in memory, because a file must not keep them
    /// when that has become unreadable by the time it is due.
    pub released: BTreeSet<u64>,
}

/// What a write added to the open segment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Growth {
    /// The segment's length now.
    pub bytes: u64,
    /// The last record with rows for the warehouse; 0 when there is none.
    pub last_rows: u64,
    pub tally: Tally,
    pub has_held: bool,
    /// The records of the events that left quarantine.
    pub released: BTreeSet<u64>,
}

impl Segment {
    pub(crate) fn path_of(wal: &Path, epoch: u64, number: u64) -> PathBuf {
        wal.join(format!("{epoch}-{number:010}.log"))
    }

    /// The number in a segment's file name.
    pub(crate) fn number_of(path: &Path) -> Option<u64> {
        path.file_stem()?.to_str()?.split_once('-')?.1.parse().ok()
    }

    /// The epoch in a segment's file name.
    pub(crate) fn epoch_of(path: &Path) -> Option<u64> {
        path.file_stem()?.to_str()?.split_once('-')?.0.parse().ok()
    }
}

/// All segments: the closed ones and, last, the open one.
#[derive(Debug)]
pub(crate) struct Segments {
    list: Mutex<VecDeque<Segment>>,
    cells: Arc<Cells>,
}

impl Segments {
    pub(crate) fn new(list: impl IntoIterator<Item = Segment>, cells: Arc<Cells>) -> Self {
        let segments = Self { list: Mutex::new(list.into_iter().collect()), cells };
        segments.count(&segments.lock());
        segments
    }

    /// Opens a further segment; the one before it is closed.
    pub(crate) fn push(&self, segment: Segment) {
        let mut list = self.lock();
        list.push_back(segment);
        self.count(&list);
    }

    /// The open segment grew.
    pub(crate) fn grow(&self, growth: Growth) {
        let mut list = self.lock();
        if let Some(open) = list.back_mut() {
            open.bytes = growth.bytes;
            open.last_rows = open.last_rows.max(growth.last_rows);
            open.tally.merge(&growth.tally);
            open.has_held |= growth.has_held;
            open.released.extend(growth.released);
        }
        self.count(&list);
    }

    /// The oldest segments that are closed and hold no rows beyond `durable`, each with the last record that is in it.
    pub(crate) fn done(&self, durable: u64) -> Vec<(Segment, u64)> {
        let list = self.lock();
        let pairs = list.iter().zip(list.iter().skip(1));
        let done = pairs.take_while(|(segment, _)| segment.last_rows <= durable);
        done.map(|(segment, next)| (segment.clone(), next.first - 1)).collect()
    }

    /// The oldest segment is gone.
    pub(crate) fn pop(&self) {
        let mut list = self.lock();
        list.pop_front();
        self.count(&list);
    }

    /// The rows of the records `first..=last`, in order. Rows in frames that have become unreadable are left out.
    pub(crate) fn read_rows(&self, first: u64, last: u64) -> Result<Vec<EventRow>, Error> {
        let holding: Vec<Segment> =
            self.lock().iter().filter(|segment| segment.first <= last && segment.last_rows >= first).cloned().collect();
        let mut rows = Vec::new();
        for segment in holding {
            let bytes = fs::read(&segment.path).map_err(|error| Error::disk(&segment.path, &error))?;
            for frame in frame::scan(&bytes, segment.first.saturating_sub(1)).frames {
                if !(first..=last).contains(&frame.record) {
                    continue;
                }
                let encoded = record::read(frame.payload).and_then(|record| record.rows());
                rows.extend(encoded.and_then(EncodedRows::decode).unwrap_or_default());
            }
        }
        Ok(rows)
    }

    /// The events for quarantine of these records, as far as they are in the log.
    pub(crate) fn read_held(&self, records: &BTreeSet<u64>) -> Result<Records, Error> {
        let mut held = Records::new();
        let list: Vec<Segment> = self.lock().iter().cloned().collect();
        for (at, segment) in list.iter().enumerate().filter(|(_, segment)| segment.has_held) {
            let end = list.get(at + 1).map_or(u64::MAX, |next| next.first);
            if records.range(segment.first..end).next().is_some() {
                held.extend(read_held(segment)?.into_iter().filter(|(number, _)| records.contains(number)));
            }
        }
        Ok(held)
    }

    /// Rows of the records up to `last` have become unreadable. They are counted where the last of them is: by then all
    /// of them have been counted as admitted.
    pub(crate) fn lose(&self, last: u64, events: &Events) {
        let mut list = self.lock();
        if let Some(segment) = list.iter_mut().rev().find(|segment| segment.first <= last) {
            segment.tally.lose(events);
        }
    }

    fn count(&self, list: &VecDeque<Segment>) {
        let bytes = list.iter().map(|segment| segment.bytes).sum();
        self.cells.log_bytes.store(bytes, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Segment>> {
        // Every change is one push, pop or assignment, so the list is whole even after a panic elsewhere.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the events for quarantine of a segment; none once the segment is gone.
pub(crate) fn read_held(segment: &Segment) -> Result<Records, Error> {
    let mut found = Records::new();
    let bytes = match fs::read(&segment.path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(Error::disk(&segment.path, &error)),
    };
    for frame in frame::scan(&bytes, segment.first.saturating_sub(1)).frames {
        if let Some(Record::Held { stamp, count, entries, .. }) = record::read(frame.payload) {
            let entries = entry::read_all(entries, count, stamp);
            found.extend(entries.map(|entries| (frame.record, (stamp, entries))));
        }
    }
    Ok(found)
}
