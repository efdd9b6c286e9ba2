//! The ids of a released segment: `keys/<epoch>-<first>-<last>.keys`, entries of 16 bytes of key and 4 of day between a
//! magic word and a crc32c. Written whole, synced and renamed before the segment is deleted.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::folder;
use crate::key_index::{Day, Key, KeyIndex};

const MAGIC: &[u8; 4] = b"LGK1";
const ENTRY_BYTES: usize = 20;

/// A key file on disk.
#[derive(Debug)]
pub(crate) struct KeyFile {
    /// Where it is.
    pub path: PathBuf,
    /// The newest day in it; once that is out of the window, so is the file.
    pub last_day: Day,
}

/// Writes a key file.
pub(crate) fn write(path: PathBuf, keys: &[(Key, Day)]) -> Result<KeyFile, Error> {
    let mut bytes = Vec::with_capacity(8 + keys.len() * ENTRY_BYTES);
    bytes.extend_from_slice(MAGIC);
    for (key, day) in keys {
        bytes.extend_from_slice(&key.to_le_bytes());
        bytes.extend_from_slice(&day.to_le_bytes());
    }
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    folder::write_whole(&path, &bytes)?;
    Ok(KeyFile { path, last_day: keys.iter().map(|(_, day)| *day).max().unwrap_or(Day::MIN) })
}

/// Loads a key file into the index; `None` when it is damaged.
pub(crate) fn load(path: PathBuf, index: &mut KeyIndex) -> Result<Option<KeyFile>, Error> {
    let bytes = fs::read(&path).map_err(|error| Error::disk(&path, &error))?;
    let Some(entries) = entries(&bytes) else {
        return Ok(None);
    };
    let mut last_day = Day::MIN;
    for entry in entries.chunks_exact(ENTRY_BYTES) {
        let (key, day) = entry.split_at(16);
        let key = Key::from_le_bytes(key.try_into().expect("the entry was split at 16 bytes"));
        let day = Day::from_le_bytes(day.try_into().expect("an entry has 20 bytes"));
        index.commit(&[key], day);
        last_day = last_day.max(day);
    }
    Ok(Some(KeyFile { path, last_day }))
}

/// Deletes the files whose ids are all out of the window; the rest stays in `files`. One that cannot be deleted is tried
/// again the next time.
pub(crate) fn expire(files: &mut Vec<KeyFile>, first: Day) {
    files.retain(|file| file.last_day >= first || fs::remove_file(&file.path).is_err());
}

/// The key files in `dir`.
pub(crate) fn list(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    folder::list(dir, "keys")
}

fn entries(bytes: &[u8]) -> Option<&[u8]> {
    let (body, crc) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    let entries = body.strip_prefix(MAGIC.as_slice())?;
    let sound = crc32c::crc32c(body).to_le_bytes() == crc && entries.len().is_multiple_of(ENTRY_BYTES);
    sound.then_some(entries)
}
