//! Unleash's own engine: a gradual rollout of 50 %, which is its cheapest split, and two variants of equal weight.

use std::hint::black_box;

use serde_json::{Value, json};
use unleash_yggdrasil::{ClientFeatures, Context, EngineState};

use super::Engine;
use crate::job::{COUNTRIES, FLAG, Job, OTHER_FLAGS, SALT, SEATS_MIN};
use crate::person::Person;

pub struct Unleash(EngineState);

impl Unleash {
    pub fn new(job: Job) -> Self {
        let strategies = match job {
            Job::Split => rollout(50, json!([])),
            Job::NoRules => json!([]),
            Job::Segment { .. } => json!([{"name": "default", "constraints": [
                {"contextName": "userId", "operator": "IN", "values": job.members()},
            ]}]),
        };
        Self(state(strategies))
    }
}

pub struct UnleashVariant(EngineState);

impl UnleashVariant {
    pub fn new() -> Self {
        let variant = |name| json!({"name": name, "weight": 500, "stickiness": "userId"});
        Self(state(rollout(100, json!([variant("on"), variant("off")]))))
    }
}

fn rollout(percent: u32, variants: Value) -> Value {
    json!([{
        "name": "flexibleRollout",
        "constraints": [
            {"contextName": "country", "operator": "IN", "values": COUNTRIES},
            {"contextName": "seats", "operator": "NUM_GTE", "value": SEATS_MIN.to_string()},
        ],
        "parameters": {"rollout": percent.to_string(), "stickiness": "userId", "groupId": SALT},
        "variants": variants,
    }])
}

fn state(strategies: Value) -> EngineState {
    let others = (0..OTHER_FLAGS).map(|number| (format!("other-flag-{number}"), json!([])));
    let features: Vec<Value> = others
        .chain([(FLAG.to_owned(), strategies)])
        .map(|(name, strategies)| json!({"name": name, "enabled": true, "strategies": strategies}))
        .collect();
    let features: ClientFeatures =
        serde_json::from_value(json!({"version": 2, "features": features})).expect("the source above is well formed");
    let engine = EngineState::default();
    let warnings = engine.apply_client_features(features);
    assert!(warnings.is_none(), "the engine understands the source");
    engine
}

/// The engine keeps attributes of its users' own as text.
fn context(person: &Person) -> Context {
    let properties = [
        ("country", person.country.to_owned()),
        ("plan", person.plan.to_owned()),
        ("seats", person.seats.to_string()),
        ("email", person.email.clone()),
    ];
    Context {
        user_id: Some(person.id.clone()),
        properties: Some(properties.map(|(name, value)| (name.to_owned(), value)).into()),
        ..Context::default()
    }
}

impl Engine for Unleash {
    const NAME: &'static str = "unleash-yggdrasil 0.21";
    const CALL: &'static str = "is_enabled";
    type Context = Context;

    fn context(&self, person: &Person) -> Context {
        context(person)
    }

    fn answer(&mut self, context: &Context) -> bool {
        self.0.is_enabled(black_box(FLAG), context, &None)
    }
}

impl Engine for UnleashVariant {
    const NAME: &'static str = "unleash-yggdrasil 0.21";
    const CALL: &'static str = "get_variant";
    type Context = Context;

    fn context(&self, person: &Person) -> Context {
        context(person)
    }

    fn answer(&mut self, context: &Context) -> bool {
        self.0.get_variant(black_box(FLAG), context, &None).name == "on"
    }
}
