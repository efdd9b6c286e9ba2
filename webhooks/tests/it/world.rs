//! A catalog under a manual clock with a project, endpoints and events, and dispatchers on it.

use std::sync::{Arc, Once};

use liftgate_domain::entropy::SeededEntropy;
use liftgate_domain::{
    Actor, Catalog, Change, ChangeKind, Delivery, DeliveryStatus, Endpoint, EventDraft, Expected, Id, Key, ManualClock,
    Mutation, ResourceKind, Scope, Target, Timestamp,
};
use liftgate_store::catalog::MemoryCatalog;
use liftgate_webhooks::guard::{AllowList, Lookup};
use liftgate_webhooks::{Dispatcher, DispatcherConfig, TickReport};
use serde_json::{Value, json};

/// The secret of every endpoint that names no other.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// When every test begins: 2026-03-01T12:00:00Z.
pub const START: Timestamp = Timestamp(1_772_366_400_000_000);

/// The world of one test.
pub struct World {
    /// Moves only when told to.
    pub clock: Arc<ManualClock>,
    /// The catalog that all dispatchers share.
    pub catalog: Arc<MemoryCatalog>,
    entropy: Arc<SeededEntropy>,
}

/// Settings for a test, with these on the allow-list.
pub fn config(allow: &[&str]) -> DispatcherConfig {
    let entries: Vec<String> = allow.iter().map(|entry| (*entry).to_owned()).collect();
    DispatcherConfig {
        allow: AllowList::parse(&entries).unwrap(),
        request_timeout_ms: 5_000,
        poll_ms: 20,
        ..DispatcherConfig::default()
    }
}

/// The same, for receivers that are waited for in vain.
pub fn impatient(request_timeout_ms: u64, allow: &[&str]) -> DispatcherConfig {
    DispatcherConfig { request_timeout_ms, ..config(allow) }
}

/// A standard endpoint.
pub fn endpoint(url: &str) -> Endpoint {
    Endpoint {
        url: url.to_owned(),
        target: Target::Standard,
        secrets: vec![SECRET.to_owned()],
        events: Vec::new(),
        environments: Vec::new(),
        disabled: false,
    }
}

/// The project that everything happens in.
pub fn project() -> Scope {
    Scope::project(Key::new("shop").unwrap())
}

/// Its environment.
pub fn production() -> Scope {
    project().with_environment(Key::new("production").unwrap())
}

/// A draft of an event in production.
pub fn draft(kind: &str, subject: &str, data: Value) -> EventDraft {
    EventDraft { kind: kind.to_owned(), scope: production(), subject: subject.to_owned(), data }
}

impl World {
    /// A catalog with a project and an environment.
    pub async fn new() -> Self {
        static TLS: Once = Once::new();
        TLS.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
        let clock = Arc::new(ManualClock::at(START));
        let catalog = Arc::new(MemoryCatalog::new(clock.clone()));
        let world = Self { clock, catalog, entropy: Arc::new(SeededEntropy::new(7)) };
        world.put(ResourceKind::Project, &Scope::organization(), "shop", json!({})).await;
        let body = json!({"hash_key": "client-key-of-production"});
        world.put(ResourceKind::Environment, &project(), "production", body).await;
        world
    }

    /// Another node.
    pub fn dispatcher(&self, config: DispatcherConfig) -> Dispatcher {
        Dispatcher::new(self.catalog.clone(), self.entropy.clone(), config).unwrap()
    }

    /// Another node, which looks names up in its own way.
    pub fn dispatcher_with(&self, config: DispatcherConfig, lookup: Arc<dyn Lookup>) -> Dispatcher {
        Dispatcher::with_lookup(self.catalog.clone(), self.entropy.clone(), config, lookup).unwrap()
    }

    /// Declares an endpoint.
    pub async fn endpoint(&self, key: &str, endpoint: Endpoint) {
        self.put(ResourceKind::Endpoint, &project(), key, serde_json::to_value(endpoint).unwrap()).await;
    }

    /// Reads an endpoint back.
    pub async fn stored_endpoint(&self, key: &str) -> Endpoint {
        let key = Key::new(key).unwrap();
        let found = self.catalog.resource(ResourceKind::Endpoint, &project(), &key).await.unwrap();
        found.unwrap().decode().unwrap()
    }

    /// Something happens: one event.
    pub async fn tell(&self, kind: &str, subject: &str, data: Value) {
        self.apply(Vec::new(), vec![draft(kind, subject, data)]).await;
    }

    /// A change with these events.
    pub async fn apply(&self, mutations: Vec<Mutation>, events: Vec<EventDraft>) {
        let change = Change {
            id: Id::new(self.now(), &*self.entropy),
            scope: if events.is_empty() { Scope::organization() } else { production() },
            actor: Actor::System,
            reason: None,
            kind: ChangeKind::Edit,
            mutations,
            events,
        };
        self.catalog.apply(change).await.unwrap();
    }

    async fn put(&self, kind: ResourceKind, scope: &Scope, key: &str, body: Value) {
        let key = Key::new(key).unwrap();
        let put = Mutation::PutResource { kind, scope: scope.clone(), key, body, expected: Expected::Any };
        self.apply(vec![put], Vec::new()).await;
    }

    /// The clock's time.
    pub fn now(&self) -> Timestamp {
        use liftgate_domain::Clock as _;
        self.clock.now()
    }

    /// One tick of this dispatcher now.
    pub async fn tick(&self, dispatcher: &Dispatcher) -> TickReport {
        dispatcher.tick(self.now()).await.unwrap()
    }

    /// All deliveries.
    pub async fn deliveries(&self) -> Vec<Delivery> {
        self.catalog.deliveries(&project(), None, 1_000).await.unwrap()
    }

    /// The only delivery.
    pub async fn delivery(&self) -> Delivery {
        let mut deliveries = self.deliveries().await;
        assert_eq!(deliveries.len(), 1, "one delivery");
        deliveries.remove(0)
    }

    /// Moves the clock to when the next delivery is due; `false` when none is pending.
    pub async fn advance_to_next_due(&self) -> bool {
        let pending = self.catalog.deliveries(&project(), Some(DeliveryStatus::Pending), 1_000).await.unwrap();
        let Some(due_at) = pending.iter().map(|delivery| delivery.due_at).min() else { return false };
        self.clock.set(due_at.max(self.now()));
        true
    }
}
