//! Quarantine files: `quarantine/<first>-<last>.held`, the frames of a released segment's held events under their own
//! record numbers. Written whole; written anew, or deleted, when events in it have left.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use liftgate_domain::Timestamp;

use crate::Error;
use crate::folder::{self, Folder};
use crate::frame;
use crate::quarantine::entry::{self, Entry};
use crate::record::{self, Mark, Record};
use crate::replay::{self, Damage};

const EXTENSION: &str = "held";

/// The held events of records, each received at one instant.
pub(crate) type Records = BTreeMap<u64, (Timestamp, Vec<Entry>)>;

/// A quarantine file on disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct QuarantineFile {
    pub path: PathBuf,
    /// The first record that can be in it.
    pub first: u64,
    /// The last one.
    pub last: u64,
}

impl QuarantineFile {
    pub(crate) fn new(folder: &Folder, first: u64, last: u64) -> Self {
        Self { path: folder.quarantine().join(format!("{first:016}-{last:016}.{EXTENSION}")), first, last }
    }

    /// Writes the file anew; without records it is deleted.
    pub(crate) fn write(&self, records: &Records) -> Result<(), Error> {
        if !records.is_empty() {
            return folder::write_whole(&self.path, &encode(records));
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::disk(&self.path, &error)),
            _ => folder::sync_dir(self.path.parent().unwrap_or(Path::new("."))),
        }
    }

    /// Reads the file; empty when it is gone, because everything in it has left.
    pub(crate) fn read(&self) -> Result<Records, Error> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(decode(&frame::scan(&bytes, 0))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Records::new()),
            Err(error) => Err(Error::disk(&self.path, &error)),
        }
    }

    /// Reads the file before it is taken for what there is: damage is moved aside. Empty when it is gone, because
    /// everything in it has left.
    pub(crate) fn load(&self, folder: &Folder) -> Result<(Records, Vec<Damage>), Error> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((Records::new(), Vec::new())),
            Err(error) => return Err(Error::disk(&self.path, &error)),
        };
        let scan = frame::scan(&bytes, 0);
        let records = decode(&scan);
        let aside =
            |span: &std::ops::Range<usize>| replay::move_aside(folder, &self.path, span.clone(), &bytes[span.clone()]);
        let damage = scan.damage.iter().map(aside).collect::<Result<Vec<_>, Error>>()?;
        if !damage.is_empty() {
            self.write(&records)?;
        }
        Ok((records, damage))
    }
}

/// The quarantine files of a folder, oldest first.
pub(crate) fn list(folder: &Folder) -> Result<Vec<QuarantineFile>, Error> {
    let named = |path: PathBuf| {
        let (first, last) = path.file_stem()?.to_str()?.split_once('-')?;
        Some(QuarantineFile { first: first.parse().ok()?, last: last.parse().ok()?, path })
    };
    Ok(folder::list(&folder.quarantine(), EXTENSION)?.into_iter().filter_map(named).collect())
}

fn encode(records: &Records) -> Vec<u8> {
    let (mut out, mut encoded) = (Vec::new(), Vec::new());
    for (number, (stamp, entries)) in records {
        encoded.clear();
        entries.iter().for_each(|held| entry::put(&mut encoded, held));
        let count = u32::try_from(entries.len()).expect("a record has fewer than 2^32 bytes, let alone events");
        let at = frame::open(&mut out);
        record::put_held(&mut out, Mark::default(), *stamp, count, &encoded);
        frame::close(&mut out, at, *number);
    }
    out
}

fn decode(scan: &frame::Scan<'_>) -> Records {
    let held = |frame: &frame::Frame<'_>| match record::read(frame.payload)? {
        Record::Held { stamp, count, entries, .. } => {
            Some((frame.record, (stamp, entry::read_all(entries, count, stamp)?)))
        }
        _ => None,
    };
    scan.frames.iter().filter_map(held).collect()
}
