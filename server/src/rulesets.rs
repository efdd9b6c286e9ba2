//! The compiled rulesets of all environments: one immutable snapshot each, swapped whole, read without a lock.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use liftgate_domain::{
    Attributed, Attribution, Catalog, Environment, RulesetBundle, Run, Scope, Sighting, StoreError, Timestamp,
};
use liftgate_evaluator::{
    Design, EnvironmentNames, Flag, FlagSource, FlagState, Ruleset, RulesetSource, Segment, Serve,
};
use tokio::sync::{Mutex, Notify, watch};

use crate::http::{
    flag_socket::Updates,
    flagsmith,
    ofrep::{self, Fragments},
};

/// How long a caller who knows of a later revision waits for it.
const CATCH_UP: Duration = Duration::from_secs(1);
/// How much later it can be. Anything beyond was not heard of here.
const REVISIONS_AHEAD_MAX: u64 = 1_000;

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
    /// What OFREP answers are joined from.
    pub fragments: Fragments,
    /// When its revision was committed; later with every revision.
    pub moved_at: Timestamp,
    /// What it was compiled from.
    pub source: RulesetSource,
    /// The numbers of what it was compiled from.
    pub numbers: Numbers,
    /// The same in the words of Flagsmith's protocol.
    pub flagsmith: flagsmith::View,
    /// The document for local evaluation, made when somebody asks.
    pub document: OnceLock<Result<Bytes, Vec<String>>>,
    /// How OFREP's clients hear of changes, as a member of its answers.
    pub event_streams: Box<[u8]>,
    /// What sockets tell of the change that made it.
    pub updates: Updates,
    /// The runs of each flag, newest first.
    runs: HashMap<String, Vec<Run>>,
    /// The runs whose rule reaches every unit. Of the others nobody can tell from a unit alone whether it was in.
    reach_everyone: HashSet<u64>,
}

/// Numbers that a foreign protocol shows, by key.
#[derive(Debug, Default)]
pub struct Numbers {
    /// Of flags.
    pub flags: HashMap<String, u64>,
}

impl Numbers {
    /// The number of a flag.
    pub fn flag(&self, key: &str) -> u64 {
        self.flags.get(key).copied().unwrap_or_default()
    }
}

impl Snapshot {
    /// The control variation of a flag's newest run.
    pub fn control_of(&self, flag: &str) -> Option<&str> {
        let source = self.source.flags.iter().find(|it| it.flag.key.as_str() == flag)?;
        let serves = source.state.rules.iter().map(|rule| &rule.serve).chain(&source.state.fallthrough);
        serves.filter_map(|serve| flagsmith::terms::control_of(&source.flag, serve)).next()
    }

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
        all.by_scope.values().find(|it| it.environment.hash_key == hash_key && !hash_key.is_empty()).cloned()
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

    /// Reloads whatever has a newer revision in the catalog: how a node notices what other nodes changed.
    pub async fn refresh_stale(&self) -> Result<usize, StoreError> {
        let mut gone = self.refreshing.lock().await;
        let mut reloaded = 0;
        for (scope, revision) in self.catalog.ruleset_revisions().await? {
            let known = self.get(&scope).map_or_else(|| gone.get(&scope).copied(), |it| Some(it.ruleset.revision()));
            if known.is_some_and(|known| known >= revision) {
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

    async fn reload(&self, scope: &Scope) -> Result<(), StoreError> {
        let bundle = self.catalog.ruleset(scope).await?;
        let (owner, before) = (scope.clone(), self.get(scope));
        // Thousands of flags take a while: not on the threads that answer requests.
        let compiled = tokio::task::spawn_blocking(move || {
            let mut snapshot = bundle.map(|it| compile(&owner, it)).transpose()?;
            if let (Some(before), Some(after)) = (before, &mut snapshot) {
                after.updates = Updates::between(&before.source, &after.source);
            }
            Ok::<_, StoreError>(snapshot)
        })
        .await;
        let compiled = compiled.map_err(|error| StoreError::Unavailable(format!("compiling stopped: {error}")))??;
        let snapshot = compiled.map(Arc::new);
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
        let mut watched = self.watched.lock().expect("no holder of this lock panics");
        match snapshot {
            Some(snapshot) => {
                if let Some(sender) = watched.get(scope) {
                    // A node that hears of its own change reads the same revision again: nobody is told twice.
                    sender.send_if_modified(|told| {
                        let is_newer = told.ruleset.revision() < snapshot.ruleset.revision();
                        if is_newer {
                            *told = snapshot;
                        }
                        is_newer
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
        let runs = snapshot.runs.get(sighting.flag)?;
        runs.iter().filter(|run| run.history.unit == sighting.unit_type).find_map(|run| {
            let assignment = run.history.assignment_at(sighting.unit_id, sighting.at)?;
            // A unit that the rule never matched is served the default, which is often the control: counting it there
            // would compare two populations. Who was told of the run by an answer has matched.
            let number = run.number();
            let has_matched = sighting.told_run == Some(number) || snapshot.reach_everyone.contains(&number);
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

/// A flag without a state in an environment is disabled there.
fn compile(scope: &Scope, bundle: RulesetBundle) -> Result<Snapshot, StoreError> {
    let mut states: HashMap<_, (FlagState, u64)> = HashMap::with_capacity(bundle.states.len());
    for state in &bundle.states {
        states.insert(state.key.clone(), (state.decode()?, state.revision));
    }
    let mut reach_everyone = HashSet::new();
    let mut flags = Vec::with_capacity(bundle.flags.len());
    for resource in &bundle.flags {
        let flag: Flag = resource.decode()?;
        let (state, state_revision) = states.remove(&resource.key).unwrap_or_default();
        reach_everyone.extend(run_for_everyone(&state));
        flags.push(FlagSource { flag, state, revision: resource.revision + state_revision });
    }
    let segments = bundle.segments.iter().map(|segment| segment.decode()).collect::<Result<Vec<Segment>, _>>()?;
    let environment: Environment = bundle.environment.decode()?;
    let source = RulesetSource {
        revision: bundle.revision,
        flags,
        segments,
        unit_types: environment.unit_types.clone(),
        environment: EnvironmentNames {
            hash_key: environment.hash_key.clone(),
            name: environment.name.clone().unwrap_or_else(|| bundle.environment.key.to_string()),
        },
    };
    let ruleset = Ruleset::compile(source.clone());
    for problem in ruleset.problems() {
        tracing::warn!(%scope, field = %problem.path, problem = %problem.message, "A flag is broken and answers with an error.");
    }
    let mut runs: HashMap<String, Vec<Run>> = HashMap::new();
    for run in bundle.runs.into_iter().rev() {
        runs.entry(run.flag.to_string()).or_default().push(run);
    }
    let flags = bundle.flags.iter().map(|flag| (flag.key.to_string(), flag.number)).collect();
    let numbers = Numbers { flags };
    Ok(Snapshot {
        scope: scope.clone(),
        number: bundle.environment.number,
        flagsmith: flagsmith::View::new(&source, &numbers, &ruleset, bundle.moved_at),
        event_streams: ofrep::stream::member(&environment.hash_key, bundle.revision),
        environment,
        fragments: Fragments::new(scope, &source.flags, &ruleset),
        ruleset,
        moved_at: bundle.moved_at,
        source,
        numbers,
        document: OnceLock::new(),
        updates: Updates::none(bundle.revision),
        runs,
        reach_everyone,
    })
}

/// The run of a state whose first rule takes every unit, when no unit is taken out before by an individual target or a
/// prerequisite.
fn run_for_everyone(state: &FlagState) -> Option<u64> {
    let is_open = state.prerequisites.is_empty() && state.targets.is_empty();
    let first = state.rules.first().filter(|rule| rule.when.is_always() && is_open)?;
    match &first.serve {
        Serve::Ramp(ramp) => ramp.run.as_ref(),
        Serve::Split(split) => split.run.as_ref(),
        Serve::Variation(_) => None,
    }
    .map(|run| run.number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state(when: serde_json::Value, targets: serde_json::Value) -> FlagState {
        let run = json!({"number": 7, "kind": "rollout", "key": "r", "stage": 0});
        let ramp = json!({"salt": "s", "treatment": "on", "control": "off", "share": "5%", "run": run});
        let rule = json!({"id": "rule", "when": when, "serve": {"ramp": ramp}});
        serde_json::from_value(json!({"enabled": true, "targets": targets, "rules": [rule]})).unwrap()
    }

    #[test]
    fn only_a_run_that_reaches_everyone_gives_arms_to_exposures_of_clients() {
        assert_eq!(run_for_everyone(&state(json!({"all": []}), json!([]))), Some(7));
        let country = json!({"attribute": "country", "op": "equals", "value": "DE"});
        assert_eq!(run_for_everyone(&state(country, json!([]))), None);
        let targets = json!([{"variation": "on", "units": ["u1"]}]);
        assert_eq!(run_for_everyone(&state(json!({"all": []}), targets)), None);
        let mut behind = state(json!({"all": []}), json!([]));
        let first = json!({"id": "first", "serve": {"variation": "off"}});
        behind.rules.insert(0, serde_json::from_value(first).unwrap());
        assert_eq!(run_for_everyone(&behind), None);
        let mut needing = state(json!({"all": []}), json!([]));
        needing.prerequisites = serde_json::from_value(json!([{"flag": "base", "variation": "on"}])).unwrap();
        assert_eq!(run_for_everyone(&needing), None);
    }
}
