//! Sorted files into fewer, larger ones: a merge of streams that holds a few thousand rows of each input and what the
//! encoder needs for a row group of each output, however large the files are.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{RecordBatch, StringArray};
use arrow::compute::interleave_record_batch;
use liftgate_domain::StoreError;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::columns;
use super::data_file::DataFile;
use super::file_writer::{FileWriter, Place, remove};
use super::record::{Bucket, FileEntry};
use super::schema::{self, unusable};
use super::units::UnitHasher;
use super::writer::Target;

/// Rows of an input that are in memory at a time.
const INPUT_ROWS: usize = 4_096;
/// Rows that are handed to the encoders at a time.
const OUTPUT_ROWS: usize = 16_384;

/// Files of one partition to be merged, as one or bucket by bucket.
#[derive(Debug)]
pub(super) struct Merge {
    pub(super) files: Vec<Arc<DataFile>>,
    /// Whether the rows go to a file a bucket.
    pub(super) into_buckets: bool,
}

impl Merge {
    /// Writes the files' rows anew. `None` when `stop` was set meanwhile; then, and after an error, no file is left.
    pub(super) fn write(&self, target: &Target<'_>, stop: &AtomicBool) -> Result<Option<Vec<FileEntry>>, StoreError> {
        let mut outputs = Outputs::new(self, target);
        let mut streams = self.files.iter().map(|file| Stream::open(file)).collect::<Result<Vec<_>, _>>()?;
        // By input: its rows in memory, and how many of them are taken.
        let mut batches: Vec<RecordBatch> = Vec::new();
        let mut heap: BinaryHeap<Reverse<Head>> = BinaryHeap::new();
        for (input, stream) in streams.iter_mut().enumerate() {
            if let Some(head) = stream.next(input, &mut batches)? {
                heap.push(Reverse(head));
            }
        }
        let mut taken: Vec<(u32, (usize, usize))> = Vec::new();
        while let Some(Reverse(mut head)) = heap.pop() {
            // As long as this input stays in front it needs no comparison with all others.
            loop {
                taken.push((outputs.bucket_of(&head), (head.batch, head.row)));
                if !head.advance() {
                    break;
                }
                if heap.peek().is_some_and(|Reverse(next)| *next < head) {
                    break;
                }
            }
            if head.row < head.rows.len() {
                heap.push(Reverse(head));
            } else if let Some(head) = streams[head.input].next(head.input, &mut batches)? {
                heap.push(Reverse(head));
            }
            if taken.len() >= OUTPUT_ROWS {
                if stop.load(Ordering::Acquire) {
                    return Ok(None);
                }
                outputs.write(&mut taken, &batches)?;
                // Only the batches in front are still needed.
                let mut kept = Vec::with_capacity(heap.len());
                heap = heap
                    .into_iter()
                    .map(|Reverse(mut head)| {
                        kept.push(batches[head.batch].clone());
                        head.batch = kept.len() - 1;
                        Reverse(head)
                    })
                    .collect();
                batches = kept;
            }
        }
        outputs.write(&mut taken, &batches)?;
        outputs.finish(target).map(Some)
    }

    /// The paths that no longer count.
    pub(super) fn paths(&self) -> Vec<String> {
        self.files.iter().map(|file| file.entry.path.clone()).collect()
    }

    pub(super) fn contains(&self, file: &Arc<DataFile>) -> bool {
        self.files.iter().any(|merged| Arc::ptr_eq(merged, file))
    }
}

/// One input, read batch by batch.
struct Stream<'a> {
    file: &'a DataFile,
    reader: ParquetRecordBatchReader,
}

/// The sort columns of a batch.
struct Rows {
    names: StringArray,
    types: StringArray,
    units: StringArray,
    times: Vec<i64>,
}

impl Rows {
    fn len(&self) -> usize {
        self.times.len()
    }

    fn key(&self, row: usize) -> (&str, &str, i64) {
        (self.names.value(row), self.types.value(row), self.times[row])
    }
}

/// The next row of an input.
struct Head {
    rows: Arc<Rows>,
    row: usize,
    /// Position in the list of batches.
    batch: usize,
    input: usize,
    bucket: Option<Bucket>,
}

impl Head {
    fn advance(&mut self) -> bool {
        self.row += 1;
        self.row < self.rows.len()
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.rows.key(self.row), self.input).cmp(&(other.rows.key(other.row), other.input))
    }
}

impl<'a> Stream<'a> {
    fn open(file: &'a DataFile) -> Result<Self, StoreError> {
        Ok(Self { file, reader: file.read_plain(INPUT_ROWS)? })
    }

    /// The first row of the next batch, which joins `batches`; `None` at the end.
    fn next(&mut self, input: usize, batches: &mut Vec<RecordBatch>) -> Result<Option<Head>, StoreError> {
        for batch in self.reader.by_ref() {
            let batch = batch.map_err(|error| self.file.damaged(&error))?;
            if batch.num_rows() == 0 {
                continue;
            }
            let rows = Rows {
                names: columns::texts(&batch, schema::NAME)?.clone(),
                types: columns::texts(&batch, schema::UNIT_TYPE)?.clone(),
                units: columns::texts(&batch, schema::UNIT_ID)?.clone(),
                times: columns::times(&batch)?,
            };
            batches.push(batch);
            let bucket = self.file.entry.bucket;
            return Ok(Some(Head { rows: Arc::new(rows), row: 0, batch: batches.len() - 1, input, bucket }));
        }
        Ok(None)
    }
}

/// The files being written, by bucket.
struct Outputs<'a> {
    target: &'a Target<'a>,
    place: Place,
    into_buckets: bool,
    /// By unit type.
    hashers: BTreeMap<String, UnitHasher>,
    files: BTreeMap<u32, FileWriter>,
}

impl<'a> Outputs<'a> {
    fn new(merge: &Merge, target: &'a Target<'a>) -> Self {
        let entry = merge.files.first().map(|file| &file.entry);
        let place = entry.map_or_else(
            || Place { environment: 0, kind: liftgate_domain::RowKind::Metric, day: String::new(), bucket: None },
            |entry| Place {
                environment: entry.environment,
                kind: entry.kind,
                day: entry.day.clone(),
                // Inputs of one bucket make one file of that bucket.
                bucket: entry.bucket.filter(|_| !merge.into_buckets),
            },
        );
        Self { target, place, into_buckets: merge.into_buckets, hashers: BTreeMap::new(), files: BTreeMap::new() }
    }

    fn bucket_of(&mut self, head: &Head) -> u32 {
        let buckets = self.target.buckets;
        match head.bucket {
            _ if !self.into_buckets => 0,
            Some(bucket) if bucket.of == buckets => bucket.index,
            _ => {
                let unit_type = head.rows.types.value(head.row);
                if !self.hashers.contains_key(unit_type) {
                    let hasher = UnitHasher::new(self.place.environment, unit_type);
                    self.hashers.insert(unit_type.to_owned(), hasher);
                }
                let hasher = self.hashers.get_mut(unit_type);
                hasher.map_or(0, |hasher| Bucket::index_of(hasher.hash(head.rows.units.value(head.row)), buckets))
            }
        }
    }

    /// Encodes the taken rows.
    fn write(&mut self, taken: &mut Vec<(u32, (usize, usize))>, batches: &[RecordBatch]) -> Result<(), StoreError> {
        let mut by_bucket: BTreeMap<u32, Vec<(usize, usize)>> = BTreeMap::new();
        for (bucket, place) in taken.drain(..) {
            by_bucket.entry(bucket).or_default().push(place);
        }
        let batches: Vec<&RecordBatch> = batches.iter().collect();
        for (index, places) in by_bucket {
            let rows = interleave_record_batch(&batches, &places).map_err(|error| unusable(&error))?;
            let mut place = self.place.clone();
            if self.into_buckets {
                place.bucket = Some(Bucket { index, of: self.target.buckets });
            }
            let file = match self.files.remove(&index) {
                Some(file) => file,
                None => FileWriter::create(self.target.dir, self.target.number, &place)?,
            };
            self.files.entry(index).or_insert(file).write(&rows)?;
        }
        Ok(())
    }

    fn finish(self, target: &Target<'_>) -> Result<Vec<FileEntry>, StoreError> {
        let mut written = Vec::new();
        for file in self.files.into_values() {
            match file.finish() {
                Ok(entry) => written.push(entry),
                Err(error) => {
                    remove(target.dir, &written);
                    return Err(error);
                }
            }
        }
        Ok(written)
    }
}
