//! The official clients of Flagsmith and OpenFeature, unmodified, against the real server: whoever asks, and over
//! whichever protocol, gets the same answer. The scripts that run them are in `clients/`.

mod experiment;
mod flagsmith;
mod live;
mod ofrep;

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout},
};

use crate::{
    clients::{node, python},
    harness::{Server, shop},
};

/// How long a script may take for its next line.
const LINE_WITHIN: Duration = Duration::from_secs(60);
/// How long a script waits for what it is to see, in milliseconds.
const SEEN_WITHIN_MS: u64 = 20_000;
/// Users without traits: enough for every variation of a split to be among their answers.
const PLAIN_USERS: usize = 40;

/// Flags of Flagsmith's dialect: plain, by segment and with an individual target, divided, on, disabled, and one that is
/// off there but still has a value.
const FLAGS: &str = r#"
{kind: segment, project: shop, key: pros, spec: {name: pros, when: {flagsmith: {segment: "12", rules: [
  {type: ALL, conditions: [{operator: EQUAL, property: plan, value: pro}]}]}}}}
---
{kind: segment, project: shop, key: regulars, spec: {name: regulars, when: {flagsmith: {segment: "13", rules: [
  {type: ANY, conditions: [{operator: GREATER_THAN, property: orders, value: "3"},
                           {operator: EQUAL, property: tester, value: "true"}]}]}}}}
---
{kind: flag, project: shop, key: banner, spec: {kind: string, dialect: flagsmith, off_variation: hello,
  variations: [{key: hello, value: hello}, {key: bye, value: bye}]}}
---
{kind: flag_state, project: shop, environment: production, key: banner, spec: {enabled: true, fallthrough: {variation: hello}}}
---
{kind: flag, project: shop, key: limit, spec: {kind: number, dialect: flagsmith, off_variation: few,
  variations: [{key: few, value: 5}, {key: ten, value: 10}, {key: most, value: 99}]}}
---
kind: flag_state
project: shop
environment: production
key: limit
spec:
  enabled: true
  targets: [{variation: most, units: [vip]}]
  rules:
    - {id: segment-12, when: {segment: pros}, serve: {variation: ten}}
    - {id: segment-13, when: {segment: regulars}, serve: {variation: ten}}
  fallthrough: {variation: few}
---
{kind: flag, project: shop, key: colour, spec: {kind: string, dialect: flagsmith, off_variation: control,
  variations: [{key: control, value: slate}, {key: blue, value: navy}, {key: green, value: lime}]}}
---
{kind: flag_state, project: shop, environment: production, key: colour, spec: {enabled: true,
  fallthrough: {split: {weights: {blue: 40, green: 30, control: 30}}}}}
---
{kind: flag, project: shop, key: beta, spec: {kind: boolean, dialect: flagsmith}}
---
{kind: flag_state, project: shop, environment: production, key: beta, spec: {enabled: true, fallthrough: {variation: "on"}}}
---
{kind: flag, project: shop, key: dark, spec: {kind: boolean, dialect: flagsmith}}
---
{kind: flag_state, project: shop, environment: production, key: dark, spec: {enabled: false, fallthrough: {variation: "on"}}}
---
{kind: flag, project: shop, key: hidden, spec: {kind: string, dialect: flagsmith, off_variation: later,
  variations: [{key: later, value: soon, enabled: false}]}}
---
{kind: flag_state, project: shop, environment: production, key: hidden, spec: {enabled: true, fallthrough: {variation: later}}}
"#;

/// A server with the project `shop`, and what its clients need to know.
struct Shop {
    server: Server,
    client_key: String,
    server_key: String,
}

impl Shop {
    async fn open() -> Self {
        let server = Server::start().await;
        let client_key = shop(&server).await;
        let keys = "/projects/shop/environments/production/keys";
        let new = json!({"name": "backend", "kind": "server"});
        let (_, made) = server.manage(Method::POST, keys, Some(new)).await;
        let server_key = made["key"].as_str().unwrap().to_owned();
        Self { server, client_key, server_key }
    }

    /// With [`FLAGS`].
    async fn with_flags() -> Self {
        let shop = Self::open().await;
        shop.server.apply(FLAGS).await;
        shop
    }

    /// Starts a script on a task: `more` beside the addresses and keys.
    fn start(&self, script: &'static str, mode: &str, more: Value) -> Client {
        let mut task = json!({
            "base": self.server.url(""),
            "client_key": self.client_key,
            "server_key": self.server_key,
            "mode": mode,
            "deadline_ms": SEEN_WITHIN_MS,
        });
        task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Client::start(script, &task)
    }

    /// Runs a script to its end.
    async fn run(&self, script: &'static str, mode: &str, more: Value) -> Vec<Value> {
        self.start(script, mode, more).rest().await
    }
}

/// A client at work.
struct Client {
    name: &'static str,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Client {
    fn start(script: &'static str, task: &Value) -> Self {
        let mut command = match script {
            "flagsmith_python.py" => python(script, "flagsmith"),
            "ofrep_python.py" => python(script, "openfeature.contrib.provider.ofrep"),
            _ => node(script),
        };
        let mut child = command
            .arg(task.to_string())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node and python are there after `make test-deps`");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { name: script, child, lines }
    }

    /// Its next result; none after the last.
    async fn next(&mut self) -> Option<Value> {
        let line = tokio::time::timeout(LINE_WITHIN, self.lines.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("{} says nothing", self.name)).unwrap();
        let line = line.unwrap_or_else(|| panic!("{} ended early; what it says is above", self.name));
        let result: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{} said {line}: {error}", self.name));
        (result != json!({"done": true})).then_some(result)
    }

    /// All its results.
    async fn rest(mut self) -> Vec<Value> {
        let mut results = Vec::new();
        while let Some(result) = self.next().await {
            results.push(result);
        }
        assert!(self.child.wait().await.unwrap().success(), "{} failed", self.name);
        results
    }
}

/// Users with all kinds of traits, one with an individual target, and many without anything.
fn users() -> Vec<Value> {
    let mut users = vec![
        json!({"id": "pro", "traits": {"plan": "pro", "orders": 1, "tester": false, "score": 9.5}}),
        json!({"id": "free", "traits": {"plan": "free", "orders": 3}}),
        json!({"id": "regular", "traits": {"plan": "free", "orders": 4}}),
        json!({"id": "tester", "traits": {"tester": true}}),
        json!({"id": "passing", "traits": {"plan": "pro", "orders": 2}, "transient_traits": ["plan"], "transient": true}),
        json!({"id": "vip", "traits": {"plan": "pro"}}),
        json!({"id": "jos\u{e9} & co/+?", "traits": {}}),
    ];
    users.extend((0..PLAIN_USERS).map(|number| json!({"id": format!("u{number}")})));
    users
}

/// What was answered, by user (none: the environment) and flag.
type Answers = BTreeMap<(Option<String>, String), Vec<Value>>;

/// These fields of the answers. 5 and 5.0 are one number: JavaScript has no other.
fn answers(results: &[Value], fields: &[&str]) -> Answers {
    let is_answer = |result: &&Value| result["flag"].is_string() && result.get("case").is_none();
    let of = |result: &Value| {
        let key = (result["user"].as_str().map(str::to_owned), result["flag"].as_str().unwrap().to_owned());
        (key, fields.iter().map(|field| same_number(&result[*field])).collect())
    };
    results.iter().filter(is_answer).map(of).collect()
}

fn same_number(value: &Value) -> Value {
    value.as_f64().map_or_else(|| value.clone(), Value::from)
}

/// Asserts that two clients were answered alike, and names the first difference.
fn assert_alike(what: &str, expected: &Answers, found: &Answers) {
    for (key, answer) in expected {
        assert_eq!(found.get(key), Some(answer), "{what}: {key:?}");
    }
    assert_eq!(found.len(), expected.len(), "{what}: it has answers that the others have not");
}

/// The result of a case.
fn case<'a>(results: &'a [Value], name: &str) -> &'a Value {
    results.iter().find(|result| result["case"] == json!(name)).unwrap_or_else(|| panic!("no {name} in {results:#?}"))
}

/// Asserts what the case's result says among other things.
fn assert_case(results: &[Value], name: &str, expected: &Value) {
    let found = case(results, name);
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&found[field], value, "{name}: {found:#}");
    }
}
