//! Reads rows with several threads: each takes the next piece (a row group, or a batch of the tail) until none is
//! left. What a thread gathers is its own; whoever asked puts it together in an order that does not depend on them.

use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use liftgate_domain::StoreError;

use super::data_file::DataFile;

/// Rows that are read by one thread.
pub(super) enum Piece<'a> {
    RowGroup { file: &'a DataFile, index: usize },
    Tail(&'a RecordBatch),
}

/// The pieces of some files and tail rows.
pub(super) fn pieces<'a>(
    files: impl Iterator<Item = &'a DataFile>,
    tail: impl Iterator<Item = &'a RecordBatch>,
) -> Result<Vec<Piece<'a>>, StoreError> {
    let mut pieces = Vec::new();
    for file in files {
        pieces.extend((0..file.row_groups()?).map(|index| Piece::RowGroup { file, index }));
    }
    pieces.extend(tail.map(Piece::Tail));
    Ok(pieces)
}

/// Shows every batch of every piece to `visit`, and answers with what each thread gathered. A batch has at least
/// `columns`.
pub(super) fn scan<G: Default + Send>(
    pieces: &[Piece<'_>],
    columns: &[&str],
    threads: usize,
    visit: impl Fn(&mut G, &RecordBatch) -> Result<(), StoreError> + Sync,
) -> Result<Vec<G>, StoreError> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<G, StoreError> {
        let mut gathered = G::default();
        while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            match piece {
                Piece::Tail(rows) => visit(&mut gathered, rows)?,
                Piece::RowGroup { file, index } => file.read(*index, columns, |rows| visit(&mut gathered, rows))?,
            }
        }
        Ok(gathered)
    };
    let others = threads.min(pieces.len()).saturating_sub(1);
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..others).map(|_| scope.spawn(work)).collect();
        let mut all = vec![work()];
        for other in others {
            all.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all.into_iter().collect()
    })
}
