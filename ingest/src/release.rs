//! Lets go of log that the warehouse has made durable: its ids go to runs of keys, what it has of quarantine
//! to a file, its books to the checkpoint; then its segments are deleted, oldest first. Runs beside the writer and only ever touches closed segments.

use std::collections::VecDeque;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use liftgate_domain::{Warehouse, failpoint};

use crate::Error;
use crate::checkpoint::Checkpoint;
use crate::counters::Cells;
use crate::door::Door;
use crate::folder::{self, Folder};
use crate::quarantine::{Held, Records};
use crate::record::Mark;
use crate::segment::{self, Segment, Segments};

/// What is waiting to be released.
pub(crate) struct Releaser {
    /// Shared so that the folder stays locked while files of it may still be deleted.
    pub folder: Arc<Folder>,
    pub segments: Arc<Segments>,
    pub door: Arc<Door>,
    pub held: Arc<Held>,
    pub cells: Arc<Cells>,
    /// The books of what has been released.
    pub checkpoint: Checkpoint,
    /// Appended batches with rows that were not durable when last asked, in order.
    pub appended: VecDeque<Mark>,
    /// Batches that were durable when the node opened, behind one that was not, in order.
    pub durable_ahead: VecDeque<Mark>,
    /// Rows up to this record are durable in the warehouse.
    pub durable: u64,
}

impl Releaser {
    /// The warehouse has a batch, or a heartbeat, and all before it. Only what `has_rows` ever becomes durable.
    pub(crate) fn note_appended(&mut self, mark: Mark, has_rows: bool) {
        while let Some(ahead) = self.durable_ahead.pop_front_if(|ahead| ahead.last <= mark.last) {
            self.appended.push_back(ahead);
        }
        if has_rows {
            self.appended.push_back(mark);
        }
    }

    /// Asks the warehouse how far it is. Whether there is anything to [`Releaser::run`] for.
    pub(crate) fn is_due(&mut self, warehouse: &dyn Warehouse, node: &str) -> bool {
        while let Some(mark) = self.appended.pop_front_if(|mark| warehouse.is_durable(node, mark.epoch, mark.sequence))
        {
            self.durable = self.durable.max(mark.last);
            failpoint::hit("ingest.durable");
        }
        !self.segments.done(self.durable).is_empty()
    }

    /// Releases what can be. Blocks on the disk.
    pub(crate) fn run(&mut self) -> Result<(), Error> {
        // Taken before the ids are persisted: a segment is closed after its ids were committed, so all ids of these
        // segments are in runs after that.
        let done = self.segments.done(self.durable);
        if done.is_empty() {
            return Ok(());
        }
        self.door.persist_keys()?;
        failpoint::hit("ingest.keys_persisted");
        for (segment, last) in done {
            self.release(&segment, last)?;
            self.segments.pop();
            self.cells.released_through.store(last, Ordering::Relaxed);
            failpoint::hit("ingest.released");
        }
        Ok(())
    }

    fn release(&mut self, segment: &Segment, last: u64) -> Result<(), Error> {
        if segment.has_held || !segment.released.is_empty() {
            let held = if segment.has_held { segment::read_held(segment)? } else { Records::new() };
            self.held.take_over(&self.folder, held, &segment.released)?;
            failpoint::hit("ingest.quarantine_file_written");
        }
        self.write_checkpoint(segment, last)?;
        failpoint::hit("ingest.checkpoint_written");
        match fs::remove_file(&segment.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::disk(&segment.path, &error));
            }
            _ => failpoint::hit("ingest.segment_deleted"),
        }
        folder::sync_dir(&self.folder.wal())
    }

    fn write_checkpoint(&mut self, segment: &Segment, last: u64) -> Result<(), Error> {
        // A release that is tried again has counted the segment already.
        if last <= self.checkpoint.through {
            return Ok(());
        }
        let mut next = self.checkpoint.clone();
        next.through = last;
        segment.tally.settle(&mut next.ledgers);
        next.write(&self.folder)?;
        self.checkpoint = next;
        Ok(())
    }
}
