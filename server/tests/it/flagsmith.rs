//! Flagsmith's protocol over HTTP and on the command line: its description, imports, events, and what is refused how.

use std::{collections::BTreeMap, io::Write, path::PathBuf, process::Stdio};

use liftgate::rulesets::{Declared, Snapshot};
use liftgate_domain::{Resource, ResourceKind, RulesetBundle, Scope};
use liftgate_evaluator::flagsmith::{DocumentIdentity, EnvironmentDocument, Reasons, evaluate_document};
use liftgate_evaluator::{Context, Key, Timestamp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Server, TOKEN, liftgate, read, shop};

/// The folder of one set of cases, when it is there.
fn cases(folder: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/cases");
    let path = std::env::var_os("LIFTGATE_CASES").map_or_else(beside, PathBuf::from).join(folder);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: no cases in {}; set LIFTGATE_CASES to the folder that has `{folder}`", path.display());
    None
}

struct Api {
    server: Server,
    client_key: String,
    server_key: String,
}

impl Api {
    async fn on(server: Server, client_key: String, place: &str) -> Self {
        let new = json!({"name": "backend", "kind": "server"});
        let (status, made) = server.manage(Method::POST, &format!("{place}/keys"), Some(new)).await;
        assert_eq!(status, StatusCode::CREATED, "{made:#}");
        let server_key = made["key"].as_str().unwrap().to_owned();
        Self { server, client_key, server_key }
    }

    async fn shop() -> Self {
        let server = Server::start().await;
        let client_key = shop(&server).await;
        Self::on(server, client_key, "/projects/shop/environments/production").await
    }

    async fn get(&self, path: &str, key: &str) -> (StatusCode, Value) {
        let request = self.server.http().get(self.server.url(path)).header("x-environment-key", key);
        read(request.send().await.unwrap()).await
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
        let request = self.server.http().post(self.server.url(path)).header("x-environment-key", &self.client_key);
        read(request.header("content-type", "application/json").body(body).send().await.unwrap()).await
    }
}

/// What the protocol's description says against an answer; empty without the description.
fn errors(schema: &str, answer: &Value) -> Vec<String> {
    let Some(folder) = cases("flagsmith-sdk") else { return Vec::new() };
    let text = std::fs::read_to_string(folder.join("openapi.yaml")).unwrap();
    let mut document: Value = serde_yaml_ng::from_str(&text).unwrap();
    nullable(&mut document);
    let flags = "/paths/~1api~1v1~1flags~1/get/responses/200/content/application~1json/schema";
    let wanted = if schema == "flags" { flags.to_owned() } else { format!("/components/schemas/{schema}") };
    assert!(document.pointer(&wanted).is_some(), "{wanted}");
    document["$ref"] = format!("#{wanted}").into();
    document.as_object_mut().unwrap().remove("$schema");
    let validator = jsonschema::options().with_draft(jsonschema::Draft::Draft202012).build(&document).unwrap();
    validator.iter_errors(answer).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// The description is partly in the manner of OpenAPI 3.0, where null stands beside the type.
fn nullable(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("nullable") == Some(&json!(true)) {
                if let Some(Value::Array(forms)) = fields.get_mut("oneOf") {
                    forms.push(json!({"type": "null"}));
                }
                if let Some(kind) = fields.get("type").cloned() {
                    fields.insert("type".to_owned(), json!([kind, "null"]));
                }
            }
            fields.values_mut().for_each(nullable);
        }
        Value::Array(items) => items.iter_mut().for_each(nullable),
        _ => {}
    }
}

fn check(schema: &str, answer: &Value) {
    let errors = errors(schema, answer);
    assert!(errors.is_empty(), "{schema}: {errors:#?}\n{answer:#}");
}

const FLAGS: &str = r#"
{kind: flag, project: shop, key: price, spec: {kind: number, variations: [{key: low, value: 2.5}, {key: high, value: 3}], off_variation: low}}
---
{kind: flag_state, project: shop, environment: production, key: price, spec: {enabled: true, fallthrough: {split: {weights: {low: 1, high: 1}}}}}
---
{kind: flag, project: shop, key: layout, spec: {kind: json, variations: [{key: a, value: {columns: [1, 2]}}], off_variation: a}}
---
{kind: flag_state, project: shop, environment: production, key: layout, spec: {enabled: true, fallthrough: {variation: a}}}
---
{kind: flag_state, project: shop, environment: production, key: checkout, spec: {enabled: true,
  targets: [{variation: "on", units: [vip]}],
  rules: [{id: pro, when: {attribute: plan, op: equals, value: pro}, serve: {variation: "on"}}]}}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_what_the_protocol_describes() {
    let api = Api::shop().await;
    api.server.apply(FLAGS).await;
    let (status, flags) = api.get("/api/v1/flags/", &api.client_key).await;
    assert_eq!(status, StatusCode::OK);
    check("flags", &flags);
    let (status, one) = api.get("/api/v1/flags/?feature=layout", &api.client_key).await;
    assert_eq!((status, &one["feature_state_value"]), (StatusCode::OK, &json!("{\"columns\":[1,2]}")), "{one:#}");
    let (status, none) = api.get("/api/v1/flags/?feature=nothing", &api.client_key).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(none["detail"].as_str().unwrap().contains("`nothing` not found"), "{none:#}");

    let body = r#"{"identifier": "u1", "traits": [{"trait_key": "plan", "trait_value": "pro"}, {"trait_key": "n", "trait_value": 12345678901234567890123}]}"#;
    let (status, identity) = api.post("/api/v1/identities/", body).await;
    assert_eq!(status, StatusCode::OK, "{identity:#}");
    check("V1IdentitiesResponse", &identity);
    let flag = |identity: &Value, name: &str| {
        let flags = identity["flags"].as_array().unwrap();
        flags.iter().find(|it| it["feature"]["name"] == name).cloned().unwrap()
    };
    assert_eq!(flag(&identity, "checkout")["enabled"], json!(true));
    assert_eq!(flag(&identity, "checkout")["reason"], json!("TARGETING_MATCH; segment=pro"));
    let price = flag(&identity, "price");
    assert!([json!("2.5"), json!(3)].contains(&price["feature_state_value"]), "{price:#}");
    assert_eq!((&price["reason"], &price["feature"]["type"]), (&json!("SPLIT; weight=50.0"), &json!("MULTIVARIATE")));

    // Traits are not stored: asked without them, the same identity has none.
    let (_, without) = api.get("/api/v1/identities/?identifier=u1", &api.client_key).await;
    check("V1IdentitiesResponse", &without);
    assert_eq!(flag(&without, "checkout")["enabled"], json!(false));
    assert_eq!(flag(&without, "price"), price, "the same unit is in the same variation");
    let (_, vip) = api.get("/api/v1/identities/?identifier=vip", &api.client_key).await;
    assert_eq!(flag(&vip, "checkout")["reason"], json!("TARGETING_MATCH; segment=identity_overrides"));
    let (status, nobody) = api.get("/api/v1/identities/", &api.client_key).await;
    assert_eq!((status, nobody), (StatusCode::OK, json!({"detail": "Missing identifier"})));
    // Somebody without a name is somebody all the same, the same one for the same traits.
    let (_, first) =
        api.post("/api/v1/identities/", r#"{"traits": [{"trait_key": "plan", "trait_value": "pro"}]}"#).await;
    let (_, again) =
        api.post("/api/v1/identities/", r#"{"traits": [{"trait_key": "plan", "trait_value": "pro"}]}"#).await;
    assert_eq!(first, again);
    assert!(!first["identifier"].as_str().unwrap().is_empty());

    // Flags of the native dialect that divide units cannot be evaluated elsewhere by this protocol.
    let (status, refused) = api.get("/api/v1/environment-document/", &api.server_key).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("flag `price` divides units by the native dialect"), "{detail}");
    assert!(detail.contains("flag `checkout` has conditions of its own in rule `pro`"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_cannot_be_used_is_refused_in_the_protocols_shape() {
    let api = Api::shop().await;
    api.server.apply(FLAGS).await;
    let path = "/api/v1/identities/";
    for (body, status, part) in [
        ("", 400, "the body cannot be read"),
        ("{", 400, "the body cannot be read"),
        (r#"{"identifier": 5}"#, 400, "`identifier`"),
        (r#"{"identifier": "u", "traits": {}}"#, 400, "`traits`"),
        (r#"{"identifier": "u", "traits": [{"trait_value": 1}]}"#, 400, "missing field `trait_key`"),
        (
            r#"{"identifier": "u", "traits": [{"trait_key": "a", "trait_value": {"b": 1}}]}"#,
            400,
            "`traits[0].trait_value`",
        ),
        (
            r#"{"identifier": "u", "traits": [{"trait_key": "a", "trait_value": "\ud800"}]}"#,
            400,
            "`traits[0].trait_value`",
        ),
        (r#"{"identifier": "\ud800"}"#, 400, "`identifier`"),
    ] {
        let (found, answer) = api.post(path, body).await;
        assert_eq!(found.as_u16(), status, "{body}: {answer:#}");
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{body}: {detail}");
    }
    let huge = "x".repeat(1 << 20);
    let large = json!({"identifier": "u", "traits": [{"trait_key": "a", "trait_value": huge}]}).to_string();
    let (status, answer) = api.post(path, large).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{answer:#}");
    assert!(answer["detail"].as_str().unwrap().contains("larger than"), "{answer:#}");
    let many: Vec<Value> = (0..5_000).map(|n| json!({"trait_key": format!("t{n}"), "trait_value": n})).collect();
    let (status, answer) = api.post(path, json!({"identifier": "u", "traits": many}).to_string()).await;
    assert_eq!((status, answer["traits"].as_array().unwrap().len()), (StatusCode::OK, 5_000));
    let (status, answer) = api.get("/api/v1/flags/", "env_unknown").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(answer["detail"].as_str().unwrap().contains("not known"), "{answer:#}");
    let none = api.server.http().get(api.server.url("/api/v1/flags/")).send().await.unwrap();
    let (status, answer) = read(none).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(answer["detail"].as_str().unwrap().contains("X-Environment-Key"), "{answer:#}");
    let (status, answer) = api.get("/api/v1/environment-document/", &api.client_key).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{answer:#}");
    for (body, part) in [(r#"{"checkout": -1}"#, "`checkout`"), ("{", "not valid JSON")] {
        let (status, answer) = api.post("/api/v1/analytics/flags/", body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer:#}");
        assert!(answer["detail"].as_str().unwrap().contains(part), "{answer:#}");
    }
    let events = json!({"events": [
        {"event": "checkout", "identifier": "", "timestamp": 1},
        {"event": "$flag_exposure", "identifier": "u", "timestamp": 1_767_225_600_000_i64},
    ]});
    let (status, answer) = api.post("/v1/events", events.to_string()).await;
    assert_eq!((status, &answer["accepted"]), (StatusCode::BAD_REQUEST, &json!(0)), "{answer:#}");
    assert!(answer["rejected"][1]["error"].as_str().unwrap().contains("`feature_name` is missing"), "{answer:#}");
    let public = "{kind: environment, project: shop, key: other, spec: {hash_key: ser.known}}";
    let (status, answer) = api.server.try_apply(public).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer:#}");
}

/// Runs `liftgate evaluate --flagsmith` on this input.
fn evaluate(input: &str, more: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    let mut command = liftgate();
    command.args(["evaluate", "--flagsmith"]).args(more).arg("-");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code(), lines, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn contexts_are_evaluated_on_the_command_line_each_in_its_place() {
    let context = |identifier: &str| {
        json!({"environment": {"key": "e", "name": "E"}, "identity": {"identifier": identifier},
            "features": {"f": {"key": "1", "name": "f", "enabled": true, "value": "x"}}})
    };
    let lines = format!("{}\n\n{{\"environment\": {{\"key\": 5}}}}\nnonsense\n{}\n", context("a"), context("b"));
    let (code, answers, said) = evaluate(&lines, &[]);
    assert_eq!((code, answers.len()), (Some(1), 4), "{said}");
    assert_eq!(answers[0]["flags"]["f"]["reason"], json!("STATIC"));
    assert_eq!(answers[1]["error"]["field"], json!("environment.key"));
    assert_eq!(answers[2]["error"]["request"], json!(3));
    assert_eq!(answers[3]["flags"]["f"]["value"], json!("x"));
    assert!(said.contains("2 of 4 contexts could not be evaluated"), "{said}");
    // A document of several lines, and the older reasons.
    let (code, answers, _) = evaluate(&format!("{:#}", context("a")), &["--reasons", "v10"]);
    assert_eq!((code, answers.len()), (Some(0), 1));
    assert_eq!(answers[0]["flags"]["f"]["reason"], json!("DEFAULT"));
    // A broken first line does not swallow those that follow.
    let (code, answers, _) = evaluate(&format!("{{\"environment\": {{\n{}\n", context("b")), &[]);
    assert_eq!((code, answers.len()), (Some(1), 2));
    assert!(answers[0]["error"].is_object() && answers[1]["flags"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_environment_serves_every_identity_what_it_was_served() {
    let Some(folder) = cases("flagsmith-engine-v1") else { return };
    let text = std::fs::read_to_string(folder.join("environment.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let document: EnvironmentDocument = serde_json::from_value(file["environment"].clone()).unwrap();
    let server = Server::start().await;
    let path = server.dir().join("document.json");
    std::fs::write(&path, file["environment"].to_string()).unwrap();
    let import = |more: &[&str]| {
        let mut command = liftgate();
        command.args(["import", "--from", "flagsmith", path.to_str().unwrap(), "-p", "moved", "-e", "live"]);
        let output = command.args(["--url", &server.url(""), "--token", TOKEN]).args(more).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let dry: Value = serde_json::from_str(&import(&["--dry-run"])).unwrap();
    assert!(dry.as_array().unwrap().len() > document.feature_states.len() * 2);
    let table = import(&[]);
    assert!(table.contains("created"), "{table}");
    let again = import(&["--output", "json"]);
    let again: Value = serde_json::from_str(&again).unwrap();
    let changed = again["results"].as_array().unwrap().iter().filter(|it| it["action"] != "unchanged").count();
    assert_eq!(changed, 0, "{again:#}");

    // The key of the document is a client key.
    let api = Api::on(server, document.api_key.clone(), "/projects/moved/environments/live").await;
    let mut compared = 0;
    for (index, case) in file["identities_and_responses"].as_array().unwrap().iter().enumerate() {
        let mut identity: DocumentIdentity = serde_json::from_value(case["identity"].clone()).unwrap();
        (identity.django_id, identity.composite_key) = (None, None);
        identity.identity_features.clear();
        identity.identifier = format!("{}-{index}", identity.identifier);
        let traits: Vec<Value> = identity
            .identity_traits
            .iter()
            .map(|it| json!({"trait_key": it.trait_key, "trait_value": it.trait_value}))
            .collect();
        let body = json!({"identifier": identity.identifier, "traits": traits}).to_string();
        let (status, answer) = api.post("/api/v1/identities/", body).await;
        assert_eq!(status, StatusCode::OK, "{answer:#}");
        let theirs = evaluate_document(&document, Some(&identity), Reasons::V11);
        for flag in answer["flags"].as_array().unwrap() {
            let name = flag["feature"]["name"].as_str().unwrap();
            let expected = theirs.flags.get(name).unwrap();
            assert_eq!(
                (&flag["enabled"], &flag["feature_state_value"]),
                (&json!(expected.enabled), &expected.value),
                "{name} of {identity:?}"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 101 * document.feature_states.len());

    // What goes out for local evaluation says the same as what came in.
    let (status, exported) = api.get("/api/v1/environment-document/", &api.server_key).await;
    assert_eq!(status, StatusCode::OK, "{exported:#}");
    check("V1EnvironmentDocumentResponse", &exported);
    let exported: EnvironmentDocument = serde_json::from_value(exported).unwrap();
    for number in 0..300 {
        let identity = DocumentIdentity { identifier: format!("someone-{number}"), ..DocumentIdentity::default() };
        let (before, after) = (
            evaluate_document(&document, Some(&identity), Reasons::V11),
            evaluate_document(&exported, Some(&identity), Reasons::V11),
        );
        for (name, flag) in before.flags.iter() {
            let after = after.flags.get(name).unwrap();
            assert_eq!((flag.enabled, &flag.value), (after.enabled, &after.value), "{name} of {number}");
        }
    }
}

/// Whatever serves a flag, and whoever asks, there is an answer for it: none is left out but the broken ones.
#[test]
fn every_flag_has_an_answer_whatever_serves_it() {
    let range = |variation: &str, start: u32, end: u32| json!({"variation": variation, "start": start, "end": end});
    let split = |unit: &str, share: &str| {
        let ranges = [range("on", 0, 50_000), range("off", 50_000, 100_000)];
        json!({"split": {"unit": unit, "salt": "s", "share": share, "ranges": ranges}})
    };
    let run = json!({"number": 7, "kind": "rollout", "key": "r", "stage": 0});
    let ramp = json!({"ramp": {"salt": "s", "treatment": "on", "control": "off", "share": "30%", "run": run}});
    let serves = [
        json!({"variation": "on"}),
        split("user", "100%"),
        split("user", "50%"),
        split("account", "100%"),
        ramp,
        Value::Null,
    ];
    let base = (json!({"key": "base", "kind": "boolean"}), json!({"enabled": false}));
    let mut flags = BTreeMap::from([("base".to_owned(), base)]);
    for (first, rule) in serves.iter().enumerate() {
        for (second, fallthrough) in serves.iter().enumerate() {
            for (enabled, targets, needs, dialect) in [
                (true, false, false, "native"),
                (true, true, false, "flagsmith"),
                (true, true, true, "native"),
                (false, true, false, "native"),
            ] {
                let key = format!("f{first}{second}{enabled}{targets}{needs}{dialect}");
                let mut state = json!({"enabled": enabled});
                if !rule.is_null() {
                    let when = json!({"attribute": "plan", "op": "equals", "value": "pro"});
                    state["rules"] = json!([{"id": "r", "when": when, "serve": rule}]);
                }
                if !fallthrough.is_null() {
                    state["fallthrough"] = fallthrough.clone();
                }
                if targets {
                    state["targets"] = json!([{"variation": "on", "units": ["vip"]}]);
                }
                if needs {
                    state["prerequisites"] = json!([{"flag": "base", "variation": "on"}]);
                }
                let flag = json!({"key": key, "kind": "boolean", "dialect": dialect});
                flags.insert(key, (flag, state));
            }
        }
    }
    let bundle = RulesetBundle {
        seq: 1,
        revision: 1,
        moved_at: Timestamp(1),
        environment: resource(ResourceKind::Environment, "live", json!({})),
        flags: flags.iter().map(|(key, (flag, _))| resource(ResourceKind::Flag, key, flag.clone())).collect(),
        states: flags.iter().map(|(key, (_, state))| resource(ResourceKind::FlagState, key, state.clone())).collect(),
        segments: Vec::new(),
        runs: Vec::new(),
    };
    let snapshot = Snapshot::compile(&Scope::organization(), Declared::read(bundle).unwrap(), None);
    let (ruleset, view) = (&snapshot.ruleset, &snapshot.flagsmith);
    assert!(ruleset.problems().is_empty(), "{:?}", ruleset.problems());
    let all: Vec<Value> = serde_json::from_slice(&view.environment(&snapshot, None).unwrap()).unwrap();
    assert_eq!(all.len(), ruleset.len());
    let mut insides = 0;
    for user in 0..60 {
        let user = if user == 0 { "vip".to_owned() } else { format!("u{user}") };
        let mut context = Context::user(user.as_str());
        if user.len() == 2 {
            context = context.with("plan", "pro");
        }
        let mut list = vec![b'['];
        for (index, evaluation) in ruleset.evaluate_all(&context).enumerate() {
            let before = list.len();
            view.write(index, &evaluation, &mut list);
            assert!(list.len() > before, "{user}: {evaluation:?}");
        }
        list.push(b']');
        let told: Vec<Value> = serde_json::from_slice(&list).unwrap();
        for (told, evaluation) in told.iter().zip(ruleset.evaluate_all(&context)) {
            assert_eq!(told["feature"]["name"], json!(evaluation.flag));
            assert_eq!(told["enabled"], json!(evaluation.enabled), "{user}: {evaluation:?}\n{told:#}");
            let inside = &told["metadata"]["experiment"]["in_experiment"];
            let compared = evaluation.assignment.is_some_and(|it| it.arm.is_some());
            assert_eq!(inside == &json!(true), compared, "{user}: {evaluation:?}\n{told:#}");
            insides += usize::from(compared);
        }
    }
    assert!(insides > 100, "{insides}");
}

fn resource(kind: ResourceKind, key: &str, body: Value) -> Resource {
    Resource {
        kind,
        scope: Scope::organization(),
        key: Key::new(key).unwrap(),
        number: 1,
        revision: 1,
        body,
        archived: false,
        created_at: Timestamp(1),
        updated_at: Timestamp(1),
    }
}
