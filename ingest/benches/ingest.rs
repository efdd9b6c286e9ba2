//! Events a second through parse, log and sync, in requests of 500 events, with as many senders at once.
//! The warehouse takes batches and forgets them, so only this crate is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use divan::counter::ItemsCount;
use liftgate_domain::entropy::SeededEntropy;
use liftgate_domain::{
    Attributed, Attribution, EventCounts, MomentsAnswer, MomentsQuery, SealedBatch, StoreError, SystemClock, Timestamp,
    Warehouse, Watermark,
};
use liftgate_ingest::native::{self, ContentType};
use liftgate_ingest::{Ingest, IngestConfig};
use tokio::sync::watch;

const EVENTS: u64 = 500;
const REQUESTS: u64 = 40;

fn main() {
    divan::main();
}

/// Takes batches, remembers only how far they reach, and calls that durable.
struct Forgetful(AtomicU64, watch::Sender<Watermark>);

#[async_trait]
impl Warehouse for Forgetful {
    async fn append(&self, batch: Arc<SealedBatch>) -> Result<(), StoreError> {
        self.0.store(batch.sequence, Ordering::SeqCst);
        Ok(())
    }

    fn durable_through(&self, _: &str, _: u64) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    async fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn evidence(&self) -> watch::Receiver<Watermark> {
        self.1.subscribe()
    }

    async fn moments(&self, _: &MomentsQuery) -> Result<MomentsAnswer, StoreError> {
        Err(StoreError::Invalid("nothing is kept".to_owned()))
    }

    async fn counts(&self, _: u64) -> Result<EventCounts, StoreError> {
        Err(StoreError::Invalid("nothing is kept".to_owned()))
    }
}

struct NoRun;

impl Attribution for NoRun {
    fn attribute(&self, _: u64, _: &str, _: &str, _: &str, _: Timestamp) -> Option<Attributed> {
        None
    }
}

fn body(first: u64, now_ms: i64) -> Vec<u8> {
    let event = |n: u64| {
        format!(
            r#"{{"type":"metric","id":"evt-{n:016x}","timestamp":{now_ms},"unit":{{"type":"user","id":"user-{}"}},"event":"purchase","value":{}.25}}"#,
            n % 100_000,
            n % 90,
        )
    };
    let events: Vec<String> = (first..first + EVENTS).map(event).collect();
    format!(r#"{{"events":[{}]}}"#, events.join(",")).into_bytes()
}

#[divan::bench(args = [1, 8, 32], sample_count = 10, sample_size = 1)]
fn json_requests_of_500_events(bencher: divan::Bencher<'_, '_>, senders: u64) {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
    let runtime = runtime.expect("a runtime can be built");
    let config = IngestConfig { dir: dir.path().to_owned(), ..IngestConfig::default() };
    let limits = config.limits();
    let clock = Arc::new(SystemClock);
    let now_ms = liftgate_domain::Clock::now(&*clock).0 / 1_000;
    let warehouse = Arc::new(Forgetful(AtomicU64::new(0), watch::channel(Watermark::default()).0));
    let entropy = SeededEntropy::new(1);
    let opened = runtime.block_on(Ingest::open(config, clock, &entropy, warehouse, Arc::new(NoRun)));
    let (ingest, _) = opened.expect("an empty folder can be opened");
    let next = AtomicU64::new(0);
    let bodies = || -> Vec<Vec<Vec<u8>>> {
        let body = |_| body(next.fetch_add(EVENTS, Ordering::Relaxed), now_ms);
        (0..senders).map(|_| (0..REQUESTS).map(body).collect()).collect()
    };
    bencher.counter(ItemsCount::new(senders * REQUESTS * EVENTS)).with_inputs(bodies).bench_values(|bodies| {
        runtime.block_on(async {
            let sending: Vec<_> = bodies
                .into_iter()
                .map(|bodies| {
                    let ingest = ingest.clone();
                    tokio::spawn(async move {
                        for body in bodies {
                            let events = native::parse(ContentType::Json, &body, &limits).expect("the body is JSON");
                            let receipt = ingest.admit(1, events, "native").await.expect("the log works");
                            assert_eq!(receipt.accepted, EVENTS);
                        }
                    })
                })
                .collect();
            for sender in sending {
                sender.await.expect("a sender does not panic");
            }
        });
    });
    runtime.block_on(ingest.shutdown()).expect("the log can be closed");
}
