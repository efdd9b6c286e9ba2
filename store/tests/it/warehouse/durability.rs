//! What survives: flushes, crashes between their steps, damage, and many hands at once.

use std::fs;
use std::sync::Arc;

use liftgate_domain::{EventCounts, EventRow, SealedBatch, StoreError, Timestamp, Warehouse};
use liftgate_evaluator::TREATMENT;
use liftgate_store::warehouse::{ParquetOptions, ParquetWarehouse};

use super::examples::*;
use super::stand::Stand;

/// Batch `number` of node `a`: one exposed unit and its purchase of 1.
pub fn numbered(number: u64) -> Arc<SealedBatch> {
    let unit = format!("u{number}");
    let ms = i64::try_from(number).unwrap() * 10;
    let rows =
        vec![exposure(&format!("x{number}"), &unit, TREATMENT, ms), event(&format!("e{number}"), &unit, 1.0, ms + 1)];
    batch("a", 1, number, ms + 5, rows)
}

pub async fn append(warehouse: &ParquetWarehouse, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        warehouse.append(numbered(number)).await.unwrap();
    }
}

pub async fn assert_holds(warehouse: &ParquetWarehouse, batches: u64) {
    let counts = warehouse.counts(ENVIRONMENT).await.unwrap();
    assert_eq!(counts, EventCounts { exposures: batches, metrics: batches, surplus: 0 });
    warehouse.append(batch("a", 1, batches, 1_000_000, vec![])).await.unwrap();
    let answer = warehouse.moments(&question()).await.unwrap();
    assert_eq!(total(&answer, "revenue", TREATMENT), Some((batches, batches as f64)));
}

#[tokio::test]
async fn what_was_flushed_is_there_once_after_a_crash_and_the_rest_comes_from_the_log() {
    let stand = Stand::new();
    let warehouse = stand.open();
    append(&warehouse, 1..=3).await;
    assert_eq!(warehouse.durable_through("a", 1), 0);
    warehouse.flush().await.unwrap();
    append(&warehouse, 4..=5).await;
    assert_eq!(warehouse.durable_through("a", 1), 3);
    drop(warehouse);

    let warehouse = stand.open();
    assert_eq!(warehouse.durable_through("a", 1), 3);
    assert_eq!(warehouse.evidence().borrow().nodes["a"].sequence, 3);
    append(&warehouse, 1..=5).await;
    assert_holds(&warehouse, 5).await;
    warehouse.flush().await.unwrap();
    assert_eq!(warehouse.durable_through("a", 1), 5);
    let size = warehouse.describe();
    assert_eq!((size.rows, size.tail_rows), (10, 0));
    assert!(size.bytes > 0 && size.glob.ends_with("env=*/kind=*/day=*/*.parquet"), "{size:?}");
    assert_holds(&warehouse, 5).await;
}

#[tokio::test]
async fn a_gap_is_known_and_hides_no_batch_behind_it() {
    let stand = Stand::new();
    let warehouse = stand.open();
    append(&warehouse, [1, 2, 4]).await;
    warehouse.flush().await.unwrap();
    assert_eq!((warehouse.durable_through("a", 1), warehouse.durable_through("a", 2)), (2, 0));
    let durable = |sequence| warehouse.is_durable("a", 1, sequence);
    assert_eq!([1, 2, 3, 4, 5].map(durable), [true, true, false, true, false]);
    append(&warehouse, [3]).await;
    warehouse.flush().await.unwrap();
    assert_eq!(warehouse.durable_through("a", 1), 4);
}

#[tokio::test]
async fn files_of_an_interrupted_flush_are_cleared_away() {
    let stand = Stand::new();
    let warehouse = stand.open();
    append(&warehouse, 1..=2).await;
    warehouse.flush().await.unwrap();
    let files = stand.data_files();
    drop(warehouse);
    // A crash after the rename leaves a whole file that no record names; one before it, a temporary.
    fs::copy(&files[0], files[0].with_file_name("0000000099-000.parquet")).unwrap();
    fs::write(files[0].with_file_name("0000000099-001.parquet.tmp"), "half").unwrap();
    let mine = stand.path().join("notes.txt");
    fs::write(&mine, "not the warehouse's").unwrap();

    let warehouse = stand.open();
    assert_eq!(stand.data_files(), files);
    assert!(mine.exists());
    assert_holds(&warehouse, 2).await;
}

#[tokio::test]
async fn a_manifest_cut_anywhere_in_its_last_record_opens_with_what_was_durable_before() {
    let stand = Stand::new();
    let warehouse = stand.open();
    append(&warehouse, 1..=2).await;
    warehouse.flush().await.unwrap();
    let manifest = stand.path().join("manifest.log");
    let whole = fs::read(&manifest).unwrap();
    append(&warehouse, [3]).await;
    warehouse.flush().await.unwrap();
    let longer = fs::read(&manifest).unwrap();
    drop(warehouse);

    for cut in [whole.len() + 1, whole.len() + 60, longer.len() - 1] {
        fs::write(&manifest, &longer[..cut]).unwrap();
        let warehouse = stand.open();
        assert_eq!(warehouse.durable_through("a", 1), 2, "cut at {cut}");
        append(&warehouse, 1..=3).await;
        warehouse.flush().await.unwrap();
        assert_holds(&warehouse, 3).await;
        drop(warehouse);
        let again = stand.open();
        assert_holds(&again, 3).await;
        drop(again);
        // Back to the crash: the file of the lost record was moved aside, not removed.
        assert!(stand.path().join("orphans").read_dir().unwrap().count() > 0);
    }
}

#[tokio::test]
async fn damage_is_named_and_never_guessed_away() {
    let stand = Stand::new();
    let warehouse = stand.open();
    append(&warehouse, 1..=3).await;
    warehouse.flush().await.unwrap();
    drop(warehouse);
    let file = stand.data_files()[0].clone();
    let bytes = fs::read(&file).unwrap();
    let named = |error: StoreError| match error {
        StoreError::Corrupt(text) => assert!(text.contains(file.to_str().unwrap()), "{text}"),
        other => panic!("{other}"),
    };
    let open = || ParquetWarehouse::open(stand.path(), stand.options.clone());

    fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    named(open().err().unwrap());
    fs::remove_file(&file).unwrap();
    named(open().err().unwrap());
    let mut flipped = bytes.clone();
    let footer = flipped.len() - 6;
    flipped[footer] ^= 0x40;
    fs::write(&file, flipped).unwrap();
    named(open().unwrap().moments(&question()).await.unwrap_err());
    fs::write(&file, bytes).unwrap();
    assert_holds(&open().unwrap(), 3).await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named_with_the_next_step() {
    let stand = Stand::new();
    let file = stand.path().join("a-file");
    fs::write(&file, "").unwrap();
    let warehouse = stand.open();
    for (path, words) in [
        (file.clone(), ["a-file", "choose a folder"]),
        (file.join("below"), ["a-file/below", "choose a folder"]),
        (stand.path().to_owned(), ["is open in another process", "choose another folder"]),
    ] {
        match ParquetWarehouse::open(&path, stand.options.clone()).err().unwrap() {
            StoreError::Unavailable(text) => assert!(words.iter().all(|word| text.contains(word)), "{text}"),
            other => panic!("{other}"),
        }
    }
    drop(warehouse);
    let options = ParquetOptions { threads: 0, ..stand.options.clone() };
    assert!(matches!(ParquetWarehouse::open(stand.path(), options), Err(StoreError::Invalid(_))));
}

#[tokio::test]
async fn a_flush_that_fails_loses_nothing_and_works_once_the_cause_is_gone() {
    let stand = Stand::new();
    let warehouse = stand.open();
    append(&warehouse, 1..=2).await;
    let in_the_way = stand.path().join("env=1");
    fs::write(&in_the_way, "").unwrap();
    let error = warehouse.flush().await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("env=1")), "{error}");
    assert_eq!(warehouse.durable_through("a", 1), 0);
    assert_holds(&warehouse, 2).await;
    fs::remove_file(&in_the_way).unwrap();
    warehouse.flush().await.unwrap();
    assert_eq!(warehouse.durable_through("a", 1), 2);
    assert_holds(&warehouse, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_hands_appending_flushing_and_asking_see_every_row_once() {
    const BATCHES: u64 = 40;
    let stand = Stand::new();
    let warehouse = Arc::new(stand.open());
    let append_all = |shift: u64| {
        let warehouse = Arc::clone(&warehouse);
        async move {
            for number in 0..BATCHES {
                append(&warehouse, [(number + shift) % BATCHES + 1]).await;
            }
        }
    };
    let mut hands: Vec<_> = (0..10).map(|shift| tokio::spawn(append_all(shift))).collect();
    let flusher = Arc::clone(&warehouse);
    hands.push(tokio::spawn(async move {
        for _ in 0..10 {
            flusher.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
    }));
    let reader = Arc::clone(&warehouse);
    hands.push(tokio::spawn(async move {
        let mut before = 0;
        for _ in 0..20 {
            let counts = reader.counts(ENVIRONMENT).await.unwrap();
            assert_eq!((counts.exposures, counts.surplus), (counts.metrics, 0));
            assert!(counts.exposures >= before, "{} rows after {before}", counts.exposures);
            before = counts.exposures;
        }
    }));
    for hand in hands {
        hand.await.unwrap();
    }
    assert_holds(&warehouse, BATCHES).await;
    warehouse.flush().await.unwrap();
    assert_eq!(warehouse.durable_through("a", 1), BATCHES);
}

#[tokio::test]
async fn many_small_files_become_few_and_the_answer_stays() {
    const FLUSHES: u64 = 70;
    let stand = Stand::new();
    let warehouse = stand.open();
    for number in 1..=FLUSHES {
        append(&warehouse, [number]).await;
        warehouse.flush().await.unwrap();
    }
    warehouse.compact().await.unwrap();
    let files = stand.data_files().len();
    assert_eq!(files, warehouse.describe().files, "what was merged is gone");
    assert!(files < 16, "{files} files");
    assert_holds(&warehouse, FLUSHES).await;
    drop(warehouse);
    let warehouse = stand.open();
    assert_eq!(warehouse.durable_through("a", 1), FLUSHES);
    assert_holds(&warehouse, FLUSHES).await;
}

#[tokio::test]
async fn a_merge_that_fails_leaves_the_files_and_fails_no_flush() {
    const FLUSHES: u64 = 8;
    let stand = Stand::new();
    let warehouse = stand.open();
    for number in 1..FLUSHES {
        append(&warehouse, [number]).await;
        warehouse.flush().await.unwrap();
    }
    // The next flush makes one file too many.
    let files = stand.data_files();
    for file in &files {
        fs::write(file, "not what it was").unwrap();
    }
    append(&warehouse, [FLUSHES]).await;
    warehouse.flush().await.unwrap();
    assert!(warehouse.is_durable("a", 1, FLUSHES));
    assert!(matches!(warehouse.compact().await, Err(StoreError::Corrupt(_))));
    assert_eq!(stand.data_files().len(), files.len() + 2);
}

#[tokio::test]
async fn a_merge_goes_into_buckets_once_there_are_enough_rows() {
    const ROWS: usize = 15_000;
    let stand = Stand::new();
    let warehouse = stand.open();
    for number in 1..=8 {
        let row = |unit: usize| {
            // Properties, values and other columns that a merge must carry over as they are.
            let mut row = event(&format!("e{number}-{unit}"), &format!("u{unit}"), unit as f64, 1_000 + number);
            row.properties = serde_json::json!({"amount": unit, "note": "ü"}).as_object().cloned();
            row.ts.0 += unit as i64;
            row
        };
        let mut rows: Vec<_> = (0..ROWS).map(row).collect();
        if number == 1 {
            rows.extend((0..ROWS).map(|unit| exposure(&format!("x{unit}"), &format!("u{unit}"), TREATMENT, 1_000)));
        }
        warehouse.append(batch("a", 1, number as u64, 60_000, rows)).await.unwrap();
        warehouse.flush().await.unwrap();
    }
    let mut question = question();
    question.metrics[1].metric.value = Some("amount".into());
    let before = warehouse.moments(&question).await.unwrap();
    warehouse.compact().await.unwrap();
    assert_eq!(warehouse.describe().files, 1 + 4, "exposures, and events by bucket");
    assert_eq!(warehouse.moments(&question).await.unwrap(), before);
    assert_eq!(total(&before, "purchases", TREATMENT), Some((ROWS as u64, 8.0 * ROWS as f64)));
    assert_eq!(warehouse.counts(ENVIRONMENT).await.unwrap().metrics, 8 * ROWS as u64);
}

#[tokio::test]
async fn a_folder_of_an_older_layout_is_named_with_the_next_step() {
    let stand = Stand::new();
    let warehouse = stand.open();
    append(&warehouse, [1]).await;
    warehouse.flush().await.unwrap();
    drop(warehouse);
    let manifest = stand.path().join("manifest.log");
    let old = fs::read_to_string(&manifest).unwrap();
    let (_, text) = old.trim_end().split_once(' ').unwrap();
    let text = text.replace("\"version\":2,", "");
    fs::write(&manifest, format!("{:08x} {text}\n", crc32c::crc32c(text.as_bytes()))).unwrap();
    match ParquetWarehouse::open(stand.path(), stand.options.clone()).err().unwrap() {
        StoreError::Unavailable(text) => {
            assert!(text.contains("schema version 1") && text.contains("empty folder"), "{text}")
        }
        other => panic!("{other}"),
    }
}

/// Waits for a flush that nobody asked for.
async fn durable(warehouse: &ParquetWarehouse, sequence: u64) {
    let wait = async {
        while warehouse.durable_through("a", 1) < sequence {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), wait).await.expect("the warehouse flushes by itself");
}

#[tokio::test]
async fn the_tail_is_written_when_it_is_large_or_old() {
    let mut stand = Stand::new();
    stand.options.flush_rows = 6;
    let warehouse = stand.open();
    append(&warehouse, 1..=3).await;
    durable(&warehouse, 3).await;
    drop(warehouse);

    (stand.options.flush_rows, stand.options.flush_after_ms) = (1_000, 100);
    let warehouse = stand.open();
    append(&warehouse, [4]).await;
    // An idle node's heartbeat makes the tail old.
    warehouse.append(batch("a", 1, 4, 4 * 10 + 5 + 100, vec![])).await.unwrap();
    durable(&warehouse, 4).await;
    assert_holds(&warehouse, 4).await;
}

#[tokio::test]
async fn appending_waits_for_a_flush_rather_than_let_the_tail_grow() {
    let mut stand = Stand::new();
    stand.options.flush_rows = 6;
    let warehouse = stand.open();
    for number in 1..=50 {
        append(&warehouse, [number]).await;
        let rows = warehouse.describe().tail_rows;
        assert!(rows <= 2 * 6 + 2, "{rows} rows after batch {number}");
    }
    let in_the_way = stand.path().join("env=2");
    fs::write(&in_the_way, "").unwrap();
    let elsewhere = |id: u64| EventRow { environment: 2, ..event(&format!("f{id}"), "u", 1.0, 1) };
    warehouse.append(batch("b", 1, 1, 600, (0..20).map(elsewhere).collect())).await.unwrap();
    let refused = warehouse.append(batch("b", 1, 2, 600, vec![elsewhere(21)])).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    fs::remove_file(&in_the_way).unwrap();
    warehouse.append(batch("b", 1, 2, 600, vec![elsewhere(21)])).await.unwrap();
    assert_eq!(warehouse.counts(2).await.unwrap().metrics, 21);
    assert_eq!(warehouse.counts(ENVIRONMENT).await.unwrap().metrics, 50);
}

#[tokio::test]
async fn a_large_day_is_split_by_unit() {
    const ROWS: usize = 100_000;
    let stand = Stand::new();
    let warehouse = stand.open();
    let rows = (0..ROWS).map(|unit| exposure(&format!("x{unit}"), &format!("u{unit}"), TREATMENT, 1_000)).collect();
    warehouse.append(batch("a", 1, 1, 60_000, rows)).await.unwrap();
    let before = warehouse.moments(&question()).await.unwrap();
    warehouse.flush().await.unwrap();
    assert_eq!(warehouse.describe().files, 4);
    assert_eq!(warehouse.moments(&question()).await.unwrap(), before);
    assert_eq!(total(&before, "buyers", TREATMENT), Some((ROWS as u64, 0.0)));
}

#[tokio::test]
async fn a_batch_with_a_type_of_unit_a_row_is_written() {
    let stand = Stand::new();
    let warehouse = stand.open();
    let rows = (0..20_000)
        .map(|number| {
            let row = event(&format!("e{number}"), &format!("u{number}"), 1.0, number);
            EventRow { unit_type: format!("type-{number}"), ..row }
        })
        .collect();
    warehouse.append(batch("a", 1, 1, 30_000, rows)).await.unwrap();
    warehouse.flush().await.unwrap();
    assert_eq!(warehouse.counts(1).await.unwrap().metrics, 20_000);
}

#[tokio::test]
async fn a_folder_that_would_be_read_as_a_pattern_is_refused() {
    let stand = Stand::new();
    let refused = ParquetWarehouse::open(&stand.path().join("[eu]"), stand.options.clone()).err().unwrap();
    assert!(matches!(refused, StoreError::Invalid(_)), "{refused}");
}

#[tokio::test]
async fn days_beyond_the_calendar_share_a_file_and_lose_nothing() {
    let stand = Stand::new();
    let warehouse = stand.open();
    let far = |id: &str, micros: i64| EventRow { ts: Timestamp(micros), ..event(id, "u", 1.0, 0) };
    let rows = vec![
        far("1", i64::MAX),
        far("2", i64::MAX - 200_000_000_000),
        far("3", i64::MIN),
        far("4", i64::MIN + 200_000_000_000),
    ];
    warehouse.append(batch("a", 1, 1, 30_000, rows)).await.unwrap();
    warehouse.flush().await.unwrap();
    drop(warehouse);
    let counts = stand.open().counts(1).await.unwrap();
    assert_eq!((counts.metrics, counts.surplus), (4, 0));
}
