//! The compiled rulesets of all environments: one immutable snapshot each, swapped whole, read without a lock.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use liftgate_domain::{
    Attributed, Attribution, Catalog, Environment, RulesetBundle, Run, Scope, StoreError, Timestamp,
};
use liftgate_evaluator::{Design, Flag, FlagSource, FlagState, Ruleset, RulesetSource, Segment};
use tokio::sync::Mutex;

/// One environment as evaluation sees it.
#[derive(Debug)]
pub struct Snapshot {
    /// Which environment.
    pub scope: Scope,
    /// Its number, under which the warehouse keeps its rows.
    pub number: u64,
    /// Its settings.
    pub environment: Environment,
    /// What is evaluated.
    pub ruleset: Ruleset,
    /// The runs of each flag, newest first.
    runs: HashMap<String, Vec<Run>>,
}

impl Snapshot {
    /// The variation that a ramp's run rolls out; `None` for experiments and runs that are not known.
    pub fn treatment_of(&self, flag: &str, run: u64) -> Option<&str> {
        let run = self.runs.get(flag)?.iter().find(|known| known.number() == run)?;
        match &run.history.design {
            Design::Ramp { treatment, .. } => Some(treatment),
            Design::Split { .. } => None,
        }
    }
}

#[derive(Debug, Default)]
struct All {
    by_scope: HashMap<Scope, Arc<Snapshot>>,
    by_number: HashMap<u64, Arc<Snapshot>>,
}

/// The snapshots of all environments.
pub struct Rulesets {
    catalog: Arc<dyn Catalog>,
    all: ArcSwap<All>,
    /// Two refreshes at once could put an older snapshot over a newer one.
    refreshing: Mutex<()>,
}

impl Rulesets {
    /// Loads every environment of the catalog.
    pub async fn load(catalog: Arc<dyn Catalog>) -> Result<Arc<Self>, StoreError> {
        let rulesets =
            Arc::new(Self { catalog, all: ArcSwap::from_pointee(All::default()), refreshing: Mutex::new(()) });
        rulesets.refresh_stale().await?;
        Ok(rulesets)
    }

    /// The snapshot of an environment.
    pub fn get(&self, scope: &Scope) -> Option<Arc<Snapshot>> {
        self.all.load().by_scope.get(scope).cloned()
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

    /// Reloads whatever has a newer revision in the catalog: how a node notices what other nodes changed.
    pub async fn refresh_stale(&self) -> Result<usize, StoreError> {
        let _turn = self.refreshing.lock().await;
        let mut reloaded = 0;
        for (scope, revision) in self.catalog.ruleset_revisions().await? {
            if self.get(&scope).is_none_or(|snapshot| snapshot.ruleset.revision() < revision) {
                self.reload(&scope).await?;
                reloaded += 1;
            }
        }
        Ok(reloaded)
    }

    async fn reload(&self, scope: &Scope) -> Result<(), StoreError> {
        let bundle = self.catalog.ruleset(scope).await?;
        let snapshot = bundle.map(|bundle| compile(scope, bundle)).transpose()?.map(Arc::new);
        self.all.rcu(|all| {
            let mut next = All { by_scope: all.by_scope.clone(), by_number: all.by_number.clone() };
            match &snapshot {
                Some(snapshot) => {
                    next.by_number.insert(snapshot.number, snapshot.clone());
                    next.by_scope.insert(scope.clone(), snapshot.clone());
                }
                None => {
                    if let Some(gone) = next.by_scope.remove(scope) {
                        next.by_number.remove(&gone.number);
                    }
                }
            }
            next
        });
        Ok(())
    }
}

impl Attribution for Rulesets {
    fn attribute(
        &self,
        environment: u64,
        flag: &str,
        unit_type: &str,
        unit_id: &str,
        at: Timestamp,
    ) -> Option<Attributed> {
        let all = self.all.load();
        let runs = all.by_number.get(&environment)?.runs.get(flag)?;
        runs.iter().filter(|run| run.history.unit == unit_type).find_map(|run| {
            let assignment = run.history.assignment_at(unit_id, at)?;
            Some(Attributed {
                run: assignment.run,
                stage: assignment.stage,
                arm: assignment.arm.map(str::to_owned),
                bucket: assignment.bucket,
                variation: assignment.variation.to_owned(),
            })
        })
    }
}

/// A flag without a state in an environment is disabled there.
fn compile(scope: &Scope, bundle: RulesetBundle) -> Result<Snapshot, StoreError> {
    let mut states: HashMap<_, (FlagState, u64)> = HashMap::with_capacity(bundle.states.len());
    for state in &bundle.states {
        states.insert(state.key.clone(), (state.decode()?, state.revision));
    }
    let mut flags = Vec::with_capacity(bundle.flags.len());
    for resource in &bundle.flags {
        let flag: Flag = resource.decode()?;
        let (state, state_revision) = states.remove(&resource.key).unwrap_or_default();
        flags.push(FlagSource { flag, state, revision: resource.revision + state_revision });
    }
    let segments = bundle.segments.iter().map(|segment| segment.decode()).collect::<Result<Vec<Segment>, _>>()?;
    let environment: Environment = bundle.environment.decode()?;
    let ruleset = Ruleset::compile(RulesetSource {
        revision: bundle.revision,
        flags,
        segments,
        unit_types: environment.unit_types.clone(),
    });
    for problem in ruleset.problems() {
        tracing::warn!(%scope, field = %problem.path, problem = %problem.message, "A flag is broken and answers with an error.");
    }
    let mut runs: HashMap<String, Vec<Run>> = HashMap::new();
    for run in bundle.runs.into_iter().rev() {
        runs.entry(run.flag.to_string()).or_default().push(run);
    }
    Ok(Snapshot { scope: scope.clone(), number: bundle.environment.number, environment, ruleset, runs })
}
