//! GrowthBook's official Rust SDK: the evaluation under its client, which adds a lock and callbacks. A list of ids stands in the
//! condition itself, or in a saved group that the condition names.

use std::collections::HashMap;
use std::hint::black_box;

use growthbook_rust::dto::GrowthBookFeature;
use growthbook_rust::growthbook::GrowthBook as Sdk;
use growthbook_rust::model_public::{GrowthBookAttribute, GrowthBookAttributeValue, SavedGroup};
use serde_json::{Map, Value, json};

use super::Engine;
use crate::job::{COUNTRIES, FLAG, Job, OTHER_FLAGS, SALT, SEATS_MIN};
use crate::person::Person;

pub struct GrowthBook(Sdk);

impl GrowthBook {
    pub fn new(job: Job) -> Self {
        let feature = match job {
            Job::Split => json!({"defaultValue": false, "rules": [{
                "condition": {"country": {"$in": COUNTRIES}, "seats": {"$gte": SEATS_MIN}},
                "key": FLAG,
                "seed": SALT,
                "hashAttribute": "id",
                "hashVersion": 2,
                "variations": [true, false],
                "weights": [0.5, 0.5],
            }]}),
            Job::NoRules => json!({"defaultValue": true}),
            Job::Segment { .. } => members(json!({"$in": job.members()})),
        };
        Self(sdk(feature))
    }
}

pub struct GrowthBookGroup(Sdk);

impl GrowthBookGroup {
    pub fn new(job: Job) -> Self {
        let ids = job.members().into_iter().map(GrowthBookAttributeValue::String).collect();
        let mut sdk = sdk(members(json!({"$inGroup": "s"})));
        sdk.saved_groups.insert("s".to_owned(), SavedGroup::LegacyList(ids));
        Self(sdk)
    }
}

fn members(condition: Value) -> Value {
    json!({"defaultValue": false, "rules": [{"condition": {"id": condition}, "force": true}]})
}

fn sdk(feature: Value) -> Sdk {
    let others = (0..OTHER_FLAGS).map(|number| (format!("other-flag-{number}"), json!({"defaultValue": true})));
    let features: Map<String, Value> = others.chain([(FLAG.to_owned(), feature)]).collect();
    let features: HashMap<String, GrowthBookFeature> =
        serde_json::from_value(Value::Object(features)).expect("the source above is well formed");
    Sdk {
        forced_variations: None,
        features,
        attributes: None,
        sticky_bucket_service: None,
        saved_groups: HashMap::new(),
    }
}

fn attributes(person: &Person) -> Option<Vec<GrowthBookAttribute>> {
    let text = |name: &str, value: &str| {
        GrowthBookAttribute::new(name.to_owned(), GrowthBookAttributeValue::String(value.to_owned()))
    };
    Some(vec![
        text("id", &person.id),
        text("country", person.country),
        text("plan", person.plan),
        GrowthBookAttribute::new("seats".to_owned(), GrowthBookAttributeValue::Int(person.seats)),
        text("email", &person.email),
    ])
}

impl Engine for GrowthBook {
    const NAME: &'static str = "growthbook-rust 0.4";
    const CALL: &'static str = "GrowthBook::check";
    type Context = Option<Vec<GrowthBookAttribute>>;

    fn context(&self, person: &Person) -> Self::Context {
        attributes(person)
    }

    fn answer(&mut self, attributes: &Self::Context) -> bool {
        self.0.check(black_box(FLAG), attributes).on
    }
}

impl Engine for GrowthBookGroup {
    const NAME: &'static str = "growthbook-rust 0.4";
    const CALL: &'static str = "GrowthBook::check, saved group";
    type Context = Option<Vec<GrowthBookAttribute>>;

    fn context(&self, person: &Person) -> Self::Context {
        attributes(person)
    }

    fn answer(&mut self, attributes: &Self::Context) -> bool {
        self.0.check(black_box(FLAG), attributes).on
    }
}
