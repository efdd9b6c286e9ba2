//! Folders and files: where a row's file is, and how a file becomes durable.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use liftgate_domain::{RowKind, StoreError, Timestamp};

const MICROS_PER_DAY: i64 = 86_400_000_000;
/// The first and last instants whose days can be written as text. What is beyond lies in the same day as they do.
const CALENDAR_MICROS: (i64, i64) = (-377_705_023_201_000_000, 253_402_207_200_000_000);
/// Where files are kept that a dropped manifest record may have named.
const ORPHANS: &str = "orphans";
/// A file that is still being written.
const TEMPORARY: &str = "tmp";

/// Days since the epoch of an instant in microseconds.
pub(super) fn day_number(micros: i64) -> i64 {
    micros.clamp(CALENDAR_MICROS.0, CALENDAR_MICROS.1).div_euclid(MICROS_PER_DAY)
}

/// `YYYY-MM-DD` of a day number.
pub(super) fn day_text(day: i64) -> String {
    let text = Timestamp(day.saturating_mul(MICROS_PER_DAY)).to_string();
    text.split('T').next().unwrap_or(&text).to_owned()
}

/// The folder of a partition, below the warehouse's folder.
pub(super) fn partition(environment: u64, kind: RowKind, day: &str) -> String {
    format!("env={environment}/kind={}/day={day}", kind.as_str())
}

/// Creates the folder of a partition and makes its name durable.
pub(super) fn create_partition(dir: &Path, partition: &str) -> Result<PathBuf, StoreError> {
    let path = dir.join(partition);
    if path.is_dir() {
        return Ok(path);
    }
    fs::create_dir_all(&path).map_err(|error| unavailable("create", &path, &error))?;
    for folder in path.ancestors().take_while(|folder| folder.starts_with(dir)) {
        sync_dir(folder)?;
    }
    Ok(path)
}

/// Makes the names in a folder durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|folder| folder.sync_all()).map_err(|error| unavailable("sync", dir, &error))
}

/// Replaces a small file in one step: temporary, sync, rename, sync of the folder.
pub(super) fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let temporary = temporary(path);
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| unavailable("write", &temporary, &error))?;
    fs::rename(&temporary, path).map_err(|error| unavailable("rename", path, &error))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// The name under which a file is written before it is whole.
pub(super) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(TEMPORARY);
    PathBuf::from(name)
}

/// What happens to data files that the manifest does not name.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Orphans {
    /// No record can have named them: they were never acknowledged.
    Remove,
    /// A damaged record was dropped that may have named them: an operator decides.
    MoveAside,
}

/// Clears the partitions of files that do not count; how many there were.
pub(super) fn clear_orphans(dir: &Path, named: impl Fn(&str) -> bool, orphans: Orphans) -> Result<usize, StoreError> {
    let mut cleared = 0;
    let mut touched = BTreeSet::new();
    for folder in partitions(dir)? {
        for path in entries(&folder, "")? {
            let extension = path.extension().and_then(|extension| extension.to_str());
            let relative = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().into_owned();
            match extension {
                Some(TEMPORARY) => remove(&path)?,
                Some("parquet") if named(&relative) => continue,
                Some("parquet") if orphans == Orphans::Remove => remove(&path)?,
                Some("parquet") => move_aside(dir, &path, &relative)?,
                _ => continue,
            }
            touched.insert(folder.clone());
            cleared += 1;
        }
    }
    touched.iter().try_for_each(|folder| sync_dir(folder))?;
    Ok(cleared)
}

fn partitions(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut folders = vec![dir.to_owned()];
    for prefix in ["env=", "kind=", "day="] {
        let mut deeper = Vec::new();
        for folder in &folders {
            deeper.extend(entries(folder, prefix)?.into_iter().filter(|path| path.is_dir()));
        }
        folders = deeper;
    }
    Ok(folders)
}

fn entries(folder: &Path, prefix: &str) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |error: io::Error| unavailable("list", folder, &error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn remove(path: &Path) -> Result<(), StoreError> {
    fs::remove_file(path).map_err(|error| unavailable("remove", path, &error))
}

fn move_aside(dir: &Path, path: &Path, relative: &str) -> Result<(), StoreError> {
    let folder = dir.join(ORPHANS);
    fs::create_dir_all(&folder).map_err(|error| unavailable("create", &folder, &error))?;
    let target = folder.join(relative.replace('/', "_"));
    fs::rename(path, &target).map_err(|error| unavailable("move", path, &error))?;
    tracing::warn!(file = %target.display(), "A data file that no manifest record names was moved aside.");
    Ok(())
}

/// An error of the file system, with the path and what to do about it.
pub(super) fn unavailable(doing: &str, path: &Path, error: &io::Error) -> StoreError {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => "give this user read and write access to it",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space on that disk",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "choose a folder for the warehouse, not a file",
        io::ErrorKind::ReadOnlyFilesystem => "choose a folder on a disk that can be written",
        _ => "check the disk and the path",
    };
    StoreError::Unavailable(format!("could not {doing} `{}`: {error}; {advice}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_utc_and_begin_at_midnight_even_before_the_epoch() {
        for (micros, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (86_399_999_999, "1970-01-01"),
            (86_400_000_000, "1970-01-02"),
            (1_772_328_600_123_456, "2026-03-01"),
        ] {
            assert_eq!(day_text(day_number(micros)), text, "{micros}");
        }
    }
}
