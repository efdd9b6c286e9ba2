//! Explanations: the same answer as evaluation, with every step in words.

use liftgate_evaluator::{Context, Explanation, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{ruleset, with_state, worlds};

const NOW: Timestamp = Timestamp::from_micros(1_772_366_400_000_000);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn an_explanation_ends_where_evaluation_ends(source in worlds::source(), contexts in prop::collection::vec(worlds::context(), 8)) {
        let ruleset = ruleset(source);
        for context in &contexts {
            for answer in ruleset.evaluate_all_at(context, NOW) {
                let single = ruleset.evaluate_at(&answer.flag, context, NOW);
                prop_assert_eq!(&single, &answer);
                let explanation = ruleset.explain(&answer.flag, context, NOW);
                prop_assert_eq!(&explanation.evaluation, &answer);
                prop_assert_eq!(last_step(&explanation), answer.variation.filter(|_| explanation.flag_enabled == Some(true)), "{}", explanation);
                prop_assert!(serde_json::to_value(&explanation).is_ok());
            }
        }
    }
}

/// The variation that the steps lead to, read from them alone.
fn last_step<'r>(explanation: &Explanation<'r, '_>) -> Option<&'r str> {
    if explanation.prerequisites.iter().any(|prerequisite| !prerequisite.met) {
        return explanation.evaluation.variation;
    }
    let target = explanation.target.map(|target| target.variation);
    let rule = explanation.rules.iter().find_map(|rule| rule.serve.as_ref()?.variation());
    let fallthrough = explanation.fallthrough.as_ref().map(|serve| serve.variation().unwrap_or("off"));
    target.or(rule).or(fallthrough)
}

fn shop() -> Value {
    json!({
        "enabled": true,
        "targets": [{"variation": "on", "units": ["vip"]}],
        "rules": [
            {"id": "experiment", "when": {"segment": "beta"}, "serve": {"split": {"unit": "account", "salt": "s", "share": "50%", "ranges": [
                {"variation": "on", "start": 0, "end": 40_000}, {"variation": "off", "start": 40_000, "end": 100_000}]}}},
            {"id": "dach", "when": {"all": [
                {"attribute": "country", "op": "in", "value": ["DE", "AT", "CH"]},
                {"none": [{"attribute": "plan", "op": "equals", "value": "Trial", "ignore_case": true}, {"segment": "beta"}]},
            ]}, "serve": {"ramp": {"salt": "s-1", "treatment": "on", "control": "off", "share": "25%"}}},
            {"id": "rest", "serve": {"variation": "off"}},
        ],
    })
}

fn explain(context: &Context) -> String {
    let segments = json!([{"key": "beta", "included": ["u-in"], "excluded": ["u-out"], "when": {"any": [
        {"attribute": "signed_up", "op": "days_since_lt", "value": 30}, {"attribute": "accounts", "op": "has_any", "value": "acme"}]}}]);
    let ruleset = with_state(shop(), segments);
    assert_eq!(ruleset.problems(), []);
    ruleset.explain("f", context, NOW).to_string()
}

#[test]
fn every_step_is_a_line() {
    let german = Context::user("u-1").with("country", "DE").with("plan", "pro").with("signed_up", "2026-01-01");
    insta::assert_snapshot!(explain(&german), @r###"
    Flag `f` serves `off` = false, reason SPLIT.
      revision 4, at 2026-03-01T12:00:00Z: enabled
      rule `experiment`: not met
        segment `beta`, by its condition: not met
          any of: not met
            `signed_up` days_since_lt 30, is "2026-01-01": not met
            `accounts` has_any "acme", is absent: not met
      rule `dach`: met
        all of: met
          `country` in ["DE","AT","CH"], is "DE": met
          none of: met
            `plan` equals "Trial" (ignoring case), is "pro": not met
            segment `beta`, by its condition, shown above: not met
        ramp by user `u-1`
          bucket 86345 is outside the share of 25% (below 25000): control `off`, analysed
      rule `rest`: not reached
      fallthrough: not reached
    "###);
    let new = Context::user("u-2").with("account_id", "acme-9").with("accounts", json!(["acme"]));
    insta::assert_snapshot!(explain(&new), @r###"
    Flag `f` serves `on` = true, reason SPLIT.
      revision 4, at 2026-03-01T12:00:00Z: enabled
      rule `experiment`: met
        segment `beta`, by its condition: met
          any of: met
            `signed_up` days_since_lt 30, is absent: not met
            `accounts` has_any "acme", is ["acme"]: met
        split by account `acme-9`
          bucket 8089 is inside the share of 50% (below 50000)
          bucket 7999 is in the range from 0 to below 40000: `on`
      rule `dach`: not reached
      rule `rest`: not reached
      fallthrough: not reached
    "###);
    insta::assert_snapshot!(explain(&Context::user("u-in")), @r###"
    Flag `f` serves `off` = false, reason TARGETING_MATCH.
      revision 4, at 2026-03-01T12:00:00Z: enabled
      rule `experiment`: met
        segment `beta`, on its list of included units: met
        split by account: the context has no such unit
      rule `dach`: not met
        all of: not met
          `country` in ["DE","AT","CH"], is absent: not met
          none of: not met
            `plan` equals "Trial" (ignoring case), is absent: not met
            segment `beta`, on its list of included units: met
      rule `rest`: met
        everybody: met
        serves `off`
      fallthrough: not reached
      the context has no unit of type `account`
    "###);
    insta::assert_snapshot!(explain(&Context::user("vip")), @r###"
    Flag `f` serves `on` = true, reason TARGETING_MATCH.
      revision 4, at 2026-03-01T12:00:00Z: enabled
      individual target `vip`: `on`
      rule `experiment`: not reached
      rule `dach`: not reached
      rule `rest`: not reached
      fallthrough: not reached
    "###);
}

#[test]
fn prerequisites_and_flags_that_do_not_answer_are_explained() {
    let flag =
        |key: &str, state: Value| json!({"flag": {"key": key, "kind": "boolean"}, "state": state, "revision": 1});
    let ruleset = ruleset(json!({"revision": 1, "flags": [
        flag("a", json!({"enabled": true, "rules": [{"id": "r", "serve": {"variation": "on"}}], "prerequisites": [
            {"flag": "b", "variations": ["on"]}, {"flag": "c", "variations": ["on", "off"]}]})),
        flag("b", json!({"enabled": true, "fallthrough": {"variation": "on"}})),
        flag("c", json!({"enabled": false})),
        flag("broken", json!({"enabled": true, "fallthrough": {"variation": "x"}})),
    ]}));
    let context = Context::user("u");
    let shown = |flag: &str| ruleset.explain(flag, &context, NOW).to_string();
    insta::assert_snapshot!(shown("a"), @r###"
    Flag `a` serves `off` = false, reason DEFAULT.
      revision 1, at 2026-03-01T12:00:00Z: enabled
      prerequisite `b` serves `on`, needed is `on`: met
      prerequisite `c` is disabled, needed is `on` or `off`: not met
      prerequisite `c` is not met: the off variation
      rule `r`: not reached
      fallthrough: not reached
    "###);
    insta::assert_snapshot!(shown("c"), @r###"
    Flag `c` serves `off` = false, reason DISABLED.
      revision 1, at 2026-03-01T12:00:00Z: disabled: the off variation
      fallthrough: not reached
    "###);
    insta::assert_snapshot!(shown("broken"), @r###"
    Flag `broken` has nothing to serve: the flag is broken: fallthrough.variation: `x` is not a variation (there are: `on`, `off`).
    "###);
    insta::assert_snapshot!(shown("nowhere"), @r###"
    Flag `nowhere` has nothing to serve: the flag is not known.
    "###);
    insta::assert_json_snapshot!(ruleset.explain("a", &context, NOW).prerequisites, @r###"
    [
      {
        "flag": "b",
        "needed": [
          "on"
        ],
        "serves": "on",
        "met": true
      },
      {
        "flag": "c",
        "needed": [
          "on",
          "off"
        ],
        "serves": null,
        "met": false
      }
    ]
    "###);
}

#[test]
fn an_explanation_is_bounded_however_large_the_attributes_and_entangled_the_segments() {
    let segments: Vec<Value> = (0..16)
        .map(|level| {
            let below = json!({"segment": format!("s{}", level - 1)});
            let leaf = json!({"attribute": "x", "op": "contains", "value": "y"});
            json!({"key": format!("s{level}"), "when": {"none": vec![if level == 0 { leaf } else { below }; 20]}})
        })
        .collect();
    let state =
        json!({"enabled": true, "rules": [{"id": "r", "when": {"segment": "s15"}, "serve": {"variation": "on"}}]});
    let ruleset = with_state(state, json!(segments));
    let context = Context::user("u").with("x", "x".repeat(1_000_000));
    let explanation = ruleset.explain("f", &context, NOW);
    assert!(explanation.to_string().len() < 100_000, "{}", explanation.to_string().len());
    assert!(serde_json::to_string(&explanation).unwrap().len() < 100_000);
}
