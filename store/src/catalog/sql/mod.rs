//! The catalog on SQLite and PostgreSQL: the same tables and statements on both. Only how a transaction begins, what
//! tells the time and how connections are kept differs.

mod apply;
mod changes;
mod connect;
mod credentials;
mod deliveries;
mod failure;
mod migrate;
mod resources;
mod rollouts;
mod row;
mod session;
mod wakes;

use std::sync::Arc;

use async_trait::async_trait;
use liftgate_domain::catalog::LIST_MAX;
use liftgate_domain::{
    Applied, Catalog, Change, ChangeRecord, Clock, Credential, Decision, Delivery, DeliveryOutcome, DeliveryStatus,
    Event, Id, Key, Resource, ResourceKind, Rollout, RulesetBundle, RulesetChanges, Run, Scope, StoreError, Timestamp,
};
use tokio::sync::watch;

use self::connect::Pools;
use self::failure::Failure;
use self::wakes::Wakes;
use super::admit::admit;

/// How often a transaction that lost a race inside PostgreSQL is tried in all.
const ATTEMPTS_MAX: u32 = 5;

/// A catalog in a database.
pub struct SqlCatalog {
    clock: Arc<dyn Clock>,
    pools: Pools,
    wakes: Option<Wakes>,
}

impl SqlCatalog {
    /// Opens the catalog at `sqlite:path/to/file.db`, `sqlite::memory:` or `postgres://user:password@host/database`,
    /// makes the SQLite file and its folder when they are not there, and brings the tables up to date.
    ///
    /// `clock` tells the time on SQLite; PostgreSQL tells its own, so that all nodes agree.
    ///
    /// # Errors
    /// `Invalid` for a URL that cannot work or a database that a newer liftgate has written, `Unavailable` when the
    /// engine does not answer or the file cannot be written, `Corrupt` when the file is not a database.
    pub async fn connect(url: &str, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let pools = Pools::open(url).await?;
        let wakes = match &pools {
            Pools::Sqlite { .. } => None,
            Pools::Postgres(pool) => Some(Wakes::listen(pool.clone())),
        };
        Ok(Self { clock, pools, wakes })
    }

    /// Ends all connections, after the statements that run now.
    pub async fn close(&self) {
        self.pools.close().await;
    }

    async fn try_apply(&self, change: &Change) -> Result<Applied, Failure> {
        let mut session = self.pools.begin_write().await?;
        let applied = apply::apply(&mut session, change, self.clock.as_ref()).await?;
        session.notify(wakes::CHANNEL, wakes::payload_of(&applied)).await?;
        session.commit().await?;
        Ok(applied)
    }

    async fn try_claim(&self, now: Timestamp, lease_ms: i64, limit: usize) -> Result<Vec<Delivery>, Failure> {
        let mut session = self.pools.begin_write().await?;
        let claimed = deliveries::claim(&mut session, now, lease_ms, limit.min(LIST_MAX)).await?;
        session.commit().await?;
        Ok(claimed)
    }
}

#[async_trait]
impl Catalog for SqlCatalog {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        match &self.pools {
            Pools::Sqlite { .. } => Ok(self.clock.now()),
            Pools::Postgres(_) => Ok(self.pools.read().await?.now(self.clock.as_ref()).await?),
        }
    }

    fn wakes(&self) -> Option<watch::Receiver<u64>> {
        self.wakes.as_ref().map(Wakes::receiver)
    }

    async fn apply(&self, change: Change) -> Result<Applied, StoreError> {
        admit(&change)?;
        let mut attempt = 1;
        loop {
            match self.try_apply(&change).await {
                Err(failure) if failure.is_lost_race() && attempt < ATTEMPTS_MAX => attempt += 1,
                outcome => return Ok(outcome?),
            }
        }
    }

    async fn reserve_number(&self, counter: &str) -> Result<u64, StoreError> {
        Ok(resources::take_number(&mut self.pools.write().await?, counter).await?)
    }

    async fn resource(&self, kind: ResourceKind, scope: &Scope, key: &Key) -> Result<Option<Resource>, StoreError> {
        Ok(resources::find(&mut self.pools.read().await?, kind, scope, key).await?)
    }

    async fn resources(
        &self,
        kind: ResourceKind,
        scope: &Scope,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Resource>, StoreError> {
        Ok(resources::list(&mut self.pools.read().await?, kind, scope, after, limit.min(LIST_MAX)).await?)
    }

    async fn ruleset(&self, environment: &Scope) -> Result<Option<RulesetBundle>, StoreError> {
        let mut session = self.pools.begin_read().await?;
        let bundle = resources::ruleset(&mut session, environment).await?;
        session.commit().await?;
        Ok(bundle)
    }

    async fn ruleset_changes(&self, environment: &Scope, since: u64) -> Result<Option<RulesetChanges>, StoreError> {
        let mut session = self.pools.begin_read().await?;
        let changes = resources::ruleset_changes(&mut session, environment, since).await?;
        session.commit().await?;
        Ok(changes)
    }

    async fn ruleset_revisions(&self) -> Result<Vec<(Scope, u64)>, StoreError> {
        Ok(resources::ruleset_revisions(&mut self.pools.read().await?).await?)
    }

    async fn credential(&self, lookup: &str) -> Result<Option<Credential>, StoreError> {
        Ok(credentials::find_by_lookup(&mut self.pools.read().await?, lookup).await?)
    }

    async fn credentials(&self, scope: &Scope) -> Result<Vec<Credential>, StoreError> {
        Ok(credentials::list(&mut self.pools.read().await?, scope).await?)
    }

    async fn rollout(&self, scope: &Scope, key: &Key) -> Result<Option<Rollout>, StoreError> {
        Ok(rollouts::find(&mut self.pools.read().await?, scope, key).await?)
    }

    async fn rollouts(&self, scope: &Scope) -> Result<Vec<Rollout>, StoreError> {
        Ok(rollouts::list(&mut self.pools.read().await?, scope).await?)
    }

    async fn due_rollouts(&self, now: Timestamp, limit: usize) -> Result<Vec<Rollout>, StoreError> {
        Ok(rollouts::due(&mut self.pools.read().await?, now, limit.min(LIST_MAX)).await?)
    }

    async fn looked_at(&self, rollout: &Rollout) -> Result<bool, StoreError> {
        let mut session = self.pools.begin_write().await?;
        let noted = rollouts::looked_at(&mut session, rollout).await?;
        session.commit().await?;
        Ok(noted)
    }

    async fn decisions(&self, rollout: &Id, after: u64, limit: usize) -> Result<Vec<Decision>, StoreError> {
        Ok(rollouts::decisions(&mut self.pools.read().await?, rollout, after, limit.min(LIST_MAX)).await?)
    }

    async fn run(&self, scope: &Scope, number: u64) -> Result<Option<Run>, StoreError> {
        let run = rollouts::find_run(&mut self.pools.read().await?, number).await?;
        Ok(run.filter(|run| scope.contains(&run.scope)))
    }

    async fn changes(&self, scope: &Scope, after: u64, limit: usize) -> Result<Vec<ChangeRecord>, StoreError> {
        Ok(changes::list(&mut self.pools.read().await?, scope, after, limit.min(LIST_MAX)).await?)
    }

    async fn events(&self, scope: &Scope, after: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        Ok(changes::events(&mut self.pools.read().await?, scope, after, limit.min(LIST_MAX)).await?)
    }

    async fn claim_deliveries(&self, now: Timestamp, lease_ms: i64, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let mut attempt = 1;
        loop {
            match self.try_claim(now, lease_ms, limit).await {
                Err(failure) if failure.is_lost_race() && attempt < ATTEMPTS_MAX => attempt += 1,
                outcome => return Ok(outcome?),
            }
        }
    }

    async fn finish_delivery(&self, id: &str, fence: u64, outcome: DeliveryOutcome) -> Result<bool, StoreError> {
        Ok(deliveries::finish(&mut self.pools.write().await?, id, fence, outcome).await?)
    }

    async fn deliveries(
        &self,
        scope: &Scope,
        status: Option<DeliveryStatus>,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        Ok(deliveries::list(&mut self.pools.read().await?, scope, status, limit.min(LIST_MAX)).await?)
    }

    async fn redeliver(&self, scope: &Scope, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        Ok(deliveries::redeliver(&mut self.pools.write().await?, scope, id, now).await?)
    }
}
