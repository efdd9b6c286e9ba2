//! What is served, in which order, and why.

use liftgate_evaluator::{CONTROL, Context, EvaluationError, Reason, TREATMENT};
use serde_json::{Value, json};

use crate::{ruleset, with_state};

/// Evaluates the flag `f` in this state: variation, reason, rule.
fn check(state: &Value, context: &Context, expected: (&str, Reason, Option<&str>)) {
    let ruleset = with_state(state.clone(), json!([]));
    assert_eq!(ruleset.problems(), []);
    let answer = ruleset.evaluate("f", context);
    assert_eq!((answer.variation.unwrap(), answer.reason, answer.rule), expected, "{state}");
    assert_eq!(answer.value, Some(&json!(expected.0 == "on")));
    assert_eq!((answer.flag.as_ref(), answer.revision, answer.error), ("f", 4, None));
}

#[test]
fn serves_in_the_documented_order() {
    let mut state = json!({
        "enabled": true,
        "targets": [{"variation": "off", "units": ["vip"]}],
        "rules": [
            {"id": "germans", "when": {"attribute": "country", "op": "equals", "value": "DE"}, "serve": {"variation": "on"}},
            {"id": "all-europe", "when": {"attribute": "continent", "op": "equals", "value": "EU"}, "serve": {"variation": "off"}},
        ],
        "fallthrough": {"variation": "on"},
    });
    let german = |unit: &str| Context::user(unit).with("country", "DE").with("continent", "EU");
    check(&state, &german("vip"), ("off", Reason::TargetingMatch, None));
    check(&state, &german("u"), ("on", Reason::TargetingMatch, Some("germans")));
    let french = Context::user("u").with("country", "FR").with("continent", "EU");
    check(&state, &french, ("off", Reason::TargetingMatch, Some("all-europe")));
    check(&state, &Context::user("u"), ("on", Reason::Default, None));
    check(&state, &Context::default(), ("on", Reason::Default, None));
    state["enabled"] = json!(false);
    check(&state, &german("vip"), ("off", Reason::Disabled, None));
}

#[test]
fn a_flag_without_targeting_is_static() {
    let context = Context::user("u");
    check(&json!({"enabled": true}), &context, ("off", Reason::Static, None));
    let on = json!({"enabled": true, "fallthrough": {"variation": "on"}});
    check(&on, &context, ("on", Reason::Static, None));
}

#[test]
fn conditions_nest() {
    let when = json!({"all": [
        {"any": [
            {"attribute": "plan", "op": "in", "value": ["pro", "team"]},
            {"all": [
                {"attribute": "seats", "op": "gte", "value": 10},
                {"none": [{"attribute": "country", "op": "equals", "value": "US"}]},
            ]},
        ]},
        {"none": [
            {"attribute": "email", "op": "ends_with", "value": "@test.io"},
            {"attribute": "blocked", "op": "equals", "value": true},
        ]},
    ]});
    let state = json!({"enabled": true, "rules": [{"id": "r", "when": when, "serve": {"variation": "on"}}]});
    let ruleset = with_state(state, json!([]));
    for (attributes, expected) in [
        (json!({"plan": "pro"}), "on"),
        (json!({"plan": "free"}), "off"),
        (json!({"plan": "free", "seats": 10}), "on"),
        (json!({"plan": "free", "seats": 10, "country": "US"}), "off"),
        (json!({"plan": "pro", "country": "US"}), "on"),
        (json!({"plan": "pro", "email": "a@test.io"}), "off"),
        (json!({"plan": "pro", "blocked": true}), "off"),
    ] {
        let shown = attributes.to_string();
        let attributes = attributes.as_object().unwrap().clone();
        let context = Context { targeting_key: None, attributes: attributes.into() };
        assert_eq!(ruleset.evaluate("f", &context).variation, Some(expected), "{shown}");
    }
}

#[test]
fn empty_conditions_mean_everybody_nobody_everybody() {
    for (when, expected) in [(json!({"all": []}), "on"), (json!({"any": []}), "off"), (json!({"none": []}), "on")] {
        let state = json!({"enabled": true, "rules": [{"id": "r", "when": when, "serve": {"variation": "on"}}]});
        let ruleset = with_state(state, json!([]));
        assert_eq!(ruleset.evaluate("f", &Context::default()).variation, Some(expected));
    }
}

fn ramp_state(share: &str) -> Value {
    json!({"enabled": true, "targets": [{"variation": "on", "units": ["vip"]}], "rules": [{
        "id": "ramp",
        "serve": {"ramp": {
            "unit": "account", "salt": "s", "treatment": "on", "control": "off", "share": share,
            "run": {"number": 3, "kind": "rollout", "key": "r", "stage": 1},
        }},
    }]})
}

#[test]
fn a_ramp_answers_everybody_and_assigns_equal_arms() {
    let ruleset = with_state(ramp_state("20%"), json!([]));
    let mut seen = std::collections::HashMap::<_, u32>::new();
    for number in 0..10_000 {
        let account = format!("acme-{number}");
        let context = Context::default().with("account_id", account.as_str());
        let answer = ruleset.evaluate("f", &context);
        let assignment = answer.assignment.unwrap();
        assert_eq!((answer.reason, answer.rule), (Reason::Split, Some("ramp")));
        assert_eq!((assignment.unit_type, assignment.unit_id), ("account", account.as_str()));
        assert_eq!(assignment.run.number, 3);
        assert_eq!(Some(assignment.variation), answer.variation);
        assert_eq!(assignment.variation == "on", assignment.bucket < 20_000);
        *seen.entry(assignment.arm.map(str::to_owned)).or_default() += 1;
    }
    let near = |arm: Option<&str>, expected: u32| {
        let count = seen[&arm.map(str::to_owned)];
        assert!(count.abs_diff(expected) < 200, "{arm:?}: {count}");
    };
    near(Some(TREATMENT), 2_000);
    near(Some(CONTROL), 2_000);
    near(None, 6_000);
}

#[test]
fn an_individual_target_is_served_but_not_assigned() {
    let ruleset = with_state(ramp_state("0%"), json!([]));
    let vip = Context::user("vip").with("account_id", "acme-1");
    let answer = ruleset.evaluate("f", &vip);
    assert_eq!((answer.variation, answer.assignment), (Some("on"), None));
}

#[test]
fn a_rule_whose_unit_is_missing_is_passed_over_and_named() {
    let ruleset = with_state(ramp_state("100%"), json!([]));
    let without = [json!(""), json!(42), json!(null)]
        .map(|id| Context::user("u").with("account_id", id))
        .into_iter()
        .chain([Context::user("u")]);
    for context in without {
        let answer = ruleset.evaluate("f", &context);
        assert_eq!((answer.variation, answer.reason), (Some("off"), Reason::Default));
        assert_eq!((answer.missing_unit, answer.assignment), (Some("account"), None));
    }
}

#[test]
fn units_outside_a_splits_share_go_on_to_the_next_rule() {
    let experiment = json!({"split": {
        "salt": "exp", "share": "30%",
        "ranges": [{"variation": "on", "start": 0, "end": 50000}, {"variation": "off", "start": 50000, "end": 100000}],
        "run": {"number": 8, "kind": "experiment", "key": "e", "stage": 0},
    }});
    let state = json!({"enabled": true, "rules": [
        {"id": "experiment", "serve": experiment},
        {"id": "others", "serve": {"variation": "on"}},
    ]});
    let ruleset = with_state(state, json!([]));
    let (mut inside, mut on) = (0_u32, 0_u32);
    for number in 0..10_000 {
        let context = Context::user(format!("u{number}"));
        let answer = ruleset.evaluate("f", &context);
        match answer.assignment {
            Some(assignment) => {
                assert_eq!((answer.rule, answer.reason), (Some("experiment"), Reason::Split));
                assert_eq!((assignment.arm, assignment.run.number), (answer.variation, 8));
                assert_eq!(assignment.variation == "on", assignment.bucket < 50_000);
                inside += 1;
                on += u32::from(assignment.variation == "on");
            }
            None => assert_eq!((answer.rule, answer.variation), (Some("others"), Some("on"))),
        }
    }
    assert!(inside.abs_diff(3_000) < 200, "{inside}");
    assert!(on.abs_diff(inside / 2) < 120, "{on} of {inside}");
}

#[test]
fn a_split_without_a_run_assigns_nobody() {
    let split = json!({"split": {"salt": "s", "ranges": [{"variation": "on", "start": 0, "end": 100000}]}});
    let ruleset = with_state(json!({"enabled": true, "fallthrough": split}), json!([]));
    let context = Context::user("u");
    let answer = ruleset.evaluate("f", &context);
    assert_eq!((answer.variation, answer.reason), (Some("on"), Reason::Split));
    assert_eq!(answer.assignment, None);
}

#[test]
fn a_broken_flag_is_an_error_in_its_own_slot() {
    let boolean = |key: &str, serve: &str| json!({"flag": {"key": key, "kind": "boolean"}, "state": {"enabled": true, "fallthrough": {"variation": serve}}, "revision": 2});
    let ruleset = ruleset(json!({"revision": 5, "flags": [
        boolean("works", "on"), boolean("broken", "maybe"), boolean("twice", "on"), boolean("twice", "off"),
    ]}));
    assert_eq!((ruleset.revision(), ruleset.len()), (5, 3));
    assert_eq!(ruleset.keys().collect::<Vec<_>>(), ["broken", "twice", "works"]);
    let problems: Vec<String> = ruleset.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "flags.broken.fallthrough.variation: `maybe` is not a variation (there are: `on`, `off`)",
            "flags.twice.key: the key is declared more than once",
        ]
    );

    let context = Context::user("u");
    let answers: Vec<_> = ruleset.evaluate_all(&context).collect();
    let reasons: Vec<_> = answers.iter().map(|answer| answer.reason).collect();
    assert_eq!(reasons, [Reason::Error, Reason::Error, Reason::Static]);
    assert_eq!((answers[0].value, answers[0].variation), (None, None));
    let Some(EvaluationError::BrokenFlag(why)) = &answers[0].error else { panic!("no reason") };
    assert!(why.contains("`maybe` is not a variation"), "{why}");
    for answer in answers {
        assert_eq!(ruleset.evaluate(&answer.flag, &context), answer);
    }
}

#[test]
fn an_unknown_flag_is_an_error_by_name() {
    let ruleset = with_state(json!({"enabled": true}), json!([]));
    let context = Context::user("u");
    let answer = ruleset.evaluate("g", &context);
    assert_eq!((answer.flag.as_ref(), answer.revision, answer.value), ("g", 9, None));
    assert_eq!((answer.reason, answer.error), (Reason::Error, Some(EvaluationError::FlagNotFound)));
}

#[test]
fn every_kind_serves_its_own_values() {
    let flag = |key: &str, kind: &str, value: Value| json!({"flag": {"key": key, "kind": kind, "variations": [{"key": "v", "value": value}], "off_variation": "v"}, "state": {"enabled": true}, "revision": 1});
    let ruleset = ruleset(json!({"revision": 1, "flags": [
        flag("text", "string", json!("blue")), flag("number", "number", json!(2.5)), flag("json", "json", json!({"a": [1]})),
    ]}));
    let context = Context::default();
    let values: Vec<_> = ruleset.evaluate_all(&context).map(|answer| answer.value.unwrap().clone()).collect();
    assert_eq!(values, [json!({"a": [1]}), json!(2.5), json!("blue")]);
}
