//! The second pass: the events of the analysed units, folded into the variables of the metrics.

use std::sync::{Mutex, PoisonError};

use arrow::array::{Array, Float64Array, RecordBatch};
use liftgate_domain::{RowKind, StoreError};

use super::columns::{self, Names, opt};
use super::exposures::{PARTITIONS, Position, SOUGHT, UNKNOWN, partition_of};
use super::identity::Repeats;
use super::population::{Cohort, NOT_ANALYSED, Population};
use super::property;
use super::pruning::Asked;
use super::question::{Fold, Question, Source, Variable};
use super::scan::{lanes, scan};
use super::schema;
use super::snapshot::Snapshot;
use super::tallies::{Tallies, Tally};
use super::units::{OfEntries, UnitHasher};

const COLUMNS: [&str; 5] = [schema::NAME, schema::TS, schema::TS_US, schema::UNIT_TYPE, schema::UNIT_ID];

/// A unit of a dictionary that is not analysed.
const NOBODY: u32 = u32::MAX - 2;

/// What a thread needs again and again.
#[derive(Default)]
struct Gathered {
    hasher: Option<UnitHasher>,
    entries: OfEntries<u32>,
    /// Units of the batch that are looked up together, and rows that wait for it.
    sought: Vec<(u32, u64)>,
    found: Vec<(u32, u32)>,
    /// By partition.
    hits: [Vec<Hit>; PARTITIONS],
}

/// A row of an analysed unit.
#[derive(Copy, Clone)]
struct Hit {
    unit: u32,
    row: u32,
    /// In `Pass::lists`.
    list: u32,
}

/// Everything that threads share.
struct Pass<'a> {
    question: &'a Question<'a>,
    population: &'a Population,
    repeats: &'a Repeats,
    tallies: Vec<Mutex<Tallies>>,
}

/// The columns of a batch that variables read.
struct Rows<'a> {
    times: &'a [i64],
    /// Empty when it does not matter.
    received: &'a [i64],
    values: Option<&'a Float64Array>,
    /// By row, the numbers under `Question::properties`; only of rows that are asked.
    properties: &'a [Option<Vec<Option<f64>>>],
}

/// Adds up the events of all analysed units, partition by partition.
pub(super) fn tallies(
    snapshot: &Snapshot,
    question: &Question<'_>,
    population: &Population,
    repeats: &Repeats,
    threads: usize,
) -> Result<Vec<Tallies>, StoreError> {
    let asked = Asked::Names(question.by_event.keys().copied().collect());
    let lanes = lanes(snapshot, question.query.environment, RowKind::Metric, &asked)?;
    let mut columns = COLUMNS.to_vec();
    if question.reads_receipt() {
        columns.push(schema::RECEIVED_AFTER_US);
    }
    if question.reads_values() {
        columns.push(schema::VALUE);
    }
    if !question.properties.is_empty() {
        columns.push(schema::PROPERTIES);
    }
    let columns = repeats.with_columns(&columns);
    let of_cohort = |cohort: &Cohort| Mutex::new(Tallies::new(question, cohort.first_ts.len()));
    let pass = Pass { question, population, repeats, tallies: population.cohorts.iter().map(of_cohort).collect() };
    scan(&lanes, &columns, threads, |gathered: &mut Gathered, rows| pass.add(gathered, rows))?;
    let unlocked = |tallies: Mutex<Tallies>| tallies.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(pass.tallies.into_iter().map(unlocked).collect())
}

impl Pass<'_> {
    fn add(&self, gathered: &mut Gathered, rows: &RecordBatch) -> Result<(), StoreError> {
        let question = self.question;
        let times = columns::times(rows)?;
        let received = if question.reads_receipt() { columns::received(rows, &times)? } else { Vec::new() };
        self.find(gathered, rows, &received)?;
        let properties = self.properties(gathered, rows)?;
        let values = if question.reads_values() { Some(columns::f64s(rows, schema::VALUE)?) } else { None };
        let rows = Rows { times: &times, received: &received, values, properties: &properties };
        let lists: Vec<&Vec<usize>> = question.by_event.values().collect();
        for (partition, hits) in gathered.hits.iter_mut().enumerate().filter(|(_, hits)| !hits.is_empty()) {
            let mut tallies = self.tallies[partition].lock().unwrap_or_else(PoisonError::into_inner);
            let cohort = &self.population.cohorts[partition];
            // Files are sorted by name: nearly always a batch has one.
            for alike in hits.chunk_by(|a, b| a.list == b.list) {
                for position in lists.get(alike[0].list as usize).copied().into_iter().flatten() {
                    let Tallies { of_variables, non_finite } = &mut *tallies;
                    let variable = &question.variables[*position];
                    *non_finite += variable.add(&mut of_variables[*position], alike, cohort, &rows, question);
                }
            }
            hits.clear();
        }
        Ok(())
    }

    /// Finds the rows of a batch that an asked event and an analysed unit has.
    fn find(&self, gathered: &mut Gathered, rows: &RecordBatch, received: &[i64]) -> Result<(), StoreError> {
        let question = self.question;
        let unit_type = question.query.history.unit.as_str();
        let list_of = |name: &str| question.by_event.keys().position(|event| *event == name).map(|list| list as u32);
        let lists = Names::of(rows, schema::NAME)?.map(list_of);
        let of_unit_type = Names::of(rows, schema::UNIT_TYPE)?.map(|text| text == unit_type);
        let units = Names::of(rows, schema::UNIT_ID)?;
        let repeated = self.repeats.rows_of(rows)?;
        let entries = gathered.entries.of(units.values, UNKNOWN);
        let hasher = gathered.hasher.get_or_insert_with(|| UnitHasher::new(question.query.environment, unit_type));
        for (row, key) in units.keys.values().iter().enumerate() {
            let Some(list) = lists.get(row).copied().flatten() else {
                continue;
            };
            let is_visible = of_unit_type.get(row) == Some(&true)
                && received.get(row).is_none_or(|received| *received <= question.received_through)
                && !repeated.contains(row);
            if !is_visible {
                continue;
            }
            let entry = &mut entries[*key as usize];
            if *entry == UNKNOWN {
                *entry = SOUGHT;
                gathered.sought.push((*key as u32, hasher.hash(units.values.value(*key as usize))));
            }
            gathered.found.push((row as u32, list));
        }
        for (key, hash) in gathered.sought.drain(..) {
            entries[key as usize] = self.place(hash);
        }
        for (row, list) in gathered.found.drain(..) {
            let entry = entries[units.keys.value(row as usize) as usize];
            if entry != NOBODY {
                let position = Position(entry);
                gathered.hits[position.partition()].push(Hit { unit: position.unit(), row, list });
            }
        }
        Ok(())
    }

    /// Partition and position of an analysed unit in one number.
    fn place(&self, hash: u64) -> u32 {
        let partition = partition_of(hash);
        let cohort = &self.population.cohorts[partition];
        match cohort.index.get(hash) {
            Some(unit) if cohort.strata[unit as usize] != NOT_ANALYSED => Position::new(partition, unit).0,
            _ => NOBODY,
        }
    }

    /// The numbers of all rows found; nothing when no variable reads properties.
    fn properties(&self, gathered: &Gathered, rows: &RecordBatch) -> Result<Vec<Option<Vec<Option<f64>>>>, StoreError> {
        let wanted = &self.question.properties;
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let reads: Vec<bool> = self.question.by_event.values().map(|list| self.reads_property(list)).collect();
        let texts = columns::texts(rows, schema::PROPERTIES)?;
        let mut numbers = vec![None; rows.num_rows()];
        for hit in gathered.hits.iter().flatten().filter(|hit| reads[hit.list as usize]) {
            let row = hit.row as usize;
            if !texts.is_null(row) {
                let found = property::numbers(texts.value(row), wanted);
                let found =
                    found.map_err(|error| StoreError::Corrupt(format!("properties of a row are not JSON: {error}")))?;
                numbers[row] = Some(found);
            }
        }
        Ok(numbers)
    }

    fn reads_property(&self, list: &[usize]) -> bool {
        let source = |position: &usize| self.question.variables[*position].fold.source();
        list.iter().any(|position| matches!(source(position), Some(Source::Property(_))))
    }
}

impl Rows<'_> {
    fn number(&self, row: usize, source: Source) -> Option<f64> {
        match source {
            Source::Value => self.values.and_then(|values| opt(values, row)),
            Source::Property(position) => self.properties[row].as_ref()?.get(position).copied().flatten(),
        }
    }
}

impl Variable<'_> {
    /// Adds rows; how many of admitted units had a value that is not finite.
    fn add(&self, tally: &mut Tally, hits: &[Hit], cohort: &Cohort, rows: &Rows<'_>, question: &Question<'_>) -> u64 {
        let window = question.metrics[self.metric].window;
        let admits = |unit: usize| question.admits(cohort.first_ts[unit], cohort.leaves_at[unit], window);
        let mut non_finite = 0;
        match (tally, self.fold) {
            (Tally::Counts(counts), _) => self.each(hits, cohort, rows, |unit, _| counts[unit] += 1),
            (Tally::Sums(sums), Fold::Sum(source)) => {
                self.each(hits, cohort, rows, |unit, row| match rows.number(row, source).unwrap_or(0.0) {
                    value if value.is_finite() => sums.add(unit as u32, value),
                    _ => non_finite += u64::from(admits(unit)),
                })
            }
            (Tally::Events { counts, up_to, values }, Fold::Events { source, cuts, keeps_values }) => {
                self.each(hits, cohort, rows, |unit, row| {
                    let Some(value) = rows.number(row, source) else {
                        return;
                    };
                    if !value.is_finite() {
                        non_finite += u64::from(admits(unit));
                        return;
                    }
                    counts[unit] += 1;
                    for (position, cut) in cuts.iter().enumerate() {
                        up_to[unit * cuts.len() + position] += u32::from(value <= *cut);
                    }
                    if keeps_values && admits(unit) {
                        values.push((unit as u32, value));
                    }
                });
            }
            (Tally::Sums(_) | Tally::Events { .. }, _) => {}
        }
        non_finite
    }

    /// The rows that are in the window and came in time.
    #[inline]
    fn each(&self, hits: &[Hit], cohort: &Cohort, rows: &Rows<'_>, mut visit: impl FnMut(usize, usize)) {
        for hit in hits {
            let (unit, row) = (hit.unit as usize, hit.row as usize);
            let first = cohort.first_ts[unit];
            let after = rows.times[row].saturating_sub(first);
            let is_in_time =
                rows.received.get(row).is_none_or(|received| received.saturating_sub(first) <= self.received_until);
            if self.from <= after && after < self.until && is_in_time {
                visit(unit, row);
            }
        }
    }
}
