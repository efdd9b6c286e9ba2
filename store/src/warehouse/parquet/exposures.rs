//! The first pass over the rows: who was exposed to the run, first when, in which stage and arm.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, PoisonError};

use arrow::array::{Array, RecordBatch};
use liftgate_domain::{ArmCount, RowKind, StoreError, Timestamp};
use liftgate_evaluator::Design;

use super::censoring::FirstSeen;
use super::columns::{self, Names, opt};
use super::identity::Repeats;
use super::question::Question;
use super::scan::{pieces, scan};
use super::schema;
use super::snapshot::Snapshot;

const COLUMNS: [&str; 10] = [
    schema::EVENT_ID,
    schema::TS,
    schema::RECEIVED_AT,
    schema::UNIT_TYPE,
    schema::UNIT_HASH,
    schema::VARIATION,
    schema::RUN,
    schema::STAGE,
    schema::ARM,
    schema::BUCKET,
];

/// The analysed units of a run.
pub(super) struct Population {
    /// Ascending by hash, so that sums over units round alike however the rows were stored.
    pub(super) units: Vec<AnalysedUnit>,
    /// Stages and arms that have units, ascending.
    pub(super) strata: Vec<ArmCount>,
    pub(super) treated_units: u64,
    pub(super) crossover_units: u64,
    pub(super) last_treatment_at: Option<Timestamp>,
    pub(super) last_control_at: Option<Timestamp>,
}

/// A unit with one arm.
pub(super) struct AnalysedUnit {
    pub(super) hash: u64,
    pub(super) first_ts: i64,
    /// The instant from which it no longer counts in decisions.
    pub(super) leaves_at: i64,
    /// Position in [`Population::strata`].
    pub(super) stratum: usize,
}

/// Unit hashes are hashes already.
#[derive(Default)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

pub(super) type ByUnit<T> = HashMap<u64, T, BuildHasherDefault<AsIs>>;

#[derive(Default)]
struct Gathered {
    units: ByUnit<Unit>,
    last_treatment_at: Option<i64>,
    last_control_at: Option<i64>,
}

#[derive(Default)]
struct Unit {
    first: Option<First>,
    in_several_arms: bool,
    treated: bool,
}

struct First {
    ts: i64,
    event_id: Box<str>,
    stage: u32,
    bucket: Option<u32>,
    /// Position in [`Arms`].
    arm: usize,
}

/// The arms met so far; their positions are the same for all threads.
#[derive(Default)]
struct Arms(Mutex<Vec<String>>);

impl Arms {
    fn position(&self, arm: &str) -> usize {
        let mut arms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        arms.iter().position(|known| known == arm).unwrap_or_else(|| {
            arms.push(arm.to_owned());
            arms.len() - 1
        })
    }
}

/// Finds the analysed units of the question's run.
pub(super) fn population(
    snapshot: &Snapshot,
    question: &Question<'_>,
    repeats: &Repeats,
    threads: usize,
) -> Result<Population, StoreError> {
    let (environment, run) = (question.query.environment, question.query.history.number);
    let files = snapshot.files_of(environment, RowKind::Exposure).filter(|file| file.entry.may_have_run(run));
    let pieces = pieces(files, snapshot.tail_of(environment, RowKind::Exposure))?;
    let columns = repeats.with_columns(&COLUMNS);
    let arms = Arms::default();
    let gathered =
        scan(&pieces, &columns, threads, |gathered: &mut Gathered, rows| gathered.add(rows, question, repeats, &arms))?;
    let all = gathered.into_iter().reduce(Gathered::merge).unwrap_or_default();
    let arms = arms.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(all.into_population(question, &arms))
}

impl Gathered {
    fn add(
        &mut self,
        rows: &RecordBatch,
        question: &Question<'_>,
        repeats: &Repeats,
        arms: &Arms,
    ) -> Result<(), StoreError> {
        let history = &question.query.history;
        let (treatment, control) = match &history.design {
            Design::Ramp { treatment, control } => (Some(treatment.as_str()), Some(control.as_str())),
            Design::Split { .. } => (None, None),
        };
        let of_unit_type = Names::of(rows, schema::UNIT_TYPE)?.map(|text| text == history.unit);
        let variations = Names::of(rows, schema::VARIATION)?;
        let is_treatment = variations.map(|text| Some(text) == treatment);
        let is_control = variations.map(|text| Some(text) == control);
        let arm_positions = Names::of(rows, schema::ARM)?.map(|arm| arms.position(arm));
        let event_ids = columns::texts(rows, schema::EVENT_ID)?;
        let (times, received) = (columns::times(rows, schema::TS)?, columns::times(rows, schema::RECEIVED_AT)?);
        let (runs, hashes) = (columns::u64s(rows, schema::RUN)?, columns::u64s(rows, schema::UNIT_HASH)?);
        let (stages, buckets) = (columns::u32s(rows, schema::STAGE)?, columns::u32s(rows, schema::BUCKET)?);
        let repeated = repeats.rows_of(rows)?;

        for row in 0..rows.num_rows() {
            let (ts, received_at) = (times.value(row), received.value(row));
            let is_asked_for = opt(runs, row) == Some(history.number)
                && of_unit_type.get(row) == Some(&true)
                && received_at <= question.received_through
                && !repeated.contains(row);
            if !is_asked_for {
                continue;
            }
            // A fast clock must not make an arm look fresher than what was received.
            let seen_at = ts.min(received_at);
            let treated = is_treatment.get(row) == Some(&true);
            if treated {
                self.last_treatment_at = self.last_treatment_at.max(Some(seen_at));
            }
            if is_control.get(row) == Some(&true) {
                self.last_control_at = self.last_control_at.max(Some(seen_at));
            }
            let unit = self.units.entry(hashes.value(row)).or_default();
            unit.treated |= treated;
            let is_late = received_at > ts.saturating_add(question.lateness);
            if let (Some(arm), Some(stage), false) = (arm_positions.get(row), opt(stages, row), is_late) {
                let event_id = event_ids.value(row);
                unit.expose(*arm, ts, event_id, |arm| First {
                    ts,
                    event_id: event_id.into(),
                    stage,
                    bucket: opt(buckets, row),
                    arm,
                });
            }
        }
        debug_assert_eq!(hashes.null_count(), 0, "the column is required");
        Ok(())
    }

    fn merge(self, other: Self) -> Self {
        let (mut large, small) = if self.units.len() >= other.units.len() { (self, other) } else { (other, self) };
        large.last_treatment_at = large.last_treatment_at.max(small.last_treatment_at);
        large.last_control_at = large.last_control_at.max(small.last_control_at);
        for (hash, unit) in small.units {
            let known = large.units.entry(hash).or_default();
            known.treated |= unit.treated;
            known.in_several_arms |= unit.in_several_arms;
            if let Some(first) = unit.first {
                let (ts, event_id) = (first.ts, first.event_id.clone());
                known.expose(first.arm, ts, &event_id, |_| first);
            }
        }
        large
    }

    fn into_population(self, question: &Question<'_>, arms: &[String]) -> Population {
        let treated_units = self.units.values().filter(|unit| unit.treated).count() as u64;
        let crossover_units = self.units.values().filter(|unit| unit.in_several_arms).count() as u64;
        let is_asked: Vec<bool> = arms.iter().map(|arm| question.query.arms.contains(arm)).collect();
        let mut firsts: Vec<(u64, First)> = self
            .units
            .into_iter()
            .filter(|(_, unit)| !unit.in_several_arms)
            .filter_map(|(hash, unit)| Some((hash, unit.first?)))
            .filter(|(_, first)| is_asked[first.arm])
            .collect();
        firsts.sort_unstable_by_key(|(hash, _)| *hash);

        let mut units_of: BTreeMap<(u32, &str), u64> = BTreeMap::new();
        for (_, first) in &firsts {
            *units_of.entry((first.stage, &arms[first.arm])).or_default() += 1;
        }
        let positions: HashMap<(u32, &str), usize> =
            units_of.keys().enumerate().map(|(position, stratum)| (*stratum, position)).collect();
        let analysed = |(hash, first): &(u64, First)| {
            let arm = arms[first.arm].as_str();
            let seen = FirstSeen { ts: first.ts, stage: first.stage, arm, bucket: first.bucket };
            let leaves_at = question.closing.as_ref().map_or(i64::MAX, |closing| closing.censoring.leaves_at(seen));
            let stratum = positions[&(first.stage, arm)];
            AnalysedUnit { hash: *hash, first_ts: first.ts, leaves_at, stratum }
        };
        let units = firsts.iter().map(analysed).collect();
        let strata = units_of
            .iter()
            .map(|((stage, arm), units)| ArmCount { slice: None, stage: *stage, arm: (*arm).to_owned(), units: *units })
            .collect();
        Population {
            units,
            strata,
            treated_units,
            crossover_units,
            last_treatment_at: self.last_treatment_at.map(Timestamp),
            last_control_at: self.last_control_at.map(Timestamp),
        }
    }
}

impl Unit {
    fn expose(&mut self, arm: usize, ts: i64, event_id: &str, first: impl FnOnce(usize) -> First) {
        match &self.first {
            None => self.first = Some(first(arm)),
            Some(known) => {
                self.in_several_arms |= known.arm != arm;
                if (ts, event_id) < (known.ts, &known.event_id) {
                    self.first = Some(first(arm));
                }
            }
        }
    }
}
