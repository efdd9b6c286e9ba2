//! The books of what the log has let go of: one frame in a file of its own, written whole before a segment is deleted.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::folder::{self, Folder};
use crate::frame;
use crate::ledger::Ledgers;
use crate::record;
use crate::replay::{self, Damage};

/// What released segments did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// The last record of the last segment that is in it.
    pub through: u64,
    pub ledgers: Ledgers,
}

impl Checkpoint {
    /// Reads the file; the beginning of all books when there is none. A damaged one is moved aside.
    pub(crate) fn load(folder: &Folder) -> Result<(Self, Option<Damage>), Error> {
        let path = path_of(folder);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((Self::default(), None)),
            Err(error) => return Err(Error::disk(&path, &error)),
        };
        if let Some(checkpoint) = read(&bytes) {
            return Ok((checkpoint, None));
        }
        let damage = replay::move_aside(folder, &path, 0..bytes.len(), &bytes)?;
        fs::remove_file(&path).map_err(|error| Error::disk(&path, &error))?;
        Ok((Self::default(), Some(damage)))
    }

    pub(crate) fn write(&self, folder: &Folder) -> Result<(), Error> {
        let mut bytes = Vec::new();
        let at = frame::open(&mut bytes);
        bytes.push(record::CHECKPOINT);
        serde_json::to_writer(&mut bytes, self).expect("numbers are always JSON");
        frame::close(&mut bytes, at, self.through.max(1));
        folder::write_whole(&path_of(folder), &bytes)
    }
}

fn path_of(folder: &Folder) -> PathBuf {
    folder.root().join("checkpoint")
}

fn read(bytes: &[u8]) -> Option<Checkpoint> {
    let scan = frame::scan(bytes, 0);
    match scan.frames.as_slice() {
        [frame] if scan.damage.is_empty() => {
            serde_json::from_slice(frame.payload.strip_prefix(&[record::CHECKPOINT])?).ok()
        }
        _ => None,
    }
}
