//! Prerequisites: what other flags must serve first, and what becomes of flags that need each other badly.

use liftgate_evaluator::{Context, EvaluationError, FlagState, Reason, Ruleset, validate};
use serde_json::{Value, json};

use crate::ruleset;

/// A boolean flag in this state.
fn flag(key: &str, state: Value) -> Value {
    json!({"flag": {"key": key, "kind": "boolean"}, "state": state, "revision": 1})
}

/// A flag that serves `on` to everybody once each of these serves `on`.
fn needing(key: &str, needed: &[String]) -> Value {
    let prerequisites: Vec<Value> = needed.iter().map(|flag| json!({"flag": flag, "variation": "on"})).collect();
    flag(key, json!({"enabled": true, "prerequisites": prerequisites, "fallthrough": {"variation": "on"}}))
}

fn with_flags(flags: Vec<Value>) -> Ruleset {
    ruleset(json!({"revision": 1, "flags": flags}))
}

fn problems(ruleset: &Ruleset) -> Vec<String> {
    ruleset.problems().iter().map(ToString::to_string).collect()
}

#[test]
fn a_flag_serves_its_off_variation_until_the_others_serve_what_it_needs() {
    let germans = json!([{"id": "r", "when": {"attribute": "country", "op": "equals", "value": "DE"}, "serve": {"variation": "on"}}]);
    let ruleset = with_flags(vec![
        flag("account", json!({"enabled": true, "rules": germans})),
        flag(
            "checkout",
            json!({"enabled": true,
            "prerequisites": [{"flag": "account", "variation": "on"}, {"flag": "theme", "variations": ["light", "dark"]}],
            "targets": [{"variation": "on", "units": ["vip"]}]}),
        ),
        json!({"flag": {"key": "theme", "kind": "string", "off_variation": "none", "variations": [
            {"key": "none", "value": ""}, {"key": "light", "value": "l"}, {"key": "dark", "value": "d"}]},
            "state": {"enabled": true, "fallthrough": {"variation": "none"}, "rules": [
                {"id": "r", "when": {"attribute": "dark", "op": "exists"}, "serve": {"variation": "dark"}}]}, "revision": 1}),
    ]);
    assert_eq!(problems(&ruleset), [""; 0]);
    let vip = Context::user("vip");
    for (context, variation, reason, unmet) in [
        (vip.clone(), "off", Reason::Default, Some("account")),
        (vip.clone().with("country", "DE"), "off", Reason::Default, Some("theme")),
        (vip.clone().with("country", "DE").with("dark", 1), "on", Reason::TargetingMatch, None),
        (Context::user("u").with("country", "DE").with("dark", 1), "off", Reason::Default, None),
    ] {
        let answer = ruleset.evaluate("checkout", &context);
        assert_eq!((answer.variation, answer.reason, answer.prerequisite), (Some(variation), reason, unmet));
        assert_eq!(answer.enabled, unmet.is_none() && variation == "on");
        for answer in ruleset.evaluate_all(&context) {
            assert_eq!(answer, ruleset.evaluate(&answer.flag, &context));
        }
    }
}

#[test]
fn a_disabled_flag_meets_nothing_and_asks_for_nothing() {
    let on_while_off = |key: &str, state: Value| json!({"flag": {"key": key, "kind": "boolean", "off_variation": "on"}, "state": state, "revision": 1});
    let needs = json!([{"flag": "a", "variation": "on"}]);
    let ruleset = with_flags(vec![
        on_while_off("a", json!({"enabled": false})),
        on_while_off("b", json!({"enabled": true, "prerequisites": needs})),
        flag(
            "c",
            json!({"enabled": true, "prerequisites": [{"flag": "b", "variation": "on"}], "fallthrough": {"variation": "on"}}),
        ),
        flag("d", json!({"enabled": false, "prerequisites": needs})),
    ]);
    let context = Context::user("u");
    let unmet = |flag: &str| ruleset.evaluate(flag, &context).prerequisite.map(str::to_owned);
    assert_eq!(unmet("b").as_deref(), Some("a"));
    // `b` itself is enabled and serves `on`, if only because of `a`.
    assert_eq!((unmet("c"), ruleset.evaluate("c", &context).variation), (None, Some("on")));
    assert_eq!((unmet("d"), ruleset.evaluate("d", &context).reason), (None, Reason::Disabled));
}

#[test]
fn a_flag_with_prerequisites_is_not_static() {
    let ruleset = with_flags(vec![needing("a", &["b".to_owned()]), needing("b", &[])]);
    let context = Context::user("u");
    assert_eq!(ruleset.evaluate("a", &context).reason, Reason::Default);
    assert_eq!(ruleset.evaluate("b", &context).reason, Reason::Static);
}

#[test]
fn a_circle_is_named_and_breaks_only_those_on_it_and_those_that_need_them() {
    let need = |key: &str, needed: &[&str]| needing(key, &needed.iter().map(ToString::to_string).collect::<Vec<_>>());
    let ruleset = with_flags(vec![
        need("a", &["b"]),
        need("b", &["fine", "c"]),
        need("c", &["a"]),
        need("fine", &[]),
        need("outside", &["c"]),
        need("above", &["outside", "fine"]),
        need("works", &["fine"]),
    ]);
    let circle = "flags need each other in a circle: a -> b -> c -> a";
    assert_eq!(
        problems(&ruleset),
        [
            format!("flags.a.prerequisites: {circle}"),
            format!("flags.above.prerequisites[0].flag: flag `outside` is broken: {circle}"),
            format!("flags.b.prerequisites: {circle}"),
            format!("flags.c.prerequisites: {circle}"),
            format!("flags.outside.prerequisites[0].flag: flag `c` is broken: {circle}"),
        ]
    );
    let context = Context::user("u");
    for answer in ruleset.evaluate_all(&context) {
        let fine = ["fine", "works"].contains(&answer.flag.as_ref());
        assert_eq!((answer.error.is_none(), answer.variation), (fine, fine.then_some("on")), "{}", answer.flag);
    }
    let Some(EvaluationError::BrokenFlag(why)) = ruleset.evaluate("a", &context).error else { panic!("it works") };
    assert_eq!(why, format!("prerequisites: {circle}"));
}

#[test]
fn what_a_flag_needs_must_be_there() {
    let ruleset = with_flags(vec![
        flag(
            "a",
            json!({"enabled": true, "prerequisites": [
            {"flag": "nowhere", "variation": "on"}, {"flag": "b", "variations": ["on", "blue"]}, {"flag": "twice", "variation": "x"}]}),
        ),
        needing("b", &[]),
        needing("c", &["broken".to_owned()]),
        flag("broken", json!({"enabled": true, "fallthrough": {"variation": "maybe"}})),
        needing("twice", &[]),
        needing("twice", &[]),
    ]);
    let found = problems(&ruleset);
    let reason = "fallthrough.variation: `maybe` is not a variation (there are: `on`, `off`)";
    for expected in [
        "flags.a.prerequisites[0].flag: flag `nowhere` is not known".to_owned(),
        "flags.a.prerequisites[1].variations[1]: `blue` is not a variation of flag `b`".to_owned(),
        "flags.a.prerequisites[2].flag: flag `twice` is broken: key: the key is declared more than once".to_owned(),
        format!("flags.c.prerequisites[0].flag: flag `broken` is broken: {reason}"),
    ] {
        assert!(found.contains(&expected), "{expected} is not in {found:#?}");
    }
    assert_eq!(found.len(), 6);
}

#[test]
fn problems_within_one_state_are_found_without_the_other_flags() {
    let state: FlagState = serde_json::from_value(json!({"enabled": true, "prerequisites": [
        {"flag": "f", "variation": "on"}, {"flag": "g", "variations": []}, {"flag": "g", "variation": "on"}]}))
    .unwrap();
    let flag = serde_json::from_value(json!({"key": "f", "kind": "boolean"})).unwrap();
    let found: Vec<String> = validate(&flag, Some(&state)).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(found.join("\n"), @r"
    prerequisites[0].flag: a flag cannot be its own prerequisite
    prerequisites[1].variations: name at least one variation that `g` has to serve
    prerequisites[2].flag: `g` is an earlier prerequisite: list all its variations there
    ");
    for wire in [json!({"flag": "g"}), json!({"flag": "g", "variation": "on", "variations": ["on"]})] {
        let state = serde_json::from_value::<FlagState>(json!({"enabled": true, "prerequisites": [wire]}));
        assert!(state.unwrap_err().to_string().contains("exactly one of `variation` and `variations`"));
    }
}

/// Layers of flags, each needing all of the layer below.
fn layers(count: usize, width: usize) -> Vec<Value> {
    let key = |layer: usize, place: usize| format!("l{layer:02}-{place:02}");
    let below = |layer: usize| (0..width).map(|place| key(layer - 1, place)).collect::<Vec<_>>();
    let place_all = |layer: usize| (0..width).map(move |place| (layer, place));
    (0..count)
        .flat_map(place_all)
        .map(|(layer, place)| needing(&key(layer, place), &if layer == 0 { Vec::new() } else { below(layer) }))
        .collect()
}

#[test]
fn entangled_flags_are_evaluated_in_bounded_work() {
    // Followed naively, the top of these would ask for 4^15 evaluations.
    let ruleset = with_flags(layers(16, 4));
    assert_eq!(problems(&ruleset), [""; 0]);
    let context = Context::user("u");
    assert!(ruleset.evaluate_all(&context).all(|answer| answer.variation == Some("on")));
    assert_eq!(ruleset.evaluate("l15-00", &context).variation, Some("on"));

    let ruleset = with_flags(layers(5, 20));
    assert_eq!(
        problems(&ruleset)[0],
        "flags.l04-00.prerequisites: the flag needs more than 64 others, directly and through them"
    );
    assert_eq!(ruleset.evaluate_all(&context).filter(|answer| answer.error.is_some()).count(), 20);
}

#[test]
fn a_chain_is_bounded_and_a_very_long_one_is_no_trouble() {
    let ruleset = with_flags(layers(17, 1));
    assert_eq!(problems(&ruleset), ["flags.l16-00.prerequisites: more than 16 flags need each other in a row"]);
    let long: Vec<Value> = (0..5_000_u32)
        .map(|number| needing(&format!("f{number:05}"), &[format!("f{:05}", (number + 1) % 5_000)]))
        .collect();
    let ruleset = with_flags(long);
    let found = problems(&ruleset);
    assert_eq!(found.len(), 5_000);
    assert!(found[0].contains("f00000 -> f00001") && found[0].ends_with("-> f00015 -> ... -> f00000"), "{}", found[0]);
}
