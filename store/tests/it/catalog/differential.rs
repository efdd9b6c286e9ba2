//! Seeded random operations on two engines side by side: every answer, refusals included, must be the same.

use liftgate_domain::resource::Level;
use liftgate_domain::{
    Catalog, Change, Delivery, DeliveryOutcome, DeliveryStatus, Expected, Id, Key, Mutation, Resource, ResourceKind,
    Rollout, RolloutStatus, Scope, StoreError, Timestamp,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde::Serialize;
use serde_json::{Value, json};

use super::fixture::*;

/// Operations a sequence.
const OPERATIONS: usize = 150;
/// Far after every engine's clock, so that claims do not depend on it: 2100-01-01T00:00:00Z.
const FAR: Timestamp = Timestamp(4_102_444_800_000_000);
const NAMES: [&str; 4] = ["a", "a-b", "a.b", "b"];

/// Something to do, with everything that it says.
#[derive(Clone, Debug)]
enum Operation {
    Apply(Box<Change>),
    Reserve,
    Look(Box<Rollout>),
    Claim { now: Timestamp, limit: usize },
    Finish { id: String, fence: u64, outcome: DeliveryOutcome },
    Redeliver { scope: Scope, id: String, now: Timestamp },
    Read { scope: Scope, kind: ResourceKind, name: Key, after: u64, limit: usize },
}

fn answer<T: Serialize>(result: Result<T, StoreError>) -> Value {
    match result {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "refused": error.to_string() }),
    }
}

async fn perform(catalog: &dyn Catalog, operation: Operation) -> Value {
    match operation {
        Operation::Apply(change) => answer(catalog.apply(*change).await),
        Operation::Reserve => answer(catalog.reserve_number("run").await),
        Operation::Look(rollout) => answer(catalog.looked_at(&rollout).await),
        Operation::Claim { now, limit } => {
            let claimed = catalog.claim_deliveries(now, 60_000, limit).await;
            let urls = |delivery: &Delivery| delivery.endpoint.as_ref().map(|found| found.url.clone());
            answer(claimed.map(|list| list.into_iter().map(|delivery| (urls(&delivery), delivery)).collect::<Vec<_>>()))
        }
        Operation::Finish { id, fence, outcome } => answer(catalog.finish_delivery(&id, fence, outcome).await),
        Operation::Redeliver { scope, id, now } => answer(catalog.redeliver(&scope, &id, now).await),
        Operation::Read { scope, kind, name, after, limit } => read(catalog, &scope, kind, &name, (after, limit)).await,
    }
}

/// Everything that can be read around a scope.
async fn read(catalog: &dyn Catalog, scope: &Scope, kind: ResourceKind, name: &Key, page: (u64, usize)) -> Value {
    let (after, limit) = page;
    let bundle = catalog.ruleset(scope).await.unwrap().map(|bundle| {
        json!({
            "seq": bundle.seq,
            "revision": bundle.revision,
            "environment": bundle.environment,
            "flags": bundle.flags,
            "states": bundle.states,
            "segments": bundle.segments,
            "runs": bundle.runs,
        })
    });
    let changes = catalog.ruleset_changes(scope, after).await.unwrap();
    // Engines have clocks of their own.
    let changes = changes.map(|it| json!([it.seq, it.revision, it.entries, it.runs]));
    let rollout = catalog.rollout(scope, name).await.unwrap();
    let id = rollout.as_ref().map_or(Id::from_stored("none"), |rollout| rollout.id.clone());
    json!({
        "resource": answer(catalog.resource(kind, scope, name).await),
        "resources": answer(catalog.resources(kind, scope, Some(name), limit).await),
        "all": answer(catalog.resources(kind, scope, None, limit).await),
        "ruleset": bundle,
        "ruleset_changes": changes,
        "revisions": answer(catalog.ruleset_revisions().await),
        "credential": answer(catalog.credential(&format!("sha256-of-{name}")).await),
        "credentials": answer(catalog.credentials(scope).await),
        "rollout": rollout,
        "rollouts": answer(catalog.rollouts(scope).await),
        "due": answer(catalog.due_rollouts(START.plus_millis(5), limit).await),
        "decisions": answer(catalog.decisions(&id, after, limit).await),
        "run": answer(catalog.run(scope, after).await),
        "changes": answer(catalog.changes(scope, after, limit).await),
        "events": answer(catalog.events(scope, after, limit).await),
        "deliveries": answer(catalog.deliveries(scope, None, limit).await),
        "pending": answer(catalog.deliveries(scope, Some(DeliveryStatus::Pending), limit).await),
    })
}

/// Picks operations, remembering what claims and rollouts there are to refer to.
struct Generator {
    chance: StdRng,
    step: i64,
    claims: Vec<(String, u64)>,
    rollouts: Vec<Rollout>,
}

impl Generator {
    fn new(seed: u64) -> Self {
        Self { chance: StdRng::seed_from_u64(seed), step: 0, claims: Vec::new(), rollouts: Vec::new() }
    }

    fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        among.choose(&mut self.chance).unwrap().clone()
    }

    fn name(&mut self) -> &'static str {
        self.pick(&NAMES)
    }

    fn scope(&mut self) -> Scope {
        let zoo = Scope::project(key("zoo"));
        let strange = Scope { organization: key("other"), ..production() };
        let zoo_production = zoo.with_environment(key("production"));
        let likely = [production(), production(), staging(), shop(), shop(), Scope::organization()];
        if self.chance.random_ratio(1, 6) { self.pick(&[zoo, zoo_production, strange]) } else { self.pick(&likely) }
    }

    fn expected(&mut self) -> Expected {
        let revision = self.chance.random_range(1..4);
        self.pick(&[Expected::Any, Expected::Any, Expected::Absent, Expected::Revision(revision)])
    }

    /// A scope that may own the kind, mostly.
    fn owner(&mut self, kind: ResourceKind) -> Scope {
        if self.chance.random_ratio(1, 15) {
            return self.scope();
        }
        match kind.level() {
            Level::Organization => Scope::organization(),
            Level::Project => shop(),
            Level::Environment => self.pick(&[production(), staging()]),
        }
    }

    fn resource_name(&mut self, kind: ResourceKind) -> &'static str {
        match kind {
            ResourceKind::Project => self.pick(&["shop", "shop", "zoo"]),
            ResourceKind::Environment => self.pick(&["production", "staging"]),
            _ => self.name(),
        }
    }

    fn body(&mut self, kind: ResourceKind) -> Value {
        if kind != ResourceKind::Endpoint {
            return json!({ "step": self.step, "text": "é \u{0}", "half": 0.5 });
        }
        let events: &[&str] = self.pick(&[&[] as &[&str], &["flag.*"], &["rollout.advanced"]]);
        let environments: &[&str] = self.pick(&[&[] as &[&str], &["production"]]);
        json!({
            "url": format!("https://example.com/{}", self.step),
            "events": events,
            "environments": environments,
            "disabled": self.chance.random_ratio(1, 8),
        })
    }

    fn mutation(&mut self) -> Mutation {
        match self.chance.random_range(0..20) {
            0..10 => {
                let kind = self.pick(&ResourceKind::ALL);
                let (scope, name) = (self.owner(kind), self.resource_name(kind));
                put_body(kind, &scope, name, self.body(kind), self.expected())
            }
            10..12 => {
                // Projects and environments are archived rarely, or soon nothing else would succeed.
                let rare = self.chance.random_ratio(1, 10);
                let kinds = if rare { &ResourceKind::ALL[..] } else { &ResourceKind::ALL[2..] };
                let kind = self.pick(kinds);
                let (scope, name) = (self.owner(kind), self.resource_name(kind));
                archive(kind, &scope, name, self.expected())
            }
            12 => Mutation::AddCredential(credential(&self.scope(), self.name())),
            13 => {
                let id = Id::from_stored(format!("credential-{}", self.name()));
                Mutation::RevokeCredential { scope: self.scope(), id }
            }
            14 => {
                let number = self.chance.random_range(1..6);
                let scope = self.pick(&[production(), staging()]);
                Mutation::PutRun(Box::new(run(&scope, number, 1 + u32::try_from(self.step % 3).unwrap())))
            }
            15..18 => self.rollout_step(),
            _ => {
                let scope = self.pick(&[production(), staging()]);
                let seq = self.chance.random_range(1..5);
                Mutation::AppendDecision(decision(&rollout(&scope, self.name(), 1), seq))
            }
        }
    }

    fn rollout_step(&mut self) -> Mutation {
        let known = self.rollouts.clone();
        let next = match known.choose(&mut self.chance) {
            Some(old) if self.chance.random_ratio(2, 3) => Rollout { version: old.version + 1, ..old.clone() },
            _ => {
                let scope = self.pick(&[production(), staging()]);
                rollout(&scope, self.name(), 1)
            }
        };
        let status = self.pick(&[RolloutStatus::Running, RolloutStatus::Paused, RolloutStatus::Completed]);
        let next = Rollout { status, next_due_at: Some(START.plus_millis(self.step % 9)), ..next };
        self.rollouts.push(next.clone());
        let expected = (next.version > 1).then(|| next.version - 1);
        put_rollout(&next, expected)
    }

    fn change(&mut self) -> Change {
        let scope = self.pick(&[Scope::organization(), shop(), production()]);
        let mutations = (0..self.chance.random_range(0..3)).map(|_| self.mutation()).collect();
        let kinds = ["flag.updated", "rollout.advanced", "key.created"];
        let events = (0..self.chance.random_range(0..3)).map(|_| {
            let scope = self.pick(&[shop(), production(), staging(), Scope::organization()]);
            event(self.pick(&kinds), &scope, self.name())
        });
        let events = events.collect();
        change(scope, mutations, events)
    }

    fn next(&mut self) -> Operation {
        self.step += 1;
        let now = FAR.plus_millis(self.step * 10_000);
        match self.chance.random_range(0..20) {
            0..9 => Operation::Apply(Box::new(self.change())),
            9 => Operation::Reserve,
            10..12 if !self.rollouts.is_empty() => {
                let known = self.rollouts.clone();
                let seen = Rollout { baked_ms: 42, next_due_at: Some(START), stage: 5, ..self.pick(&known) };
                Operation::Look(Box::new(seen))
            }
            12..14 => Operation::Claim { now, limit: self.chance.random_range(0..6) },
            14..16 if !self.claims.is_empty() => {
                let known = self.claims.clone();
                let (id, fence) = self.pick(&known);
                let status = self.pick(&[DeliveryStatus::Pending, DeliveryStatus::Delivered, DeliveryStatus::Dead]);
                let outcome = DeliveryOutcome {
                    status,
                    due_at: now.plus_millis(20_000),
                    response_status: self.pick(&[None, Some(500)]),
                    response: self.pick(&[None, Some("no\u{0}".to_owned())]),
                };
                Operation::Finish { id, fence, outcome }
            }
            16 if !self.claims.is_empty() => {
                let known = self.claims.clone();
                let (id, _) = self.pick(&known);
                Operation::Redeliver { scope: self.scope(), id, now }
            }
            _ => Operation::Read {
                scope: self.scope(),
                kind: self.pick(&ResourceKind::ALL),
                name: key(self.name()),
                after: self.chance.random_range(0..30),
                limit: self.chance.random_range(0..5),
            },
        }
    }

    /// Learns which claims may be finished.
    fn heard(&mut self, answer: &Value) {
        let claimed = answer["ok"].as_array().into_iter().flatten();
        for delivery in claimed.filter_map(|pair| pair.get(1)) {
            if let (Some(id), Some(fence)) = (delivery["id"].as_str(), delivery["fence"].as_u64()) {
                self.claims.push((id.to_owned(), fence));
            }
        }
    }
}

/// Blanks what differs because PostgreSQL tells its own time.
fn without_clock(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if matches!(name.as_str(), "at" | "created_at" | "updated_at" | "revoked_at" | "due_at") {
                    *field = Value::Null;
                } else {
                    without_clock(field);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(without_clock),
        _ => {}
    }
}

async fn compare(seed: u64, oracle: Engine, engine: Engine, blank: fn(&mut Value)) {
    let mut generator = Generator::new(seed);
    let (mut applied, mut claimed) = (0, 0);
    for step in 0..OPERATIONS {
        // Two changes of different organizations never share an instant, as on a real clock.
        oracle.clock.advance_ms(1);
        engine.clock.advance_ms(1);
        let operation = if step == 0 {
            let environments = ["production", "staging"].map(|name| put(ResourceKind::Environment, &shop(), name));
            let mut mutations = vec![put(ResourceKind::Project, &Scope::organization(), "shop")];
            mutations.extend(environments);
            mutations.push(put_body(ResourceKind::Endpoint, &shop(), "b", endpoint("https://b"), Expected::Any));
            Operation::Apply(Box::new(change(Scope::organization(), mutations, vec![])))
        } else {
            generator.next()
        };
        let mut expected = perform(oracle.catalog.as_ref(), operation.clone()).await;
        let mut found = perform(engine.catalog.as_ref(), operation.clone()).await;
        match &operation {
            Operation::Apply(_) if expected.get("ok").is_some() => applied += 1,
            Operation::Claim { .. } => {
                generator.heard(&expected);
                claimed += expected["ok"].as_array().map_or(0, Vec::len);
            }
            _ => {}
        }
        blank(&mut expected);
        blank(&mut found);
        assert_eq!(found, expected, "seed {seed}, step {step}: {operation:#?}");
    }
    for scope in [Scope::organization(), shop(), production(), staging()] {
        for kind in ResourceKind::ALL {
            let mut expected = read(oracle.catalog.as_ref(), &scope, kind, &key("a"), (0, 1_000)).await;
            let mut found = read(engine.catalog.as_ref(), &scope, kind, &key("a"), (0, 1_000)).await;
            blank(&mut expected);
            blank(&mut found);
            assert_eq!(found, expected, "seed {seed}, at the end: {scope}");
        }
    }
    // A sequence in which nothing succeeds would compare nothing.
    assert!(applied >= 15 && claimed >= 3, "seed {seed}: {applied} changes, {claimed} claims");
}

#[test]
fn sqlite_answers_as_memory_does() {
    block_on(async {
        for seed in 0..6 {
            compare(seed, Engine::memory(), Engine::sqlite().await, |_| {}).await;
        }
    });
}

#[test]
fn postgres_answers_as_memory_does() {
    block_on(async {
        for seed in 100..103 {
            compare(seed, Engine::memory(), Engine::postgres().await, without_clock).await;
        }
    });
}

/// Rows come back as they went in, whatever their body holds.
#[test]
fn bodies_come_back_as_they_went_in() {
    block_on(async {
        for engine in [Engine::memory(), Engine::sqlite().await, Engine::postgres().await] {
            engine.declare("shop", &[]).await;
            let body = json!({
                "text": "quote \" backslash \\ zero \u{0} bell \u{7} \u{202e}right-to-left\u{202c} \u{1f469}\u{200d}\u{1f467}",
                "numbers": [0, -1, 9_007_199_254_740_993_u64, u64::MAX, i64::MIN, 0.5, -2.25e-7],
                "nested": { "": [null, true, {}, []] },
            });
            engine.edit(vec![put_body(ResourceKind::Policy, &shop(), "p", body.clone(), Expected::Any)]).await;
            let row: Resource =
                engine.catalog.resource(ResourceKind::Policy, &shop(), &key("p")).await.unwrap().unwrap();
            assert_eq!(row.body, body);
        }
    });
}
