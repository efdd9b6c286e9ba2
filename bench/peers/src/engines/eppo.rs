//! Eppo's core, as its SDKs use it; without exposure events, which the job does not ask for.

use std::hint::black_box;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use eppo_core::ahash::{HashMap, HashMapExt};
use eppo_core::eval::get_assignment;
use eppo_core::ufc::{UniversalFlagConfig, VariationType};
use eppo_core::{AttributeValue, Attributes, Configuration, SdkMetadata, Str};
use serde_json::{Map, Value, json};

use super::Engine;
use crate::job::{COUNTRIES, FLAG, Job, OTHER_FLAGS, SALT, SEATS_MIN};
use crate::person::Person;

const SHARDS: u32 = 10_000;

pub struct Eppo {
    configuration: Configuration,
    now: DateTime<Utc>,
}

impl Eppo {
    pub fn new(job: Job) -> Self {
        let allocations = match job {
            Job::Split => {
                let shards = |start, end| json!([{"salt": SALT, "ranges": [{"start": start, "end": end}]}]);
                json!([{
                    "key": "a",
                    "doLog": false,
                    "rules": [{"conditions": [
                        {"attribute": "country", "operator": "ONE_OF", "value": COUNTRIES},
                        {"attribute": "seats", "operator": "GTE", "value": SEATS_MIN},
                    ]}],
                    "splits": [
                        {"variationKey": "on", "shards": shards(0, SHARDS / 2)},
                        {"variationKey": "off", "shards": shards(SHARDS / 2, SHARDS)},
                    ],
                }])
            }
            Job::NoRules => everybody(json!([])),
            Job::Segment { .. } => everybody(json!([{"conditions": [
                {"attribute": "id", "operator": "ONE_OF", "value": job.members()},
            ]}])),
        };
        let others = (0..OTHER_FLAGS).map(|number| format!("other-flag-{number}"));
        let mut flags: Map<String, Value> = others.map(|key| (key.clone(), flag(&key, everybody(json!([]))))).collect();
        flags.insert(FLAG.to_owned(), flag(FLAG, allocations));
        let source = json!({
            "createdAt": "2026-01-01T00:00:00.000Z",
            "format": "SERVER",
            "environment": {"name": "Test"},
            "flags": flags,
        });
        let metadata = SdkMetadata { name: "bench", version: "0.0.0" };
        let flags = UniversalFlagConfig::from_json(metadata, source.to_string().into_bytes())
            .expect("the source above is well formed");
        Self { configuration: Configuration::from_server_response(flags, None), now: Utc::now() }
    }
}

fn flag(key: &str, allocations: Value) -> Value {
    json!({
        "key": key,
        "enabled": true,
        "variationType": "BOOLEAN",
        "variations": {"on": {"key": "on", "value": true}, "off": {"key": "off", "value": false}},
        "allocations": allocations,
        "totalShards": SHARDS,
    })
}

fn everybody(rules: Value) -> Value {
    json!([{"key": "a", "doLog": false, "rules": rules, "splits": [{"variationKey": "on", "shards": []}]}])
}

pub struct Subject {
    key: Str,
    attributes: Arc<Attributes>,
}

impl Engine for Eppo {
    const NAME: &'static str = "eppo_core 10";
    const CALL: &'static str = "get_assignment";
    type Context = Subject;

    fn context(&self, person: &Person) -> Subject {
        let mut attributes = HashMap::new();
        for (name, value) in [("country", person.country), ("plan", person.plan), ("email", &person.email)] {
            attributes.insert(Str::new(name), AttributeValue::categorical(value));
        }
        attributes.insert(Str::new("seats"), AttributeValue::numeric(person.seats as f64));
        Subject { key: Str::new(&person.id), attributes: Arc::new(attributes) }
    }

    fn answer(&mut self, subject: &Subject) -> bool {
        let wanted = Some(VariationType::Boolean);
        let flag = black_box(FLAG);
        get_assignment(Some(&self.configuration), flag, &subject.key, &subject.attributes, wanted, self.now)
            .ok()
            .flatten()
            .and_then(|assignment| assignment.value.as_boolean())
            == Some(true)
    }
}
