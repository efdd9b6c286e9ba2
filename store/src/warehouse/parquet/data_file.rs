//! One immutable data file: opened when a question first needs it, removed when nobody reads it any more.
//!
//! Reading leaves out what need not be read: pages without an asked event or run, and columns that the statistics say
//! are the same in every row.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use liftgate_domain::StoreError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::PageIndexPolicy;

use super::pruning::{self, Asked};
use super::record::FileEntry;
use super::schema;

/// Rows decoded at a time: enough to amortise, few enough for the processor's cache.
pub(super) const BATCH_ROWS: usize = 16_384;

/// A file that the manifest names.
#[derive(Debug)]
pub(super) struct DataFile {
    pub(super) entry: FileEntry,
    pub(super) path: PathBuf,
    footer: OnceLock<ArrowReaderMetadata>,
    obsolete: AtomicBool,
}

/// Rows of a file that are worth reading.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) row_group: usize,
    /// All rows of the row group when absent.
    pub(super) rows: Option<RowSelection>,
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

    /// The parts that can have asked rows; they can be read side by side.
    pub(super) fn parts(&self, asked: &Asked<'_>) -> Result<Vec<Part>, StoreError> {
        let footer = self.footer()?;
        let groups = 0..footer.metadata().num_row_groups();
        Ok(groups.filter_map(|row_group| pruning::part(footer, row_group, asked)).collect())
    }

    /// Reads some columns of a part, batch by batch.
    pub(super) fn read(
        &self,
        part: &Part,
        columns: &[&str],
        mut visit: impl FnMut(&RecordBatch) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let footer = self.footer()?;
        let constants: Vec<(&str, Option<ArrayRef>)> =
            columns.iter().map(|name| (*name, pruning::constant(footer, part.row_group, name))).collect();
        let varying = constants.iter().filter(|(_, constant)| constant.is_none()).map(|(name, _)| *name);
        let mask = ProjectionMask::columns(footer.parquet_schema(), varying);
        let mut reader = self.builder(footer.clone())?.with_projection(mask).with_row_groups(vec![part.row_group]);
        if let Some(rows) = &part.rows {
            reader = reader.with_row_selection(rows.clone());
        }
        let reader = reader.build().map_err(|error| self.damaged(&error))?;
        let schema = self.projected(columns)?;
        for batch in reader {
            let read = batch.map_err(|error| self.damaged(&error))?;
            let batch = self.completed(&read, &constants, &schema)?;
            visit(&batch).map_err(|error| match error {
                StoreError::Corrupt(what) => self.damaged(&what),
                other => other,
            })?;
        }
        Ok(())
    }

    /// Reads all rows in their order, without dictionaries, `rows` at a time.
    pub(super) fn read_plain(&self, rows: usize) -> Result<ParquetRecordBatchReader, StoreError> {
        let options = ArrowReaderOptions::new().with_schema(schema::plain_schema());
        let footer = ArrowReaderMetadata::try_new(self.footer()?.metadata().clone(), options);
        let builder = self.builder(footer.map_err(|error| self.damaged(&error))?)?;
        builder.with_batch_size(rows).build().map_err(|error| self.damaged(&error))
    }

    pub(super) fn damaged(&self, what: &dyn std::fmt::Display) -> StoreError {
        StoreError::Corrupt(format!("`{}`: {what}; restore this file from a backup", self.path.display()))
    }

    fn builder(&self, footer: ArrowReaderMetadata) -> Result<ParquetRecordBatchReaderBuilder<File>, StoreError> {
        let file = File::open(&self.path).map_err(|error| self.damaged(&error))?;
        Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer).with_batch_size(BATCH_ROWS))
    }

    fn projected(&self, columns: &[&str]) -> Result<SchemaRef, StoreError> {
        let all = schema::schema();
        let fields = columns.iter().map(|name| all.field_with_name(name).cloned());
        let fields = fields.collect::<Result<Vec<_>, _>>().map_err(|error| self.damaged(&error))?;
        Ok(SchemaRef::new(Schema::new(fields)))
    }

    /// What was read, and the columns that need no reading.
    fn completed(
        &self,
        read: &RecordBatch,
        constants: &[(&str, Option<ArrayRef>)],
        schema: &SchemaRef,
    ) -> Result<RecordBatch, StoreError> {
        let column = |(name, constant): &(&str, Option<ArrayRef>)| match constant {
            Some(constant) => Ok(constant.slice(0, read.num_rows())),
            None => read.column_by_name(name).cloned().ok_or_else(|| self.damaged(&format!("no column `{name}`"))),
        };
        let arrays = constants.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(schema.clone(), arrays).map_err(|error| self.damaged(&error))
    }

    fn footer(&self) -> Result<&ArrowReaderMetadata, StoreError> {
        if let Some(footer) = self.footer.get() {
            return Ok(footer);
        }
        let file = File::open(&self.path).map_err(|error| self.damaged(&error))?;
        let options =
            ArrowReaderOptions::new().with_schema(schema::schema()).with_page_index_policy(PageIndexPolicy::Optional);
        let footer = ArrowReaderMetadata::load(&file, options).map_err(|error| self.damaged(&error))?;
        Ok(self.footer.get_or_init(|| footer))
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
            tracing::warn!(file = %self.path.display(), %error, "A data file that no longer counts could not be removed; the next start will.");
        }
    }
}
