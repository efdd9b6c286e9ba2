//! Event ids that were stored more than once, and which row is the event: the one received first; of those the one of
//! the smallest (node, epoch, sequence). Other rows are ignored, whatever they say.
//!
//! The log of one (node, epoch) lets an id in once, so readers ask only when several have written.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::prelude::{DataFrame, JoinType, ParquetReadOptions, SessionContext, col, lit};
use liftgate_domain::{EventCounts, RowKind, StoreError};

use super::columns::{self, Names};
use super::schema;
use super::snapshot::Snapshot;

const COLUMNS: [&str; 5] = [schema::EVENT_ID, schema::RECEIVED_AT, schema::NODE, schema::EPOCH, schema::BATCH_SEQUENCE];
const KIND: &str = "kind";

/// Orders the rows of one id; the smallest is the event. A batch has an id once, so no two are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    received_at: i64,
    node: String,
    epoch: u64,
    sequence: u64,
}

/// The ids of an environment that were stored more than once.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats {
    events: HashMap<String, (Rank, RowKind)>,
    surplus: BTreeMap<RowKind, u64>,
}

/// Rows of a batch that are no events of their own.
pub(super) struct RepeatedRows(Option<Vec<bool>>);

impl RepeatedRows {
    pub(super) fn contains(&self, row: usize) -> bool {
        self.0.as_ref().is_some_and(|rows| rows[row])
    }
}

impl Repeats {
    /// `columns`, and those that tell the rows of one id apart, when there are any.
    pub(super) fn with_columns<'a>(&self, columns: &[&'a str]) -> Vec<&'a str> {
        let mut all = columns.to_vec();
        if !self.events.is_empty() {
            all.extend(COLUMNS.into_iter().filter(|name| !columns.contains(name)));
        }
        all
    }

    /// The rows of a batch to ignore.
    pub(super) fn rows_of(&self, rows: &RecordBatch) -> Result<RepeatedRows, StoreError> {
        if self.events.is_empty() {
            return Ok(RepeatedRows(None));
        }
        let ids = columns::texts(rows, schema::EVENT_ID)?;
        let received = columns::times(rows, schema::RECEIVED_AT)?;
        let nodes = Names::of(rows, schema::NODE)?;
        let epochs = columns::u64s(rows, schema::EPOCH)?;
        let sequences = columns::u64s(rows, schema::BATCH_SEQUENCE)?;
        let is_repeat = |row: usize| {
            self.events.get(ids.value(row)).is_some_and(|(event, _)| {
                (event.received_at, event.node.as_str(), event.epoch, event.sequence)
                    != (
                        received.value(row),
                        nodes.text(row).unwrap_or_default(),
                        epochs.value(row),
                        sequences.value(row),
                    )
            })
        };
        Ok(RepeatedRows(Some((0..rows.num_rows()).map(is_repeat).collect())))
    }

    /// Turns counts of rows into counts of events.
    pub(super) fn counts(&self, snapshot: &Snapshot, environment: u64) -> EventCounts {
        let surplus = |kind| self.surplus.get(&kind).copied().unwrap_or_default();
        let events = |kind| snapshot.rows_of(environment, kind) - surplus(kind);
        EventCounts {
            exposures: events(RowKind::Exposure),
            metrics: events(RowKind::Metric),
            surplus: self.surplus.values().sum(),
        }
    }

    fn add(&mut self, id: &str, rank: Rank, kind: RowKind) {
        let Some(event) = self.events.get_mut(id) else {
            self.events.insert(id.to_owned(), (rank, kind));
            return;
        };
        let mut surplus = (rank, kind);
        if surplus < *event {
            std::mem::swap(&mut surplus, event);
        }
        *self.surplus.entry(surplus.1).or_default() += 1;
    }
}

/// Finds the repeated ids of an environment among all its rows.
pub(super) async fn find(
    session: &SessionContext,
    snapshot: &Snapshot,
    environment: u64,
) -> Result<Repeats, StoreError> {
    let rows = rows(session, snapshot, environment).await;
    let repeated = async {
        let rows = rows?;
        let copies = count(lit(1_i64)).alias("copies");
        let repeated = rows
            .clone()
            .aggregate(vec![col(schema::EVENT_ID)], vec![copies])?
            .filter(col("copies").gt(lit(1_i64)))?
            .select(vec![col(schema::EVENT_ID)])?;
        let on = [schema::EVENT_ID];
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
    let text = |index: usize| cast(batch.column(index), &DataType::Utf8);
    let (ids, nodes, kinds) = (text(0)?, text(2)?, text(5)?);
    let received = cast(batch.column(1), &DataType::Int64)?;
    let (epochs, sequences) = (cast(batch.column(3), &DataType::UInt64)?, cast(batch.column(4), &DataType::UInt64)?);
    let (ids, nodes, kinds) = (ids.as_string::<i32>(), nodes.as_string::<i32>(), kinds.as_string::<i32>());
    for row in 0..batch.num_rows() {
        let rank = Rank {
            received_at: received.as_primitive::<Int64Type>().value(row),
            node: nodes.value(row).to_owned(),
            epoch: epochs.as_primitive::<UInt64Type>().value(row),
            sequence: sequences.as_primitive::<UInt64Type>().value(row),
        };
        let is_exposure = kinds.value(row) == RowKind::Exposure.as_str();
        let kind = if is_exposure { RowKind::Exposure } else { RowKind::Metric };
        debug_assert!(!ids.is_null(row), "the column is required");
        repeats.add(ids.value(row), rank, kind);
    }
    Ok(())
}

fn failed(environment: u64, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("repeated events of environment {environment} could not be found: {error}"))
}
