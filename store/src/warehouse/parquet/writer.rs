//! Rows into files: one partition's rows sorted by (bucket, name, unit, time), cut into buckets, each file durable
//! before it is named. Nothing here decides what counts; the manifest does.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array, UInt64Array};
use arrow::compute::{self, SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use liftgate_domain::{RowKind, StoreError};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::columns::{self, Names};
use super::layout::{self, unavailable};
use super::record::{FileEntry, kept_names};
use super::schema::{self, unusable};

/// Rows of a partition below which it is one file: a file a bucket only pays when the buckets are large.
pub(super) const BUCKETED_ROWS_MIN: usize = 100_000;
/// Rows that are read as one piece of work.
const ROW_GROUP_ROWS: usize = 131_072;
const ZSTD_LEVEL: i32 = 3;

/// Where files go, and under which number.
pub(super) struct Target<'a> {
    pub(super) dir: &'a Path,
    /// Number of the manifest record that will name them.
    pub(super) number: u64,
    pub(super) buckets: u32,
}

/// Writes the rows of one environment and kind, any days mixed. After an error no file is left.
pub(super) fn write_rows(
    target: &Target<'_>,
    environment: u64,
    kind: RowKind,
    pieces: &[RecordBatch],
) -> Result<Vec<FileEntry>, StoreError> {
    let rows = concat_batches(&schema::schema(), pieces).map_err(|error| unusable(&error))?;
    let places = Places::of(&rows, target.buckets)?;
    let sorted = places.sort(&rows)?;
    let mut written: Vec<FileEntry> = Vec::new();
    for (place, start, length) in places.runs(&sorted.order) {
        let day = layout::day_text(place.day);
        let file = NewFile { environment, kind, day, bucket: place.bucket };
        match write_file(target, file, &sorted.rows.slice(start, length)) {
            Ok(entry) => written.push(entry),
            Err(error) => {
                remove(target.dir, &written);
                return Err(error);
            }
        }
    }
    Ok(written)
}

/// Removes files that did not come to count.
pub(super) fn remove(dir: &Path, files: &[FileEntry]) {
    for file in files {
        // What cannot be removed now is an orphan, which the next start removes.
        let _ = fs::remove_file(dir.join(&file.path));
    }
}

/// Day and bucket of a row.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Place {
    day: i64,
    bucket: u32,
}

struct Places {
    days: Int64Array,
    buckets: UInt32Array,
}

struct Sorted {
    order: UInt32Array,
    rows: RecordBatch,
}

impl Places {
    fn of(rows: &RecordBatch, buckets: u32) -> Result<Self, StoreError> {
        let days: Vec<i64> =
            columns::times(rows, schema::TS)?.values().iter().map(|micros| layout::day_number(*micros)).collect();
        let mut rows_of_day = std::collections::HashMap::<i64, usize>::new();
        for day in &days {
            *rows_of_day.entry(*day).or_default() += 1;
        }
        let hashes = columns::u64s(rows, schema::UNIT_HASH)?.values();
        let bucket = |(day, hash): (&i64, &u64)| {
            let is_large = rows_of_day.get(day).is_some_and(|rows| *rows >= BUCKETED_ROWS_MIN);
            if is_large { ((u128::from(*hash) * u128::from(buckets)) >> 64) as u32 } else { 0 }
        };
        let buckets = days.iter().zip(hashes).map(bucket).collect::<Vec<_>>();
        Ok(Self { days: Int64Array::from(days), buckets: UInt32Array::from(buckets) })
    }

    fn sort(&self, rows: &RecordBatch) -> Result<Sorted, StoreError> {
        let column = |name: &str| rows.column_by_name(name).cloned();
        let keys: Vec<SortColumn> = [
            Some(Arc::new(self.days.clone()) as ArrayRef),
            Some(Arc::new(self.buckets.clone()) as ArrayRef),
            column(schema::NAME),
            column(schema::UNIT_HASH),
            column(schema::TS),
        ]
        .into_iter()
        .flatten()
        .map(|values| SortColumn { values, options: None })
        .collect();
        let order = lexsort_to_indices(&keys, None).map_err(|error| unusable(&error))?;
        let rows = take_record_batch(rows, &order).map_err(|error| unusable(&error))?;
        Ok(Sorted { order, rows })
    }

    /// The stretches of sorted rows that share a place: (place, start, length).
    fn runs(&self, order: &UInt32Array) -> Vec<(Place, usize, usize)> {
        let mut runs: Vec<(Place, usize, usize)> = Vec::new();
        for (position, row) in order.values().iter().enumerate() {
            let row = *row as usize;
            let place = Place { day: self.days.value(row), bucket: self.buckets.value(row) };
            match runs.last_mut() {
                Some((last, _, length)) if *last == place => *length += 1,
                _ => runs.push((place, position, 1)),
            }
        }
        runs
    }
}

struct NewFile {
    environment: u64,
    kind: RowKind,
    day: String,
    bucket: u32,
}

fn write_file(target: &Target<'_>, file: NewFile, rows: &RecordBatch) -> Result<FileEntry, StoreError> {
    let partition = layout::partition(file.environment, file.kind, &file.day);
    let folder = layout::create_partition(target.dir, &partition)?;
    let name = format!("{:010}-{:03}.parquet", target.number, file.bucket);
    let path = folder.join(&name);
    let temporary = layout::temporary(&path);
    let bytes = match write_temporary(&temporary, rows) {
        Ok(bytes) => bytes,
        Err(error) => {
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
    };
    let renamed = fs::rename(&temporary, &path).map_err(|error| unavailable("rename", &path, &error));
    if let Err(error) = renamed.and_then(|()| layout::sync_dir(&folder)) {
        let (_, _) = (fs::remove_file(&temporary), fs::remove_file(&path));
        return Err(error);
    }
    Ok(FileEntry {
        path: format!("{partition}/{name}"),
        environment: file.environment,
        kind: file.kind,
        day: file.day,
        rows: rows.num_rows() as u64,
        bytes,
        runs: runs_of(columns::u64s(rows, schema::RUN)?),
        names: names_of(rows)?,
    })
}

fn write_temporary(path: &PathBuf, rows: &RecordBatch) -> Result<u64, StoreError> {
    let failed = |error: std::io::Error| unavailable("write", path, &error);
    let refused = |error: parquet::errors::ParquetError| {
        StoreError::Unavailable(format!("could not write `{}`: {error}; check the space on that disk", path.display()))
    };
    let file = File::create(path).map_err(failed)?;
    let mut writer = ArrowWriter::try_new(file, schema::schema(), Some(properties())).map_err(refused)?;
    writer.write(rows).map_err(refused)?;
    let file = writer.into_inner().map_err(refused)?;
    file.sync_all().map_err(failed)?;
    Ok(file.metadata().map_err(failed)?.len())
}

fn properties() -> WriterProperties {
    let column = |name: &str| ColumnPath::from(name);
    let position = |name: &str| schema::schema().index_of(name).ok().and_then(|index| i32::try_from(index).ok());
    let sorting = [schema::NAME, schema::UNIT_HASH, schema::TS]
        .into_iter()
        .filter_map(position)
        .map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: false })
        .collect();
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("liftgate {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_sorting_columns(Some(sorting))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        // Nearly every value is its own: a dictionary would only be written to be given up.
        .set_column_dictionary_enabled(column(schema::EVENT_ID), false)
        .set_column_statistics_enabled(column(schema::PROPERTIES), EnabledStatistics::None);
    // Sorted or slowly rising numbers are smallest as differences.
    for name in [schema::TS, schema::RECEIVED_AT, schema::UNIT_HASH] {
        builder = builder
            .set_column_dictionary_enabled(column(name), false)
            .set_column_encoding(column(name), Encoding::DELTA_BINARY_PACKED);
    }
    builder.build()
}

fn runs_of(runs: &UInt64Array) -> Option<(u64, u64)> {
    Some((compute::min(runs)?, compute::max(runs)?))
}

/// The distinct names of sorted rows.
fn names_of(rows: &RecordBatch) -> Result<Option<Vec<String>>, StoreError> {
    let names = Names::of(rows, schema::NAME)?;
    let mut distinct: Vec<String> = Vec::new();
    for row in 0..rows.num_rows() {
        let name = names.text(row).unwrap_or_default();
        if distinct.last().is_none_or(|last| last != name) {
            distinct.push(name.to_owned());
        }
    }
    Ok(kept_names(distinct))
}
