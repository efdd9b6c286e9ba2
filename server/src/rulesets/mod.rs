//! The compiled rulesets of all environments: one immutable snapshot each, swapped whole, read without a lock.

mod declared;
mod snapshot;

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use liftgate_domain::{Attributed, Attribution, Catalog, RulesetChanges, Scope, Sighting, StoreError};
use tokio::sync::{Mutex, Notify, watch};

pub use self::{
    declared::{Declared, DeclaredFlag},
    snapshot::Snapshot,
};

/// How long a caller who knows of a later revision waits for it.
const CATCH_UP: Duration = Duration::from_secs(1);
/// How much later it can be. Anything beyond was not heard of here.
const REVISIONS_AHEAD_MAX: u64 = 1_000;

#[derive(Debug, Default)]
struct All {
    by_scope: HashMap<Scope, Arc<Snapshot>>,
    by_number: HashMap<u64, Arc<Snapshot>>,
}

/// The snapshots of all environments.
pub struct Rulesets {
    catalog: Arc<dyn Catalog>,
    all: ArcSwap<All>,
    /// Who listens to an environment.
    watched: std::sync::Mutex<HashMap<Scope, watch::Sender<Arc<Snapshot>>>>,
    /// A caller knows of a later revision.
    behind: Notify,
    /// Two refreshes at once could put an older snapshot over a newer one. Holds the revisions of environments that
    /// are archived, so that they are not read again and again.
    refreshing: Mutex<HashMap<Scope, u64>>,
}

impl Rulesets {
    /// Loads every environment of the catalog.
    pub async fn load(catalog: Arc<dyn Catalog>) -> Result<Arc<Self>, StoreError> {
        let rulesets = Arc::new(Self {
            catalog,
            all: ArcSwap::from_pointee(All::default()),
            watched: std::sync::Mutex::default(),
            behind: Notify::new(),
            refreshing: Mutex::default(),
        });
        rulesets.refresh_stale().await?;
        Ok(rulesets)
    }

    /// The snapshot of an environment.
    pub fn get(&self, scope: &Scope) -> Option<Arc<Snapshot>> {
        self.all.load().by_scope.get(scope).cloned()
    }

    /// The snapshot of the environment with this hash key.
    pub fn with_hash_key(&self, hash_key: &str) -> Option<Arc<Snapshot>> {
        let all = self.all.load();
        all.by_scope.values().find(|it| it.declared.environment.hash_key == hash_key && !hash_key.is_empty()).cloned()
    }

    /// The snapshots of an environment as they come; the receiver ends with the environment.
    pub fn watch(&self, scope: &Scope) -> Option<watch::Receiver<Arc<Snapshot>>> {
        // Before the snapshot is read: one that is swapped in meanwhile waits for this lock to be told.
        let mut watched = self.watched.lock().expect("no holder of this lock panics");
        let current = self.get(scope)?;
        let sender = watched.entry(scope.clone()).or_insert_with(|| watch::Sender::new(current));
        Some(sender.subscribe())
    }

    /// The snapshot of an environment with this revision or a later one, which the caller heard of on another node; this
    /// node may be a moment behind. After [`CATCH_UP`], or for a revision that cannot be, the newest there is.
    pub async fn at_least(&self, scope: &Scope, revision: u64) -> Option<Arc<Snapshot>> {
        let current = self.get(scope)?;
        if !(1..=REVISIONS_AHEAD_MAX).contains(&revision.saturating_sub(current.ruleset.revision())) {
            return Some(current);
        }
        let mut snapshots = self.watch(scope)?;
        self.behind.notify_one();
        let newer = snapshots.wait_for(|snapshot| snapshot.ruleset.revision() >= revision);
        // Whoever waited in vain gets what is there.
        let _ = tokio::time::timeout(CATCH_UP, newer).await;
        self.get(scope)
    }

    /// Waits until a caller knows of a later revision than this node.
    pub async fn is_behind(&self) {
        self.behind.notified().await;
    }

    /// The snapshots of all environments, in no order.
    pub fn all(&self) -> Vec<Arc<Snapshot>> {
        self.all.load().by_scope.values().cloned().collect()
    }

    /// How many environments are loaded.
    pub fn len(&self) -> usize {
        self.all.load().by_scope.len()
    }

    /// Whether there is no environment yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reloads one environment at once, after a change of this node.
    pub async fn refresh(&self, scope: &Scope) -> Result<(), StoreError> {
        let _turn = self.refreshing.lock().await;
        self.reload(scope).await
    }

    /// Reloads whatever has another revision in the catalog: how a node notices what other nodes changed.
    pub async fn refresh_stale(&self) -> Result<usize, StoreError> {
        let mut gone = self.refreshing.lock().await;
        let mut reloaded = 0;
        for (scope, revision) in self.catalog.ruleset_revisions().await? {
            let known = self.get(&scope).map_or_else(|| gone.get(&scope).copied(), |it| Some(it.ruleset.revision()));
            // Not only newer ones: a catalog that was restored has older ones.
            if known == Some(revision) {
                continue;
            }
            // One environment that cannot be read keeps its last snapshot and holds up no other.
            if let Err(error) = self.reload(&scope).await {
                tracing::error!(%scope, %error, "A ruleset cannot be loaded; the last known one stays.");
                continue;
            }
            reloaded += 1;
            if self.get(&scope).is_none() {
                gone.insert(scope, revision);
            }
        }
        Ok(reloaded)
    }

    /// What changed since; `None` where the log does not go on from there, or cannot be used: the resources decide then.
    async fn changes_since(&self, scope: &Scope, declared: &Declared) -> Result<Option<RulesetChanges>, StoreError> {
        match self.catalog.ruleset_changes(scope, declared.seq).await {
            // A catalog that was restored, or whose standby took over, has lost what was known here.
            Ok(changes) => Ok(changes.filter(|it| it.seq >= declared.seq && it.revision >= declared.revision)),
            // Such as what a newer version wrote.
            Err(StoreError::Corrupt(error)) => {
                tracing::warn!(%scope, error, "The change log cannot be read; the whole ruleset is read instead.");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn reload(&self, scope: &Scope) -> Result<(), StoreError> {
        let before = self.get(scope);
        let changes = match &before {
            Some(before) => self.changes_since(scope, &before.declared).await?,
            None => None,
        };
        if let (Some(before), Some(changes)) = (&before, &changes)
            && changes.changes_nothing_since(before.ruleset.revision())
        {
            return Ok(());
        }
        let moved = match (&before, changes) {
            // What the log tells cannot be used: the resources themselves decide.
            (Some(before), Some(changes)) => before.declared.after(changes).unwrap_or_else(|error| {
                tracing::error!(%scope, %error, "A change of a ruleset cannot be read; all of it is read instead.");
                None
            }),
            _ => None,
        };
        let bundle = if moved.is_some() { None } else { self.catalog.ruleset(scope).await? };
        let owner = scope.clone();
        // Thousands of flags take a while: not on the threads that answer requests.
        let compiled = tokio::task::spawn_blocking(move || {
            let declared = match moved {
                Some(moved) => Some(moved),
                None => bundle.map(Declared::read).transpose()?,
            };
            Ok::<_, StoreError>(declared.map(|it| Snapshot::compile(&owner, it, before.as_deref())))
        })
        .await;
        let compiled = compiled.map_err(|error| StoreError::Unavailable(format!("compiling stopped: {error}")))??;
        let snapshot = compiled.map(Arc::new);
        self.all.rcu(|all| {
            let mut next = All { by_scope: all.by_scope.clone(), by_number: all.by_number.clone() };
            match &snapshot {
                Some(snapshot) => {
                    next.by_number.insert(snapshot.declared.number, snapshot.clone());
                    next.by_scope.insert(scope.clone(), snapshot.clone());
                }
                None => {
                    if let Some(gone) = next.by_scope.remove(scope) {
                        next.by_number.remove(&gone.declared.number);
                    }
                }
            }
            next
        });
        let mut watched = self.watched.lock().expect("no holder of this lock panics");
        match snapshot {
            Some(snapshot) => {
                if let Some(sender) = watched.get(scope) {
                    // A node that hears of its own change reads the same revision again: nobody is told twice.
                    sender.send_if_modified(|told| {
                        let is_news = told.ruleset.revision() != snapshot.ruleset.revision();
                        if is_news {
                            *told = snapshot;
                        }
                        is_news
                    });
                }
            }
            None => drop(watched.remove(scope)),
        }
        Ok(())
    }
}

impl Attribution for Rulesets {
    fn attribute(&self, sighting: &Sighting<'_>) -> Option<Attributed> {
        let all = self.all.load();
        let snapshot = all.by_number.get(&sighting.environment)?;
        let runs = snapshot.declared.runs.get(sighting.flag)?;
        runs.iter().filter(|run| run.history.unit == sighting.unit_type).find_map(|run| {
            let assignment = run.history.assignment_at(sighting.unit_id, sighting.at)?;
            // A unit that the rule never matched is served the default, which is often the control: counting it there
            // would compare two populations. Who was told of the run by an answer has matched.
            let number = run.number();
            let has_matched = sighting.told_run == Some(number) || snapshot.reaches_everyone(number);
            let arm = assignment.arm.filter(|_| has_matched);
            Some(Attributed {
                run: assignment.run,
                stage: assignment.stage,
                arm: arm.map(str::to_owned),
                bucket: assignment.bucket,
                variation: assignment.variation.to_owned(),
            })
        })
    }
}
