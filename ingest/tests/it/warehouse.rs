//! A warehouse that keeps every row, checks what a warehouse may rely on, and fails when told to.

use std::collections::{BTreeMap, BTreeSet};
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
    durable: Mutex<BTreeSet<Name>>,
    /// Batches that came without rows, and batches lost on purpose: neither order nor time can be checked of these.
    unchecked: Mutex<BTreeSet<Name>>,
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
            unchecked: Mutex::default(),
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
        batches.retain(|name, _| durable.contains(name));
        let mut watermark = Watermark::default();
        for ((node, epoch, sequence), batch) in batches.iter() {
            let mark = NodeMark { epoch: *epoch, sequence: *sequence, received_at: batch.received_through };
            watermark.advance(node, mark);
        }
        self.evidence.send_replace(watermark);
    }

    /// Loses one batch of an epoch, as no crash does.
    pub fn lose(&self, epoch: u64, sequence: u64) {
        let is_other = |name: &Name| (name.1, name.2) != (epoch, sequence);
        self.durable.lock().unwrap().retain(is_other);
        let mut batches = self.batches.lock().unwrap();
        self.unchecked.lock().unwrap().extend(batches.keys().filter(|name| !is_other(name)).cloned());
        batches.retain(|name, _| is_other(name));
    }

    fn check(&self, batches: &BTreeMap<Name, Arc<SealedBatch>>, batch: &SealedBatch) {
        let name = (batch.node.to_string(), batch.epoch, batch.sequence);
        let unchecked = self.unchecked.lock().unwrap();
        if unchecked.contains(&name) {
            return;
        }
        let kept = if let Some(before) = batches.get(&name) {
            before.rows == batch.rows
        } else {
            let previous = (name.0.clone(), name.1, name.2 - 1);
            let before = batches.range(..name).next_back();
            let after = before.map_or(Timestamp(i64::MIN), |(_, before)| before.received_through);
            let follows = match before {
                Some(((_, epoch, sequence), _)) if *epoch == batch.epoch => {
                    batch.sequence == sequence + 1 || unchecked.contains(&previous)
                }
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
        } else {
            let name = (batch.node.to_string(), batch.epoch, batch.sequence);
            if !batches.contains_key(&name) {
                self.unchecked.lock().unwrap().insert(name);
            }
        }
        let mark = NodeMark { epoch: batch.epoch, sequence: batch.sequence, received_at: batch.received_through };
        self.evidence.send_modify(|watermark| watermark.advance(&batch.node, mark));
        Ok(())
    }

    fn durable_through(&self, node: &str, epoch: u64) -> u64 {
        let durable = self.durable.lock().unwrap();
        (1..).take_while(|sequence| durable.contains(&(node.to_owned(), epoch, *sequence))).last().unwrap_or(0)
    }

    fn is_durable(&self, node: &str, epoch: u64, sequence: u64) -> bool {
        self.durable.lock().unwrap().contains(&(node.to_owned(), epoch, sequence))
    }

    fn retire_other_nodes(&self, node: &str) {
        self.evidence.send_modify(|watermark| watermark.retain_only(node));
    }

    async fn flush(&self) -> Result<(), StoreError> {
        let mut durable = self.durable.lock().unwrap();
        durable.extend(self.batches.lock().unwrap().keys().cloned());
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
