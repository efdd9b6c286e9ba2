//! An imported document serves every identity what Flagsmith's engine serves it.

use std::collections::BTreeMap;
use std::sync::Arc;

use liftgate_evaluator::flagsmith::{DocumentIdentity, EnvironmentDocument, Reasons, evaluate_document, import};
use liftgate_evaluator::{Context, Dialect, Evaluation, FlagKind, FlagSource, Ruleset, RulesetSource};
use serde_json::{Map, Value, json};

use super::conformance::cases;

/// The imported document as a ruleset, with the feature's name of each flag.
fn ruleset(document: &EnvironmentDocument) -> (Ruleset, BTreeMap<String, String>) {
    let imported = import(document).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let names = imported
        .flags
        .iter()
        .map(|(flag, _)| (flag.key.to_string(), flag.name.clone().unwrap_or_else(|| flag.key.to_string())));
    let names = names.collect();
    for (flag, _) in &imported.flags {
        assert_eq!(flag.dialect, Dialect::Flagsmith);
    }
    // Through the wire form, as it is stored.
    let source = RulesetSource {
        revision: 1,
        segments: imported.segments.into_iter().map(Arc::new).collect(),
        environment: imported.environment,
        flags: imported
            .flags
            .into_iter()
            .map(|(flag, state)| Arc::new(FlagSource { flag, state, revision: 1 }))
            .collect(),
        ..RulesetSource::default()
    };
    let wire = serde_json::to_value(&source).unwrap();
    let ruleset = Ruleset::compile(serde_json::from_value(wire).unwrap());
    assert!(ruleset.problems().is_empty(), "{:#?}", ruleset.problems());
    (ruleset, names)
}

/// Enabled and value, as the protocol would tell them.
fn told(answer: &Evaluation<'_, '_>, kind: FlagKind) -> (bool, Value) {
    let value = answer.value.cloned().filter(|_| kind != FlagKind::Boolean);
    (answer.enabled, value.unwrap_or_default())
}

fn agree(document: &EnvironmentDocument, identities: &[DocumentIdentity]) -> usize {
    let (ruleset, names) = ruleset(document);
    let kinds: BTreeMap<String, FlagKind> =
        import(document).unwrap().flags.into_iter().map(|(flag, _)| (flag.key.to_string(), flag.kind)).collect();
    let mut splits = 0;
    for identity in identities {
        let theirs = evaluate_document(document, Some(identity), Reasons::V11);
        let attributes: Map<String, Value> =
            identity.identity_traits.iter().map(|it| (it.trait_key.clone(), it.trait_value.0.clone())).collect();
        let context = Context { targeting_key: Some(identity.identifier.clone()), attributes: attributes.into() };
        for answer in ruleset.evaluate_all(&context) {
            let flag = theirs.flags.get(&names[&*answer.flag]).unwrap();
            let expected = (flag.enabled, flag.value.clone());
            assert_eq!(told(&answer, kinds[&*answer.flag]), expected, "{} {identity:?}", answer.flag);
            splits += usize::from(flag.reason.starts_with("SPLIT"));
        }
    }
    splits
}

#[test]
fn the_conformance_document_keeps_every_assignment() {
    let Some(folder) = cases("flagsmith-engine-v1") else { return };
    let text = std::fs::read_to_string(folder.join("environment.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let document: EnvironmentDocument = serde_json::from_value(file["environment"].clone()).unwrap();
    let traits = file["identities_and_responses"].as_array().unwrap().iter().map(|it| it["identity"].clone());
    let mut identities = Vec::new();
    for (index, identity) in traits.enumerate() {
        let mut identity: DocumentIdentity = serde_json::from_value(identity).unwrap();
        // A server hashes the identifier: numbers and overrides of these identities are not in the document.
        identity.django_id = None;
        identity.composite_key = None;
        identity.identity_features.clear();
        for copy in 0..20 {
            let identifier = format!("{}-{index}-{copy}", identity.identifier);
            identities.push(DocumentIdentity { identifier, ..identity.clone() });
        }
    }
    assert!(agree(&document, &identities) > 0, "no identity was split");
}

fn document() -> Value {
    let state = |id: u64, name: &str, enabled: bool, value: Value, options: Value| {
        json!({"feature": {"id": id, "name": name, "type": "STANDARD"}, "enabled": enabled, "feature_state_value": value,
            "django_id": id * 10, "multivariate_feature_state_values": options})
    };
    let option = |id: u64, key: Value, value: &str, share: f64| json!({"id": id, "percentage_allocation": share, "multivariate_feature_option": {"id": id, "key": key, "value": value}});
    let pro = json!([{"type": "ALL", "rules": [], "conditions": [{"property_": "plan", "operator": "EQUAL", "value": "pro"}]}]);
    let tenth = json!([{"type": "ALL", "rules": [], "conditions": [{"property_": "", "operator": "PERCENTAGE_SPLIT", "value": "10"}]}]);
    let mut segment_state = state(2, "Colour Scheme", false, json!("red"), json!([]));
    segment_state["feature_segment"] = json!({"priority": 1});
    let mut split_state =
        state(2, "Colour Scheme", true, json!("gold"), json!([option(9, json!("silver"), "silver", 33.3333)]));
    split_state["feature_segment"] = json!({"priority": 0});
    split_state["django_id"] = json!(77);
    json!({
        "api_key": "env-key", "name": "Production",
        "project": {"hide_disabled_flags": false, "segments": [
            {"id": 4, "name": "Pro!", "rules": pro, "feature_states": [segment_state, state(1, "basic", true, Value::Null, json!([]))]},
            {"id": 5, "name": "pro", "rules": tenth, "feature_states": [split_state]},
        ]},
        "feature_states": [
            state(1, "basic", false, Value::Null, json!([])),
            state(2, "Colour Scheme", true, json!("grey"),
                json!([option(3, Value::Null, "green", 50.0), option(1, json!("b"), "blue", 12.07)])),
            state(3, "limit", true, json!(10), json!([])),
            state(4, "mixed", true, Value::Null, json!([option(5, json!("t"), "text", 100.0)])),
        ],
        "identity_overrides": [{"identifier": "vip", "identity_features": [
            state(2, "Colour Scheme", false, json!("grey"), json!([])), state(3, "limit", true, json!(99), json!([])),
        ]}],
    })
}

#[test]
fn splits_segments_and_identities_are_kept() {
    let document: EnvironmentDocument = serde_json::from_value(document()).unwrap();
    let identities: Vec<DocumentIdentity> = (0..2_000)
        .map(|number| {
            let plan = if number % 3 == 0 { json!("pro") } else { json!("free") };
            let identifier = if number == 7 { "vip".to_owned() } else { format!("user-{number}") };
            serde_json::from_value(json!({"identifier": identifier,
                "identity_traits": [{"trait_key": "plan", "trait_value": plan}]}))
            .unwrap()
        })
        .collect();
    assert!(agree(&document, &identities) > 2_500);
}

#[test]
fn options_keep_their_keys_however_alike_their_values_are() {
    let mut same = document();
    let options = &mut same["feature_states"][1]["multivariate_feature_state_values"];
    options[0]["multivariate_feature_option"] = json!({"id": 3, "key": "blue-long", "value": "same"});
    options[1]["multivariate_feature_option"] = json!({"id": 1, "key": "blue", "value": "same"});
    let document: EnvironmentDocument = serde_json::from_value(same).unwrap();
    let imported = import(&document).unwrap();
    let flag = &imported.flags.iter().find(|(flag, _)| flag.name.as_deref() == Some("Colour Scheme")).unwrap().0;
    for key in ["blue", "blue-long", "control"] {
        assert!(flag.variation(key).is_some(), "{key}: {:?}", flag.variations);
    }
    let (ruleset, _) = ruleset(&document);
    for number in 0..500 {
        let identity = DocumentIdentity { identifier: format!("user-{number}"), ..DocumentIdentity::default() };
        let theirs = evaluate_document(&document, Some(&identity), Reasons::V11);
        let context = Context::user(identity.identifier.as_str());
        let answer = ruleset.evaluate(flag.key.as_str(), &context);
        if answer.rule.is_none() {
            assert_eq!(answer.variation, theirs.flags.get("Colour Scheme").unwrap().variant.as_deref(), "{number}");
        }
    }
}

#[test]
fn what_cannot_be_kept_is_named() {
    let mut wrong = document();
    wrong["api_key"] = json!("");
    wrong["feature_states"][1]["multivariate_feature_state_values"][0]["percentage_allocation"] = json!(-5);
    wrong["feature_states"][3]["multivariate_feature_state_values"][0]["percentage_allocation"] = json!(101);
    wrong["feature_states"][2]["feature"]["name"] = json!("basic");
    wrong["project"]["segments"][0]["rules"][0]["conditions"][0]["property_"] = json!("$.flags.basic.enabled");
    let document: EnvironmentDocument = serde_json::from_value(wrong).unwrap();
    let problems = import(&document).unwrap_err();
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "api_key",
            "project.segments[0].rules[0].conditions[0].property",
            "feature_states[1].multivariate_feature_state_values[1].percentage_allocation",
            "feature_states[2].feature.name",
            "feature_states[3].multivariate_feature_state_values[0].percentage_allocation",
        ]
    );
}
