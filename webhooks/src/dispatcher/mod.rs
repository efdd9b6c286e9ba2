//! Claims what is due, sends it, and writes what came of it. Decides when; [`crate::sender`] does the talking.
//!
//! A claim is a lease with a fence: what is not finished before the lease ends is claimed again, under the same id, and
//! a late outcome is refused. Nothing is sent whose lease might end before its answer.

mod config;
mod counters;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use liftgate_domain::{Catalog, Delivery, DeliveryOutcome, DeliveryStatus, Endpoint, Entropy, StoreError, Timestamp};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::DispatcherConfig;
pub use counters::{Counters, TickReport};

use crate::Error;
use crate::answer::{Answer, Meaning};
use crate::disable::disable;
use crate::guard::{Lookup, SystemLookup};
use crate::lane::{Lanes, Place};
use crate::most_specific::told_by;
use crate::schedule::next_attempt;
use crate::sender::Sender;
use counters::{Fate, Tally};

/// The most deliveries that one claim takes.
const CLAIM_MAX: usize = 256;

/// The most claimed deliveries in memory.
const IN_HAND_MAX: usize = 1_024;

/// When a delivery is due again whose lease ran out while it waited for its turn.
const AGAIN_MS: i64 = 500;

/// Delivers the outbox. Several may run on one catalog, in one process or many.
#[derive(Clone)]
pub struct Dispatcher {
    inner: Arc<Inner>,
}

struct Inner {
    catalog: Arc<dyn Catalog>,
    entropy: Arc<dyn Entropy>,
    config: DispatcherConfig,
    sender: Sender,
    lanes: Lanes,
    tally: Tally,
}

/// A claim, until when it holds, and the earliest that it can be now.
struct Claim {
    delivery: Delivery,
    claimed_at: Timestamp,
    lease_ends_at: Timestamp,
}

impl Dispatcher {
    /// A dispatcher on a catalog. A default TLS provider must be installed in the process before.
    ///
    /// [`Error::Config`] for settings that cannot work, [`Error::Client`] when the HTTP client cannot be built.
    pub fn new(catalog: Arc<dyn Catalog>, entropy: Arc<dyn Entropy>, config: DispatcherConfig) -> Result<Self, Error> {
        Self::with_lookup(catalog, entropy, config, Arc::new(SystemLookup))
    }

    /// The same, with names looked up another way than the operating system's.
    pub fn with_lookup(
        catalog: Arc<dyn Catalog>,
        entropy: Arc<dyn Entropy>,
        config: DispatcherConfig,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, Error> {
        config.check()?;
        let sender = Sender::new(config.allow.clone(), config.request_timeout_ms, lookup)?;
        let lanes = Lanes::new(config.concurrency);
        Ok(Self { inner: Arc::new(Inner { catalog, entropy, config, sender, lanes, tally: Tally::default() }) })
    }

    /// Claims once what is due at `now`, and waits until all of it has an outcome.
    ///
    /// [`Error::Store`] when nothing could be claimed. An outcome that could not be written is counted and logged; its
    /// delivery is claimed again when the lease ends.
    pub async fn tick(&self, now: Timestamp) -> Result<TickReport, Error> {
        let claims = self.inner.claim(now, CLAIM_MAX).await?;
        let never = CancellationToken::new();
        let fates = join_all(claims.into_iter().map(|claim| self.inner.deliver(claim, &never))).await;
        Ok(fates.into_iter().collect())
    }

    /// Delivers until `stop`: woken by `wake` (after a change), and every `poll_ms` for what has become due. Stops
    /// taking claims at once, hands back what has not been sent, and returns when what was being sent has its outcome.
    pub async fn run(&self, wake: Arc<Notify>, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        let in_hand = Arc::new(Semaphore::new(IN_HAND_MAX));
        while !stop.is_cancelled() {
            let more = self.round(&tasks, &in_hand, &stop).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "Webhook deliveries could not be claimed; trying again.");
                false
            });
            if more {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = wake.notified() => {}
                () = tokio::time::sleep(Duration::from_millis(self.inner.config.poll_ms)) => {}
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    /// What has come of everything since the start.
    pub fn counters(&self) -> Counters {
        self.inner.tally.counters()
    }

    /// Claims as much as there is room for and sets it going; whether more may be due.
    async fn round(
        &self,
        tasks: &TaskTracker,
        in_hand: &Arc<Semaphore>,
        stop: &CancellationToken,
    ) -> Result<bool, Error> {
        let limit = in_hand.available_permits().min(CLAIM_MAX);
        if limit == 0 {
            return Ok(false);
        }
        let claims = self.inner.claim(self.inner.catalog.now().await?, limit).await?;
        let full = claims.len() == limit;
        for claim in claims {
            // Only this loop takes permits, so the room that was counted is still there.
            let Ok(room) = in_hand.clone().try_acquire_owned() else { continue };
            let (inner, stop) = (self.inner.clone(), stop.clone());
            tasks.spawn(async move {
                inner.deliver(claim, &stop).await;
                drop(room);
            });
        }
        Ok(full)
    }
}

impl Inner {
    async fn claim(&self, now: Timestamp, limit: usize) -> Result<Vec<Claim>, Error> {
        let deliveries = self.catalog.claim_deliveries(now, self.config.lease_ms, limit).await?;
        self.tally.claimed(deliveries.len());
        let lease_ends_at = now.plus_millis(self.config.lease_ms);
        Ok(deliveries.into_iter().map(|delivery| Claim { delivery, claimed_at: now, lease_ends_at }).collect())
    }

    /// Brings a claim to an outcome and counts it.
    async fn deliver(&self, claim: Claim, stop: &CancellationToken) -> Fate {
        let fate = self.outcome(&claim, stop).await.unwrap_or_else(|error| {
            let delivery = &claim.delivery;
            tracing::warn!(
                delivery = %delivery.id, endpoint = %delivery.endpoint_key, scope = %delivery.scope, %error,
                "The outcome of a webhook delivery could not be written; it is tried again when its lease ends."
            );
            Fate::Unwritten
        });
        self.tally.ended(fate);
        fate
    }

    async fn outcome(&self, claim: &Claim, stop: &CancellationToken) -> Result<Fate, StoreError> {
        let delivery = &claim.delivery;
        let Some(endpoint) = delivery.endpoint.as_ref().filter(|endpoint| !endpoint.disabled) else {
            let answer = Answer::none("not sent: the endpoint is gone or disabled");
            return self.finish(claim, DeliveryStatus::Dead, claim.claimed_at, answer).await;
        };
        let place = match self.lanes.enter(&delivery.scope, &delivery.endpoint_key) {
            Ok(place) => place,
            Err(again_ms) => return self.hand_back(claim, again_ms).await,
        };
        let _turn = tokio::select! {
            biased;
            () = stop.cancelled() => return self.hand_back(claim, 0).await,
            turn = place.turn() => turn,
        };
        let now = self.now(claim).await?;
        let timeout_ms = i64::try_from(self.config.request_timeout_ms).unwrap_or(i64::MAX);
        if now.plus_millis(timeout_ms) > claim.lease_ends_at {
            return self.hand_back(claim, AGAIN_MS).await;
        }
        if let Some(kind) = told_by(&*self.catalog, delivery, endpoint).await? {
            let answer = Answer::none(&format!("not sent: `{kind}` of the same change says more"));
            return self.finish(claim, DeliveryStatus::Delivered, now, answer).await;
        }
        let answer = self.sender.send(delivery, endpoint, now).await;
        self.conclude(claim, endpoint, &place, answer).await
    }

    /// Writes what an answer comes to.
    async fn conclude(
        &self,
        claim: &Claim,
        endpoint: &Endpoint,
        place: &Place<'_>,
        answer: Answer,
    ) -> Result<Fate, StoreError> {
        let delivery = &claim.delivery;
        let now = self.now(claim).await?;
        match answer.meaning(endpoint.target) {
            Meaning::Delivered => {
                place.succeeded();
                self.finish(claim, DeliveryStatus::Delivered, now, answer).await
            }
            Meaning::Gone => {
                // Before the delivery is dead: a crash in between sends once more and is told once more.
                if disable(&*self.catalog, &*self.entropy, delivery, endpoint).await? {
                    self.tally.disabled();
                    tracing::warn!(
                        endpoint = %delivery.endpoint_key, scope = %delivery.scope,
                        "A webhook endpoint answered 410 Gone and was disabled."
                    );
                }
                self.finish(claim, DeliveryStatus::Dead, now, answer).await
            }
            Meaning::Failed { retry_after_s } => {
                place.failed();
                match next_attempt(delivery.attempts, delivery.created_at, now, retry_after_s, self.jitter()) {
                    Some(due_at) => self.finish(claim, DeliveryStatus::Pending, due_at, answer).await,
                    None => self.finish(claim, DeliveryStatus::Dead, now, answer).await,
                }
            }
        }
    }

    async fn finish(
        &self,
        claim: &Claim,
        status: DeliveryStatus,
        due_at: Timestamp,
        answer: Answer,
    ) -> Result<Fate, StoreError> {
        let outcome = DeliveryOutcome { status, due_at, response_status: answer.status, response: Some(answer.text) };
        let delivery = &claim.delivery;
        if !self.catalog.finish_delivery(&delivery.id, delivery.fence, outcome).await? {
            return Ok(Fate::Overtaken);
        }
        Ok(match status {
            DeliveryStatus::Delivered => Fate::Delivered,
            DeliveryStatus::Pending => Fate::Retried,
            DeliveryStatus::Dead => {
                tracing::warn!(
                    delivery = %delivery.id, endpoint = %delivery.endpoint_key, scope = %delivery.scope,
                    attempts = delivery.attempts,
                    "A webhook delivery was given up; it is kept and can be sent again."
                );
                Fate::Dead
            }
        })
    }

    /// Gives up a claim unsent, with the last answer kept as it was.
    async fn hand_back(&self, claim: &Claim, again_ms: i64) -> Result<Fate, StoreError> {
        let delivery = &claim.delivery;
        let outcome = DeliveryOutcome {
            status: DeliveryStatus::Pending,
            due_at: self.now(claim).await?.plus_millis(again_ms),
            response_status: delivery.last_status,
            response: delivery.last_response.clone(),
        };
        let held = self.catalog.finish_delivery(&delivery.id, delivery.fence, outcome).await?;
        Ok(if held { Fate::HandedBack } else { Fate::Overtaken })
    }

    /// The catalog's time, and never before the claim's.
    async fn now(&self, claim: &Claim) -> Result<Timestamp, StoreError> {
        Ok(self.catalog.now().await?.max(claim.claimed_at))
    }

    /// Uniform in 0..1, from the 53 bits that a double holds.
    fn jitter(&self) -> f64 {
        let mut bytes = [0_u8; 8];
        self.entropy.fill(&mut bytes);
        (u64::from_le_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
