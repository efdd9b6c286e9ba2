//! What is moved on by changes is what is read, after any history.

use liftgate_domain::{Actor, Catalog, Change, ChangeKind, Expected, Id, ManualClock, Mutation, Scope};
use liftgate_store::catalog::MemoryCatalog;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::json;

use super::*;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// A catalog that is changed at random.
struct World {
    catalog: MemoryCatalog,
    chance: StdRng,
    changes: u64,
}

impl World {
    async fn new(seed: u64) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp(1_767_225_600_000_000)));
        let mut world = Self { catalog: MemoryCatalog::new(clock), chance: StdRng::seed_from_u64(seed), changes: 0 };
        let shop = Scope::project(key("shop"));
        let project = put(ResourceKind::Project, &Scope::organization(), "shop", json!({}));
        let environments =
            ["live", "test"].map(|name| put(ResourceKind::Environment, &shop, name, world.environment()));
        assert!(world.change(std::iter::once(project).chain(environments).collect()).await);
        world
    }

    fn environment(&mut self) -> serde_json::Value {
        json!({"hash_key": "hash", "name": self.chance.random_range(0..9).to_string()})
    }

    /// Whether the change was possible.
    async fn change(&mut self, mutations: Vec<Mutation>) -> bool {
        self.changes += 1;
        let change = Change {
            id: Id::from_stored(format!("change-{}", self.changes)),
            scope: Scope::organization(),
            actor: Actor::Token("ada".to_owned()),
            reason: None,
            kind: ChangeKind::Edit,
            mutations,
            events: Vec::new(),
        };
        self.catalog.apply(change).await.is_ok()
    }

    fn mutation(&mut self) -> Mutation {
        let name = *NAMES.choose(&mut self.chance).unwrap();
        let shop = Scope::project(key("shop"));
        let scope = Scope::environment(key("shop"), key(["live", "test"].choose(&mut self.chance).unwrap()));
        let number = self.chance.random_range(0..5);
        let archived = self.chance.random_bool(0.2);
        match self.chance.random_range(0..20) {
            0 => put(ResourceKind::Environment, &shop, scope.environment_column(), self.environment()),
            1..4 if archived => archive(ResourceKind::Segment, &shop, name),
            1..4 => put(ResourceKind::Segment, &shop, name, json!({"key": name, "included": [number.to_string()]})),
            4..10 if archived => archive(ResourceKind::Flag, &shop, name),
            4..10 => {
                let flag = json!({"key": name, "kind": "boolean", "description": number.to_string()});
                put(ResourceKind::Flag, &shop, name, flag)
            }
            10 => put(ResourceKind::Metric, &shop, name, json!({})),
            11 => archive(ResourceKind::FlagState, &scope, name),
            _ => {
                let rule = json!({"id": format!("r{number}"), "serve": {"variation": "on"}});
                put(ResourceKind::FlagState, &scope, name, json!({"enabled": true, "rules": [rule]}))
            }
        }
    }
}

fn put(kind: ResourceKind, scope: &Scope, name: &str, body: serde_json::Value) -> Mutation {
    Mutation::PutResource { kind, scope: scope.clone(), key: key(name), body, expected: Expected::Any }
}

fn archive(kind: ResourceKind, scope: &Scope, name: &str) -> Mutation {
    Mutation::ArchiveResource { kind, scope: scope.clone(), key: key(name), expected: Expected::Any }
}

async fn read(catalog: &MemoryCatalog, scope: &Scope) -> Declared {
    Declared::read(catalog.ruleset(scope).await.unwrap().unwrap()).unwrap()
}

fn assert_same(moved: &Declared, whole: &Declared) {
    assert_eq!((moved.seq, moved.revision, moved.moved_at), (whole.seq, whole.revision, whole.moved_at));
    assert_eq!((moved.number, &moved.name, &moved.environment), (whole.number, &whole.name, &whole.environment));
    assert_eq!((&moved.flags, &moved.segments, &moved.runs), (&whole.flags, &whole.segments, &whole.runs));
}

#[tokio::test]
async fn what_is_moved_on_by_changes_is_what_is_read() {
    let scope = Scope::environment(key("shop"), key("live"));
    let (mut moved_on, mut read_whole, mut shared) = (0, 0, 0);
    for seed in 0..40 {
        let mut world = World::new(seed).await;
        let mut declared = read(&world.catalog, &scope).await;
        for _ in 0..60 {
            for _ in 0..world.chance.random_range(1..4) {
                let mutations = (0..world.chance.random_range(1..3)).map(|_| world.mutation()).collect();
                world.change(mutations).await;
            }
            let whole = read(&world.catalog, &scope).await;
            let changes = world.catalog.ruleset_changes(&scope, declared.seq).await.unwrap();
            match changes.map(|changes| declared.after(changes).unwrap()) {
                Some(Some(moved)) => {
                    assert_same(&moved, &whole);
                    for (flag, old) in moved.flags.iter().zip(moved.unchanged_since(&declared)) {
                        let Some(old) = old else { continue };
                        assert_eq!(*flag, declared.flags[old], "what is shared is the same");
                        shared += 1;
                    }
                    moved_on += 1;
                    declared = moved;
                }
                _ => {
                    read_whole += 1;
                    declared = whole;
                }
            }
        }
    }
    assert!(moved_on > 1_000 && read_whole > 100 && shared > 1_000, "{moved_on} {read_whole} {shared}");
}

/// A catalog that was restored writes the same revisions again, with something else in them.
#[tokio::test]
async fn an_entry_that_does_not_follow_what_is_known_is_not_used() {
    let scope = Scope::environment(key("shop"), key("live"));
    let mut world = World::new(1).await;
    let flag = |text: &str| {
        put(ResourceKind::Flag, &scope.to_project(), "a", json!({"key": "a", "kind": "boolean", "description": text}))
    };
    let state = |enabled: bool| put(ResourceKind::FlagState, &scope, "a", json!({"enabled": enabled}));
    assert!(world.change(vec![flag("first"), state(true)]).await);
    let declared = read(&world.catalog, &scope).await;
    assert!(world.change(vec![flag("second"), state(false)]).await);
    let changes = world.catalog.ruleset_changes(&scope, declared.seq).await.unwrap().unwrap();
    assert!(declared.after(changes.clone()).unwrap().is_some());
    for entry in 0..changes.entries.len() {
        let mut forked = changes.clone();
        forked.entries[entry].revision = Some(1);
        assert!(declared.after(forked).unwrap().is_none(), "{entry}");
    }
}
