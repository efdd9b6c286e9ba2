//! Keeps the runs of a day few: which to merge, and merging them with one page of each in memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::ops::Range;
use std::sync::Arc;

use super::Key;
use super::run::{Page, Run};
use super::run_writer::RunWriter;
use crate::Error;

/// Whether more keys may still come for a day.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum DayState {
    Growing,
    Over,
}

/// Which neighbours among the runs of one day, oldest first by their key counts, should become one. A day that is over
/// becomes one run. Of a growing one every run stays larger than all later ones together, so that n writes make at most
/// log2(n) + 1 runs and each key is rewritten as often.
pub(crate) fn plan(counts: &[u64], state: DayState) -> Option<Range<usize>> {
    if counts.len() < 2 {
        return None;
    }
    if state == DayState::Over {
        return Some(0..counts.len());
    }
    let mut later: u64 = counts.iter().sum();
    for (at, count) in counts.iter().enumerate() {
        later -= count;
        if *count <= later {
            return Some(at..counts.len());
        }
    }
    None
}

/// Writes all keys of `runs`, each once. Answers `None` when told to stop by `is_stopped`, asked once a page; its error
/// ends the merge, too.
pub(crate) fn merge(
    runs: &[Arc<Run>],
    mut writer: RunWriter,
    mut is_stopped: impl FnMut() -> Result<bool, Error>,
) -> Result<Option<Run>, Error> {
    let mut cursors = runs.iter().map(|run| Cursor::open(run)).collect::<Result<Vec<_>, Error>>()?;
    let mut heads: BinaryHeap<Reverse<(Key, usize)>> = BinaryHeap::with_capacity(cursors.len());
    for (number, cursor) in cursors.iter_mut().enumerate() {
        heads.extend(cursor.next()?.map(|key| Reverse((key, number))));
    }
    while let Some(mut head) = heads.peek_mut() {
        let Reverse((key, number)) = *head;
        if writer.push(key)? && is_stopped()? {
            return Ok(None);
        }
        match cursors[number].next()? {
            Some(next) => *head = Reverse((next, number)),
            None => drop(PeekMut::pop(head)),
        }
    }
    writer.finish().map(Some)
}

/// The keys of a run, one after the other.
struct Cursor<'a> {
    run: &'a Run,
    page: Page,
    /// The number of the page in memory.
    number: u64,
    /// The place of the next key on it.
    at: usize,
}

impl<'a> Cursor<'a> {
    fn open(run: &'a Run) -> Result<Self, Error> {
        Ok(Self { run, page: run.page(0)?, number: 0, at: 0 })
    }

    fn next(&mut self) -> Result<Option<Key>, Error> {
        if self.at == self.page.len() {
            self.number += 1;
            if self.number == self.run.page_count() {
                return Ok(None);
            }
            self.page = self.run.page(self.number)?;
            self.at = 0;
        }
        self.at += 1;
        Ok(Some(self.page.get(self.at - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_runs_are_merged_into_their_older_neighbours() {
        let check = |counts: &[u64], state, expected| assert_eq!(plan(counts, state), expected, "{counts:?} {state:?}");
        check(&[], DayState::Growing, None);
        check(&[5], DayState::Over, None);
        check(&[8, 1], DayState::Over, Some(0..2));
        check(&[8, 1], DayState::Growing, None);
        check(&[8, 2, 1], DayState::Growing, None);
        check(&[8, 1, 1], DayState::Growing, Some(1..3));
        check(&[1, 8], DayState::Growing, Some(0..2));
    }

    #[test]
    fn a_growing_day_has_few_runs_and_rewrites_little() {
        let (mut counts, mut rewritten) = (Vec::new(), 0);
        for _ in 0..1000 {
            counts.push(1_u64);
            while let Some(range) = plan(&counts, DayState::Growing) {
                let merged = counts.drain(range.clone()).sum();
                counts.insert(range.start, merged);
                rewritten += merged;
            }
            assert!(counts.len() <= 10, "{counts:?}");
        }
        assert!(rewritten <= 10 * 1000, "{rewritten}");
    }
}
