//! One data file being written: its columns encoded, its bytes made durable, its name given last. Nothing here decides
//! what counts; the manifest does.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::array::{Array, RecordBatch};
use arrow::compute;
use liftgate_domain::{RowKind, StoreError, failpoint};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::columns;
use super::layout::{self, unavailable};
use super::record::{Bucket, FileEntry, NAMES_MAX};
use super::schema;

/// Rows that are read as one piece of work, and have one dictionary of units.
const ROW_GROUP_ROWS: usize = 2 << 20;
/// Rows of a page: what is skipped when another event or run is asked for.
const PAGE_ROWS: usize = 20_000;
/// A dictionary that outgrows this is given up, and then costs far more than it saves.
const DICTIONARY_BYTES_MAX: usize = 256 << 20;
const ZSTD_LEVEL: i32 = 3;

/// Where a file belongs.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) environment: u64,
    pub(super) kind: RowKind,
    /// `YYYY-MM-DD`.
    pub(super) day: String,
    pub(super) bucket: Option<Bucket>,
}

/// A file that nobody else sees yet. Dropped unfinished, it is removed.
pub(super) struct FileWriter {
    writer: Option<ArrowWriter<File>>,
    temporary: PathBuf,
    path: PathBuf,
    entry: FileEntry,
    names: BTreeSet<String>,
}

impl FileWriter {
    /// Begins a file; `number` is one that no other record or file has used.
    pub(super) fn create(dir: &Path, number: u64, place: &Place) -> Result<Self, StoreError> {
        let partition = layout::partition(place.environment, place.kind, &place.day);
        let folder = layout::create_partition(dir, &partition)?;
        let name = format!("{number:010}-{:03}.parquet", place.bucket.map_or(0, |bucket| bucket.index));
        let path = folder.join(&name);
        let temporary = layout::temporary(&path);
        let file = File::create(&temporary).map_err(|error| unavailable("write", &temporary, &error))?;
        let entry = FileEntry {
            path: format!("{partition}/{name}"),
            version: schema::SCHEMA_VERSION,
            environment: place.environment,
            kind: place.kind,
            day: place.day.clone(),
            bucket: place.bucket,
            rows: 0,
            events: 0,
            bytes: 0,
            runs: None,
            names: None,
        };
        let mut created = Self { writer: None, temporary, path, entry, names: BTreeSet::new() };
        let writer = ArrowWriter::try_new(file, schema::plain_schema(), Some(properties(place.kind)));
        created.writer = Some(writer.map_err(|error| created.refused(&error))?);
        Ok(created)
    }

    /// Adds rows without dictionaries, sorted by (name, unit type, time) and behind those before.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<(), StoreError> {
        let runs = columns::u64s(rows, schema::RUN)?;
        for run in [compute::min(runs), compute::max(runs)].into_iter().flatten() {
            let (lowest, highest) = self.entry.runs.unwrap_or((run, run));
            self.entry.runs = Some((lowest.min(run), highest.max(run)));
        }
        let names = columns::texts(rows, schema::NAME)?;
        let mut last = None;
        for row in 0..rows.num_rows() {
            let name = names.value(row);
            if last != Some(name) && self.names.len() <= NAMES_MAX && !self.names.contains(name) {
                self.names.insert(name.to_owned());
            }
            last = Some(name);
        }
        let indexes = columns::u8s(rows, schema::UNIT_INDEX)?;
        self.entry.events += indexes.values().iter().filter(|index| **index == 0).count() as u64;
        self.entry.rows += rows.num_rows() as u64;
        debug_assert_eq!(indexes.null_count(), 0, "the column is required");
        let Some(writer) = &mut self.writer else {
            return Err(StoreError::Unavailable(format!("`{}` is closed", self.path.display())));
        };
        writer.write(rows).map_err(|error| self.refused(&error))
    }

    /// Makes the file durable under its name.
    pub(super) fn finish(mut self) -> Result<FileEntry, StoreError> {
        let Some(writer) = self.writer.take() else {
            return Err(StoreError::Unavailable(format!("`{}` is closed", self.path.display())));
        };
        let failed = |error: std::io::Error| unavailable("write", &self.temporary, &error);
        let file = writer.into_inner().map_err(|error| self.refused(&error))?;
        failpoint::hit("store.file_written");
        file.sync_all().map_err(failed)?;
        failpoint::hit("store.file_synced");
        self.entry.bytes = file.metadata().map_err(failed)?.len();
        fs::rename(&self.temporary, &self.path).map_err(|error| unavailable("rename", &self.path, &error))?;
        failpoint::hit("store.file_renamed");
        if let Err(error) = self.path.parent().map_or(Ok(()), layout::sync_dir) {
            let _ = fs::remove_file(&self.path);
            return Err(error);
        }
        failpoint::hit("store.folder_synced");
        if self.names.len() <= NAMES_MAX {
            self.entry.names = Some(std::mem::take(&mut self.names).into_iter().collect());
        }
        Ok(self.entry.clone())
    }

    fn refused(&self, error: &dyn std::fmt::Display) -> StoreError {
        StoreError::Unavailable(format!(
            "could not write `{}`: {error}; check the space on that disk",
            self.temporary.display()
        ))
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        // After the rename there is none; what cannot be removed now is an orphan, which the next start removes.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Removes files that did not come to count.
pub(super) fn remove(dir: &Path, files: &[FileEntry]) {
    for file in files {
        // What cannot be removed now is an orphan, which the next start removes.
        let _ = fs::remove_file(dir.join(&file.path));
    }
}

fn properties(kind: RowKind) -> WriterProperties {
    let column = |name: &str| ColumnPath::from(name);
    let position = |name: &str| schema::schema().index_of(name).ok().and_then(|index| i32::try_from(index).ok());
    let sorting = [schema::NAME, schema::UNIT_TYPE, schema::TS]
        .into_iter()
        .filter_map(position)
        .map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: false })
        .collect();
    // By what pages are skipped.
    let asked_by = match kind {
        RowKind::Exposure => schema::RUN,
        RowKind::Metric => schema::NAME,
    };
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("liftgate {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX)
        .set_sorting_columns(Some(sorting))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_statistics_enabled(column(asked_by), EnabledStatistics::Page)
        .set_column_statistics_enabled(column(schema::PROPERTIES), EnabledStatistics::None)
        // Nearly every value is its own: a dictionary would only be written to be given up.
        .set_column_dictionary_enabled(column(schema::EVENT_ID), false)
        .set_column_encoding(column(schema::EVENT_ID), Encoding::DELTA_BYTE_ARRAY);
    // Slowly rising or small numbers are smallest as differences.
    for name in [schema::TS, schema::TS_CLIENT, schema::RECEIVED_AFTER_US, schema::BATCH_SEQUENCE] {
        builder = builder
            .set_column_dictionary_enabled(column(name), false)
            .set_column_encoding(column(name), Encoding::DELTA_BINARY_PACKED);
    }
    builder.build()
}
