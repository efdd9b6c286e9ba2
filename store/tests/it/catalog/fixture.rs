//! What the cases share: an engine under test, and short ways to write changes and rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use liftgate_domain::{
    Actor, Applied, Catalog, Change, ChangeKind, Credential, CredentialKind, Decision, EventDraft, Expected, Id, Key,
    ManualClock, Mutation, ResourceKind, Rollout, RolloutStatus, Run, Scope, Share, Span, StoreError, Timestamp,
};
use liftgate_evaluator::run::{Design, RunHistory, RunKind, StageEntry};
use liftgate_store::catalog::MemoryCatalog;
use serde_json::{Value, json};

/// Where the manual clock of memory and SQLite starts: 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp(1_767_225_600_000_000);

static CHANGES: AtomicU64 = AtomicU64::new(1);

/// A catalog under test, with whatever it needs to stay alive.
pub struct Engine {
    pub catalog: Arc<dyn Catalog>,
    pub clock: Arc<ManualClock>,
    /// Dropped last: the folder or the cluster.
    _keep: Box<dyn Send + Sync>,
}

impl Engine {
    pub fn memory() -> Self {
        let clock = Arc::new(ManualClock::at(START));
        Self { catalog: Arc::new(MemoryCatalog::new(clock.clone())), clock, _keep: Box::new(()) }
    }

    #[cfg(feature = "sql")]
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("data/catalog.db").display());
        Self::sql(&url, Box::new(folder)).await
    }

    #[cfg(feature = "sql")]
    pub async fn postgres() -> Self {
        let cluster = super::postgres::Cluster::shared();
        let url = cluster.database().await;
        Self::sql(&url, Box::new(cluster)).await
    }

    #[cfg(feature = "sql")]
    async fn sql(url: &str, keep: Box<dyn Send + Sync>) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let catalog = liftgate_store::catalog::SqlCatalog::connect(url, clock.clone()).await.unwrap();
        Self { catalog: Arc::new(catalog), clock, _keep: keep }
    }

    /// Applies mutations that must succeed.
    pub async fn edit(&self, mutations: Vec<Mutation>) -> Applied {
        self.try_edit(mutations).await.unwrap()
    }

    /// Applies mutations of the default organization.
    pub async fn try_edit(&self, mutations: Vec<Mutation>) -> Result<Applied, StoreError> {
        self.catalog.apply(change(Scope::organization(), mutations, vec![])).await
    }

    /// Applies a change without mutations that carries events, in the scope of the first.
    pub async fn tell(&self, events: Vec<EventDraft>) -> Applied {
        self.catalog.apply(change(events[0].scope.clone(), vec![], events)).await.unwrap()
    }

    /// Makes a project with environments.
    pub async fn declare(&self, project: &str, environments: &[&str]) {
        let owner = Scope::project(key(project));
        let mut mutations = vec![put(ResourceKind::Project, &Scope::organization(), project)];
        mutations.extend(environments.iter().map(|name| put(ResourceKind::Environment, &owner, name)));
        self.edit(mutations).await;
    }

    /// A present for claims and leases: later than every change so far on any engine's clock.
    pub async fn later(&self) -> Timestamp {
        self.catalog.now().await.unwrap().plus_millis(60_000)
    }
}

/// Runs a case to its end.
pub fn block_on(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(case);
}

pub fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

pub fn shop() -> Scope {
    Scope::project(key("shop"))
}

pub fn production() -> Scope {
    Scope::environment(key("shop"), key("production"))
}

pub fn staging() -> Scope {
    Scope::environment(key("shop"), key("staging"))
}

/// What a refused write says.
pub fn said<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    result.unwrap_err().to_string()
}

pub fn change(scope: Scope, mutations: Vec<Mutation>, events: Vec<EventDraft>) -> Change {
    let number = CHANGES.fetch_add(1, Ordering::Relaxed);
    Change {
        id: Id::from_stored(format!("change-{number:06}")),
        scope,
        actor: Actor::Token("ada".to_owned()),
        reason: Some("because".to_owned()),
        kind: ChangeKind::Edit,
        mutations,
        events,
    }
}

/// Puts a resource with a small body, whatever is there.
pub fn put(kind: ResourceKind, scope: &Scope, name: &str) -> Mutation {
    put_body(kind, scope, name, json!({ "name": name }), Expected::Any)
}

pub fn put_body(kind: ResourceKind, scope: &Scope, name: &str, body: Value, expected: Expected) -> Mutation {
    Mutation::PutResource { kind, scope: scope.clone(), key: key(name), body, expected }
}

pub fn archive(kind: ResourceKind, scope: &Scope, name: &str, expected: Expected) -> Mutation {
    Mutation::ArchiveResource { kind, scope: scope.clone(), key: key(name), expected }
}

pub fn event(kind: &str, scope: &Scope, subject: &str) -> EventDraft {
    EventDraft {
        kind: kind.to_owned(),
        scope: scope.clone(),
        subject: subject.to_owned(),
        data: json!({ "from": "25%", "to": "50%", "note": "déjà vu \u{0} 🚀" }),
    }
}

pub fn endpoint(url: &str) -> Value {
    json!({ "url": url, "secrets": ["whsec_c2VjcmV0"] })
}

pub fn rollout(scope: &Scope, name: &str, version: u64) -> Rollout {
    Rollout {
        id: Id::from_stored(format!("rollout-{}-{name}", scope.environment_column())),
        scope: scope.clone(),
        key: key(name),
        flag: key("checkout"),
        rule: key("ramp"),
        treatment: "on".to_owned(),
        control: "off".to_owned(),
        policy: key("careful"),
        policy_hash: "abc".to_owned(),
        policy_body: json!({ "stages": [{ "share": "5%", "ratio": 0.1 }] }),
        metrics: vec![],
        lateness: Span::from_ms(900_000),
        attempt: 1,
        run: 1,
        status: RolloutStatus::Running,
        stage: 0,
        stage_since: START,
        baked_ms: 0,
        baked_until: START,
        hold: None,
        started_at: START,
        finished_at: None,
        treated_units: 0,
        decision_seq: 0,
        decision_hash: String::new(),
        recorded_at: START,
        next_due_at: Some(START),
        last_looked_at: None,
        version,
    }
}

pub fn put_rollout(rollout: &Rollout, expected_version: Option<u64>) -> Mutation {
    Mutation::PutRollout { rollout: Box::new(rollout.clone()), expected_version }
}

pub fn decision(rollout: &Rollout, seq: u64) -> Decision {
    Decision {
        rollout: rollout.id.clone(),
        seq,
        at: START.plus_millis(i64::try_from(seq).unwrap()),
        verdict: "hold".to_owned(),
        body: format!("{{\"seq\":{seq},\"e\":\"3ff0000000000001\",\"text\":\"naïve \\u0000\"}}"),
        previous_hash: if seq == 1 { String::new() } else { format!("hash-{}", seq - 1) },
        hash: format!("hash-{seq}"),
    }
}

pub fn run(scope: &Scope, number: u64, stages: u32) -> Run {
    let stage = |stage: u32| StageEntry { stage, share: Share::FULL, since: START.plus_millis(i64::from(stage)) };
    Run {
        scope: scope.clone(),
        environment: 1,
        flag: key("checkout"),
        attempt: 1,
        history: RunHistory {
            dialect: liftgate_evaluator::Dialect::Native,
            number,
            kind: RunKind::Rollout,
            key: key("checkout"),
            unit: "user".to_owned(),
            salt: "checkout/ramp".to_owned(),
            design: Design::Ramp { treatment: "on".to_owned(), control: "off".to_owned() },
            stages: (0..stages).map(stage).collect(),
            ended_at: None,
        },
    }
}

pub fn credential(scope: &Scope, name: &str) -> Credential {
    Credential {
        id: Id::from_stored(format!("credential-{name}")),
        scope: scope.clone(),
        kind: CredentialKind::Server,
        name: name.to_owned(),
        role: None,
        lookup: format!("sha256-of-{name}"),
        display: "ser.abc".to_owned(),
        created_at: START,
        revoked_at: None,
    }
}
