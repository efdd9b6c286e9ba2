//! Runs on disk: every key is found, any damage is noticed, nothing is left over, memory is bounded.

use std::fs;
use std::path::PathBuf;

use super::{files, keys_of, written};
use crate::Error;
use crate::keys::filter::Filter;
use crate::keys::run::{DAMAGED, PAGE_BYTES, PAGE_KEYS, Run, RunName};
use crate::keys::run_writer::RunWriter;
use crate::keys::{Day, DayKeys, Key, KeyRuns, Probed};

#[test]
fn every_key_is_found_on_its_page_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let full = PAGE_KEYS as u64;
    for count in [1, full - 1, full, full + 1, 3 * full, 10_000] {
        let runs = written(dir.path(), 5, &keys_of(0..count));
        let list = runs.list();
        let run = list.runs.last().unwrap();
        assert_eq!(run.count, count);
        let reopened = Run::open(run.path.clone()).unwrap().unwrap();
        for run in [&**run, &reopened] {
            assert!(keys_of(0..count).into_iter().all(|key| run.contains(key).unwrap()));
            assert!(keys_of(count..count + 1000).into_iter().all(|key| !run.contains(key).unwrap()));
        }
    }
}

/// Real keys never look like this; the answer is exact all the same.
#[test]
fn keys_that_share_their_high_half_over_several_pages_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let keys: Vec<Key> = [0_u128, 7, u128::from(u64::MAX)]
        .into_iter()
        .flat_map(|high| (0..1000_u128).map(move |low| (high << 64) | (low * 2)))
        .collect();
    let runs = written(dir.path(), 5, &keys);
    let list = runs.list();
    assert!(keys.iter().all(|key| list.runs[0].contains(*key).unwrap()));
    assert!(keys.iter().all(|key| !list.runs[0].contains(key + 1).unwrap()));
}

#[test]
fn merging_keeps_each_key_once_and_stops_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let (runs, _) = KeyRuns::open(dir.path().to_owned(), Day::MIN).unwrap();
    for ids in [0..900, 300..1200, 1100..2000] {
        runs.write(&DayKeys::from([(3, keys_of(ids).into_iter().collect())])).unwrap();
    }
    assert!(runs.merge_next().unwrap());
    runs.bell.close();
    runs.write(&DayKeys::from([(4, keys_of(0..1).into_iter().collect())])).unwrap();
    while runs.merge_next().unwrap() {}
    drop(runs);
    let (runs, damaged) = KeyRuns::open(dir.path().to_owned(), Day::MIN).unwrap();
    assert_eq!(damaged.len(), 0);
    while runs.merge_next().unwrap() {}
    let list = runs.list();
    assert_eq!(list.runs.iter().map(|run| run.count).collect::<Vec<_>>(), [2000, 1]);
    assert!(keys_of(0..2000).into_iter().all(|key| list.runs[0].contains(key).unwrap()));
    assert_eq!(
        list.runs[0].filter.bytes(),
        Filter::for_keys(2700).bytes(),
        "the filter has room for no more than came in"
    );
}

#[test]
fn what_is_written_during_a_merge_is_kept_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let (runs, _) = KeyRuns::open(dir.path().to_owned(), Day::MIN).unwrap();
    let write =
        |ids: std::ops::Range<u64>| runs.write(&DayKeys::from([(3, keys_of(ids).into_iter().collect())])).map(|_| ());
    write(0..2000).unwrap();
    write(2000..4000).unwrap();
    let mut pages = 0;
    let mut between = || {
        pages += 1;
        write(4000 + pages..4001 + pages)
    };
    assert!(runs.merge_next_beside(&mut between).unwrap());
    assert_eq!(pages, 4000 / PAGE_KEYS as u64);
    let (mut probed, keys) = (Probed::default(), keys_of(0..4000));
    runs.probe_blocking(&keys, &mut probed).unwrap();
    assert!((0..keys.len()).all(|place| probed.is_stored(place, 3)));
    assert_eq!(runs.list().len(), 4000 + pages);
    let failing = || Err(Error::Closed);
    write(9000..9900).unwrap();
    assert!(matches!(runs.merge_next_beside(failing), Err(Error::Closed)));
    assert_eq!(runs.list().len(), 4900 + pages, "a merge that ends early changes nothing");
}

#[test]
fn any_changed_byte_of_a_small_file_is_noticed_when_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let runs = written(dir.path(), 5, &keys_of(0..300));
    let path = runs.list().runs[0].path.clone();
    let bytes = fs::read(&path).unwrap();
    // Every byte of the last page, of the index and of the footer; some of the first page.
    for at in (0..bytes.len()).filter(|at| *at % 31 == 0 || *at >= 2 * PAGE_BYTES - 40) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(&path, &changed).unwrap();
        assert!(Run::open(path.clone()).unwrap().is_none(), "changed at {at}");
    }
    for length in (0..bytes.len()).step_by(97) {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(Run::open(path.clone()).unwrap().is_none(), "cut at {length}");
    }
    fs::write(&path, &bytes).unwrap();
    assert!(Run::open(path.clone()).unwrap().is_some());
    let (_, damaged) = KeyRuns::open(dir.path().to_owned(), Day::MIN).unwrap();
    assert_eq!(damaged.len(), 0);
}

#[test]
fn a_damaged_page_of_a_large_file_fails_its_look_ups_and_is_found_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let count = 80_000;
    let runs = written(dir.path(), 5, &keys_of(0..count));
    let path = runs.list().runs[0].path.clone();
    let mut bytes = fs::read(&path).unwrap();
    bytes[3 * PAGE_BYTES + 77] ^= 16;
    fs::write(&path, &bytes).unwrap();
    let (runs, damaged) = KeyRuns::open(dir.path().to_owned(), Day::MIN).unwrap();
    assert_eq!(damaged.len(), 0, "the pages of a large file are not read at the start");
    let list = runs.list();
    let (found, failed): (Vec<_>, Vec<_>) = keys_of(0..count).into_iter().partition(|key| {
        let mut probed = Probed::default();
        runs.probe_blocking(&[*key], &mut probed).is_ok_and(|()| probed.is_stored(0, Day::MIN))
    });
    assert_eq!((found.len() + failed.len(), failed.len()), (count as usize, PAGE_KEYS));
    assert!(failed.iter().all(|key| list.runs[0].contains(*key).is_err()), "neither new nor known");
    runs.write(&DayKeys::from([(6, keys_of(0..1).into_iter().collect()), (5, keys_of(1..2).into_iter().collect())]))
        .unwrap();
    assert!(!runs.merge_next().unwrap(), "a day with damage is left as it is");
    drop(runs);
    let (runs, damaged) = KeyRuns::open(dir.path().to_owned(), Day::MIN).unwrap();
    assert_eq!(damaged, [path.with_added_extension(DAMAGED)]);
    assert_eq!(runs.list().len(), 2);
}

#[test]
fn a_run_that_is_not_finished_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let name = RunName { day: 5, first: 1, last: 1 };
    let mut writer = RunWriter::create(name.path(dir.path()), name, 10).unwrap();
    writer.push(7).unwrap();
    drop(writer);
    assert_eq!(files(dir.path()), [] as [PathBuf; 0]);
    fs::write(dir.path().join("5-000000000001-000000000001.keys.tmp"), "a crash left this").unwrap();
    let (runs, damaged) = KeyRuns::open(dir.path().to_owned(), Day::MIN).unwrap();
    assert_eq!((runs.list().len(), damaged.len(), files(dir.path()).len()), (0, 0, 0));
}

#[test]
fn memory_stays_below_three_bytes_an_id() {
    let dir = tempfile::tempdir().unwrap();
    let (runs, _) = KeyRuns::open(dir.path().to_owned(), Day::MIN).unwrap();
    let (mut ids, part) = (0, 10_000);
    for _ in 0..10 {
        runs.write(&DayKeys::from([(5, keys_of(ids..ids + part).into_iter().collect())])).unwrap();
        while runs.merge_next().unwrap() {}
        runs.delete_discarded();
        ids += part;
        let list = runs.list();
        assert!(list.bytes() as u64 <= 3 * ids, "{} bytes for {ids} ids", list.bytes());
        assert!(list.runs.len() <= 4);
    }
}
