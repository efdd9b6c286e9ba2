//! Rows that were stored more than once under one identity (event id and unit type), and which of them counts: the one
//! received first; of those the one of the smallest (node, epoch, sequence). Others are ignored, whatever they say.
//!
//! The log of one (node, epoch) lets an id in once, so readers ask only when several have written.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, UInt8Type, UInt64Type};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::prelude::{DataFrame, JoinType, ParquetReadOptions, SessionContext, col, lit};
use liftgate_domain::{EventCounts, RowKind, StoreError};

use super::columns::{self, Names};
use super::schema;
use super::snapshot::Snapshot;

const COLUMNS: [&str; 9] = [
    schema::EVENT_ID,
    schema::UNIT_TYPE,
    schema::TS,
    schema::TS_US,
    schema::RECEIVED_AFTER_US,
    schema::NODE,
    schema::EPOCH,
    schema::BATCH_SEQUENCE,
    schema::UNIT_INDEX,
];
const KIND: &str = "kind";

/// Orders the rows of one identity; the smallest counts. A batch has an identity once, so no two are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    received_at: i64,
    node: String,
    epoch: u64,
    sequence: u64,
}

/// What of a row matters for counting events.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Counted {
    kind: RowKind,
    is_event: bool,
}

/// The identities of an environment that were stored more than once.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats {
    /// By event id, then unit type.
    rows: HashMap<String, Vec<(String, Rank, Counted)>>,
    surplus_rows: u64,
    /// Of those, by kind, the ones that would count as events.
    surplus_events: BTreeMap<RowKind, u64>,
}

/// Rows of a batch that do not count.
pub(super) struct RepeatedRows(Option<Vec<bool>>);

impl RepeatedRows {
    pub(super) fn contains(&self, row: usize) -> bool {
        self.0.as_ref().is_some_and(|rows| rows[row])
    }
}

impl Repeats {
    /// Whether every row counts.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// `columns`, and those that tell the rows of one identity apart, when there are any.
    pub(super) fn with_columns<'a>(&self, columns: &[&'a str]) -> Vec<&'a str> {
        let mut all = columns.to_vec();
        if !self.rows.is_empty() {
            all.extend(COLUMNS.into_iter().filter(|name| !columns.contains(name)));
        }
        all
    }

    /// The rows of a batch to ignore.
    pub(super) fn rows_of(&self, rows: &RecordBatch) -> Result<RepeatedRows, StoreError> {
        if self.rows.is_empty() {
            return Ok(RepeatedRows(None));
        }
        let ids = columns::texts(rows, schema::EVENT_ID)?;
        let types = Names::of(rows, schema::UNIT_TYPE)?;
        let received = columns::received(rows, &columns::times(rows)?)?;
        let nodes = Names::of(rows, schema::NODE)?;
        let epochs = columns::u64s(rows, schema::EPOCH)?;
        let sequences = columns::u64s(rows, schema::BATCH_SEQUENCE)?;
        let is_repeat = |row: usize| {
            let Some(of_id) = self.rows.get(ids.value(row)) else {
                return false;
            };
            let unit_type = types.text(row).unwrap_or_default();
            let kept = of_id.iter().find(|(of_type, _, _)| of_type == unit_type);
            kept.is_some_and(|(_, kept, _)| {
                (kept.received_at, kept.node.as_str(), kept.epoch, kept.sequence)
                    != (received[row], nodes.text(row).unwrap_or_default(), epochs.value(row), sequences.value(row))
            })
        };
        Ok(RepeatedRows(Some((0..rows.num_rows()).map(is_repeat).collect())))
    }

    /// Turns counts of rows into counts of events.
    pub(super) fn counts(&self, snapshot: &Snapshot, environment: u64) -> EventCounts {
        let surplus = |kind| self.surplus_events.get(&kind).copied().unwrap_or_default();
        let events = |kind| snapshot.events_of(environment, kind).saturating_sub(surplus(kind));
        EventCounts {
            exposures: events(RowKind::Exposure),
            metrics: events(RowKind::Metric),
            surplus: self.surplus_rows,
        }
    }

    fn add(&mut self, id: &str, unit_type: &str, rank: Rank, counted: Counted) {
        if !self.rows.contains_key(id) {
            self.rows.insert(id.to_owned(), Vec::new());
        }
        let Some(of_id) = self.rows.get_mut(id) else {
            return;
        };
        let Some((_, kept, kept_counted)) = of_id.iter_mut().find(|(of_type, _, _)| of_type == unit_type) else {
            of_id.push((unit_type.to_owned(), rank, counted));
            return;
        };
        let mut surplus = counted;
        if rank < *kept {
            *kept = rank;
            surplus = std::mem::replace(kept_counted, counted);
        }
        self.surplus_rows += 1;
        if surplus.is_event {
            *self.surplus_events.entry(surplus.kind).or_default() += 1;
        }
    }
}

/// Finds the repeated identities of an environment among all its rows.
pub(super) async fn find(
    session: &SessionContext,
    snapshot: &Snapshot,
    environment: u64,
) -> Result<Repeats, StoreError> {
    let rows = rows(session, snapshot, environment).await;
    let repeated = async {
        let rows = rows?;
        let copies = count(lit(1_i64)).alias("copies");
        let on = [schema::EVENT_ID, schema::UNIT_TYPE];
        let repeated = rows
            .clone()
            .aggregate(on.into_iter().map(col).collect(), vec![copies])?
            .filter(col("copies").gt(lit(1_i64)))?
            .select(on.into_iter().map(col).collect::<Vec<_>>())?;
        rows.join(repeated, JoinType::LeftSemi, &on, &on, None)?.collect().await
    };
    let batches = repeated.await.map_err(|error: datafusion::error::DataFusionError| failed(environment, &error))?;
    let mut repeats = Repeats::default();
    for batch in &batches {
        collect(batch, &mut repeats).map_err(|error| failed(environment, &error))?;
    }
    Ok(repeats)
}

/// Identity columns and kind of every row of an environment.
async fn rows(session: &SessionContext, snapshot: &Snapshot, environment: u64) -> datafusion::error::Result<DataFrame> {
    let mut all: Option<DataFrame> = None;
    for kind in [RowKind::Exposure, RowKind::Metric] {
        let mut columns: Vec<_> = COLUMNS.into_iter().map(col).collect();
        columns.push(lit(kind.as_str()).alias(KIND));
        let tail = snapshot.tail_of(environment, kind).cloned();
        // An empty batch keeps the reader happy when there is no tail.
        let empty = RecordBatch::new_empty(schema::schema());
        let mut of_kind = session.read_batches(std::iter::once(empty).chain(tail))?.select(columns.clone())?;
        let paths: Vec<String> =
            snapshot.files_of(environment, kind).map(|file| file.path.to_string_lossy().into_owned()).collect();
        if !paths.is_empty() {
            let schema = schema::schema();
            let options = ParquetReadOptions::default().schema(&schema);
            of_kind = of_kind.union(session.read_parquet(paths, options).await?.select(columns)?)?;
        }
        all = Some(match all {
            Some(others) => others.union(of_kind)?,
            None => of_kind,
        });
    }
    all.ok_or_else(|| datafusion::error::DataFusionError::Internal("there are two kinds of rows".into()))
}

fn collect(batch: &RecordBatch, repeats: &mut Repeats) -> Result<(), arrow::error::ArrowError> {
    let column = |name: &str, kind: DataType| {
        let array = batch.column_by_name(name);
        let missing = || arrow::error::ArrowError::SchemaError(format!("column `{name}` is missing"));
        cast(array.ok_or_else(missing)?, &kind)
    };
    let text = |name| column(name, DataType::Utf8);
    let (ids, types, nodes, kinds) =
        (text(schema::EVENT_ID)?, text(schema::UNIT_TYPE)?, text(schema::NODE)?, text(KIND)?);
    let (ids, types) = (ids.as_string::<i32>(), types.as_string::<i32>());
    let (nodes, kinds) = (nodes.as_string::<i32>(), kinds.as_string::<i32>());
    let number = |name| column(name, DataType::Int64);
    let (ms, us, after) = (number(schema::TS)?, number(schema::TS_US)?, number(schema::RECEIVED_AFTER_US)?);
    let integer = |array: &arrow::array::ArrayRef, row: usize| array.as_primitive::<Int64Type>().value(row);
    let (epochs, sequences) =
        (column(schema::EPOCH, DataType::UInt64)?, column(schema::BATCH_SEQUENCE, DataType::UInt64)?);
    let indexes = column(schema::UNIT_INDEX, DataType::UInt8)?;
    for row in 0..batch.num_rows() {
        let ts = integer(&ms, row).wrapping_mul(1_000).wrapping_add(integer(&us, row));
        let rank = Rank {
            received_at: ts.wrapping_add(integer(&after, row)),
            node: nodes.value(row).to_owned(),
            epoch: epochs.as_primitive::<UInt64Type>().value(row),
            sequence: sequences.as_primitive::<UInt64Type>().value(row),
        };
        let is_exposure = kinds.value(row) == RowKind::Exposure.as_str();
        let kind = if is_exposure { RowKind::Exposure } else { RowKind::Metric };
        let is_event = indexes.as_primitive::<UInt8Type>().value(row) == 0;
        repeats.add(ids.value(row), types.value(row), rank, Counted { kind, is_event });
    }
    Ok(())
}

fn failed(environment: u64, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("repeated events of environment {environment} could not be found: {error}"))
}
