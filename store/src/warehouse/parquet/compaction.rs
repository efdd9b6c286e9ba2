//! Which small files become one. Every flush leaves a few small files; a partition that has gathered many of them is
//! read, sorted and written anew, and a manifest record exchanges old for new.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use liftgate_domain::{RowKind, StoreError};

use super::data_file::DataFile;
use super::record::FileEntry;
use super::snapshot::Snapshot;
use super::writer::{self, BUCKETED_ROWS_MIN, Target};

/// Small files that a partition may have.
pub(super) const SMALL_FILES_MAX: usize = 64;
/// Compressed bytes that one merge reads. Rows can be long, so that their number alone bounds no memory.
const INPUT_BYTES_MAX: u64 = 64 << 20;

/// Files of one partition to be merged.
pub(super) struct Merge {
    pub(super) files: Vec<Arc<DataFile>>,
}

/// The most small files of one partition that can be merged at a time, of those partitions that have too many: smallest
/// first, no more than `rows_max` rows and [`INPUT_BYTES_MAX`], which are in memory while they are merged.
pub(super) fn next(snapshot: &Snapshot, rows_max: u64) -> Option<Merge> {
    let mut partitions: BTreeMap<(u64, RowKind, &str), Vec<&Arc<DataFile>>> = BTreeMap::new();
    for file in snapshot.files.iter().filter(|file| file.entry.rows < BUCKETED_ROWS_MIN as u64) {
        let entry = &file.entry;
        partitions.entry((entry.environment, entry.kind, &entry.day)).or_default().push(file);
    }
    let crowded = partitions.into_values().filter(|files| files.len() > SMALL_FILES_MAX);
    crowded.filter_map(|files| smallest(files, rows_max)).max_by_key(|merge| merge.files.len())
}

fn smallest(mut files: Vec<&Arc<DataFile>>, rows_max: u64) -> Option<Merge> {
    files.sort_by_key(|file| file.entry.rows);
    let (mut rows, mut bytes) = (0, 0);
    let fits = |file: &&&Arc<DataFile>| {
        rows += file.entry.rows;
        bytes += file.entry.bytes;
        rows <= rows_max && bytes <= INPUT_BYTES_MAX
    };
    let files: Vec<Arc<DataFile>> = files.iter().take_while(fits).map(|file| Arc::clone(file)).collect();
    (files.len() > 1).then_some(Merge { files })
}

impl Merge {
    /// Writes the files' rows anew.
    pub(super) fn write(&self, target: &Target<'_>) -> Result<Vec<FileEntry>, StoreError> {
        let mut rows: Vec<RecordBatch> = Vec::new();
        for file in &self.files {
            for row_group in 0..file.row_groups()? {
                file.read_all(row_group, |batch| {
                    rows.push(batch.clone());
                    Ok(())
                })?;
            }
        }
        let Some(first) = self.files.first() else {
            return Ok(Vec::new());
        };
        writer::write_rows(target, first.entry.environment, first.entry.kind, &rows)
    }

    /// The paths that no longer count.
    pub(super) fn paths(&self) -> Vec<String> {
        self.files.iter().map(|file| file.entry.path.clone()).collect()
    }

    pub(super) fn contains(&self, file: &Arc<DataFile>) -> bool {
        self.files.iter().any(|merged| Arc::ptr_eq(merged, file))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// `count` files of one day, of these rows and bytes each.
    fn files(day: &str, count: usize, rows: u64, bytes: u64) -> impl Iterator<Item = Arc<DataFile>> {
        (0..count).map(move |number| {
            let path = format!("{day}/{number}");
            let (day, kind) = (day.to_owned(), RowKind::Metric);
            let entry = FileEntry { path, environment: 1, kind, day, rows, bytes, runs: None, names: None };
            Arc::new(DataFile::new(Path::new("nowhere"), entry))
        })
    }

    #[test]
    fn merges_as_much_as_fits_of_a_partition_that_has_too_many_files() {
        const MIB: u64 = 1 << 20;
        let merged = |files: Vec<Arc<DataFile>>| {
            next(&Snapshot { files, ..Snapshot::default() }, 1_000).map_or(0, |merge| merge.files.len())
        };
        for (count, rows, bytes, expected) in [
            (SMALL_FILES_MAX, 1, 1, 0),
            (SMALL_FILES_MAX + 1, 1, 1, SMALL_FILES_MAX + 1),
            (SMALL_FILES_MAX + 1, 100, 1, 10),
            (SMALL_FILES_MAX + 1, 1, 4 * MIB, 16),
            (SMALL_FILES_MAX + 1, 1, 40 * MIB, 0),
        ] {
            assert_eq!(
                merged(files("a", count, rows, bytes).collect()),
                expected,
                "{count} of {rows} rows, {bytes} bytes"
            );
        }
        let too_large = files("a", SMALL_FILES_MAX + 9, 1, 40 * MIB);
        let next_to_it = files("b", SMALL_FILES_MAX + 1, 1, 1);
        assert_eq!(merged(too_large.chain(next_to_it).collect()), SMALL_FILES_MAX + 1);
    }
}
