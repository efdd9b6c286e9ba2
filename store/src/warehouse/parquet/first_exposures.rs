//! First exposures that were folded before: files never change, so what was folded from them stays true, and a question
//! of a run that was asked about before reads only the files that are new, and the tail.
//!
//! One entry serves questions only as long as every file that it was folded from still counts, and only those that see
//! every row of these files. Otherwise all files are folded again. What is kept is bounded in bytes; the entry that was
//! not used for longest goes first.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use liftgate_evaluator::Design;
use serde::Serialize;

use super::exposures::Exposed;
use super::question::Question;

/// Everything of a question that decides what the rows of a file are folded into, but for the instant through which rows
/// are visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    environment: u64,
    run: u64,
    unit_type: String,
    /// The variations of a ramp.
    treatment_and_control: Option<(String, String)>,
    exclude_runs: BTreeSet<u64>,
    lateness: i64,
}

/// What the rows of some files were folded into.
#[derive(Debug)]
pub(super) struct Folded {
    pub(super) exposed: Exposed,
    /// Paths of the files.
    pub(super) files: BTreeSet<String>,
    /// When the last of the rows that matter was received; absent without one.
    pub(super) newest: Option<i64>,
}

/// The newest fold of each subject, within a limit of bytes.
pub(super) struct FirstExposures {
    bytes_max: usize,
    /// The one used last is last.
    entries: Mutex<Vec<(Subject, Arc<Folded>)>>,
    reused: AtomicU64,
    missed: AtomicU64,
}

/// What the memory of first exposures holds, and how often it has served.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RememberedExposures {
    /// Runs whose first exposures are in memory, once for each rule that they were folded by.
    pub entries: usize,
    /// Bytes of them.
    pub bytes: usize,
    /// Questions that read only what was new, since the warehouse was opened.
    pub reused: u64,
    /// Questions that read all exposures of the run.
    pub missed: u64,
}

impl Subject {
    pub(super) fn of(question: &Question<'_>) -> Self {
        let (query, history) = (question.query, &question.query.history);
        let treatment_and_control = match &history.design {
            Design::Ramp { treatment, control } => Some((treatment.clone(), control.clone())),
            Design::Split { .. } => None,
        };
        Self {
            environment: query.environment,
            run: history.number,
            unit_type: history.unit.clone(),
            treatment_and_control,
            exclude_runs: query.exclude_runs.iter().copied().collect(),
            lateness: question.lateness,
        }
    }
}

impl Folded {
    /// Whether every row that matters is visible to a question.
    pub(super) fn is_visible(&self, question: &Question<'_>) -> bool {
        self.newest.is_none_or(|newest| newest <= question.received_through)
    }

    fn bytes(&self) -> usize {
        let of_files: usize = self.files.iter().map(|path| path.capacity() + size_of::<String>()).sum();
        // An entry takes memory even when it has no unit.
        size_of::<(Subject, Self)>() + of_files + self.exposed.bytes()
    }
}

impl FirstExposures {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, entries: Mutex::default(), reused: AtomicU64::new(0), missed: AtomicU64::new(0) }
    }

    /// What is known for a question when these are the files that matter; counts whether something is.
    pub(super) fn find(
        &self,
        subject: &Subject,
        question: &Question<'_>,
        files: &BTreeSet<String>,
    ) -> Option<Arc<Folded>> {
        let mut entries = self.entries();
        let serves = |entry: &(Subject, Arc<Folded>)| {
            entry.0 == *subject && entry.1.is_visible(question) && entry.1.files.is_subset(files)
        };
        let Some(position) = entries.iter().position(serves) else {
            self.missed.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        self.reused.fetch_add(1, Ordering::Relaxed);
        let entry = entries.remove(position);
        let folded = Arc::clone(&entry.1);
        entries.push(entry);
        Some(folded)
    }

    /// Remembers a fold in place of an earlier one of the same subject, unless it is larger than the limit.
    pub(super) fn keep(&self, subject: Subject, folded: Arc<Folded>) {
        let mut entries = self.entries();
        entries.retain(|(known, _)| *known != subject);
        if folded.bytes() > self.bytes_max {
            return;
        }
        entries.push((subject, folded));
        let mut bytes: usize = entries.iter().map(|(_, folded)| folded.bytes()).sum();
        while bytes > self.bytes_max {
            bytes -= entries.remove(0).1.bytes();
        }
    }

    pub(super) fn describe(&self) -> RememberedExposures {
        let entries = self.entries();
        RememberedExposures {
            entries: entries.len(),
            bytes: entries.iter().map(|(_, folded)| folded.bytes()).sum(),
            reused: self.reused.load(Ordering::Relaxed),
            missed: self.missed.load(Ordering::Relaxed),
        }
    }

    fn entries(&self) -> MutexGuard<'_, Vec<(Subject, Arc<Folded>)>> {
        // Every change under this lock is complete before anything can panic.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
