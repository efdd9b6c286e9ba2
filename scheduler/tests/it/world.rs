//! A shop with a flag, two metrics and a policy, in memory, under a clock that moves when told to.

use std::sync::Arc;

use liftgate_domain::{
    Actor, Applied, Catalog, Change, ChangeKind, Clock, Decision, Event, Expected, Id, ManualClock, Mutation,
    ResourceKind, Rollout, Scope, Warehouse, entropy::SeededEntropy,
};
use liftgate_evaluator::{Condition, FlagState, Ramp, Serve};
use liftgate_scheduler::command::{self, StartRollout};
use liftgate_scheduler::{CommandError, NoLoss, Scheduler, SchedulerConfig, TickReport};
use liftgate_stats::Direction;
use liftgate_store::catalog::MemoryCatalog;
use serde_json::{Value, json};

use crate::scene::{key, metric, start_of_time};

pub struct World {
    pub clock: Arc<ManualClock>,
    pub catalog: Arc<dyn Catalog>,
    pub warehouse: Arc<dyn Warehouse>,
    pub entropy: Arc<SeededEntropy>,
    pub scope: Scope,
    pub scheduler: Scheduler,
}

/// Short bakes and windows, so that a whole ramp is half an hour.
pub fn short_policy() -> Value {
    json!({
        "stages": [
            {"share": "10%", "bake": "5m", "min_exposed": 200},
            {"share": "50%", "bake": "5m", "min_exposed": 1000},
            {"share": "100%", "bake": "5m"},
        ],
        "guardrails": {
            "metrics": [
                {"metric": "errors", "harm": "increase", "margin": "10%"},
                {"metric": "conversion", "harm": "decrease", "margin": "10%", "act": "hold"},
            ],
        },
    })
}

impl World {
    pub async fn new(warehouse: Arc<dyn Warehouse>) -> Self {
        let clock = Arc::new(ManualClock::at(start_of_time()));
        let as_clock: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
        let catalog: Arc<dyn Catalog> = Arc::new(MemoryCatalog::new(as_clock));
        let entropy = Arc::new(SeededEntropy::new(1));
        let scheduler = scheduler(&catalog, &warehouse, &entropy);
        let scope = Scope::environment(key("shop"), key("production"));
        let world = Self { clock, catalog, warehouse, entropy, scope, scheduler };
        world.declare().await;
        world
    }

    async fn declare(&self) {
        let project = self.scope.to_project();
        let organization = Scope::organization();
        let window = |event, direction| {
            let mut metric = metric(event, direction);
            metric.window = "1m".parse().unwrap();
            serde_json::to_value(metric).unwrap()
        };
        for (kind, scope, name, body) in [
            (ResourceKind::Project, &organization, "shop", json!({})),
            (ResourceKind::Environment, &project, "production", json!({"lateness": "1s"})),
            (ResourceKind::Flag, &project, "new-checkout", json!({"key": "new-checkout", "kind": "boolean"})),
            (ResourceKind::Metric, &project, "errors", window("error", Direction::Decrease)),
            (ResourceKind::Metric, &project, "conversion", window("purchase", Direction::Increase)),
            (ResourceKind::Policy, &project, "standard", short_policy()),
        ] {
            self.put(kind, scope, name, body).await;
        }
    }

    pub async fn put(&self, kind: ResourceKind, scope: &Scope, name: &str, body: Value) -> Applied {
        let (scope, name) = (scope.clone(), key(name));
        let put = Mutation::PutResource { kind, scope: scope.clone(), key: name, body, expected: Expected::Any };
        self.apply(scope, vec![put]).await
    }

    pub async fn apply(&self, scope: Scope, mutations: Vec<Mutation>) -> Applied {
        let change = Change {
            id: Id::new(self.clock.now(), &*self.entropy),
            scope,
            actor: Actor::System,
            reason: None,
            kind: ChangeKind::Edit,
            mutations,
            events: Vec::new(),
        };
        self.catalog.apply(change).await.unwrap()
    }

    pub fn request(&self) -> StartRollout {
        StartRollout {
            scope: self.scope.clone(),
            key: key("checkout"),
            flag: key("new-checkout"),
            policy: key("standard"),
            treatment: "on".to_owned(),
            control: "off".to_owned(),
            when: Condition::always(),
            rule: None,
        }
    }

    pub async fn start(&self) -> Rollout {
        self.start_with(self.request()).await.unwrap()
    }

    pub async fn start_with(&self, request: StartRollout) -> Result<Rollout, CommandError> {
        let started = command::start(&*self.catalog, &*self.entropy, request, someone(), None).await;
        started.map(|(rollout, _)| rollout)
    }

    /// Moves the clock and ticks once.
    pub async fn tick_after(&self, ms: i64) -> TickReport {
        self.clock.advance_ms(ms);
        self.scheduler.tick().await.unwrap()
    }

    pub async fn rollout(&self) -> Rollout {
        self.catalog.rollout(&self.scope, &key("checkout")).await.unwrap().unwrap()
    }

    pub async fn decisions(&self) -> Vec<Decision> {
        let rollout = self.rollout().await;
        self.catalog.decisions(&rollout.id, 0, 1_000).await.unwrap()
    }

    pub async fn verdicts(&self) -> Vec<String> {
        self.decisions().await.into_iter().map(|decision| decision.verdict).collect()
    }

    pub async fn events(&self) -> Vec<Event> {
        self.catalog.events(&self.scope, 0, 1_000).await.unwrap()
    }

    pub async fn event_kinds(&self) -> Vec<String> {
        self.events().await.into_iter().map(|event| event.kind).collect()
    }

    pub async fn state(&self) -> FlagState {
        let state = self.catalog.resource(ResourceKind::FlagState, &self.scope, &key("new-checkout")).await;
        state.unwrap().unwrap().decode().unwrap()
    }

    /// The ramp of the rollout's rule.
    pub async fn ramp(&self) -> Ramp {
        let state = self.state().await;
        let rule = state.rules.into_iter().find(|rule| rule.id.as_ref() == "rollout-checkout").unwrap();
        match rule.serve {
            Serve::Ramp(ramp) => ramp,
            other => panic!("not a ramp: {other:?}"),
        }
    }
}

pub fn scheduler(
    catalog: &Arc<dyn Catalog>,
    warehouse: &Arc<dyn Warehouse>,
    entropy: &Arc<SeededEntropy>,
) -> Scheduler {
    Scheduler::new(
        Arc::clone(catalog),
        Arc::clone(warehouse),
        Arc::clone(entropy) as Arc<dyn liftgate_domain::Entropy>,
        Arc::new(NoLoss),
        SchedulerConfig::default(),
    )
}

pub fn someone() -> Actor {
    Actor::Token("ada".to_owned())
}
