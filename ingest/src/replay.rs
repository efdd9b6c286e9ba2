//! Reads the log at start: every valid frame counts, damage is moved aside and named. What comes out is what a crash
//! interrupted: sealed batches that the warehouse may not have, rows that no seal covers yet, and the known ids.

use std::collections::VecDeque;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use liftgate_domain::{EventRow, Timestamp};
use serde::Serialize;

use crate::Error;
use crate::folder::{self, Folder};
use crate::frame::{self, Scan};
use crate::keys::{self, Key, KeyIndex};
use crate::ledger::{self, Events, Tally};
use crate::quarantine::{Held, entry};
use crate::record::{self, Mark, Record, Seal};
use crate::sealed::{Sealed, Unsealed};
use crate::segment::Segment;

/// A stretch of a file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The file it was found in.
    pub file: PathBuf,
    /// Where in that file it began, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub bytes: u64,
    /// Where the bytes were moved to.
    pub moved_to: PathBuf,
    /// It is the very end of the log, as a crash in the middle of a write leaves it: nothing valid came after.
    pub torn_tail: bool,
}

/// What the log held.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    pub segments: Vec<Segment>,
    /// The last seal.
    pub mark: Mark,
    /// The highest epoch in a segment's name.
    pub highest_epoch: u64,
    /// Rows up to this record are in the warehouse although no seal that could be read says so.
    pub stored_through: u64,
    /// The highest record number.
    pub last_record: u64,
    /// The highest number in a segment's name.
    pub last_number: u64,
    /// The last stamp given out.
    pub stamp: Timestamp,
    /// Sealed batches in order.
    pub batches: Vec<Sealed>,
    /// Rows that no seal covers.
    pub unsealed: Unsealed,
    pub damage: Vec<Damage>,
    /// What the records beyond the checkpoint did to the books.
    pub tally: Tally,
    rows_since_seal: VecDeque<RowsRecord>,
}

/// What learns from the log while it is read.
pub(crate) struct Pupils<'a> {
    /// The ids in it.
    pub index: Option<&'a mut KeyIndex>,
    /// Which events went into quarantine and left it.
    pub held: &'a Held,
    /// The books have the records up to this one already.
    pub counted_through: u64,
}

#[derive(Debug)]
struct RowsRecord {
    number: u64,
    stamp: Timestamp,
    rows: Vec<EventRow>,
}

impl Pupils<'_> {
    fn learn(&mut self, keys: &[Key], stamp: Timestamp) -> Result<(), Error> {
        match &mut self.index {
            Some(index) => index.recover(keys, keys::day_of(stamp)),
            None => Ok(()),
        }
    }
}

/// Reads the log.
pub(crate) fn read(folder: &Folder, pupils: &mut Pupils<'_>) -> Result<Replay, Error> {
    let mut replay = Replay::default();
    let mut paths = folder::list(&folder.wal(), "log")?;
    paths.retain(|path| Segment::number_of(path).is_some());
    paths.sort_by_key(|path| Segment::number_of(path));
    let last = paths.pop();
    for path in paths {
        replay.read_segment(folder, path, pupils)?;
    }
    if let Some(path) = last {
        let before = replay.damage.len();
        let bytes = replay.read_segment(folder, path, pupils)?;
        // A segment begins with a head that was synced before any other write: without it more is wrong.
        if let [torn] = &mut replay.damage[before..] {
            torn.torn_tail = torn.offset > 0 && torn.offset + torn.bytes == bytes;
        }
    }
    replay.finish();
    Ok(replay)
}

impl Replay {
    /// Answers how many bytes were read.
    fn read_segment(&mut self, folder: &Folder, path: PathBuf, pupils: &mut Pupils<'_>) -> Result<u64, Error> {
        let bytes = fs::read(&path).map_err(|error| Error::disk(&path, &error))?;
        let scan = frame::scan(&bytes, self.last_record);
        let number = Segment::number_of(&path).unwrap_or_default();
        self.last_number = self.last_number.max(number);
        self.highest_epoch = self.highest_epoch.max(Segment::epoch_of(&path).unwrap_or_default());
        let mut segment = Segment { bytes: bytes.len() as u64, ..Segment::default() };
        segment.first = scan.frames.first().map_or(self.last_record + 1, |frame| frame.record);
        self.take_in(&scan, &mut segment, pupils)?;
        segment.path = path;
        if !scan.damage.is_empty() {
            segment.bytes = self.move_damage_aside(folder, &segment.path, &bytes, &scan)?;
        }
        if segment.path.exists() {
            self.segments.push(segment);
        }
        Ok(bytes.len() as u64)
    }

    /// Takes in the valid frames of one segment.
    pub(crate) fn take_in(
        &mut self,
        scan: &Scan<'_>,
        segment: &mut Segment,
        pupils: &mut Pupils<'_>,
    ) -> Result<(), Error> {
        for frame in &scan.frames {
            self.last_record = frame.record;
            let Some(record) = record::read(frame.payload) else {
                tracing::warn!(record = frame.record, "A record of the log is of a kind this version does not know.");
                continue;
            };
            let mut tally = Tally::default();
            match &record {
                Record::Head { mark, stamp } => self.advance(*mark, *stamp),
                Record::Rows { mark, stamp, .. } => self.advance(*mark, *stamp),
                Record::Seal(seal) => self.seal_read(seal),
                Record::Held { mark, stamp, count, entries } => {
                    self.advance(*mark, *stamp);
                    segment.has_held = true;
                    let Some(entries) = entry::read_all(entries, *count, *stamp) else {
                        tell_unreadable(frame.record);
                        continue;
                    };
                    let firsts = entries.iter().filter_map(|entry| entry.rows.first());
                    let keys: Vec<_> = firsts.map(|row| keys::key_of(row.environment, &row.event_id)).collect();
                    pupils.learn(&keys, *stamp)?;
                    entries.iter().for_each(|entry| tally.hold(&entry.rows));
                    pupils.held.find(frame.record, &entries);
                }
                Record::Released { mark, stamp, release, .. } => {
                    self.advance(*mark, *stamp);
                    segment.released.extend(release.ids.iter().map(|id| id.record));
                    pupils.held.remove(release);
                    tally.release(release);
                }
            }
            if let Some(encoded) = record.rows() {
                let Some(rows) = encoded.decode() else {
                    tell_unreadable(frame.record);
                    continue;
                };
                if !matches!(record, Record::Released { .. }) {
                    tally.admit(&rows);
                }
                let firsts = rows.iter().filter(|row| row.unit_index == 0);
                let keys: Vec<_> = firsts.map(|row| keys::key_of(row.environment, &row.event_id)).collect();
                pupils.learn(&keys, encoded.stamp)?;
                segment.last_rows = frame.record;
                self.rows_since_seal.push_back(RowsRecord { number: frame.record, stamp: encoded.stamp, rows });
            }
            if frame.record > pupils.counted_through {
                segment.tally.merge(&tally);
                self.tally.merge(&tally);
            }
        }
        Ok(())
    }

    /// What no seal covers is all that is left.
    pub(crate) fn finish(&mut self) {
        let records = std::mem::take(&mut self.rows_since_seal);
        for record in records {
            self.unsealed.add(record.number, record.stamp, record.rows);
        }
    }

    fn advance(&mut self, mark: Mark, stamp: Timestamp) {
        self.stamp = self.stamp.max(stamp);
        self.catch_up(mark);
    }

    /// A record tells of a later seal than the last one read: that seal was lost to damage.
    fn catch_up(&mut self, mark: Mark) {
        if (mark.epoch, mark.sequence) <= (self.mark.epoch, self.mark.sequence) {
            return;
        }
        if mark.sequence == 0 {
            // A new epoch: what came before stays unsealed until it is sealed in this one, except for rows that the
            // start which began it knew to be in the warehouse.
            while let Some(record) = self.rows_since_seal.pop_front_if(|record| record.number <= mark.last) {
                self.stored_through = record.number;
            }
            self.mark = mark;
            return;
        }
        let first = self.rows_since_seal.front().map_or(mark.last, |record| record.number);
        self.seal(mark, first, None);
    }

    /// A seal was read. When the one before it was lost to damage, it tells of it: rows before its own belong to that one.
    fn seal_read(&mut self, seal: &Seal) {
        let mark = seal.mark;
        if mark.sequence > 1 {
            self.catch_up(Mark { sequence: mark.sequence - 1, last: seal.first.saturating_sub(1), ..mark });
        }
        self.seal(mark, seal.first, Some(seal.received_through));
    }

    fn seal(&mut self, mark: Mark, first: u64, received_through: Option<Timestamp>) {
        // What it counts is what is read back for it, also when a lost head or seal has left earlier rows to it.
        let first = self.rows_since_seal.front().map_or(first, |record| record.number.min(first));
        let (mut rows, mut stamp, mut events) = (0, None, Events::new());
        while let Some(record) = self.rows_since_seal.pop_front_if(|record| record.number <= mark.last) {
            rows += record.rows.len();
            for (environment, count) in ledger::events_of(&record.rows) {
                *events.entry(environment).or_default() += count;
            }
            stamp = Some(record.stamp);
        }
        self.mark = mark;
        if let Some(received_through) = received_through.or(stamp) {
            self.batches.push(Sealed {
                mark,
                first,
                received_through,
                count: rows,
                events,
                rows: None,
                resident_bytes: 0,
            });
        }
    }

    /// Copies what is damaged to a file of its own, then writes the segment anew without it. Answers its new length.
    fn move_damage_aside(&mut self, folder: &Folder, path: &Path, bytes: &[u8], scan: &Scan<'_>) -> Result<u64, Error> {
        for span in &scan.damage {
            let damage = move_aside(folder, path, span.clone(), &bytes[span.clone()])?;
            self.damage.push(damage);
        }
        let sound: Vec<u8> = scan.frames.iter().flat_map(|frame| &bytes[frame.span.clone()]).copied().collect();
        if sound.is_empty() {
            fs::remove_file(path).map_err(|error| Error::disk(path, &error))?;
            folder::sync_dir(&folder.wal())?;
        } else {
            folder::write_whole(path, &sound)?;
        }
        Ok(sound.len() as u64)
    }
}

fn tell_unreadable(record: u64) {
    tracing::error!(record, "A record of the log has rows this version cannot read.");
}

/// A free name for what is damaged at `offset` of `file`, in the folder for damage, which is created.
pub(crate) fn place_for_damage(folder: &Folder, file: &Path, offset: usize) -> Result<PathBuf, Error> {
    let dir = folder.damaged();
    fs::create_dir_all(&dir).map_err(|error| Error::disk(&dir, &error))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let free = |attempt: &u32| !dir.join(format!("{name}-{offset}-{attempt}.bin")).exists();
    let attempt = (0..u32::MAX).find(free).unwrap_or_default();
    Ok(dir.join(format!("{name}-{offset}-{attempt}.bin")))
}

/// Copies damaged bytes of `file` into the folder for damage.
pub(crate) fn move_aside(folder: &Folder, file: &Path, span: Range<usize>, bytes: &[u8]) -> Result<Damage, Error> {
    let moved_to = place_for_damage(folder, file, span.start)?;
    folder::write_whole(&moved_to, bytes)?;
    let (offset, bytes) = (span.start as u64, bytes.len() as u64);
    Ok(Damage { file: file.to_owned(), offset, bytes, moved_to, torn_tail: false })
}
