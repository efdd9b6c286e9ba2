//! The first pass over the rows: who was exposed to the run, first when, in which stage and arm.
//!
//! Units are kept in partitions by their hash, each under a lock of its own; a file of a bucket touches few of them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, RecordBatch};
use liftgate_domain::{RowKind, StoreError};
use liftgate_evaluator::Design;

use super::columns::{self, Names, opt};
use super::data_file::DataFile;
use super::first_exposures::{FirstExposures, Folded, Subject};
use super::identity::Repeats;
use super::pruning::Asked;
use super::question::Question;
use super::scan::{Lane, file_lanes, files, scan, tail_lanes};
use super::schema;
use super::snapshot::Snapshot;
use super::units::{OfEntries, UnitHasher, UnitIndex};

/// Parts of the range of unit hashes. Sums are put together partition by partition, so their number is fixed.
pub(super) const PARTITIONS: usize = 16;
/// Units of a partition, so that a partition and a position in it fit 32 bits with some to spare.
pub(super) const PARTITION_UNITS_MAX: usize = 1 << 27;

const COLUMNS: [&str; 9] = [
    schema::TS,
    schema::TS_US,
    schema::UNIT_TYPE,
    schema::UNIT_ID,
    schema::VARIATION,
    schema::RUN,
    schema::STAGE,
    schema::ARM,
    schema::BUCKET,
];

/// The partition of a unit.
pub(super) fn partition_of(hash: u64) -> usize {
    (hash >> (u64::BITS - PARTITIONS.ilog2())) as usize
}

/// All units that the question's runs have seen.
#[derive(Clone, Debug)]
pub(super) struct Exposed {
    /// Shared with what is remembered, and copied before they are changed.
    pub(super) partitions: Vec<Arc<Partition>>,
    /// What [`SeenUnit::arm`] means.
    pub(super) arms: Vec<String>,
    pub(super) last_treatment_at: Option<i64>,
    pub(super) last_control_at: Option<i64>,
}

/// The units of a partition.
#[derive(Clone, Debug, Default)]
pub(super) struct Partition {
    /// Shared as well: most rows are of units that were seen before.
    pub(super) index: Arc<UnitIndex>,
    /// In the order of `index`.
    pub(super) units: Vec<SeenUnit>,
}

/// What is known of one unit; small, since there are many.
#[derive(Copy, Clone, Debug)]
pub(super) struct SeenUnit {
    pub(super) first_ts: i64,
    pub(super) stage: u32,
    /// [`NO_BUCKET`] when it is not known.
    bucket: u32,
    /// Position in [`Exposed::arms`], or [`NO_ARM`] without an exposure that is considered.
    arm: u16,
    pub(super) in_several_arms: bool,
    pub(super) treated: bool,
    pub(super) excluded: bool,
    /// Another exposure has the first one's time: the smaller event id decides.
    pub(super) is_tied: bool,
}

const NO_BUCKET: u32 = u32::MAX;
const NO_ARM: u16 = u16::MAX;

/// What a thread has gathered and needs again.
#[derive(Default)]
struct Gathered {
    hasher: Option<UnitHasher>,
    /// Of each unit of a dictionary its [`Position`] as a number, or [`UNKNOWN`], or [`SOUGHT`].
    entries: OfEntries<u32>,
    /// Units of the batch that are looked up together: many misses of the cache at a time take little longer than one.
    sought: Vec<(u32, u64)>,
    hits: Vec<Hit>,
    last_treatment_at: Option<i64>,
    last_control_at: Option<i64>,
    /// When the last row that matters was received, visible or not.
    newest: Option<i64>,
}

pub(super) const UNKNOWN: u32 = u32::MAX;
pub(super) const SOUGHT: u32 = u32::MAX - 1;

/// A row that says something of a unit.
#[derive(Copy, Clone)]
struct Hit {
    key: u32,
    row: u32,
    treated: bool,
    excluded: bool,
    considered: bool,
}

/// A unit's partition and its place there, in one number.
#[derive(Copy, Clone)]
pub(super) struct Position(pub(super) u32);

impl Position {
    pub(super) fn new(partition: usize, unit: u32) -> Self {
        Self((partition * PARTITION_UNITS_MAX) as u32 + unit)
    }

    pub(super) fn partition(self) -> usize {
        self.0 as usize / PARTITION_UNITS_MAX
    }

    pub(super) fn unit(self) -> u32 {
        self.0 % PARTITION_UNITS_MAX as u32
    }
}

/// Which exposures count as ones.
pub(super) struct Rules<'a> {
    question: &'a Question<'a>,
    arms: Mutex<Vec<String>>,
}

/// Finds the units of the question's run, and those that it excludes. What was folded of files before is not read again.
pub(super) fn exposed(
    snapshot: &Snapshot,
    question: &Question<'_>,
    repeats: &Repeats,
    first_exposures: &FirstExposures,
    threads: usize,
) -> Result<Exposed, StoreError> {
    let asked = Asked::Runs(question.runs());
    let environment = question.query.environment;
    let paths = files(snapshot, environment, RowKind::Exposure, &asked).map(|file| file.entry.path.clone());
    let paths: BTreeSet<String> = paths.collect();
    // Which of several rows counts can change with every row that comes.
    let subject = repeats.is_empty().then(|| Subject::of(question));
    let known = subject.as_ref().and_then(|subject| first_exposures.find(subject, question, &paths));
    let fold = Fold { question, repeats, threads };
    let is_new = |file: &&DataFile| known.as_ref().is_none_or(|known| !known.files.contains(&file.entry.path));
    let new = file_lanes(files(snapshot, environment, RowKind::Exposure, &asked).filter(is_new), &asked)?;
    let is_unchanged = known.as_ref().is_some_and(|known| known.files.len() == paths.len());
    let folded = match known {
        Some(known) if is_unchanged => known,
        known => {
            let (base, newest) = known.map_or_else(Default::default, |known| (known.exposed.clone(), known.newest));
            let (exposed, newest_read) = fold.onto(&base, &new)?;
            let folded = Arc::new(Folded { exposed, files: paths, newest: newest.max(newest_read) });
            if let Some(subject) = subject.filter(|_| folded.is_visible(question)) {
                first_exposures.keep(subject, Arc::clone(&folded));
            }
            folded
        }
    };
    let tail = tail_lanes(snapshot, environment, RowKind::Exposure);
    Ok(fold.onto(&folded.exposed, &tail)?.0)
}

/// How rows are folded.
struct Fold<'a> {
    question: &'a Question<'a>,
    repeats: &'a Repeats,
    threads: usize,
}

impl Fold<'_> {
    /// What `base` becomes with the rows of these lanes, and when the last of them was received.
    fn onto(&self, base: &Exposed, lanes: &[Lane<'_>]) -> Result<(Exposed, Option<i64>), StoreError> {
        let mut columns = COLUMNS.to_vec();
        columns.push(schema::RECEIVED_AFTER_US);
        let columns = self.repeats.with_columns(&columns);
        let rules = Rules { question: self.question, arms: Mutex::new(base.arms.clone()) };
        let partitions: Vec<Mutex<Cow<'_, Partition>>> =
            base.partitions.iter().map(|partition| Mutex::new(Cow::Borrowed(&**partition))).collect();
        let gathered = scan(lanes, &columns, self.threads, |gathered: &mut Gathered, rows| {
            gathered.add(rows, &rules, self.repeats, &partitions)
        })?;
        let unlocked = |(partition, base): (Mutex<Cow<'_, Partition>>, &Arc<Partition>)| match partition
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            Cow::Borrowed(_) => Arc::clone(base),
            Cow::Owned(changed) => Arc::new(changed),
        };
        let last_treatment_at = gathered.iter().filter_map(|thread| thread.last_treatment_at).max();
        let last_control_at = gathered.iter().filter_map(|thread| thread.last_control_at).max();
        let exposed = Exposed {
            partitions: partitions.into_iter().zip(&base.partitions).map(unlocked).collect(),
            arms: rules.arms.into_inner().unwrap_or_else(PoisonError::into_inner),
            last_treatment_at: base.last_treatment_at.max(last_treatment_at),
            last_control_at: base.last_control_at.max(last_control_at),
        };
        Ok((exposed, gathered.iter().filter_map(|thread| thread.newest).max()))
    }
}

impl Default for Exposed {
    fn default() -> Self {
        let partitions = (0..PARTITIONS).map(|_| Arc::default()).collect();
        Self { partitions, arms: Vec::new(), last_treatment_at: None, last_control_at: None }
    }
}

impl Exposed {
    /// The memory that its units take.
    pub(super) fn bytes(&self) -> usize {
        let of_partition =
            |partition: &Arc<Partition>| partition.index.bytes() + partition.units.capacity() * size_of::<SeenUnit>();
        self.partitions.iter().map(of_partition).sum()
    }
}

impl Rules<'_> {
    /// The position of an arm, the same for all threads.
    fn arm(&self, arm: &str) -> u16 {
        let mut arms = self.arms.lock().unwrap_or_else(PoisonError::into_inner);
        let position = arms.iter().position(|known| known == arm).unwrap_or_else(|| {
            arms.push(arm.to_owned());
            arms.len() - 1
        });
        u16::try_from(position).unwrap_or(NO_ARM)
    }
}

impl Gathered {
    fn add(
        &mut self,
        rows: &RecordBatch,
        rules: &Rules<'_>,
        repeats: &Repeats,
        partitions: &[Mutex<Cow<'_, Partition>>],
    ) -> Result<(), StoreError> {
        let question = rules.question;
        let history = &question.query.history;
        let (treatment, control) = match &history.design {
            Design::Ramp { treatment, control } => (Some(treatment.as_str()), Some(control.as_str())),
            Design::Split { .. } => (None, None),
        };
        let of_unit_type = Names::of(rows, schema::UNIT_TYPE)?.map(|text| text == history.unit);
        let variations = Names::of(rows, schema::VARIATION)?;
        let is_treatment = variations.map(|text| Some(text) == treatment);
        let is_control = variations.map(|text| Some(text) == control);
        let arms = Names::of(rows, schema::ARM)?.map(|arm| rules.arm(arm));
        let times = columns::times(rows)?;
        let received = columns::received(rows, &times)?;
        let (runs, units) = (columns::u64s(rows, schema::RUN)?, Names::of(rows, schema::UNIT_ID)?);
        let (stages, buckets) = (columns::u32s(rows, schema::STAGE)?, columns::u32s(rows, schema::BUCKET)?);
        let repeated = repeats.rows_of(rows)?;
        let entries = self.entries.of(units.values, UNKNOWN);
        let hasher = self.hasher.get_or_insert_with(|| UnitHasher::new(question.query.environment, &history.unit));
        for row in 0..rows.num_rows() {
            let Some(run) = opt(runs, row) else {
                continue;
            };
            let is_own = run == history.number;
            let excludes = question.query.exclude_runs.contains(&run);
            let matters = (is_own || excludes) && of_unit_type.get(row) == Some(&true) && !repeated.contains(row);
            if !matters {
                continue;
            }
            self.newest = self.newest.max(Some(received[row]));
            if received[row] > question.received_through {
                continue;
            }
            let treated = is_own && is_treatment.get(row) == Some(&true);
            if is_own {
                // A fast clock must not make an arm look fresher than what was received.
                let seen_at = Some(times[row].min(received[row]));
                if treated {
                    self.last_treatment_at = self.last_treatment_at.max(seen_at);
                }
                if is_control.get(row) == Some(&true) {
                    self.last_control_at = self.last_control_at.max(seen_at);
                }
            }
            let is_late = received[row] > times[row].saturating_add(question.lateness);
            let has_arm = arms.get(row).is_some() && !is_late;
            let excluded = excludes && has_arm;
            let considered = is_own && has_arm && !stages.is_null(row);
            if !(treated || excluded || considered) {
                continue;
            }
            let key = units.keys.value(row) as usize;
            if entries[key] == UNKNOWN {
                entries[key] = SOUGHT;
                self.sought.push((key as u32, hasher.hash(units.values.value(key))));
            }
            self.hits.push(Hit { key: key as u32, row: row as u32, treated, excluded, considered });
        }
        let mut locked = Locked { partitions, held: None };
        for (key, hash) in self.sought.drain(..) {
            let index = partition_of(hash);
            entries[key as usize] = Position::new(index, locked.partition(index).position(hash)?).0;
        }
        for hit in self.hits.drain(..) {
            let position = Position(entries[hit.key as usize]);
            let unit = &mut locked.partition(position.partition()).units[position.unit() as usize];
            unit.treated |= hit.treated;
            unit.excluded |= hit.excluded;
            let row = hit.row as usize;
            if let (true, Some(arm)) = (hit.considered, arms.get(row)) {
                unit.expose(*arm, times[row], stages.value(row), opt(buckets, row).unwrap_or(NO_BUCKET));
            }
        }
        Ok(())
    }
}

/// One partition at a time: all rows of a file of one bucket want the same.
struct Locked<'a, 'b> {
    partitions: &'a [Mutex<Cow<'b, Partition>>],
    held: Option<(usize, MutexGuard<'a, Cow<'b, Partition>>)>,
}

impl Locked<'_, '_> {
    #[inline]
    fn partition(&mut self, index: usize) -> &mut Partition {
        if self.held.as_ref().is_some_and(|(held, _)| *held != index) {
            // The one before is given back first.
            self.held = None;
        }
        let lock = || (index, self.partitions[index].lock().unwrap_or_else(PoisonError::into_inner));
        self.held.get_or_insert_with(lock).1.to_mut()
    }
}

impl Partition {
    fn position(&mut self, hash: u64) -> Result<u32, StoreError> {
        if self.units.len() >= PARTITION_UNITS_MAX {
            return Err(StoreError::Invalid("the run has too many units for one node".into()));
        }
        let position = match self.index.get(hash) {
            Some(position) => position,
            None => Arc::make_mut(&mut self.index).get_or_add(hash),
        };
        if position as usize == self.units.len() {
            self.units.push(SeenUnit::default());
        }
        Ok(position)
    }
}

impl Default for SeenUnit {
    fn default() -> Self {
        Self {
            first_ts: i64::MAX,
            stage: 0,
            bucket: NO_BUCKET,
            arm: NO_ARM,
            in_several_arms: false,
            treated: false,
            excluded: false,
            is_tied: false,
        }
    }
}

impl SeenUnit {
    /// The position of its arm; absent without an exposure that is considered.
    pub(super) fn arm(&self) -> Option<usize> {
        (self.arm != NO_ARM).then_some(usize::from(self.arm))
    }

    pub(super) fn bucket(&self) -> Option<u32> {
        (self.bucket != NO_BUCKET).then_some(self.bucket)
    }

    /// Sets what the row of the smallest event id says.
    pub(super) fn settle(&mut self, stage: u32, bucket: Option<u32>) {
        (self.stage, self.bucket) = (stage, bucket.unwrap_or(NO_BUCKET));
    }

    fn expose(&mut self, arm: u16, ts: i64, stage: u32, bucket: u32) {
        let is_known = self.arm != NO_ARM;
        self.in_several_arms |= is_known && self.arm != arm;
        if is_known && ts == self.first_ts {
            self.is_tied = true;
        }
        if !is_known || ts < self.first_ts {
            (self.arm, self.first_ts, self.stage, self.bucket, self.is_tied) = (arm, ts, stage, bucket, false);
        }
    }
}
