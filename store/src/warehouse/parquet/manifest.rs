//! The append-only file that says what counts. A record is durable once its line is synced; a line cut short by a
//! crash was never acknowledged and is cut off when the file is opened. Damage before the last line is an error.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use liftgate_domain::{StoreError, Watermark, failpoint};

use super::layout::{self, unavailable};
use super::record::{BatchRange, FileEntry, Record};
use crate::warehouse::sequences::Sequences;

const FILE_NAME: &str = "manifest.log";
/// Where a line cut short by a crash is kept for an operator.
const TORN_NAME: &str = "manifest.torn";
/// Records after which the file is written anew, as its sum.
const RECORDS_MAX: u64 = 4_096;

/// The manifest, open for appending.
#[derive(Debug)]
pub(super) struct Manifest {
    dir: PathBuf,
    file: File,
    /// Bytes of whole records.
    length: u64,
    records: u64,
    next_number: u64,
    /// Set when a failed write could not be taken back: nothing may be appended behind it.
    broken: bool,
}

/// The sum of all records.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) files: BTreeMap<String, FileEntry>,
    pub(super) durable: BTreeMap<(Arc<str>, u64), Sequences>,
    pub(super) marks: Watermark,
    /// By environment, distinct events that went with expired files.
    pub(super) expired: BTreeMap<u64, u64>,
    /// A line cut short was found and moved to `manifest.torn`.
    pub(super) torn: bool,
}

impl Contents {
    fn apply(&mut self, record: Record) {
        for path in &record.removed {
            self.files.remove(path);
        }
        self.files.extend(record.added.into_iter().map(|file| (file.path.clone(), file)));
        for (environment, events) in record.expired {
            *self.expired.entry(environment).or_default() += events;
        }
        for range in record.batches {
            let source = (Arc::from(range.node), range.epoch);
            self.durable.entry(source).or_default().insert_range(range.first, range.last);
        }
        // All marks there are: a node that is not among them has been retired.
        self.marks = record.marks;
    }
}

impl Manifest {
    /// Opens or creates the manifest of a warehouse.
    pub(super) fn open(dir: &Path) -> Result<(Self, Contents), StoreError> {
        let path = dir.join(FILE_NAME);
        let failed = |error: std::io::Error| unavailable("open the manifest", &path, &error);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        let bytes = std::fs::read(&path).map_err(failed)?;
        let (mut contents, mut manifest) = (Contents::default(), (0_u64, 0_u64, 1_u64));
        let (length, records, next_number) = (&mut manifest.0, &mut manifest.1, &mut manifest.2);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let record = line.strip_suffix(b"\n").and_then(Record::from_line);
            match record {
                Some(record) => {
                    *next_number = (*next_number).max(record.number + 1);
                    contents.apply(record);
                    *records += 1;
                    *length += line.len() as u64;
                }
                None if *length + line.len() as u64 == bytes.len() as u64 => {
                    layout::write_durably(&dir.join(TORN_NAME), line)?;
                    contents.torn = true;
                }
                None => {
                    return Err(StoreError::Corrupt(format!(
                        "record {} of `{}`; restore the warehouse's folder from a backup",
                        *records + 1,
                        path.display()
                    )));
                }
            }
        }
        let (length, records, next_number) = manifest;
        if contents.torn {
            file.set_len(length).and_then(|()| file.sync_all()).map_err(failed)?;
            tracing::warn!(file = %path.display(), "The last manifest record was cut short by a crash and is dropped.");
        }
        file.seek(SeekFrom::Start(length)).map_err(failed)?;
        layout::sync_dir(dir)?;
        Ok((Self { dir: dir.to_owned(), file, length, records, next_number, broken: false }, contents))
    }

    /// The number that the next record will have.
    pub(super) fn next_number(&self) -> u64 {
        self.next_number
    }

    /// A number that no record and no other file will have, for files that are written before their record is.
    pub(super) fn reserve_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    /// Makes a record durable. After an error it is not in the manifest.
    pub(super) fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        let path = self.dir.join(FILE_NAME);
        if self.broken {
            return Err(StoreError::Unavailable(format!(
                "an earlier write to `{}` failed half way; check the disk and restart",
                path.display()
            )));
        }
        let line = record.to_line()?;
        let written = self.file.write_all(line.as_bytes());
        failpoint::hit("store.manifest_written");
        if let Err(error) = written.and_then(|()| self.file.sync_data()) {
            let taken_back = self
                .file
                .set_len(self.length)
                .and_then(|()| self.file.seek(SeekFrom::Start(self.length)))
                .and_then(|_| self.file.sync_all());
            self.broken = taken_back.is_err();
            return Err(unavailable("write", &path, &error));
        }
        failpoint::hit("store.manifest_synced");
        self.length += line.len() as u64;
        self.records += 1;
        self.next_number = record.number + 1;
        Ok(())
    }

    /// Whether a failed append may still be on disk: then no file that it names may be removed.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether the file is long enough to be worth writing anew.
    pub(super) fn is_long(&self) -> bool {
        self.records >= RECORDS_MAX
    }

    /// Replaces the file by its sum, in one rename.
    pub(super) fn rewrite(&mut self, contents: Contents) -> Result<(), StoreError> {
        let Contents { files, durable, marks, expired, .. } = contents;
        let record = Record {
            number: self.next_number,
            added: files.into_values().collect(),
            removed: vec![],
            expired,
            batches: ranges(&durable),
            marks,
        };
        let line = record.to_line()?;
        let path = self.dir.join(FILE_NAME);
        let written = layout::write_durably(&path, line.as_bytes());
        // Whatever happened, the name now leads to one of two files that say the same; the old handle may have lost it.
        self.broken = true;
        let opened = OpenOptions::new().write(true).open(&path).and_then(|mut file| {
            let length = file.seek(SeekFrom::End(0))?;
            Ok((file, length))
        });
        (self.file, self.length) = opened.map_err(|error| unavailable("open the manifest", &path, &error))?;
        self.broken = false;
        self.next_number = record.number + 1;
        written?;
        self.records = 1;
        Ok(())
    }
}

/// Sets of sequences as the manifest writes them.
pub(super) fn ranges(batches: &BTreeMap<(Arc<str>, u64), Sequences>) -> Vec<BatchRange> {
    let of_source = |((node, epoch), sequences): (&(Arc<str>, u64), &Sequences)| -> Vec<BatchRange> {
        let range = |(first, last): &(u64, u64)| BatchRange {
            node: node.to_string(),
            epoch: *epoch,
            first: *first,
            last: *last,
        };
        sequences.ranges().iter().map(range).collect()
    };
    batches.iter().flat_map(of_source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(manifest: &Manifest, last: u64) -> Record {
        let batches = vec![BatchRange { node: "a".into(), epoch: 1, first: last, last }];
        Record { number: manifest.next_number(), batches, ..Record::default() }
    }

    fn through(contents: &Contents) -> u64 {
        contents.durable.get(&(Arc::from("a"), 1)).map_or(0, Sequences::through)
    }

    #[test]
    fn a_record_cut_short_anywhere_is_dropped_and_the_rest_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (mut manifest, _) = Manifest::open(dir.path()).unwrap();
        manifest.append(&record(&manifest, 1)).unwrap();
        let whole = manifest.length;
        manifest.append(&record(&manifest, 2)).unwrap();
        let bytes = std::fs::read(dir.path().join(FILE_NAME)).unwrap();
        for cut in whole..bytes.len() as u64 {
            std::fs::write(dir.path().join(FILE_NAME), &bytes[..usize::try_from(cut).unwrap()]).unwrap();
            let (mut reopened, contents) = Manifest::open(dir.path()).unwrap();
            assert_eq!((through(&contents), contents.torn), (1, cut > whole), "cut at {cut}");
            reopened.append(&record(&reopened, 2)).unwrap();
            let (_, contents) = Manifest::open(dir.path()).unwrap();
            assert_eq!((through(&contents), contents.torn), (2, false), "cut at {cut}");
        }
    }

    #[test]
    fn damage_in_the_middle_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (mut manifest, _) = Manifest::open(dir.path()).unwrap();
        for last in 1..=3 {
            manifest.append(&record(&manifest, last)).unwrap();
        }
        let path = dir.path().join(FILE_NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        bytes[second + 20] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let error = Manifest::open(dir.path()).unwrap_err();
        assert!(matches!(&error, StoreError::Corrupt(text) if text.contains("record 2 of")), "{error}");
    }

    #[test]
    fn written_anew_it_says_the_same_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let (mut manifest, mut contents) = Manifest::open(dir.path()).unwrap();
        for last in [1, 2, 5] {
            let next = record(&manifest, last);
            manifest.append(&next).unwrap();
            contents.apply(next);
        }
        contents.expired.insert(4, 9);
        manifest.rewrite(contents).unwrap();
        manifest.append(&record(&manifest, 3)).unwrap();
        let (reopened, contents) = Manifest::open(dir.path()).unwrap();
        assert_eq!(contents.durable[&(Arc::from("a"), 1)].ranges(), [(1, 3), (5, 5)]);
        assert_eq!(contents.expired[&4], 9);
        assert_eq!((reopened.records, reopened.next_number), (2, manifest.next_number));
    }
}
