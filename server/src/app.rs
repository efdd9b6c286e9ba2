//! Everything a request handler reaches, and the one way in which this node applies a change.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use liftgate_domain::{Applied, Catalog, Change, Clock, Entropy, Warehouse};
use liftgate_ingest::{ExposureSender, Ingest};
use liftgate_scheduler::{ExposureLoss, Scheduler};
use liftgate_webhooks::{Dispatcher, guard::AllowList};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use crate::{
    access::CredentialCache, config::Config, live::Live, problem::ApiError, rulesets::Rulesets, usage::Usage,
    warehouse::Engine,
};

/// The composition, shared by all handlers.
#[derive(Clone)]
pub struct App(pub(crate) Arc<Parts>);

/// The parts of the composition.
pub struct Parts {
    /// What is in effect.
    pub config: Config,
    /// Everything declared, decided and told.
    pub catalog: Arc<dyn Catalog>,
    /// Everything that happened.
    pub warehouse: Arc<dyn Warehouse>,
    /// The same warehouse, for what only its engine can tell.
    pub engine: Engine,
    /// This node's id, which its events and books are kept under.
    pub node: String,
    /// The door for events.
    pub ingest: Ingest,
    /// The door for exposures that evaluation itself emits.
    pub exposures: ExposureSender,
    /// What evaluation reads.
    pub rulesets: Arc<Rulesets>,
    /// Keys looked up lately.
    pub credentials: CredentialCache,
    /// What moves rollouts.
    pub scheduler: Arc<Scheduler>,
    /// How many exposures were dropped, as the scheduler asks.
    pub loss: Arc<dyn ExposureLoss>,
    /// What tells endpoints.
    pub dispatcher: Arc<Dispatcher>,
    /// Which private addresses webhooks may reach.
    pub webhooks_allow: AllowList,
    /// Wakes the dispatcher.
    pub wake_webhooks: Arc<Notify>,
    /// Sequences of changes as this node hears of them.
    pub changes: broadcast::Sender<u64>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// Whether the node is ready for traffic.
    pub ready: AtomicBool,
    /// Evaluations answered since the start.
    pub evaluations: AtomicU64,
    /// What applications say that they looked at.
    pub usage: Usage,
    /// Places for streams of updates.
    pub live: Arc<Live>,
    /// Ends streams and loops.
    pub stop: CancellationToken,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Parts {
    /// Counts evaluations that were answered.
    pub fn count_evaluations(&self, count: usize) {
        self.evaluations.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
    }

    /// Applies a change and makes it visible on this node before answering.
    pub async fn apply(&self, change: Change) -> Result<Applied, ApiError> {
        let applied = self.catalog.apply(change).await?;
        self.after(&applied).await;
        Ok(applied)
    }

    /// What follows every applied change: fresh rulesets, fresh keys, awake webhooks and streams.
    pub async fn after(&self, applied: &Applied) {
        for (scope, _) in &applied.rulesets {
            if let Err(error) = self.rulesets.refresh(scope).await {
                tracing::warn!(%scope, %error, "A ruleset could not be refreshed; the next poll tries again.");
            }
        }
        if applied.entries.iter().any(|entry| entry.what == "credential") {
            self.keys_changed().await;
        }
        // Nobody listening is no error.
        let _ = self.changes.send(applied.seq);
        self.wake_webhooks.notify_one();
    }

    /// What follows a change of keys here or elsewhere: none is remembered, and streams of revoked ones end.
    pub async fn keys_changed(&self) {
        self.credentials.clear();
        self.live.end_revoked(self).await;
    }
}
