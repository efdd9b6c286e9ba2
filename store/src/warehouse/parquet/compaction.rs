//! Which files become one. Every flush leaves small files; of those of one partition and bucket that are about equally
//! large, eight become one, so that a row is written again only as often as its file grows by a factor of eight. Once
//! a day is over what is left of it becomes one file a bucket.

use std::collections::BTreeMap;
use std::sync::Arc;

use liftgate_domain::RowKind;

use super::data_file::DataFile;
use super::layout;
use super::merge::Merge;
use super::record::Bucket;
use super::snapshot::Snapshot;
use super::writer::BUCKETED_ROWS_MIN;

/// Files of about one size that become one.
pub(super) const FILES_A_MERGE: usize = 8;
/// Files that one merge reads at most: each has a few thousand rows in memory.
const FILES_A_MERGE_MAX: usize = 32;
/// Rows up to which files are about equally small.
const SMALLEST_ROWS: u64 = 4_096;
/// How long after its end a day is over: senders are late.
const SETTLED_AFTER_US: i64 = 3_600_000_000;
/// A file of a day that is over is left as it is when it is this many times larger than all others together.
const SETTLED_FACTOR: u64 = 8;

type Group = (u64, RowKind, String, Option<Bucket>);

/// The merge that is most due: the one that makes the most files into few.
pub(super) fn next(snapshot: &Snapshot) -> Option<Merge> {
    let reached = snapshot.watermark.time().map_or(i64::MIN, |time| time.as_micros());
    let settled_before = layout::day_text(layout::day_number(reached.saturating_sub(SETTLED_AFTER_US)));
    let mut groups: BTreeMap<Group, Vec<&Arc<DataFile>>> = BTreeMap::new();
    for file in &snapshot.files {
        let entry = &file.entry;
        groups.entry((entry.environment, entry.kind, entry.day.clone(), entry.bucket)).or_default().push(file);
    }
    let due = groups.into_iter().filter_map(|((_, _, day, bucket), mut files)| {
        files.sort_by_key(|file| file.entry.rows);
        let chosen = of_one_size(&files).or_else(|| (day < settled_before).then(|| settling(&files)).flatten())?;
        let rows: u64 = chosen.iter().map(|file| file.entry.rows).sum();
        let into_buckets = bucket.is_none() && rows >= BUCKETED_ROWS_MIN as u64;
        Some(Merge { files: chosen.into_iter().cloned().collect(), into_buckets })
    });
    due.max_by_key(|merge| merge.files.len())
}

/// The smallest files of about one size that are enough for a merge; `files` are sorted by rows.
fn of_one_size<'a>(files: &[&'a Arc<DataFile>]) -> Option<Vec<&'a Arc<DataFile>>> {
    let enough = files.chunk_by(|a, b| size(a) == size(b)).find(|alike| alike.len() >= FILES_A_MERGE)?;
    Some(enough.iter().copied().take(FILES_A_MERGE_MAX).collect())
}

fn size(file: &DataFile) -> u32 {
    (file.entry.rows / SMALLEST_ROWS).max(1).ilog2() / 3
}

/// What is left of a day that is over; `None` when that would mean writing a large file again for little.
fn settling<'a>(files: &[&'a Arc<DataFile>]) -> Option<Vec<&'a Arc<DataFile>>> {
    let (largest, others) = files.split_last()?;
    let others_rows: u64 = others.iter().map(|file| file.entry.rows).sum();
    let is_due = !others.is_empty() && largest.entry.rows <= others_rows.saturating_mul(SETTLED_FACTOR);
    is_due.then(|| files.iter().copied().take(FILES_A_MERGE_MAX).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use liftgate_domain::{NodeMark, Timestamp};

    use super::super::record::FileEntry;
    use super::*;

    fn files(day: &str, rows: &[u64]) -> Vec<Arc<DataFile>> {
        let file = |(number, rows): (usize, &u64)| {
            let entry = FileEntry {
                path: format!("{day}/{number}"),
                version: 2,
                environment: 1,
                kind: RowKind::Metric,
                day: day.to_owned(),
                bucket: None,
                rows: *rows,
                events: *rows,
                bytes: 1,
                runs: None,
                names: None,
            };
            Arc::new(DataFile::new(Path::new("nowhere"), entry))
        };
        rows.iter().enumerate().map(file).collect()
    }

    #[test]
    fn files_of_one_size_are_merged_and_what_is_left_once_the_day_is_over() {
        let merged = |files: Vec<Arc<DataFile>>, now: &str| {
            let mut snapshot = Snapshot { files, ..Snapshot::default() };
            let received_at: Timestamp = now.parse().unwrap();
            snapshot.watermark.advance("a", NodeMark { epoch: 1, sequence: 1, received_at });
            next(&snapshot).map(|merge| {
                let mut rows: Vec<u64> = merge.files.iter().map(|file| file.entry.rows).collect();
                rows.sort_unstable();
                (rows, merge.into_buckets)
            })
        };
        let (during, after) = ("2026-03-01T23:59:59Z", "2026-03-02T01:00:00Z");
        let seven = [10, 20, 30, 40, 50, 60, 70];
        let eight = [10, 20, 30, 40, 50, 60, 70, 4_000];
        let of_day = |rows: &[u64]| files("2026-03-01", rows);
        assert_eq!(merged(of_day(&seven), during), None);
        assert_eq!(merged(of_day(&seven), after), Some((seven.to_vec(), false)));
        assert_eq!(merged(of_day(&eight), during), Some((eight.to_vec(), false)));
        assert_eq!(merged(of_day(&[20_000; 8]), during), Some((vec![20_000; 8], true)));
        // One file, and a large one with little beside it, stay as they are.
        assert_eq!(merged(of_day(&[10]), after), None);
        assert_eq!(merged(of_day(&[10, 1_000]), after), None);
        assert_eq!(merged(of_day(&[200, 1_000]), after), Some((vec![200, 1_000], false)));
        // The more crowded partition comes first.
        let both = [of_day(&seven), files("2026-02-28", &[1; 9])].concat();
        assert_eq!(merged(both, during), Some((vec![1; 9], false)));
    }
}
