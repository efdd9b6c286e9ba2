//! The folder as a crash would leave it between any two steps of a flush, a merge and an expiry: opened again, and given
//! what its log still has, it holds every event once.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use liftgate_domain::{Timestamp, Warehouse, failpoint};
use liftgate_store::warehouse::{ParquetOptions, ParquetWarehouse};
use tempfile::TempDir;

use super::durability::{append, assert_holds, numbered};
use super::examples::ENVIRONMENT;
use super::stand::Stand;

/// Steps that every change takes.
const FILE_POINTS: [&str; 4] = ["store.file_written", "store.file_synced", "store.file_renamed", "store.folder_synced"];
const MANIFEST_POINTS: [&str; 2] = ["store.manifest_written", "store.manifest_synced"];

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Copies of a folder, made whenever a point is passed.
struct Crashes {
    taken: Arc<Mutex<Vec<(&'static str, TempDir)>>>,
    _guards: Vec<failpoint::Guard>,
}

impl Crashes {
    fn at(points: &[&'static str], dir: &Path) -> Self {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let guard = |point: &&'static str| {
            let (taken, dir, point) = (Arc::clone(&taken), dir.to_owned(), *point);
            failpoint::on(
                point,
                Box::new(move || {
                    let aside = TempDir::new().unwrap();
                    copy(&dir, aside.path());
                    taken.lock().unwrap().push((point, aside));
                }),
            )
        };
        let guards = points.iter().map(guard).collect();
        Self { taken, _guards: guards }
    }

    /// The copies; each point must have been passed.
    fn of(self, points: &[&'static str]) -> Vec<(&'static str, TempDir)> {
        let taken = std::mem::take(&mut *self.taken.lock().unwrap());
        for point in points {
            assert!(taken.iter().any(|(name, _)| name == point), "{point} was not passed");
        }
        taken
    }
}

fn open(dir: &Path, stand: &Stand) -> ParquetWarehouse {
    ParquetWarehouse::open(dir, ParquetOptions { buckets: 2, ..stand.options.clone() }).unwrap()
}

/// Opens each copy, sends everything again that is not durable there, and looks twice.
async fn assert_all_hold(crashes: Vec<(&'static str, TempDir)>, stand: &Stand, batches: u64) {
    for (point, dir) in crashes {
        println!("after {point}");
        let warehouse = open(dir.path(), stand);
        let lost = (1..=batches).filter(|number| !warehouse.is_durable("a", 1, *number));
        append(&warehouse, lost).await;
        assert_holds(&warehouse, batches).await;
        warehouse.flush().await.unwrap();
        warehouse.compact().await.unwrap();
        assert_holds(&warehouse, batches).await;
        drop(warehouse);
        assert_holds(&open(dir.path(), stand), batches).await;
    }
}

#[tokio::test]
async fn a_crash_between_any_steps_of_a_flush_loses_and_doubles_nothing() {
    let points: Vec<&'static str> =
        [&FILE_POINTS[..], &MANIFEST_POINTS, &["store.flush_recorded", "store.flush_swapped"]].concat();
    let stand = Stand::new();
    let warehouse = open(stand.path(), &stand);
    append(&warehouse, 1..=2).await;
    warehouse.flush().await.unwrap();
    append(&warehouse, 3..=4).await;
    let crashes = Crashes::at(&points, stand.path());
    warehouse.flush().await.unwrap();
    let crashes = crashes.of(&points);
    // An exposure and a metric file, each with the steps of its own.
    assert_eq!(crashes.len(), 2 * FILE_POINTS.len() + MANIFEST_POINTS.len() + 2);
    assert_all_hold(crashes, &stand, 4).await;
}

#[tokio::test]
async fn a_crash_between_any_steps_of_a_merge_loses_and_doubles_nothing() {
    const FLUSHES: u64 = 8;
    let points: Vec<&'static str> =
        [&FILE_POINTS[..], &MANIFEST_POINTS, &["store.merge_recorded", "store.merge_swapped"]].concat();
    let stand = Stand::new();
    let warehouse = open(stand.path(), &stand);
    for number in 1..FLUSHES {
        append(&warehouse, [number]).await;
        warehouse.flush().await.unwrap();
    }
    append(&warehouse, [FLUSHES]).await;
    let crashes = Crashes::at(&points, stand.path());
    warehouse.flush().await.unwrap();
    warehouse.compact().await.unwrap();
    assert_eq!(warehouse.describe().files, 2, "one file of each kind");
    assert_all_hold(crashes.of(&points), &stand, FLUSHES).await;
}

#[tokio::test]
async fn a_crash_between_any_steps_of_an_expiry_leaves_all_or_nothing() {
    let points: Vec<&'static str> = [&MANIFEST_POINTS[..], &["store.expiry_recorded"]].concat();
    let stand = Stand::new();
    let warehouse = open(stand.path(), &stand);
    append(&warehouse, 1..=3).await;
    warehouse.flush().await.unwrap();
    let crashes = Crashes::at(&points, stand.path());
    let tomorrow = Timestamp(86_400_000_000);
    assert_eq!(warehouse.expire(ENVIRONMENT, tomorrow).await.unwrap(), 6);
    for (point, dir) in crashes.of(&points) {
        let warehouse = open(dir.path(), &stand);
        // Batches whose rows have expired are still known: the log does not bring them back.
        warehouse.append(numbered(2)).await.unwrap();
        let counts = warehouse.counts(ENVIRONMENT).await.unwrap();
        let stored = counts.exposures + counts.metrics;
        assert_eq!((stored + warehouse.expired(ENVIRONMENT), counts.surplus), (6, 0), "after {point}");
        assert!(stored == 0 || stored == 6, "{stored} after {point}");
    }
}
