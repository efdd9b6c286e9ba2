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

/// Files of one partition to be merged.
pub(super) struct Merge {
    pub(super) files: Vec<Arc<DataFile>>,
}

/// The partition with the most small files, when it has too many; its smallest files first, and of them no more than
/// `rows_max` rows, which are in memory while they are merged.
pub(super) fn next(snapshot: &Snapshot, rows_max: u64) -> Option<Merge> {
    let mut partitions: BTreeMap<(u64, RowKind, &str), Vec<&Arc<DataFile>>> = BTreeMap::new();
    for file in snapshot.files.iter().filter(|file| file.entry.rows < BUCKETED_ROWS_MIN as u64) {
        let entry = &file.entry;
        partitions.entry((entry.environment, entry.kind, &entry.day)).or_default().push(file);
    }
    let mut small = partitions.into_values().filter(|files| files.len() > SMALL_FILES_MAX).max_by_key(Vec::len)?;
    small.sort_by_key(|file| file.entry.rows);
    let mut rows = 0;
    let fits = |file: &&&Arc<DataFile>| {
        rows += file.entry.rows;
        rows <= rows_max
    };
    let files: Vec<Arc<DataFile>> = small.iter().take_while(fits).map(|file| Arc::clone(file)).collect();
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
