//! One immutable data file: opened when a question first needs it, removed when nobody reads it any more.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use liftgate_domain::StoreError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::record::FileEntry;

/// Rows decoded at a time: enough to amortise, few enough for the processor's cache.
const BATCH_ROWS: usize = 16_384;

/// A file that the manifest names.
#[derive(Debug)]
pub(super) struct DataFile {
    pub(super) entry: FileEntry,
    pub(super) path: PathBuf,
    footer: OnceLock<ArrowReaderMetadata>,
    obsolete: AtomicBool,
}

impl DataFile {
    pub(super) fn new(dir: &Path, entry: FileEntry) -> Self {
        let path = dir.join(&entry.path);
        Self { entry, path, footer: OnceLock::new(), obsolete: AtomicBool::new(false) }
    }

    /// Checks what can be checked without reading: that the file is there, and as long as it was.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match fs::metadata(&self.path) {
            Ok(metadata) if metadata.len() == self.entry.bytes => Ok(()),
            Ok(metadata) => Err(self.damaged(&format!("{} bytes instead of {}", metadata.len(), self.entry.bytes))),
            Err(error) => Err(self.damaged(&error)),
        }
    }

    /// The file no longer counts: it goes when its last reader does.
    pub(super) fn retire(&self) {
        self.obsolete.store(true, Ordering::Release);
    }

    /// How many parts can be read side by side.
    pub(super) fn row_groups(&self) -> Result<usize, StoreError> {
        Ok(self.footer()?.metadata().num_row_groups())
    }

    /// Reads some columns of one row group, batch by batch.
    pub(super) fn read(
        &self,
        row_group: usize,
        columns: &[&str],
        visit: impl FnMut(&RecordBatch) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mask = ProjectionMask::columns(self.footer()?.parquet_schema(), columns.iter().copied());
        self.read_masked(row_group, mask, visit)
    }

    /// Reads all columns of one row group.
    pub(super) fn read_all(
        &self,
        row_group: usize,
        visit: impl FnMut(&RecordBatch) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.read_masked(row_group, ProjectionMask::all(), visit)
    }

    fn read_masked(
        &self,
        row_group: usize,
        mask: ProjectionMask,
        mut visit: impl FnMut(&RecordBatch) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let footer = self.footer()?.clone();
        let file = File::open(&self.path).map_err(|error| self.damaged(&error))?;
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer)
            .with_projection(mask)
            .with_row_groups(vec![row_group])
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|error| self.damaged(&error))?;
        for batch in reader {
            visit(&batch.map_err(|error| self.damaged(&error))?).map_err(|error| match error {
                StoreError::Corrupt(what) => self.damaged(&what),
                other => other,
            })?;
        }
        Ok(())
    }

    fn footer(&self) -> Result<&ArrowReaderMetadata, StoreError> {
        if let Some(footer) = self.footer.get() {
            return Ok(footer);
        }
        let file = File::open(&self.path).map_err(|error| self.damaged(&error))?;
        let footer =
            ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|error| self.damaged(&error))?;
        Ok(self.footer.get_or_init(|| footer))
    }

    fn damaged(&self, what: &dyn std::fmt::Display) -> StoreError {
        StoreError::Corrupt(format!("`{}`: {what}; restore this file from a backup", self.path.display()))
    }
}

impl Drop for DataFile {
    fn drop(&mut self) {
        if !*self.obsolete.get_mut() {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(file = %self.path.display(), %error, "A merged data file could not be removed; the next start will.");
        }
    }
}
