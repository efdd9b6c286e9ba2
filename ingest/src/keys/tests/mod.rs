//! Laws of the index: it knows exactly the ids that a plain set with days would know, whatever is written, merged,
//! forgotten, interrupted or damaged in between.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use liftgate_domain::{ManualClock, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::door::Door;
use crate::folder::Folder;
use crate::ticket;
use crate::writer::Job;

mod files;

/// Few, so that writes come often.
const RECENT_MAX: usize = 12;

/// The index, the log that it can be rebuilt from, and the definition of what it should know.
struct Node {
    dir: PathBuf,
    index: KeyIndex,
    log: Vec<(Key, Day)>,
    known: BTreeMap<Key, Day>,
    today: Day,
}

#[derive(Clone, Debug)]
enum Step {
    /// A request is admitted, its ids being durable or, when the write fails, not.
    Admit {
        ids: Vec<u64>,
        fails: bool,
    },
    /// Ids move to a run between a request's probe and its turn at the door.
    AdmitAcrossWrite {
        ids: Vec<u64>,
    },
    /// The day ends between a request's probe and its turn at the door.
    AdmitAcrossDay {
        ids: Vec<u64>,
    },
    /// Ids are written to a run, and the log is let go.
    Persist,
    /// The disk refuses that.
    PersistFails,
    Merge,
    NextDay,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let ids = || proptest::collection::vec(0..60_u64, 1..8);
    prop_oneof![
        6 => (ids(), prop::bool::weighted(0.1)).prop_map(|(ids, fails)| Step::Admit { ids, fails }),
        2 => ids().prop_map(|ids| Step::AdmitAcrossWrite { ids }),
        1 => ids().prop_map(|ids| Step::AdmitAcrossDay { ids }),
        2 => Just(Step::Persist),
        1 => Just(Step::PersistFails),
        2 => Just(Step::Merge),
        1 => Just(Step::NextDay),
        1 => Just(Step::Crash),
    ]
}

impl Node {
    fn new(dir: &Path) -> Self {
        let (dir, today) = (dir.to_owned(), 20_000);
        Self { index: open(&dir, today), dir, log: Vec::new(), known: BTreeMap::new(), today }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Admit { ids, fails } => {
                let keys: Vec<Key> = ids.iter().map(|id| key_of(*id, "")).collect();
                let mut probed = Probed::default();
                self.index.runs().probe_blocking(&keys, &mut probed).unwrap();
                self.claim(&keys, &probed, *fails);
            }
            Step::AdmitAcrossWrite { ids } => {
                let keys: Vec<Key> = ids.iter().map(|id| key_of(*id, "")).collect();
                let mut probed = Probed::default();
                self.index.runs().probe_blocking(&keys, &mut probed).unwrap();
                self.persist();
                self.index.runs().merge_next().unwrap();
                while !self.index.is_current(&probed) {
                    self.index.runs().probe_blocking(&keys, &mut probed).unwrap();
                }
                self.claim(&keys, &probed, false);
            }
            Step::AdmitAcrossDay { ids } => {
                let keys: Vec<Key> = ids.iter().map(|id| key_of(*id, "")).collect();
                let mut probed = Probed::default();
                self.index.runs().probe_blocking(&keys, &mut probed).unwrap();
                self.step(&Step::NextDay);
                self.claim(&keys, &probed, false);
            }
            Step::Persist => self.persist(),
            Step::PersistFails => {
                let away = self.dir.with_added_extension("away");
                fs::rename(&self.dir, &away).unwrap();
                let frozen = self.index.freeze();
                assert!(frozen.is_none_or(|frozen| self.index.runs().write(&frozen).is_err()));
                fs::rename(&away, &self.dir).unwrap();
            }
            Step::Merge => {
                self.index.runs().merge_next().unwrap();
                self.index.runs().delete_discarded();
            }
            Step::NextDay => {
                self.today += 1;
                drop(self.index.expire(self.first()));
                let first = self.first();
                self.known.retain(|_, day| *day >= first);
            }
            Step::Crash => {
                let first = self.first();
                self.index = open(&self.dir, first);
                recover(&mut self.index, &self.log, first);
            }
        }
    }

    fn first(&self) -> Day {
        self.today - 2
    }

    fn claim(&mut self, keys: &[Key], probed: &Probed, fails: bool) {
        assert!(self.index.is_current(probed));
        let (_stub, own) = ticket::issue();
        let mut fresh = Vec::new();
        for (place, key) in keys.iter().enumerate() {
            match self.index.look_up(*key, place, probed) {
                Known::New => {
                    assert!(!self.known.contains_key(key), "a known id was taken for new");
                    self.index.begin(*key, own.clone());
                    fresh.push(*key);
                }
                Known::Pending(ticket) => assert!(ticket.same_write(&own) && fresh.contains(key)),
                Known::Durable => assert!(self.known.contains_key(key), "a new id was taken for known"),
            }
        }
        if fails {
            self.index.forget(&fresh);
            return;
        }
        self.index.commit(&fresh, self.today);
        self.log.extend(fresh.iter().map(|key| (*key, self.today)));
        self.known.extend(fresh.iter().map(|key| (*key, self.today)));
    }

    fn persist(&mut self) {
        while let Some(frozen) = self.index.freeze() {
            let write = self.index.runs().write(&frozen).unwrap();
            drop(self.index.thaw(write));
        }
        self.log.clear();
    }
}

fn open(dir: &Path, first: Day) -> KeyIndex {
    let (runs, damaged) = KeyRuns::open(dir.to_owned(), first).unwrap();
    assert_eq!(damaged, [] as [PathBuf; 0]);
    let mut index = KeyIndex::with_recent_max(Arc::new(runs), RECENT_MAX);
    drop(index.expire(first));
    index
}

fn recover(index: &mut KeyIndex, log: &[(Key, Day)], first: Day) {
    for (key, day) in log {
        index.recover(&[*key], *day).unwrap();
    }
    drop(index.expire(first));
}

/// Whether each key is known.
fn knows(index: &KeyIndex, keys: &[Key]) -> Vec<bool> {
    let mut probed = Probed::default();
    index.runs().probe_blocking(keys, &mut probed).unwrap();
    let knows = |(place, key): (usize, &Key)| matches!(index.look_up(*key, place, &probed), Known::Durable);
    keys.iter().enumerate().map(knows).collect()
}

fn keys_of(ids: std::ops::Range<u64>) -> Vec<Key> {
    ids.map(|id| key_of(id, "")).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn written(dir: &Path, day: Day, keys: &[Key]) -> KeyRuns {
    let (runs, _) = KeyRuns::open(dir.to_owned(), Day::MIN).unwrap();
    runs.write(&DayKeys::from([(day, keys.iter().copied().collect())])).unwrap();
    runs
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn knows_what_a_plain_set_knows(steps in proptest::collection::vec(step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("keys");
        fs::create_dir(&dir).unwrap();
        let mut node = Node::new(&dir);
        for step in &steps {
            node.step(step);
        }
        let all = keys_of(0..60);
        let expected: Vec<bool> = all.iter().map(|key| node.known.contains_key(key)).collect();
        prop_assert_eq!(knows(&node.index, &all), expected.clone());
        prop_assert_eq!(node.index.len(), node.known.len() as u64);
        node.persist();
        while node.index.runs().merge_next().unwrap() {}
        prop_assert_eq!(knows(&node.index, &all), expected);
        node.index.runs().delete_discarded();
        let runs = node.index.runs().list();
        let expected: Vec<PathBuf> = runs.runs.iter().map(|run| run.path.clone()).collect();
        prop_assert_eq!(files(&dir), expected, "no file is left over");
    }
}

/// At every step of writing, merging and deleting the folder is copied; each copy knows everything with the log of then.
#[test]
#[cfg(debug_assertions)]
fn a_crash_at_any_step_loses_no_id() {
    let parent = tempfile::tempdir().unwrap();
    let (dir, copies) = (parent.path().join("keys"), Arc::new(Mutex::new(Vec::new())));
    fs::create_dir(&dir).unwrap();
    let admitted = Arc::new(Mutex::new(Vec::new()));
    let points = [
        "ingest.keys_written",
        "ingest.keys_renamed",
        "ingest.keys_synced",
        "ingest.keys_merged",
        "ingest.keys_deleted",
    ];
    let _guards = points.map(|point| {
        let (dir, parent, copies, admitted) =
            (dir.clone(), parent.path().to_owned(), Arc::clone(&copies), Arc::clone(&admitted));
        let copy = move || {
            let mut copies = copies.lock().unwrap();
            let to = parent.join(format!("{}", copies.len()));
            fs::create_dir(&to).unwrap();
            for file in files(&dir) {
                fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
            }
            let admitted: Vec<(Key, Day)> = admitted.lock().unwrap().clone();
            copies.push((point, to, admitted));
        };
        liftgate_domain::failpoint::on(point, Box::new(copy))
    });
    let mut index = open(&dir, Day::MIN);
    let mut log = Vec::new();
    for round in 0..6_u64 {
        let day = 10 + Day::try_from(round / 4).unwrap();
        let keys = keys_of(round * 10..round * 10 + 10);
        index.commit(&keys, day);
        log.extend(keys.iter().map(|key| (*key, day)));
        *admitted.lock().unwrap() = log.clone();
        let frozen = index.freeze().unwrap();
        let write = index.runs().write(&frozen).unwrap();
        drop(index.thaw(write));
        while index.runs().merge_next().unwrap() {}
        index.runs().delete_discarded();
    }
    let copies = std::mem::take(&mut *copies.lock().unwrap());
    for point in points {
        assert!(copies.iter().any(|(at, ..)| *at == point), "{point} was passed");
    }
    for (point, copy, admitted) in copies {
        let mut index = open(&copy, Day::MIN);
        // What the last write had not finished is still in the log; so is what it had.
        recover(&mut index, &admitted[admitted.len() - 10..], Day::MIN);
        let keys: Vec<Key> = admitted.iter().map(|(key, _)| *key).collect();
        assert!(knows(&index, &keys).iter().all(|known| *known), "after {point}");
        assert_eq!(index.len(), keys.len() as u64, "after {point}");
    }
}

#[test]
fn forgets_whole_days_and_never_early() {
    let dir = tempfile::tempdir().unwrap();
    let mut index = open(dir.path(), Day::MIN);
    let keys = keys_of(0..2);
    let admitted = Timestamp(10 * DAY_MICROS + 5);
    let window_ms = 7 * 86_400_000;
    for (key, is_written) in [(keys[0], true), (keys[1], false)] {
        index.commit(&[key], day_of(admitted));
        if is_written {
            let frozen = index.freeze().unwrap();
            let write = index.runs().write(&frozen).unwrap();
            drop(index.thaw(write));
        }
    }
    drop(index.expire(first_day(admitted.plus_millis(window_ms), window_ms)));
    assert_eq!(knows(&index, &keys), [true, true]);
    assert_eq!(files(dir.path()).len(), 1);
    drop(index.expire(first_day(admitted.plus_millis(window_ms + 86_400_000), window_ms)));
    assert_eq!(knows(&index, &keys), [false, false]);
    index.runs().delete_discarded();
    assert_eq!(files(dir.path()), [] as [PathBuf; 0]);
    assert_ne!(key_of(1, "a"), key_of(2, "a"));
}

#[test]
fn an_id_that_was_asked_for_before_its_day_was_forgotten_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let mut index = open(dir.path(), Day::MIN);
    let keys = keys_of(0..2);
    for (key, day) in [(keys[0], 10), (keys[0], 11), (keys[1], 10)] {
        index.commit(&[key], day);
        let frozen = index.freeze().unwrap();
        let write = index.runs().write(&frozen).unwrap();
        drop(index.thaw(write));
    }
    let mut probed = Probed::default();
    index.runs().probe_blocking(&keys, &mut probed).unwrap();
    let mut check = |first: Day, expected: [bool; 2]| {
        drop(index.expire(first));
        assert!(index.is_current(&probed));
        let is_known = |place: usize| matches!(index.look_up(keys[place], place, &probed), Known::Durable);
        assert_eq!([0, 1].map(is_known), expected, "from day {first}");
    };
    check(10, [true, true]);
    check(11, [true, false]);
    check(12, [false, false]);
}

#[test]
fn an_id_that_came_in_again_is_known_from_then_on_after_a_crash_too() {
    let dir = tempfile::tempdir().unwrap();
    let keys = keys_of(0..1);
    drop(written(dir.path(), 10, &keys));
    let mut index = open(dir.path(), 10);
    recover(&mut index, &[(keys[0], 11)], 10);
    drop(index.expire(11));
    assert_eq!(knows(&index, &keys), [true]);
}

#[test]
fn what_is_being_written_is_forgotten_on_its_day_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut index = open(dir.path(), Day::MIN);
    let keys = keys_of(0..2);
    index.commit(&keys, 10);
    let frozen = index.freeze().unwrap();
    assert_eq!((knows(&index, &keys), index.len()), (vec![true, true], 2));
    drop(index.expire(11));
    assert_eq!((knows(&index, &keys), index.len()), (vec![false, false], 0));
    let write = index.runs().write(&frozen).unwrap();
    drop(index.thaw(write));
    assert_eq!((knows(&index, &keys), index.len()), (vec![false, false], 0));
}

#[test]
fn the_keeper_writes_ids_when_there_are_many_and_stops_when_the_door_closes() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Arc::new(Folder::open(dir.path()).unwrap());
    let clock = Arc::new(ManualClock::at(Timestamp(10 * DAY_MICROS)));
    let mut index = open(&folder.keys(), Day::MIN);
    let keys = keys_of(0..RECENT_MAX as u64);
    index.commit(&keys[..RECENT_MAX - 1], 10);
    assert!(!index.is_full());
    index.commit(&keys[RECENT_MAX - 1..], 10);
    let (jobs, _queue) = std::sync::mpsc::channel();
    let door = Arc::new(Door::new(clock, Timestamp(0), index, Horizon::default(), jobs));
    let runs = door.key_runs();
    let keeper = Keeper { door: Arc::clone(&door), _folder: Arc::clone(&folder) };
    let thread = std::thread::spawn(move || keeper.run());
    while door.has_many_keys() {
        std::thread::yield_now();
    }
    door.expire(0);
    while runs.list().len() < keys.len() as u64 {
        std::thread::yield_now();
    }
    let mut probed = Probed::default();
    runs.probe_blocking(&keys, &mut probed).unwrap();
    assert!((0..keys.len()).all(|place| probed.is_stored(place, 10)));
    assert!(!door.has_many_keys());
    // The next day nothing of it is left, not even the file.
    door.expire(-86_400_000);
    while !files(&folder.keys()).is_empty() {
        std::thread::yield_now();
    }
    door.close(Job::Abandon);
    thread.join().unwrap();
}

/// Senders race for the same ids while these move to runs and runs are merged: each id has one owner.
#[test]
fn racing_requests_own_each_id_once() {
    const IDS: u64 = 3000;
    let dir = tempfile::tempdir().unwrap();
    let index = Mutex::new(open(dir.path(), Day::MIN));
    let (owned, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let runs = index.lock().unwrap().runs();
    let send = |stride: u64| {
        for request in 0..IDS / 10 {
            // Every sender sends every id, in an order of its own: the stride has no divisor in common with 300.
            let first = (request * stride * 10) % IDS;
            let keys = keys_of(first..first + 10);
            let mut probed = Probed::default();
            let fresh = loop {
                runs.probe_blocking(&keys, &mut probed).unwrap();
                let mut index = index.lock().unwrap();
                if !index.is_current(&probed) {
                    continue;
                }
                let (_stub, own) = ticket::issue();
                let mut fresh = Vec::new();
                for (place, key) in keys.iter().enumerate() {
                    if let Known::New = index.look_up(*key, place, &probed) {
                        index.begin(*key, own.clone());
                        fresh.push(*key);
                    }
                }
                break fresh;
            };
            owned.fetch_add(fresh.len(), Ordering::Relaxed);
            index.lock().unwrap().commit(&fresh, 9);
        }
    };
    let keep = || {
        while !done.load(Ordering::Relaxed) {
            let frozen = index.lock().unwrap().freeze();
            if let Some(frozen) = frozen {
                let write = runs.write(&frozen).unwrap();
                drop(index.lock().unwrap().thaw(write));
            }
            while runs.merge_next().unwrap() {}
            runs.delete_discarded();
        }
    };
    std::thread::scope(|scope| {
        let keeper = scope.spawn(keep);
        let senders: Vec<_> = [1, 7, 11].map(|stride| scope.spawn(move || send(stride))).into();
        for sender in senders {
            sender.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        keeper.join().unwrap();
    });
    assert_eq!(owned.load(Ordering::Relaxed) as u64, IDS);
    assert!(knows(&index.lock().unwrap(), &keys_of(0..IDS)).iter().all(|known| *known));
}
