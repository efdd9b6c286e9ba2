//! Events a second through parse, log and sync, in requests of 500 events, with as many senders at once.
//! The warehouse takes batches and forgets them, so only this crate is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use divan::counter::ItemsCount;
use liftgate_domain::entropy::SeededEntropy;
use liftgate_domain::{
    Attributed, Attribution, EventCounts, MomentsAnswer, MomentsQuery, SealedBatch, Sighting, StoreError, SystemClock,
    Timestamp, Warehouse, Watermark,
};
use liftgate_ingest::native::{self, ContentType};
use liftgate_ingest::segment_api::{self, Call};
use liftgate_ingest::{Ingest, IngestConfig, Limits, ParsedEvent};
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
    fn attribute(&self, _: &Sighting<'_>) -> Option<Attributed> {
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

/// Reading alone, on one thread: JSON, the same as NDJSON, and what a Segment client would send instead.
#[divan::bench(args = [Body::Json, Body::Properties, Body::Ndjson, Body::Segment], sample_count = 50)]
fn parse(bencher: divan::Bencher<'_, '_>, form: Body) {
    let now_ms = 1_767_225_600_000;
    let json = String::from_utf8(body(0, now_ms)).expect("the body is text");
    let body = match form {
        Body::Json => json,
        Body::Properties => {
            let properties = r#""properties":{"plan":"pro","country":"DE","items":3,"coupon":null},"value""#;
            json.replace("\"value\"", properties)
        }
        Body::Ndjson => json.replace("{\"events\":[", "").replace("]}", "").replace("},{\"type\"", "}\n{\"type\""),
        Body::Segment => segment_body(now_ms),
    };
    let limits = Limits::default();
    bencher.counter(ItemsCount::new(EVENTS)).bench(|| {
        let events = match form {
            Body::Json | Body::Properties => {
                native::parse(ContentType::Json, body.as_bytes(), &limits).expect("the body is JSON")
            }
            Body::Ndjson => native::parse(ContentType::Ndjson, body.as_bytes(), &limits).expect("the body is lines"),
            Body::Segment => {
                segment_api::parse(Call::Batch, body.as_bytes(), &limits, Timestamp(0)).expect("it is a batch").events
            }
        };
        assert_eq!(events.len() as u64, EVENTS);
        assert!(matches!(events[0], ParsedEvent::Ok(_)));
        events
    });
}

/// How the events of a body are written.
#[derive(Copy, Clone, Debug)]
enum Body {
    Json,
    /// JSON with four properties an event.
    Properties,
    Ndjson,
    Segment,
}

fn segment_body(now_ms: i64) -> String {
    let message = |n: u64| {
        format!(
            r#"{{"timestamp":{now_ms},"integrations":{{}},"event":"purchase","type":"track","properties":{{"revenue":{}.25}},"context":{{"library":{{"name":"@segment/analytics-node","version":"3.1.0"}}}},"userId":"user-{}","messageId":"node-next-1795260715199-{n:032x}","_metadata":{{"nodeVersion":"v20.20.2","jsRuntime":"node"}}}}"#,
            n % 90,
            n % 100_000,
        )
    };
    let messages: Vec<String> = (0..EVENTS).map(message).collect();
    format!(r#"{{"batch":[{}],"writeKey":"k","sentAt":{now_ms}}}"#, messages.join(","))
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
