//! Reads rows with several threads: each takes the next lane (all parts of files of one bucket, or a piece with units
//! of all buckets) until none is left. So a thread stays with few units for long, and they with the processor's cache.
//! What a thread gathers is its own; whoever asked puts it together in an order that does not depend on them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use liftgate_domain::{RowKind, StoreError};

use super::data_file::{DataFile, Part};
use super::pruning::Asked;
use super::record::Bucket;
use super::snapshot::Snapshot;

/// Rows that are read by one thread.
pub(super) enum Piece<'a> {
    Part { file: &'a DataFile, part: Part },
    Tail(&'a RecordBatch),
}

/// Pieces for one thread, one after the other.
pub(super) type Lane<'a> = Vec<Piece<'a>>;

/// The pieces of an environment's rows of one kind that can have asked rows.
pub(super) fn lanes<'a>(
    snapshot: &'a Snapshot,
    environment: u64,
    kind: RowKind,
    asked: &Asked<'_>,
) -> Result<Vec<Lane<'a>>, StoreError> {
    let mut lanes = tail_lanes(snapshot, environment, kind);
    lanes.extend(file_lanes(files(snapshot, environment, kind, asked), asked)?);
    Ok(lanes)
}

/// The files of an environment's rows of one kind that can have asked rows.
pub(super) fn files<'a>(
    snapshot: &'a Snapshot,
    environment: u64,
    kind: RowKind,
    asked: &Asked<'_>,
) -> impl Iterator<Item = &'a DataFile> {
    let may_have = |file: &&DataFile| match asked {
        Asked::Names(names) => file.entry.may_have_name(|name| names.contains(name)),
        Asked::Runs(runs) => runs.iter().any(|run| file.entry.may_have_run(*run)),
    };
    snapshot.files_of(environment, kind).filter(may_have)
}

/// The pieces of the tail.
pub(super) fn tail_lanes(snapshot: &Snapshot, environment: u64, kind: RowKind) -> Vec<Lane<'_>> {
    snapshot.tail_of(environment, kind).map(|rows| vec![Piece::Tail(rows)]).collect()
}

/// The pieces of files that can have asked rows.
pub(super) fn file_lanes<'a>(
    files: impl Iterator<Item = &'a DataFile>,
    asked: &Asked<'_>,
) -> Result<Vec<Lane<'a>>, StoreError> {
    let mut lanes: Vec<Lane<'a>> = Vec::new();
    let mut of_buckets: BTreeMap<Bucket, Lane<'a>> = BTreeMap::new();
    for file in files {
        let parts = file.parts(asked)?.into_iter().map(|part| Piece::Part { file, part });
        match file.entry.bucket {
            Some(bucket) => of_buckets.entry(bucket).or_default().extend(parts),
            None => lanes.extend(parts.map(|part| vec![part])),
        }
    }
    lanes.extend(of_buckets.into_values());
    Ok(lanes)
}

/// Shows every batch of every lane to `visit`, and answers with what each thread gathered. A batch has at least
/// `columns`.
pub(super) fn scan<G: Default + Send>(
    lanes: &[Lane<'_>],
    columns: &[&str],
    threads: usize,
    visit: impl Fn(&mut G, &RecordBatch) -> Result<(), StoreError> + Sync,
) -> Result<Vec<G>, StoreError> {
    let next = AtomicUsize::new(0);
    in_threads(threads.min(lanes.len()), || {
        let mut gathered = G::default();
        while let Some(lane) = lanes.get(next.fetch_add(1, Ordering::Relaxed)) {
            for piece in lane {
                match piece {
                    Piece::Tail(rows) => visit(&mut gathered, rows)?,
                    Piece::Part { file, part } => file.read(part, columns, |rows| visit(&mut gathered, rows))?,
                }
            }
        }
        Ok(gathered)
    })
}

/// What `work` makes of each of `0..count`, in that order, computed side by side.
pub(super) fn each<T: Send>(
    count: usize,
    threads: usize,
    work: impl Fn(usize) -> Result<T, StoreError> + Sync,
) -> Result<Vec<T>, StoreError> {
    let next = AtomicUsize::new(0);
    let done = in_threads(threads.min(count), || {
        let mut done = Vec::new();
        loop {
            let position = next.fetch_add(1, Ordering::Relaxed);
            if position >= count {
                return Ok(done);
            }
            done.push((position, work(position)?));
        }
    })?;
    let mut all: Vec<(usize, T)> = done.into_iter().flatten().collect();
    all.sort_by_key(|(position, _)| *position);
    Ok(all.into_iter().map(|(_, made)| made).collect())
}

/// Runs `work` on so many threads, this one among them.
fn in_threads<T: Send>(threads: usize, work: impl Fn() -> Result<T, StoreError> + Sync) -> Result<Vec<T>, StoreError> {
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(&work)).collect();
        let mut all = vec![work()];
        for other in others {
            all.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all.into_iter().collect()
    })
}
