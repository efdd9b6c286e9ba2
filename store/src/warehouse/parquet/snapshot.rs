//! What a reader sees: the files of the manifest and the tail, exchanged as one, each row in exactly one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use liftgate_domain::{EventRow, RowKind, SealedBatch, StoreError, Timestamp, Watermark};
use serde::Serialize;

use super::data_file::DataFile;
use super::first_exposures::RememberedExposures;
use super::schema;

/// Everything visible at one instant.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    pub(super) files: Vec<Arc<DataFile>>,
    pub(super) tail: Vec<Arc<TailBatch>>,
    /// Covers exactly the files and the tail.
    pub(super) watermark: Watermark,
    /// Every (node, epoch) that has written rows. With one, its log has let no event id in twice; with several, two
    /// of them may have.
    pub(super) sources: BTreeSet<(Arc<str>, u64)>,
    /// Rises with every batch of rows, and when files expire. Flushes and merges move rows without changing which there
    /// are.
    pub(super) generation: u64,
    /// By environment, how many distinct events have expired.
    pub(super) expired: BTreeMap<u64, u64>,
}

/// An appended batch that is not in a file yet.
#[derive(Debug)]
pub(super) struct TailBatch {
    pub(super) node: Arc<str>,
    pub(super) epoch: u64,
    pub(super) sequence: u64,
    pub(super) received_through: Timestamp,
    pub(super) rows: usize,
    pub(super) pieces: Vec<TailPiece>,
}

/// The rows of a batch of one environment and kind.
#[derive(Debug)]
pub(super) struct TailPiece {
    pub(super) environment: u64,
    pub(super) kind: RowKind,
    /// Rows with unit index 0.
    pub(super) events: u64,
    pub(super) rows: RecordBatch,
}

impl TailBatch {
    /// Lays out a batch in columns. A batch is a set of rows: of two with one identity (event id and unit type) the first
    /// counts.
    pub(super) fn of(batch: &SealedBatch) -> Result<Self, StoreError> {
        let mut seen = std::collections::HashSet::with_capacity(batch.rows.len());
        let mut groups: Vec<((u64, RowKind), Vec<&EventRow>)> = Vec::new();
        for row in &batch.rows {
            if !seen.insert((row.environment, row.event_id.as_str(), row.unit_type.as_str())) {
                continue;
            }
            let of_row = (row.environment, row.kind);
            match groups.iter_mut().find(|(group, _)| *group == of_row) {
                Some((_, rows)) => rows.push(row),
                None => groups.push((of_row, vec![row])),
            }
        }
        let pieces = groups
            .into_iter()
            .map(|((environment, kind), rows)| {
                let events = rows.iter().filter(|row| row.unit_index == 0).count() as u64;
                Ok(TailPiece { environment, kind, events, rows: schema::to_columns(batch, &rows)? })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Self {
            node: Arc::clone(&batch.node),
            epoch: batch.epoch,
            sequence: batch.sequence,
            received_through: batch.received_through,
            rows: seen.len(),
            pieces,
        })
    }
}

impl Snapshot {
    /// Files of an environment and kind.
    pub(super) fn files_of(&self, environment: u64, kind: RowKind) -> impl Iterator<Item = &DataFile> {
        let wanted = move |file: &&DataFile| file.entry.environment == environment && file.entry.kind == kind;
        self.files.iter().map(|file| &**file).filter(wanted)
    }

    /// Tail rows of an environment and kind.
    pub(super) fn tail_of(&self, environment: u64, kind: RowKind) -> impl Iterator<Item = &RecordBatch> {
        let wanted = move |piece: &&TailPiece| piece.environment == environment && piece.kind == kind;
        self.tail.iter().flat_map(|batch| &batch.pieces).filter(wanted).map(|piece| &piece.rows)
    }

    /// Rows with unit index 0 of an environment and kind, repeated ids included.
    pub(super) fn events_of(&self, environment: u64, kind: RowKind) -> u64 {
        let in_files: u64 = self.files_of(environment, kind).map(|file| file.entry.events).sum();
        let is_of = |piece: &&TailPiece| piece.environment == environment && piece.kind == kind;
        let pieces = self.tail.iter().flat_map(|batch| &batch.pieces).filter(is_of);
        in_files + pieces.map(|piece| piece.events).sum::<u64>()
    }

    /// Sizes, and where other tools find the rows.
    pub(super) fn describe(&self, dir: &Path) -> Description {
        Description {
            files: self.files.len(),
            rows: self.files.iter().map(|file| file.entry.rows).sum(),
            bytes: self.files.iter().map(|file| file.entry.bytes).sum(),
            tail_rows: self.tail.iter().map(|batch| batch.rows as u64).sum(),
            glob: dir.join("env=*/kind=*/day=*/*.parquet").to_string_lossy().into_owned(),
            remembered: RememberedExposures::default(),
        }
    }
}

/// How large a warehouse is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Description {
    /// Data files.
    pub files: usize,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Rows in memory only, visible but not yet in files.
    pub tail_rows: u64,
    /// A pattern that finds the files, for DuckDB's `read_parquet(.., hive_partitioning = true)`.
    pub glob: String,
    /// What is kept in memory for questions that come again.
    pub remembered: RememberedExposures,
}
