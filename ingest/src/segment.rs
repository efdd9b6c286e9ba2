//! The segments of the log that are on disk: which records each holds, and reading the rows of a batch back from them.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use liftgate_domain::EventRow;

use crate::Error;
use crate::counters::Cells;
use crate::frame;
use crate::record::{self, Record};

/// One file of the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Segment {
    pub path: PathBuf,
    /// The first record in it, its head.
    pub first: u64,
    /// The last rows record in it; 0 when there is none.
    pub last_rows: u64,
    pub bytes: u64,
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
    pub(crate) fn grow(&self, bytes: u64, last_rows: u64) {
        let mut list = self.lock();
        if let Some(open) = list.back_mut() {
            open.bytes = bytes;
            open.last_rows = open.last_rows.max(last_rows);
        }
        self.count(&list);
    }

    /// The oldest segment, if it is closed and holds no rows beyond `durable`.
    pub(crate) fn oldest_done(&self, durable: u64) -> Option<Segment> {
        let list = self.lock();
        if list.len() < 2 {
            return None;
        }
        list.front().filter(|segment| segment.last_rows <= durable).cloned()
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
                if let Some(Record::Rows { stamp, count, rows: encoded, .. }) = record::read(frame.payload) {
                    rows.extend(record::rows(encoded, count, stamp).unwrap_or_default());
                }
            }
        }
        Ok(rows)
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
