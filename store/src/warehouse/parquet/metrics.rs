//! The second pass: the events of the analysed units, folded into one value a unit and metric, then into moments.
//!
//! Counts are atomic, since their order does not matter. Sums of floating-point numbers are put in the order of
//! (unit, time, value) first, so that the same rows give the same bits wherever they are stored.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use arrow::array::{Array, RecordBatch, StringArray};
use liftgate_domain::{Cell, MetricKind, RowKind, StoreError};
use liftgate_stats::Moments;

use super::columns::{self, Names, opt};
use super::exposures::{AnalysedUnit, ByUnit, Population};
use super::identity::Repeats;
use super::property;
use super::question::{AskedMetric, Question};
use super::scan::{pieces, scan};
use super::schema;
use super::snapshot::Snapshot;

const COLUMNS: [&str; 6] =
    [schema::NAME, schema::TS, schema::RECEIVED_AT, schema::UNIT_TYPE, schema::UNIT_HASH, schema::VALUE];

/// A value that adds to a unit's sum.
#[derive(Copy, Clone)]
struct Summand {
    unit: u32,
    ts: i64,
    value: f64,
}

/// What a thread has gathered: summands by metric.
#[derive(Default)]
struct Gathered(Vec<Vec<Summand>>);

/// All that the threads look at, and the counters they share.
struct Fold<'a> {
    question: &'a Question<'a>,
    units: &'a [AnalysedUnit],
    positions: ByUnit<u32>,
    /// By metric and unit; empty for metrics that sum.
    tallies: Vec<Vec<AtomicU32>>,
    non_finite: AtomicU64,
}

/// The cells of all metrics, and how many rows had a value that was not finite.
pub(super) fn cells(
    snapshot: &Snapshot,
    question: &Question<'_>,
    population: &Population,
    repeats: &Repeats,
    threads: usize,
) -> Result<(Vec<Cell>, u64), StoreError> {
    let environment = question.query.environment;
    let is_asked = |name: &str| question.by_event.contains_key(name);
    let files = snapshot.files_of(environment, RowKind::Metric).filter(|file| file.entry.may_have_name(is_asked));
    let pieces = pieces(files, snapshot.tail_of(environment, RowKind::Metric))?;
    let mut columns = repeats.with_columns(&COLUMNS);
    if !question.properties.is_empty() {
        columns.push(schema::PROPERTIES);
    }
    let fold = Fold::of(question, &population.units)?;
    let gathered = scan(&pieces, &columns, threads, |gathered: &mut Gathered, rows| fold.add(gathered, rows, repeats))?;
    let mut summands: Vec<Vec<Summand>> = vec![Vec::new(); question.metrics.len()];
    for thread in gathered {
        for (of_metric, more) in summands.iter_mut().zip(thread.0) {
            of_metric.extend(more);
        }
    }
    let mut cells = Vec::new();
    for (position, of_metric) in summands.into_iter().enumerate() {
        let metric = &question.metrics[position];
        let values = match metric.kind {
            MetricKind::Mean => fold.sums(of_metric),
            MetricKind::Count => fold.tallied(position, f64::from),
            _ => fold.tallied(position, |count| f64::from(count.min(1))),
        };
        let mut moments = vec![Moments::default(); population.strata.len()];
        for (unit, value) in population.units.iter().zip(values) {
            if question.admits(unit, metric) {
                moments[unit.stratum].push(value);
            }
        }
        let filled = population.strata.iter().zip(moments).filter(|(_, moments)| moments.n > 0);
        cells.extend(filled.map(|(stratum, moments)| Cell {
            metric: question.query.metrics[position].key.clone(),
            stage: stratum.stage,
            arm: stratum.arm.clone(),
            slice: None,
            moments,
            joint: None,
        }));
    }
    Ok((cells, fold.non_finite.into_inner()))
}

impl Question<'_> {
    /// Whether a unit is in the cells of a metric: for decisions once its window has closed for good, before it left.
    fn admits(&self, unit: &AnalysedUnit, metric: &AskedMetric) -> bool {
        let end = unit.first_ts.saturating_add(metric.window);
        self.closing
            .as_ref()
            .is_none_or(|closing| end <= unit.leaves_at && end.saturating_add(self.lateness) <= closing.as_of)
    }
}

impl<'a> Fold<'a> {
    fn of(question: &'a Question<'a>, units: &'a [AnalysedUnit]) -> Result<Self, StoreError> {
        let count = u32::try_from(units.len())
            .map_err(|_| StoreError::Invalid(format!("run {} has too many units", question.query.history.number)))?;
        let positions = units.iter().map(|unit| unit.hash).zip(0..count).collect();
        let tally = |metric: &AskedMetric| match metric.kind {
            MetricKind::Mean => Vec::new(),
            _ => (0..count).map(|_| AtomicU32::new(0)).collect(),
        };
        let tallies = question.metrics.iter().map(tally).collect();
        Ok(Self { question, units, positions, tallies, non_finite: AtomicU64::new(0) })
    }

    fn add(&self, gathered: &mut Gathered, rows: &RecordBatch, repeats: &Repeats) -> Result<(), StoreError> {
        let question = self.question;
        gathered.0.resize(question.metrics.len(), Vec::new());
        let asked = Names::of(rows, schema::NAME)?
            .map(|name| question.by_event.get(name).map(Vec::as_slice).unwrap_or_default());
        let of_unit_type = Names::of(rows, schema::UNIT_TYPE)?.map(|text| text == question.query.history.unit);
        let (times, received) = (columns::times(rows, schema::TS)?, columns::times(rows, schema::RECEIVED_AT)?);
        let (hashes, values) = (columns::u64s(rows, schema::UNIT_HASH)?, columns::f64s(rows, schema::VALUE)?);
        let properties = match question.properties.is_empty() {
            true => None,
            false => Some(columns::texts(rows, schema::PROPERTIES)?),
        };
        let repeated = repeats.rows_of(rows)?;

        for row in 0..rows.num_rows() {
            let asked = asked.get(row).copied().unwrap_or_default();
            let (ts, received_at) = (times.value(row), received.value(row));
            let may_count = !asked.is_empty()
                && of_unit_type.get(row) == Some(&true)
                && received_at <= question.received_through
                && !repeated.contains(row);
            if !may_count {
                continue;
            }
            let Some(position) = self.positions.get(&hashes.value(row)) else {
                continue;
            };
            let unit = &self.units[*position as usize];
            let mut numbers = None;
            for metric_position in asked {
                let metric = &question.metrics[*metric_position];
                let end = unit.first_ts.saturating_add(metric.window);
                let counts = unit.first_ts <= ts
                    && ts < end
                    && received_at <= end.saturating_add(question.lateness)
                    && question.admits(unit, metric);
                if !counts {
                    continue;
                }
                if let Some(tally) = self.tallies[*metric_position].get(*position as usize) {
                    tally.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let value = match metric.property {
                    None => opt(values, row),
                    Some(property) => {
                        let parsed = match numbers.take() {
                            Some(parsed) => parsed,
                            None => parse(properties, row, &question.properties)?,
                        };
                        let value = parsed.get(property).copied().flatten();
                        numbers = Some(parsed);
                        value
                    }
                };
                match value.unwrap_or(0.0) {
                    value if value.is_finite() => {
                        gathered.0[*metric_position].push(Summand { unit: *position, ts, value });
                    }
                    _ => {
                        self.non_finite.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
        Ok(())
    }

    fn tallied(&self, metric: usize, value: impl Fn(u32) -> f64) -> Vec<f64> {
        self.tallies[metric].iter().map(|tally| value(tally.load(Ordering::Relaxed))).collect()
    }

    fn sums(&self, mut summands: Vec<Summand>) -> Vec<f64> {
        // Files are sorted by unit and time already: a stable sort only merges their runs.
        summands.sort_by(|a, b| (a.unit, a.ts).cmp(&(b.unit, b.ts)).then_with(|| a.value.total_cmp(&b.value)));
        let mut sums = vec![0.0_f64; self.units.len()];
        for summand in summands {
            sums[summand.unit as usize] += summand.value;
        }
        for sum in &mut sums {
            // Numbers that are finite one by one can overflow together.
            if !sum.is_finite() {
                *sum = 0.0;
                self.non_finite.fetch_add(1, Ordering::Relaxed);
            }
        }
        sums
    }
}

fn parse(properties: Option<&StringArray>, row: usize, wanted: &[&str]) -> Result<Vec<Option<f64>>, StoreError> {
    match properties {
        Some(texts) if !texts.is_null(row) => property::numbers(texts.value(row), wanted)
            .map_err(|error| StoreError::Corrupt(format!("properties of a row are not JSON: {error}"))),
        _ => Ok(vec![None; wanted.len()]),
    }
}
