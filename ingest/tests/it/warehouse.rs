//! A warehouse that keeps every row, checks what a warehouse may rely on, and fails when told to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use liftgate_domain::{
    EventCounts, EventRow, MomentsAnswer, MomentsQuery, NodeMark, RowKind, SealedBatch, StoreError, Timestamp,
    Warehouse, Watermark,
};
use tokio::sync::watch;

type Name = (String, u64, u64);

/// Keeps rows by (node, epoch, sequence). What is not durable can be lost, as by a crash of an embedded warehouse.
#[derive(Debug)]
pub struct KeepingWarehouse {
    batches: Mutex<BTreeMap<Name, Arc<SealedBatch>>>,
    durable: Mutex<BTreeMap<(String, u64), u64>>,
    evidence: watch::Sender<Watermark>,
    /// Answers `Unavailable` while set.
    pub away: AtomicBool,
    /// Batches appended again with other content or out of order, and rows outside of their batch's span of time.
    pub broken_promises: AtomicU64,
}

impl KeepingWarehouse {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            batches: Mutex::default(),
            durable: Mutex::default(),
            evidence: watch::channel(Watermark::default()).0,
            away: AtomicBool::new(false),
            broken_promises: AtomicU64::new(0),
        })
    }

    /// All rows, in order.
    pub fn rows(&self) -> Vec<EventRow> {
        assert_eq!(self.broken_promises.load(Ordering::SeqCst), 0);
        self.batches.lock().unwrap().values().flat_map(|batch| batch.rows.clone()).collect()
    }

    /// The ids of all rows, sorted, repeats included.
    pub fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.rows().into_iter().map(|row| row.event_id).collect();
        ids.sort();
        ids
    }

    /// Loses what is not durable, and the watermark of it.
    pub fn crash(&self) {
        let durable = self.durable.lock().unwrap();
        let mut batches = self.batches.lock().unwrap();
        batches.retain(|(node, epoch, sequence), _| {
            durable.get(&(node.clone(), *epoch)).is_some_and(|last| sequence <= last)
        });
        let mut watermark = Watermark::default();
        for ((node, epoch, sequence), batch) in batches.iter() {
            let mark = NodeMark { epoch: *epoch, sequence: *sequence, received_at: batch.received_through };
            watermark.advance(node, mark);
        }
        self.evidence.send_replace(watermark);
    }

    fn check(&self, batches: &BTreeMap<Name, Arc<SealedBatch>>, batch: &SealedBatch) {
        let name = (batch.node.to_string(), batch.epoch, batch.sequence);
        let kept = if let Some(before) = batches.get(&name) {
            before.rows == batch.rows
        } else {
            let before = batches.range(..name).next_back();
            let after = before.map_or(Timestamp(i64::MIN), |(_, before)| before.received_through);
            let follows = match before {
                Some(((_, epoch, sequence), _)) if *epoch == batch.epoch => batch.sequence == sequence + 1,
                _ => batch.sequence == 1,
            };
            let reached =
                self.evidence.borrow().nodes.get(&*batch.node).map_or(after, |mark| mark.received_at.max(after));
            let in_span = |row: &EventRow| reached < row.received_at && row.received_at <= batch.received_through;
            follows && batch.rows.iter().all(in_span)
        };
        if !kept {
            eprintln!("broken promise: epoch {} sequence {}", batch.epoch, batch.sequence);
            self.broken_promises.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl Warehouse for KeepingWarehouse {
    async fn append(&self, batch: Arc<SealedBatch>) -> Result<(), StoreError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("told to be away".to_owned()));
        }
        let mut batches = self.batches.lock().unwrap();
        if !batch.rows.is_empty() {
            self.check(&batches, &batch);
            let name = (batch.node.to_string(), batch.epoch, batch.sequence);
            batches.entry(name).or_insert_with(|| Arc::clone(&batch));
        }
        let mark = NodeMark { epoch: batch.epoch, sequence: batch.sequence, received_at: batch.received_through };
        self.evidence.send_modify(|watermark| watermark.advance(&batch.node, mark));
        Ok(())
    }

    fn durable_through(&self, node: &str, epoch: u64) -> u64 {
        self.durable.lock().unwrap().get(&(node.to_owned(), epoch)).copied().unwrap_or(0)
    }

    async fn flush(&self) -> Result<(), StoreError> {
        let mut durable = self.durable.lock().unwrap();
        for (node, epoch, sequence) in self.batches.lock().unwrap().keys() {
            let last = durable.entry((node.clone(), *epoch)).or_default();
            *last = (*last).max(*sequence);
        }
        Ok(())
    }

    fn evidence(&self) -> watch::Receiver<Watermark> {
        self.evidence.subscribe()
    }

    async fn moments(&self, _: &MomentsQuery) -> Result<MomentsAnswer, StoreError> {
        Err(StoreError::Invalid("this warehouse only keeps rows".to_owned()))
    }

    async fn counts(&self, environment: u64) -> Result<EventCounts, StoreError> {
        let mut counts = EventCounts::default();
        for row in self.rows().iter().filter(|row| row.environment == environment) {
            match row.kind {
                RowKind::Exposure => counts.exposures += 1,
                RowKind::Metric => counts.metrics += 1,
            }
        }
        Ok(counts)
    }
}
