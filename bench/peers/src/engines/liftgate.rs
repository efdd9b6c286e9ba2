//! This project's own engine, with its own buckets and with those of Flagsmith.

use std::hint::black_box;

use liftgate_evaluator::{Context, Ruleset};
use serde_json::{Value, json};

use super::Engine;
use crate::job::{COUNTRIES, FLAG, Job, OTHER_FLAGS, SALT, SEATS_MIN};
use crate::person::Person;

pub struct Liftgate(Ruleset);

impl Liftgate {
    pub fn new(job: Job) -> Self {
        Self(ruleset(job, "native"))
    }
}

pub struct LiftgateFlagsmith(Ruleset);

impl LiftgateFlagsmith {
    pub fn new() -> Self {
        Self(ruleset(Job::Split, "flagsmith"))
    }
}

fn ruleset(job: Job, dialect: &str) -> Ruleset {
    let state = match job {
        Job::Split => json!({"enabled": true, "rules": [{
            "id": "r",
            "when": {"all": [
                {"attribute": "country", "op": "in", "value": COUNTRIES},
                {"attribute": "seats", "op": "gte", "value": SEATS_MIN},
            ]},
            "serve": {"split": {"salt": SALT, "ranges": [
                {"variation": "on", "start": 0, "end": 50_000},
                {"variation": "off", "start": 50_000, "end": 100_000},
            ]}},
        }]}),
        Job::NoRules => json!({"enabled": true, "fallthrough": {"variation": "on"}}),
        Job::Segment { .. } => {
            json!({"enabled": true, "rules": [{"id": "r", "when": {"segment": "s"}, "serve": {"variation": "on"}}]})
        }
    };
    let others = (0..OTHER_FLAGS).map(|number| (format!("other-flag-{number}"), json!({"enabled": true})));
    let flags: Vec<Value> = others
        .chain([(FLAG.to_owned(), state)])
        .map(|(key, state)| {
            json!({"flag": {"key": key, "kind": "boolean", "dialect": dialect}, "state": state, "revision": 1})
        })
        .collect();
    let segments = json!([{"key": "s", "included": job.members()}]);
    let source = json!({"revision": 1, "flags": flags, "segments": segments});
    let ruleset = Ruleset::compile(serde_json::from_value(source).expect("the source above is well formed"));
    assert!(ruleset.problems().is_empty(), "{:?}", ruleset.problems());
    ruleset
}

fn context(person: &Person) -> Context {
    Context::user(&person.id)
        .with("country", person.country)
        .with("plan", person.plan)
        .with("seats", person.seats)
        .with("email", person.email.as_str())
}

fn is_on(ruleset: &Ruleset, context: &Context) -> bool {
    ruleset.evaluate(black_box(FLAG), context).value.and_then(Value::as_bool) == Some(true)
}

impl Engine for Liftgate {
    const NAME: &'static str = "liftgate";
    const CALL: &'static str = "Ruleset::evaluate";
    type Context = Context;

    fn context(&self, person: &Person) -> Context {
        context(person)
    }

    fn answer(&mut self, context: &Context) -> bool {
        is_on(&self.0, context)
    }
}

impl Engine for LiftgateFlagsmith {
    const NAME: &'static str = "liftgate";
    const CALL: &'static str = "evaluate, buckets of Flagsmith";
    type Context = Context;

    fn context(&self, person: &Person) -> Context {
        context(person)
    }

    fn answer(&mut self, context: &Context) -> bool {
        is_on(&self.0, context)
    }
}
