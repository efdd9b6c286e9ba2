//! Ports that misbehave on purpose: a warehouse that says what it is told, a catalog that yields at chosen moments.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use liftgate_domain::{
    Applied, ArmCount, Catalog, Cell, Change, ChangeRecord, Credential, Decision, Delivery, DeliveryOutcome,
    DeliveryStatus, Event, EventCounts, Id, Key, MomentsAnswer, MomentsQuery, NodeMark, Resource, ResourceKind,
    Rollout, RulesetBundle, RulesetChanges, Run, Scope, SealedBatch, StoreError, Timestamp, Warehouse, Watermark,
};
use liftgate_evaluator::{CONTROL, TREATMENT};
use liftgate_stats::Moments;
use tokio::sync::watch;

/// Units and events of one arm, by (metric, stage, arm).
pub type Counts<'a> = &'a [(&'a str, u32, &'a str, u64, u64)];

/// Answers every question with the same answer, or with an error.
pub struct CannedWarehouse {
    answer: Mutex<Result<MomentsAnswer, String>>,
    evidence: watch::Sender<Watermark>,
}

impl CannedWarehouse {
    pub fn new() -> Self {
        Self {
            answer: Mutex::new(Err("nothing canned".to_owned())),
            evidence: watch::Sender::new(Watermark::default()),
        }
    }

    pub fn fail(&self, error: &str) {
        *self.answer.lock().unwrap() = Err(error.to_owned());
    }

    /// Fresh exposures in both arms, these counts, and as many exposed units an arm as the largest of them.
    pub fn say(&self, now: Timestamp, counts: Counts<'_>) {
        let mut watermark = Watermark::default();
        watermark.advance("a", NodeMark { epoch: 1, sequence: 1, received_at: now });
        let cells = counts.iter().map(|(metric, stage, arm, n, events)| Cell {
            metric: metric.parse().unwrap(),
            stage: *stage,
            arm: (*arm).to_owned(),
            slice: None,
            moments: Moments::from_counts(*n, *events),
            joint: None,
        });
        let units = counts.iter().map(|(_, _, _, n, _)| *n).max().unwrap_or(0);
        let answer = MomentsAnswer {
            watermark: watermark.clone(),
            cells: cells.collect(),
            arms: [CONTROL, TREATMENT].map(|arm| ArmCount { slice: None, stage: 0, arm: arm.to_owned(), units }).into(),
            treated_units: units,
            last_treatment_at: Some(now),
            last_control_at: Some(now),
            ..MomentsAnswer::default()
        };
        *self.answer.lock().unwrap() = Ok(answer);
        self.evidence.send_replace(watermark);
    }
}

#[async_trait]
impl Warehouse for CannedWarehouse {
    async fn append(&self, _: Arc<SealedBatch>) -> Result<(), StoreError> {
        Ok(())
    }

    fn durable_through(&self, _: &str, _: u64) -> u64 {
        0
    }

    async fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn evidence(&self) -> watch::Receiver<Watermark> {
        self.evidence.subscribe()
    }

    async fn moments(&self, _: &MomentsQuery) -> Result<MomentsAnswer, StoreError> {
        self.answer.lock().unwrap().clone().map_err(StoreError::Unavailable)
    }

    async fn counts(&self, _: u64) -> Result<EventCounts, StoreError> {
        Ok(EventCounts::default())
    }
}

/// A catalog that gives way to other tasks before each call, as often as a seed says: another seed, another order.
pub struct YieldingCatalog {
    inner: Arc<dyn Catalog>,
    seed: AtomicU64,
}

impl YieldingCatalog {
    pub fn new(inner: Arc<dyn Catalog>, seed: u64) -> Self {
        Self { inner, seed: AtomicU64::new(seed) }
    }

    async fn give_way(&self) {
        let mut z = self.seed.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        for _ in 0..(z >> 61) {
            tokio::task::yield_now().await;
        }
    }
}

macro_rules! give_way_then {
    ($(async fn $name:ident(&self $(, $argument:ident: $type:ty)*) -> $result:ty;)*) => {
        #[async_trait]
        impl Catalog for YieldingCatalog {
            $(async fn $name(&self $(, $argument: $type)*) -> $result {
                self.give_way().await;
                self.inner.$name($($argument),*).await
            })*
        }
    };
}

give_way_then! {
    async fn now(&self) -> Result<Timestamp, StoreError>;
    async fn apply(&self, change: Change) -> Result<Applied, StoreError>;
    async fn reserve_number(&self, counter: &str) -> Result<u64, StoreError>;
    async fn resource(&self, kind: ResourceKind, scope: &Scope, key: &Key) -> Result<Option<Resource>, StoreError>;
    async fn resources(
        &self, kind: ResourceKind, scope: &Scope, after: Option<&Key>, limit: usize
    ) -> Result<Vec<Resource>, StoreError>;
    async fn ruleset(&self, environment: &Scope) -> Result<Option<RulesetBundle>, StoreError>;
    async fn ruleset_changes(&self, environment: &Scope, since: u64) -> Result<Option<RulesetChanges>, StoreError>;
    async fn ruleset_revisions(&self) -> Result<Vec<(Scope, u64)>, StoreError>;
    async fn credential(&self, lookup: &str) -> Result<Option<Credential>, StoreError>;
    async fn credentials(&self, scope: &Scope) -> Result<Vec<Credential>, StoreError>;
    async fn rollout(&self, scope: &Scope, key: &Key) -> Result<Option<Rollout>, StoreError>;
    async fn rollouts(&self, scope: &Scope) -> Result<Vec<Rollout>, StoreError>;
    async fn due_rollouts(&self, now: Timestamp, limit: usize) -> Result<Vec<Rollout>, StoreError>;
    async fn looked_at(&self, rollout: &Rollout) -> Result<bool, StoreError>;
    async fn decisions(&self, rollout: &Id, after: u64, limit: usize) -> Result<Vec<Decision>, StoreError>;
    async fn run(&self, scope: &Scope, number: u64) -> Result<Option<Run>, StoreError>;
    async fn changes(&self, scope: &Scope, after: u64, limit: usize) -> Result<Vec<ChangeRecord>, StoreError>;
    async fn events(&self, scope: &Scope, after: u64, limit: usize) -> Result<Vec<Event>, StoreError>;
    async fn claim_deliveries(
        &self, now: Timestamp, lease_ms: i64, limit: usize
    ) -> Result<Vec<Delivery>, StoreError>;
    async fn finish_delivery(&self, id: &str, fence: u64, outcome: DeliveryOutcome) -> Result<bool, StoreError>;
    async fn deliveries(
        &self, scope: &Scope, status: Option<DeliveryStatus>, limit: usize
    ) -> Result<Vec<Delivery>, StoreError>;
    async fn redeliver(&self, scope: &Scope, id: &str, now: Timestamp) -> Result<bool, StoreError>;
}
