//! Lets go of log that the warehouse has made durable: a segment's ids go to a key file, then the segment is deleted,
//! oldest first. Runs beside the writer and only ever touches closed segments.

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use liftgate_domain::Warehouse;

use crate::Error;
use crate::counters::{self, Cells};
use crate::folder::{self, Folder};
use crate::frame;
use crate::key_file::{self, KeyFile};
use crate::key_index::{self, Day, Key};
use crate::record::{self, Mark, Record};
use crate::segment::{Segment, Segments};

/// What is waiting to be released.
pub(crate) struct Releaser {
    /// Shared so that the folder stays locked while files of it may still be deleted.
    pub folder: Arc<Folder>,
    pub segments: Arc<Segments>,
    pub cells: Arc<Cells>,
    pub key_files: Vec<KeyFile>,
    /// Appended batches with rows that were not durable when last asked, in order.
    pub appended: VecDeque<Mark>,
    /// Rows up to this record are durable in the warehouse.
    pub durable: u64,
}

/// The ids of a segment that are still in the window.
struct Ids {
    keys: Vec<(Key, Day)>,
    /// The segment's last record.
    last: u64,
    /// How many damaged stretches it has.
    damaged: usize,
}

impl Releaser {
    /// Asks the warehouse how far it is. Whether there is anything to [`Releaser::run`] for.
    pub(crate) fn is_due(&mut self, warehouse: &dyn Warehouse, node: &str) -> bool {
        while let Some(mark) = self.appended.pop_front_if(|mark| warehouse.is_durable(node, mark.epoch, mark.sequence))
        {
            self.durable = self.durable.max(mark.last);
        }
        self.segments.oldest_done(self.durable).is_some()
    }

    /// Releases what can be. Blocks on the disk.
    pub(crate) fn run(&mut self, first_day: Day) -> Result<(), Error> {
        key_file::expire(&mut self.key_files, first_day);
        while let Some(segment) = self.segments.oldest_done(self.durable) {
            self.release(&segment, first_day)?;
            self.segments.pop();
        }
        Ok(())
    }

    fn release(&mut self, segment: &Segment, first_day: Day) -> Result<(), Error> {
        let Ids { keys, last, damaged } = read_keys(segment, first_day)?;
        counters::add(&self.cells.damaged_frames, damaged);
        if !keys.is_empty() {
            let file = key_file::write(self.key_path(segment, last), &keys)?;
            self.key_files.push(file);
        }
        match fs::remove_file(&segment.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::disk(&segment.path, &error)),
            _ => folder::sync_dir(&self.folder.wal()),
        }
    }

    fn key_path(&self, segment: &Segment, last: u64) -> PathBuf {
        let epoch = Segment::epoch_of(&segment.path).unwrap_or_default();
        self.folder.keys().join(format!("{epoch}-{:012}-{last:012}.keys", segment.first))
    }
}

/// Reads the ids of a segment. One without rows is not read.
fn read_keys(segment: &Segment, first_day: Day) -> Result<Ids, Error> {
    if segment.last_rows == 0 {
        return Ok(Ids { keys: Vec::new(), last: segment.first, damaged: 0 });
    }
    let bytes = match fs::read(&segment.path) {
        Ok(bytes) => bytes,
        // Deleted by hand, or by a release whose end was not recorded: there is nothing left to do.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Ids { keys: Vec::new(), last: segment.first, damaged: 0 });
        }
        Err(error) => return Err(Error::disk(&segment.path, &error)),
    };
    let scan = frame::scan(&bytes, segment.first.saturating_sub(1));
    let mut keys = Vec::new();
    for frame in &scan.frames {
        let Some(Record::Rows { stamp, count, rows, .. }) = record::read(frame.payload) else {
            continue;
        };
        let day = key_index::day_of(stamp);
        if day >= first_day {
            let rows = record::rows(rows, count, stamp).unwrap_or_default();
            keys.extend(rows.iter().map(|row| (key_index::key_of(row.environment, &row.event_id), day)));
        }
    }
    let last = scan.frames.last().map_or(segment.first, |frame| frame.record);
    Ok(Ids { keys, last, damaged: scan.damage.len() })
}
