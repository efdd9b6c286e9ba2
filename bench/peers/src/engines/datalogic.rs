//! JSONLogic with flagd's operators: rules compiled once, the person parsed once. It knows no flags: whoever builds a flag service on it
//! keeps the rules by the keys of flags, so that is measured, and the rule alone beside it.

use std::hint::black_box;

use datalogic_rs::{Logic, ParsedData, Session};
use eppo_core::ahash::{HashMap, HashMapExt};
use serde_json::json;

use super::Engine;
use crate::job::{COUNTRIES, FLAG, OTHER_FLAGS, SALT, SEATS_MIN};
use crate::person::Person;

/// The job as flagd writes it.
pub fn rule() -> String {
    let conditions = json!({"and": [
        {"in": [{"var": "country"}, COUNTRIES]},
        {">=": [{"var": "seats"}, SEATS_MIN]},
    ]});
    let split = json!({"fractional": [{"cat": [SALT, {"var": "targetingKey"}]}, ["on", 50], ["off", 50]]});
    json!({"if": [conditions, split, "off"]}).to_string()
}

/// Lives as long as the program, so that sessions can borrow it.
fn engine() -> &'static datalogic_rs::Engine {
    Box::leak(Box::new(datalogic_rs::Engine::new()))
}

pub struct Datalogic {
    rules: HashMap<String, Logic>,
    session: Session<'static>,
}

impl Datalogic {
    pub fn new() -> Self {
        let engine = engine();
        let compile = |rule: &str| engine.compile(rule).expect("the rule is well formed");
        let mut rules = HashMap::new();
        for number in 0..OTHER_FLAGS {
            rules.insert(format!("other-flag-{number}"), compile("\"on\""));
        }
        rules.insert(FLAG.to_owned(), compile(&rule()));
        Self { rules, session: engine.session() }
    }
}

pub struct DatalogicRule {
    rule: Logic,
    session: Session<'static>,
}

impl DatalogicRule {
    pub fn new() -> Self {
        let engine = engine();
        Self { rule: engine.compile(&*rule()).expect("the rule is well formed"), session: engine.session() }
    }
}

fn context(person: &Person) -> ParsedData {
    let data = json!({
        "targetingKey": person.id,
        "country": person.country,
        "plan": person.plan,
        "seats": person.seats,
        "email": person.email,
    });
    ParsedData::from_json(&data.to_string()).expect("JSON is written above")
}

fn is_on(session: &mut Session<'_>, rule: &Logic, context: &ParsedData) -> bool {
    session.reset();
    session.eval_borrowed(rule, context).is_ok_and(|variant| variant.as_str() == Some("on"))
}

impl Engine for Datalogic {
    const NAME: &'static str = "datalogic-rs 5.4";
    const CALL: &'static str = "look-up, eval_borrowed";
    type Context = ParsedData;

    fn context(&self, person: &Person) -> ParsedData {
        context(person)
    }

    fn answer(&mut self, context: &ParsedData) -> bool {
        self.rules.get(black_box(FLAG)).is_some_and(|rule| is_on(&mut self.session, rule, context))
    }
}

impl Engine for DatalogicRule {
    const NAME: &'static str = "datalogic-rs 5.4";
    const CALL: &'static str = "eval_borrowed alone";
    type Context = ParsedData;

    fn context(&self, person: &Person) -> ParsedData {
        context(person)
    }

    fn answer(&mut self, context: &ParsedData) -> bool {
        is_on(&mut self.session, &self.rule, context)
    }
}
