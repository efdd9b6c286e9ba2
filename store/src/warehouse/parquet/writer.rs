//! The rows of a tail into files: one file a day, or one a bucket of a large day, each sorted by (name, unit type,
//! time). Rows of an event that is asked for lie together, and times, ids and sequences rise slowly.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{cast, concat_batches, take_record_batch};
use liftgate_domain::{RowKind, StoreError};

use super::columns::{self, Names};
use super::file_writer::{FileWriter, Place, remove};
use super::layout;
use super::record::{Bucket, FileEntry};
use super::schema::{self, unusable};
use super::units::UnitHasher;

/// Rows of a partition below which it is one file: a file a bucket only pays when the buckets are large.
pub(super) const BUCKETED_ROWS_MIN: usize = 100_000;

/// Where files go, and under which number.
pub(super) struct Target<'a> {
    pub(super) dir: &'a Path,
    /// A number that no file has used.
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
    let order = Order::of(target, environment, pieces)?;
    let plain: Vec<RecordBatch> = pieces.iter().map(to_plain).collect::<Result<_, _>>()?;
    let rows = concat_batches(&schema::plain_schema(), &plain).map_err(|error| unusable(&error))?;
    drop(plain);
    let mut written: Vec<FileEntry> = Vec::new();
    let write = |run: &[SortKey]| -> Result<FileEntry, StoreError> {
        let indices = UInt32Array::from_iter_values(run.iter().map(|key| key.row));
        let sorted = take_record_batch(&rows, &indices).map_err(|error| unusable(&error))?;
        let (day, bucket) = (layout::day_text(run[0].day), order.bucket(run[0]));
        let mut file = FileWriter::create(target.dir, target.number, &Place { environment, kind, day, bucket })?;
        file.write(&sorted)?;
        file.finish()
    };
    for run in order.keys.chunk_by(|a, b| (a.day, a.bucket) == (b.day, b.bucket)) {
        match write(run) {
            Ok(entry) => written.push(entry),
            Err(error) => {
                remove(target.dir, &written);
                return Err(error);
            }
        }
    }
    Ok(written)
}

/// The same rows without dictionaries.
pub(super) fn to_plain(rows: &RecordBatch) -> Result<RecordBatch, StoreError> {
    let schema = schema::plain_schema();
    let columns = rows.columns().iter().zip(schema.fields());
    let plain = columns.map(|(column, field)| match column.data_type() == field.data_type() {
        true => Ok(Arc::clone(column)),
        false => cast(column, field.data_type()),
    });
    let plain: Vec<ArrayRef> = plain.collect::<Result<_, _>>().map_err(|error| unusable(&error))?;
    RecordBatch::try_new(Arc::clone(&schema), plain).map_err(|error| unusable(&error))
}

/// Where a row goes, and where in its file.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct SortKey {
    day: i64,
    bucket: u32,
    /// Position among the names, then the types.
    name: u32,
    unit_type: u32,
    ts: i64,
    row: u32,
}

struct Order {
    keys: Vec<SortKey>,
    /// Rows of each day.
    days: HashMap<i64, usize>,
    buckets: u32,
}

impl Order {
    fn of(target: &Target<'_>, environment: u64, pieces: &[RecordBatch]) -> Result<Self, StoreError> {
        let names = Ranks::of(pieces, schema::NAME)?;
        let types = Ranks::of(pieces, schema::UNIT_TYPE)?;
        let mut order = Self { keys: Vec::new(), days: HashMap::new(), buckets: target.buckets };
        for piece in pieces {
            order.add(piece, environment, &names, &types)?;
        }
        for key in &mut order.keys {
            if order.days.get(&key.day).is_none_or(|rows| *rows < BUCKETED_ROWS_MIN) {
                key.bucket = 0;
            }
        }
        order.keys.sort_unstable();
        Ok(order)
    }

    fn add(&mut self, piece: &RecordBatch, environment: u64, names: &Ranks, types: &Ranks) -> Result<(), StoreError> {
        let times = columns::times(piece)?;
        let name_of = Names::of(piece, schema::NAME)?;
        let name_of = name_of.map(|name| names.rank(name));
        let units = Names::of(piece, schema::UNIT_ID)?;
        let type_of = Names::of(piece, schema::UNIT_TYPE)?;
        let rank_of = type_of.map(|unit_type| types.rank(unit_type));
        let mut hashers: Vec<UnitHasher> =
            (0..type_of.values.len()).map(|index| UnitHasher::new(environment, type_of.values.value(index))).collect();
        // Most batches know one type of unit; a place for each pair could be more than memory holds.
        let mut known = vec![None; if hashers.len() == 1 { units.values.len() } else { 0 }];
        for (row, ts) in times.iter().enumerate() {
            let day = layout::day_number(*ts);
            *self.days.entry(day).or_default() += 1;
            let (unit_type, unit) = (type_of.keys.value(row) as usize, units.keys.value(row) as usize);
            let hasher = &mut hashers[unit_type];
            let mut index = || Bucket::index_of(hasher.hash(units.values.value(unit)), self.buckets);
            let bucket = match known.get_mut(unit) {
                Some(known) => *known.get_or_insert_with(index),
                None => index(),
            };
            let number = u32::try_from(self.keys.len())
                .map_err(|_| StoreError::Invalid("the tail has too many rows for one flush".into()))?;
            self.keys.push(SortKey {
                day,
                bucket,
                name: name_of.get(row).copied().unwrap_or_default(),
                unit_type: rank_of.get(row).copied().unwrap_or_default(),
                ts: *ts,
                row: number,
            });
        }
        Ok(())
    }

    fn bucket(&self, key: SortKey) -> Option<Bucket> {
        let is_large = self.days.get(&key.day).is_some_and(|rows| *rows >= BUCKETED_ROWS_MIN);
        is_large.then_some(Bucket { index: key.bucket, of: self.buckets })
    }
}

/// The texts of a column in order.
struct Ranks(BTreeMap<String, u32>);

impl Ranks {
    fn of(pieces: &[RecordBatch], column: &str) -> Result<Self, StoreError> {
        let mut ranks: BTreeMap<String, u32> = BTreeMap::new();
        for piece in pieces {
            let texts = Names::of(piece, column)?.values;
            for text in texts.iter().flatten() {
                if !ranks.contains_key(text) {
                    ranks.insert(text.to_owned(), 0);
                }
            }
        }
        ranks.values_mut().zip(0..).for_each(|(rank, position)| *rank = position);
        Ok(Self(ranks))
    }

    fn rank(&self, text: &str) -> u32 {
        self.0.get(text).copied().unwrap_or_default()
    }
}
