//! What only the first exposures themselves say: the attributes that units are told apart by, and, where two exposures
//! have the same time, which of them is the first. Read in a pass of its own, since few questions need it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, RecordBatch};
use liftgate_domain::{RowKind, StoreError};

use super::columns::{self, Names, opt};
use super::exposures::{Exposed, PARTITIONS, Partition, partition_of};
use super::identity::Repeats;
use super::property;
use super::pruning::Asked;
use super::question::Question;
use super::scan::{lanes, scan};
use super::schema;
use super::snapshot::Snapshot;
use super::units::{OfEntries, UnitHasher};

const COLUMNS: [&str; 10] = [
    schema::EVENT_ID,
    schema::TS,
    schema::TS_US,
    schema::RECEIVED_AFTER_US,
    schema::UNIT_TYPE,
    schema::UNIT_ID,
    schema::RUN,
    schema::STAGE,
    schema::ARM,
    schema::BUCKET,
];

/// No such property.
pub(super) const ABSENT: u32 = u32::MAX;

/// The attributes of first exposures.
#[derive(Default)]
pub(super) struct Attributes {
    /// By attribute of [`Question::attributes`]: its values.
    pub(super) values: Vec<Vec<String>>,
    /// By partition, then attribute, then unit: position in `values`, or [`ABSENT`].
    pub(super) of_units: Vec<Vec<Vec<u32>>>,
}

/// The texts of one attribute, each once.
#[derive(Default)]
struct Texts {
    positions: HashMap<String, u32>,
    values: Vec<String>,
}

impl Texts {
    fn position(&mut self, text: &str) -> u32 {
        if let Some(position) = self.positions.get(text) {
            return *position;
        }
        let position = self.values.len() as u32;
        self.positions.insert(text.to_owned(), position);
        self.values.push(text.to_owned());
        position
    }
}

/// What the pass changes of a partition.
#[derive(Default)]
struct Found {
    attributes: Vec<Vec<u32>>,
    /// Of tied units, the smallest event id so far with the stage and bucket of its row.
    tied: HashMap<u32, Tied>,
}

struct Tied {
    event_id: Box<str>,
    stage: u32,
    bucket: Option<u32>,
}

#[derive(Default)]
struct Gathered {
    hasher: Option<UnitHasher>,
    /// Of each unit of a dictionary, its partition and position; `None` inside for one that was not exposed.
    entries: OfEntries<Option<Option<(usize, u32)>>>,
}

/// Everything that threads share.
struct Pass<'a> {
    question: &'a Question<'a>,
    repeats: &'a Repeats,
    partitions: &'a [Arc<Partition>],
    found: Vec<Mutex<Found>>,
    texts: Mutex<Vec<Texts>>,
}

/// A row that may be a unit's first exposure.
struct Hit {
    partition: usize,
    unit: u32,
    row: usize,
    attributes: Vec<Option<String>>,
}

/// Decides ties and reads attributes, if there are any.
pub(super) fn complete(
    exposed: &mut Exposed,
    snapshot: &Snapshot,
    question: &Question<'_>,
    repeats: &Repeats,
    threads: usize,
) -> Result<Attributes, StoreError> {
    let has_ties = || exposed.partitions.iter().any(|partition| partition.units.iter().any(|unit| unit.is_tied));
    if question.attributes.is_empty() && !has_ties() {
        return Ok(Attributes::default());
    }
    let asked = Asked::Runs([question.query.history.number].into());
    let lanes = lanes(snapshot, question.query.environment, RowKind::Exposure, &asked)?;
    let mut columns = COLUMNS.to_vec();
    if !question.attributes.is_empty() {
        columns.push(schema::PROPERTIES);
    }
    let columns = repeats.with_columns(&columns);
    let absent = |partition: &Arc<Partition>| {
        let attributes = question.attributes.iter().map(|_| vec![ABSENT; partition.units.len()]).collect();
        Mutex::new(Found { attributes, tied: HashMap::new() })
    };
    let pass = Pass {
        question,
        repeats,
        partitions: &exposed.partitions,
        found: exposed.partitions.iter().map(absent).collect(),
        texts: Mutex::new(question.attributes.iter().map(|_| Texts::default()).collect()),
    };
    scan(&lanes, &columns, threads, |gathered: &mut Gathered, rows| pass.add(gathered, rows))?;

    let Pass { found, texts, .. } = pass;
    let texts = texts.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut attributes =
        Attributes { values: texts.into_iter().map(|texts| texts.values).collect(), of_units: Vec::new() };
    for (partition, found) in exposed.partitions.iter_mut().zip(found) {
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !found.tied.is_empty() {
            // What is remembered keeps its ties: rows that come later may decide them otherwise.
            let partition = Arc::make_mut(partition);
            for (position, tied) in found.tied {
                partition.units[position as usize].settle(tied.stage, tied.bucket);
            }
        }
        attributes.of_units.push(found.attributes);
    }
    Ok(attributes)
}

impl Pass<'_> {
    fn add(&self, gathered: &mut Gathered, rows: &RecordBatch) -> Result<(), StoreError> {
        let hits = self.hits(gathered, rows)?;
        if hits.is_empty() {
            return Ok(());
        }
        let event_ids = columns::texts(rows, schema::EVENT_ID)?;
        let (stages, buckets) = (columns::u32s(rows, schema::STAGE)?, columns::u32s(rows, schema::BUCKET)?);
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut locked: [Option<MutexGuard<'_, Found>>; PARTITIONS] = Default::default();
        for hit in hits {
            // In ascending order only when one piece has one partition; the texts' lock keeps threads from crossing.
            let found = locked[hit.partition]
                .get_or_insert_with(|| self.found[hit.partition].lock().unwrap_or_else(PoisonError::into_inner));
            let unit = &self.partitions[hit.partition].units[hit.unit as usize];
            if unit.is_tied {
                let event_id = event_ids.value(hit.row);
                if found.tied.get(&hit.unit).is_some_and(|known| &*known.event_id <= event_id) {
                    continue;
                }
                let (stage, bucket) = (stages.value(hit.row), opt(buckets, hit.row));
                found.tied.insert(hit.unit, Tied { event_id: event_id.into(), stage, bucket });
            }
            for (position, text) in hit.attributes.iter().enumerate() {
                found.attributes[position][hit.unit as usize] =
                    text.as_ref().map_or(ABSENT, |text| texts[position].position(text));
            }
        }
        Ok(())
    }

    /// The rows that have the time of their unit's first exposure, and are considered.
    fn hits(&self, gathered: &mut Gathered, rows: &RecordBatch) -> Result<Vec<Hit>, StoreError> {
        let (question, history) = (self.question, &self.question.query.history);
        let wants_all = !question.attributes.is_empty();
        let of_unit_type = Names::of(rows, schema::UNIT_TYPE)?.map(|text| text == history.unit);
        let arms = Names::of(rows, schema::ARM)?;
        let times = columns::times(rows)?;
        let received = columns::received(rows, &times)?;
        let (runs, units) = (columns::u64s(rows, schema::RUN)?, Names::of(rows, schema::UNIT_ID)?);
        let stages = columns::u32s(rows, schema::STAGE)?;
        let properties = if wants_all { Some(columns::texts(rows, schema::PROPERTIES)?) } else { None };
        let repeated = self.repeats.rows_of(rows)?;
        let entries = gathered.entries.of(units.values, None);
        let hasher = gathered.hasher.get_or_insert_with(|| UnitHasher::new(question.query.environment, &history.unit));
        let mut hits = Vec::new();
        for row in 0..rows.num_rows() {
            let may_be = opt(runs, row) == Some(history.number)
                && of_unit_type.get(row) == Some(&true)
                && received[row] <= question.received_through
                && received[row] <= times[row].saturating_add(question.lateness)
                && !stages.is_null(row)
                && arms.text(row).is_some()
                && !repeated.contains(row);
            if !may_be {
                continue;
            }
            let key = units.keys.value(row) as usize;
            let place = *entries[key].get_or_insert_with(|| {
                let hash = hasher.hash(units.values.value(key));
                let partition = partition_of(hash);
                Some((partition, self.partitions[partition].index.get(hash)?))
            });
            let Some((partition, unit)) = place else {
                continue;
            };
            let seen = &self.partitions[partition].units[unit as usize];
            if seen.first_ts != times[row] || !(wants_all || seen.is_tied) {
                continue;
            }
            let attributes = match properties {
                Some(texts) if !texts.is_null(row) => property::texts(texts.value(row), &question.attributes)
                    .map_err(|error| StoreError::Corrupt(format!("properties of a row are not JSON: {error}")))?,
                _ => vec![None; question.attributes.len()],
            };
            hits.push(Hit { partition, unit, row, attributes });
        }
        Ok(hits)
    }
}
