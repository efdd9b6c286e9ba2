//! The open end of the write-ahead log. One thread writes: frames are gathered in a buffer, then written and synced
//! together. After a failure the segment is cut back to what was synced before anything else is written, so that a
//! request that was answered with an error leaves nothing behind that could later count.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use liftgate_domain::{Timestamp, failpoint};

use crate::Error;
use crate::folder;
use crate::frame;
use crate::ledger::Tally;
use crate::medium::{Medium, Opener};
use crate::record::{self, Mark, Release, Seal};
use crate::segment::{Growth, Segment, Segments};

/// Where a log begins.
pub(crate) struct LogStart {
    pub wal: PathBuf,
    pub opener: Opener,
    pub mark: Mark,
    pub next_record: u64,
    pub next_number: u64,
    pub stamp: Timestamp,
    pub segment_bytes: u64,
    pub segments: Arc<Segments>,
}

/// The log, open for writing.
pub(crate) struct Log {
    start: LogStart,
    medium: Box<dyn Medium>,
    synced_bytes: u64,
    broken: bool,
}

/// Frames that are written and synced together.
#[derive(Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    count: u64,
    last_rows: u64,
    has_held: bool,
    /// The records of the events that leave quarantine.
    released: BTreeSet<u64>,
    mark: Option<Mark>,
}

impl Frames {
    pub(crate) fn byte_count(&self) -> u64 {
        self.bytes.len() as u64
    }
}

impl Log {
    /// Begins a new segment at the end of the log.
    pub(crate) fn open(mut start: LogStart) -> Result<Self, Error> {
        let (medium, segment) = create(&mut start)?;
        let synced_bytes = segment.bytes;
        start.segments.push(segment);
        Ok(Self { start, medium, synced_bytes, broken: false })
    }

    /// The last seal.
    pub(crate) fn mark(&self) -> Mark {
        self.start.mark
    }

    /// Adds admitted rows to the frames; answers their record number.
    pub(crate) fn add_rows(&self, frames: &mut Frames, stamp: Timestamp, count: u32, rows: &[u8]) -> u64 {
        let mark = frames.mark.unwrap_or(self.start.mark);
        let number = self.add(frames, |out| record::put_rows(out, mark, stamp, count, rows));
        frames.last_rows = number;
        number
    }

    /// Adds events for quarantine to the frames; answers their record number.
    pub(crate) fn add_held<'a>(
        &self,
        frames: &mut Frames,
        stamp: Timestamp,
        entries: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> u64 {
        let mark = frames.mark.unwrap_or(self.start.mark);
        let count = u32::try_from(entries.len()).expect("a request's bytes are bounded below 2^32");
        let encoded: Vec<u8> = entries.flatten().copied().collect();
        frames.has_held = true;
        self.add(frames, |out| record::put_held(out, mark, stamp, count, &encoded))
    }

    /// Adds a release from quarantine with the rows it makes, if any, to the frames; answers its record number.
    pub(crate) fn add_released(
        &self,
        frames: &mut Frames,
        stamp: Timestamp,
        release: &Release,
        count: u32,
        rows: &[u8],
    ) -> u64 {
        let mark = frames.mark.unwrap_or(self.start.mark);
        let number = self.add(frames, |out| record::put_released(out, mark, stamp, release, count, rows));
        frames.released.extend(release.ids.iter().map(|id| id.record));
        if count > 0 {
            frames.last_rows = number;
        }
        number
    }

    /// Adds the seal of the row records `first..=last` to the frames; answers its mark.
    pub(crate) fn add_seal(&self, frames: &mut Frames, first: u64, last: u64, received_through: Timestamp) -> Mark {
        let before = frames.mark.unwrap_or(self.start.mark);
        let mark = Mark { sequence: before.sequence + 1, last, ..before };
        self.add(frames, |out| record::put_seal(out, &Seal { mark, first, received_through }));
        frames.mark = Some(mark);
        mark
    }

    /// Writes and syncs the frames: all of them, or none. `tally` is what they do to the books.
    pub(crate) fn write(&mut self, frames: Frames, tally: Tally) -> io::Result<()> {
        self.repair()?;
        failpoint::hit("ingest.before_write");
        let written = self.medium.append(&frames.bytes).and_then(|()| {
            failpoint::hit("ingest.written");
            self.medium.sync()
        });
        if let Err(error) = written {
            self.broken = true;
            // At once if it can be, so that a crash now finds nothing of what is about to be refused.
            let _ = self.repair();
            return Err(error);
        }
        self.synced_bytes += frames.bytes.len() as u64;
        self.start.next_record += frames.count;
        self.start.mark = frames.mark.unwrap_or(self.start.mark);
        failpoint::hit("ingest.synced");
        self.start.segments.grow(Growth {
            bytes: self.synced_bytes,
            last_rows: frames.last_rows,
            tally,
            has_held: frames.has_held,
            released: frames.released,
        });
        Ok(())
    }

    /// Begins a new segment if the open one is full. When that fails the open one just goes on.
    pub(crate) fn rotate_if_full(&mut self, stamp: Timestamp) -> Result<(), Error> {
        if self.synced_bytes < self.start.segment_bytes {
            return Ok(());
        }
        self.rotate(stamp)
    }

    /// Begins a new segment, so that the open one can be released.
    pub(crate) fn rotate(&mut self, stamp: Timestamp) -> Result<(), Error> {
        self.repair().map_err(|error| Error::Disk(Arc::new(error)))?;
        self.start.stamp = stamp;
        let (medium, segment) = create(&mut self.start)?;
        self.medium = medium;
        self.synced_bytes = segment.bytes;
        self.start.segments.push(segment);
        failpoint::hit("ingest.rotated");
        Ok(())
    }

    fn add(&self, frames: &mut Frames, put: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let number = self.start.next_record + frames.count;
        let at = frame::open(&mut frames.bytes);
        put(&mut frames.bytes);
        frame::close(&mut frames.bytes, at, number);
        frames.count += 1;
        number
    }

    fn repair(&mut self) -> io::Result<()> {
        if self.broken {
            self.medium.truncate(self.synced_bytes)?;
            self.broken = false;
        }
        Ok(())
    }
}

/// Makes the next segment, with its head already durable.
fn create(start: &mut LogStart) -> Result<(Box<dyn Medium>, Segment), Error> {
    let path = Segment::path_of(&start.wal, start.mark.epoch, start.next_number);
    let mut head = Vec::new();
    let at = frame::open(&mut head);
    record::put_head(&mut head, start.mark, start.stamp);
    frame::close(&mut head, at, start.next_record);
    let opened = folder::write_whole(&path, &head)
        .and_then(|()| (start.opener)(&path).map_err(|error| Error::disk(&path, &error)));
    // The segment before it goes on with the record number of the head, so no head may be left.
    let medium = opened.inspect_err(|_| drop(fs::remove_file(&path)))?;
    let segment = Segment { path, first: start.next_record, bytes: head.len() as u64, ..Segment::default() };
    start.next_number += 1;
    start.next_record += 1;
    Ok((medium, segment))
}
