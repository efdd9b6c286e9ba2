//! The loop: what is due is read, decided and, when something changed, applied in one transaction. Any number of these
//! may run on one catalog; a lost compare-and-set is discarded and decided again.

use std::{sync::Arc, time::Duration};

use liftgate_domain::{Actor, Applied, Catalog, Entropy, Id, Rollout, Span, StoreError, Timestamp, Warehouse};
use serde::Serialize;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::latch::latched;
use crate::look::{frozen_policy, gather};
use crate::transition::Transition;
use crate::wake::Wake;
use crate::{Error, Evidence, ExposureLoss, Outcome, Policy, Verdict, decide, step, tidings};

/// Applied steps that a slow listener may lag behind before it misses some.
const APPLIED_KEPT: usize = 256;
/// How long a rollout that could not be looked at is left alone, in milliseconds.
const FAILED_AGAIN_MS: i64 = 10_000;
/// The longest rest between two ticks, in milliseconds: neither a slow tick nor a clock that was set keeps harm waiting.
const REST_MS_MAX: u64 = 5_000;

/// How often, how many.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// The least time between two looks, in milliseconds.
    pub look_every_ms: u64,
    /// A quiet rollout writes a record this often.
    pub record_every: Span,
    /// The most rollouts a tick looks at.
    pub due_limit: usize,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self { look_every_ms: 200, record_every: Span::from_ms(60 * 60 * 1_000), due_limit: 256 }
    }
}

/// What one tick did.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct TickReport {
    /// Rollouts looked at.
    pub looked: u64,
    /// Decisions recorded.
    pub decided: u64,
    /// Looks discarded because somebody else wrote first.
    pub conflicts: u64,
    /// Rollouts that could not be looked at.
    pub failed: u64,
}

enum Looked {
    Quiet,
    Decided,
    Conflict,
}

/// Moves the due rollouts of all environments.
pub struct Scheduler {
    catalog: Arc<dyn Catalog>,
    warehouse: Arc<dyn Warehouse>,
    entropy: Arc<dyn Entropy>,
    loss: Arc<dyn ExposureLoss>,
    config: SchedulerConfig,
    applied: broadcast::Sender<Applied>,
}

impl Scheduler {
    /// A scheduler over these stores. It does nothing until [`Scheduler::tick`] or [`Scheduler::run`].
    pub fn new(
        catalog: Arc<dyn Catalog>,
        warehouse: Arc<dyn Warehouse>,
        entropy: Arc<dyn Entropy>,
        loss: Arc<dyn ExposureLoss>,
        config: SchedulerConfig,
    ) -> Self {
        let (applied, _) = broadcast::channel(APPLIED_KEPT);
        Self { catalog, warehouse, entropy, loss, config, applied }
    }

    /// Hears of every step right after it is committed, to refresh rulesets and wake webhooks. A listener that lags
    /// misses steps, never the catalog's own revision and outbox.
    pub fn applied(&self) -> broadcast::Receiver<Applied> {
        self.applied.subscribe()
    }

    /// Looks once at everything that is due. An error of one rollout is that rollout's alone.
    ///
    /// # Errors
    /// When the catalog cannot say what is due.
    pub async fn tick(&self) -> Result<TickReport, Error> {
        self.tick_until(&CancellationToken::new()).await
    }

    /// Ticks whenever there is new evidence, and every second in any case, until stopped; the rollout in hand is
    /// finished first. Never spends more than half of its time looking.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut wake = Wake::new(self.warehouse.evidence()).await;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = wake.next() => {}
            }
            let rest = self.timed_tick(&stop).await;
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(rest) => {}
            }
        }
        wake.shutdown().await;
    }

    /// Ticks, and says how long to rest: as long as it took, `look_every_ms` at least.
    async fn timed_tick(&self, stop: &CancellationToken) -> Duration {
        let before = self.catalog.now().await;
        if let Err(error) = self.tick_until(stop).await {
            tracing::error!(%error, "The scheduler could not read what is due; it tries again.");
        }
        let took_ms = match (before, self.catalog.now().await) {
            (Ok(before), Ok(after)) => u64::try_from(after.micros_since(before) / 1_000).unwrap_or(0),
            _ => 0,
        };
        Duration::from_millis(took_ms.min(REST_MS_MAX).max(self.config.look_every_ms))
    }

    async fn tick_until(&self, stop: &CancellationToken) -> Result<TickReport, Error> {
        let now = self.catalog.now().await?;
        let due = self.catalog.due_rollouts(now, self.config.due_limit).await?;
        let mut report = TickReport::default();
        for rollout in due.into_iter().take_while(|_| !stop.is_cancelled()) {
            report.looked += 1;
            match self.look(&rollout).await {
                Ok(Looked::Quiet) => {}
                Ok(Looked::Decided) => report.decided += 1,
                Ok(Looked::Conflict) => report.conflicts += 1,
                Err(error) => {
                    report.failed += 1;
                    self.leave_alone(rollout, now, &error).await;
                }
            }
        }
        Ok(report)
    }

    async fn look(&self, rollout: &Rollout) -> Result<Looked, Error> {
        let policy = frozen_policy(rollout)?;
        let evidence = gather(&*self.catalog, &*self.warehouse, &*self.loss, &policy, rollout).await?;
        let now = self.catalog.now().await?;
        let outcome = decide(&policy, rollout, &evidence, now);
        if !self.is_worth_a_record(rollout, &outcome, now) {
            let looked = step::looked_at(rollout, &evidence, &outcome, now);
            let is_current = self.catalog.looked_at(&looked).await?;
            return Ok(if is_current { Looked::Quiet } else { Looked::Conflict });
        }
        match self.record(rollout, &policy, &evidence, &outcome, now).await {
            Ok(()) => Ok(Looked::Decided),
            Err(Error::Store(StoreError::Conflict { .. } | StoreError::Exists { .. })) => Ok(Looked::Conflict),
            Err(error) => Err(error),
        }
    }

    /// A record is written when something changed, and once in a while.
    fn is_worth_a_record(&self, rollout: &Rollout, outcome: &Outcome, now: Timestamp) -> bool {
        let moves = !matches!(outcome.verdict, Verdict::Stay | Verdict::Hold(_));
        let code = |hold: &Option<liftgate_domain::Hold>| hold.as_ref().map(|hold| hold.code);
        let hold_changed = code(&rollout.hold) != code(&outcome.hold)
            || latched(rollout.hold.as_ref()) != latched(outcome.hold.as_ref());
        let is_time = rollout.recorded_at.plus_millis(self.config.record_every.as_ms_i64()) <= now;
        moves || hold_changed || is_time
    }

    async fn record(
        &self,
        rollout: &Rollout,
        policy: &Policy,
        evidence: &Evidence,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), Error> {
        let after = step::decided(rollout, evidence, outcome, now);
        let mut transition = Transition {
            before: Some(rollout),
            verdict: outcome.verdict.as_str(),
            actor: Actor::Scheduler,
            reason: None,
            seen: Some((evidence, outcome)),
            mutations: Vec::new(),
            events: tidings::of_outcome(rollout, &after, policy, outcome),
            after,
            now,
        };
        if let Some(step) = step::rule_move(policy, outcome) {
            transition.add_move(&*self.catalog, step).await?;
        }
        let (after, change) = transition.into_change(Id::new(now, &*self.entropy));
        let applied = self.catalog.apply(change).await?;
        tracing::info!(
            rollout = %after.key, scope = %after.scope, verdict = outcome.verdict.as_str(), seq = after.decision_seq,
            change = applied.seq, "Decided: {}.", outcome.why
        );
        // Nobody has to listen.
        let _ = self.applied.send(applied);
        Ok(())
    }

    /// A rollout that cannot be looked at stays as it is and is tried again later; the others go on.
    async fn leave_alone(&self, rollout: Rollout, now: Timestamp, error: &Error) {
        tracing::error!(rollout = %rollout.key, scope = %rollout.scope, %error, "A rollout could not be looked at.");
        let later =
            Rollout { last_looked_at: Some(now), next_due_at: Some(now.plus_millis(FAILED_AGAIN_MS)), ..rollout };
        if let Err(error) = self.catalog.looked_at(&later).await {
            tracing::error!(rollout = %later.key, %error, "A rollout could not be put off.");
        }
    }
}
