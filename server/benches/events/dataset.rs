//! Writes the dataset as a node would: batches in the order of receipt, flushed and compacted by the warehouse itself.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use liftgate_domain::{SealedBatch, Timestamp, Warehouse};
use liftgate_store::warehouse::{ParquetOptions, ParquetWarehouse};
use serde_json::json;

use crate::{
    option, peak_memory,
    shape::{self, Ids},
};

const BATCH_ROWS: usize = 50_000;
/// Rows that arrive in one request, and so share the instant of receipt.
const REQUEST_ROWS: usize = 500;

pub fn run(arguments: &[&str]) {
    let dir = Path::new(arguments.first().expect("the folder to write"));
    let units: u64 = option(arguments, "--units", 1_000_000);
    let ids = match option(arguments, "--ids", "sequential".to_owned()).as_str() {
        "uuid" => Ids::Uuid,
        _ => Ids::Sequential,
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let began = Instant::now();
    let warehouse = ParquetWarehouse::open(dir, ParquetOptions::default()).expect("an empty folder opens");
    let rows = runtime.block_on(write(&warehouse, units, ids));
    let seconds = began.elapsed().as_secs_f64();
    // What runs beside the work: waited for here, so that the readout sees what a node at rest has.
    runtime.block_on(warehouse.compact()).expect("the files are merged");
    let merged_seconds = began.elapsed().as_secs_f64() - seconds;
    let (bytes, files) = size(dir);
    println!(
        "{}",
        json!({"rows": rows, "seconds": seconds, "merged_seconds": merged_seconds, "peak_memory_bytes": peak_memory(), "rows_per_second": rows as f64 / seconds, "bytes": bytes,
            "bytes_per_event": bytes as f64 / rows as f64, "files": files})
    );
}

async fn write(warehouse: &ParquetWarehouse, units: u64, ids: Ids) -> u64 {
    let node: Arc<str> = Arc::from("bench");
    let (mut sequence, mut number) = (0, 0);
    for day in 0..shape::DAYS {
        for chunk in shape::happenings(day, units).chunks(BATCH_ROWS) {
            let mut rows: Vec<_> = chunk
                .iter()
                .map(|happening| {
                    number += 1;
                    shape::row(day, *happening, number, ids)
                })
                .collect();
            for request in rows.chunks_mut(REQUEST_ROWS) {
                let last = request.last().expect("a chunk has rows").ts;
                let received_at = Timestamp(last.0 + 20_000 + (shape::mix(last.0 as u64) % 20_000) as i64);
                request.iter_mut().for_each(|row| row.received_at = received_at);
            }
            sequence += 1;
            let received_through = rows.iter().map(|row| row.received_at).max().expect("a chunk has rows");
            let batch = SealedBatch { node: Arc::clone(&node), epoch: 1, sequence, received_through, rows };
            warehouse.append(Arc::new(batch)).await.expect("the batch is taken");
        }
        eprintln!("day {} of {} is written", day + 1, shape::DAYS);
    }
    warehouse.flush().await.expect("the tail becomes files");
    number
}

/// Bytes and number of the data files.
fn size(dir: &Path) -> (u64, u64) {
    let mut total = (0, 0);
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the folder can be listed") {
            let entry = entry.expect("the folder can be listed");
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                total.0 += entry.metadata().expect("the file is there").len();
                total.1 += 1;
            }
        }
    }
    total
}
