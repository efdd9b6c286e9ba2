//! What lint refuses, and that what it lets through is what the documentation shows.

use liftgate_domain::{Key, Metric, MetricKind};
use liftgate_scheduler::{Policy, lint, policy_hash};
use serde_json::{Value, json};

use crate::scene::{metrics, policy_json};

fn known(key: &Key) -> Option<Metric> {
    metrics().into_iter().find(|pinned| pinned.key == *key).map(|pinned| pinned.metric)
}

fn problems(body: Value) -> Vec<String> {
    let policy: Policy = serde_json::from_value(body).unwrap();
    lint(&policy, &known).iter().map(ToString::to_string).collect()
}

fn check(pointer: &str, value: Value, expected: &str) {
    let mut body = policy_json();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items[field.parse::<usize>().unwrap()] = value,
        parent => parent[field] = value,
    }
    let found = problems(body);
    assert!(found.iter().any(|problem| problem.starts_with(expected)), "{pointer}: {found:?} lacks {expected}");
}

#[test]
fn a_good_policy_passes() {
    assert_eq!(problems(policy_json()), Vec::<String>::new());
}

#[test]
fn each_problem_is_found_at_its_path() {
    for (pointer, value, expected) in [
        ("/unit", json!(""), "unit: "),
        ("/stages", json!([]), "stages: it needs 1 to 50"),
        ("/stages/1/share", json!("1%"), "stages[1].share: 1% does not rise: it must be above 1%"),
        ("/stages/0/share", json!("0%"), "stages[0].share: 0% does not rise"),
        ("/stages/3/share", json!("90%"), "stages[3].share: the last stage must be 100%"),
        ("/stages/0/min_exposed", Value::Null, "stages[0].min_exposed: it is missing"),
        ("/stages/0/min_exposed", json!(1), "stages[0].min_exposed: 1 units"),
        ("/stages/2/max_wait", json!("1h"), "stages[2].max_wait: it ends before the bake"),
        ("/stages/3/require", json!("safe"), "stages[3].require: nobody"),
        ("/stages/1/require", json!("safe"), "stages[1].require: guardrail `errors` has a margin of 0"),
        ("/guardrails/alpha", json!(0.0), "guardrails.alpha: `0` is not"),
        ("/guardrails/alpha", json!(1.0), "guardrails.alpha: `1` is not"),
        ("/guardrails/alpha_safe", json!(-0.1), "guardrails.alpha_safe: `-0.1` is not"),
        ("/guardrails/metrics/0/metric", json!("unheard"), "guardrails.metrics[0].metric: metric `unheard` does not"),
        ("/guardrails/metrics/0/harm", json!("decrease"), "guardrails.metrics[0].harm: metric `errors` is better"),
        ("/guardrails/metrics/0/weight", json!(0.0), "guardrails.metrics[0].weight: `0` is not"),
        ("/guardrails/metrics/0/detect", json!("0%"), "guardrails.metrics[0].detect: `0%` is not beyond"),
        ("/guardrails/metrics/0/detect", json!("5"), "guardrails.metrics[0].detect: `5` and the margin `0%` must both"),
        ("/guardrails/metrics/0/maturity", json!("2h"), "guardrails.metrics[0].maturity: 2h is not the window"),
        ("/guardrails/metrics/1/margin", json!("100%"), "guardrails.metrics[1].margin: "),
        ("/health", json!({"srm": {"alpha": 2.0}}), "health.srm.alpha: `2` is not"),
        ("/health", json!({"stale_after": "0s"}), "health.stale_after: with 0"),
    ] {
        check(pointer, value, expected);
    }
}

#[test]
fn a_wait_must_outlast_a_window() {
    let mut body = policy_json();
    body["stages"][0]["max_wait"] = json!("45m");
    let found = problems(body);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("stages[0].max_wait: it ends before a unit of metric `errors` has matured"));
}

#[test]
fn a_ratio_may_be_guarded_and_a_quantile_may_not() {
    let found = |kind: MetricKind| {
        let lookup = |key: &Key| {
            let mut metric = metrics().into_iter().find(|pinned| pinned.key == *key).map(|pinned| pinned.metric)?;
            metric.kind = kind;
            Some(metric)
        };
        let policy: Policy = serde_json::from_value(policy_json()).unwrap();
        lint(&policy, &lookup).into_iter().map(|it| it.message).collect::<Vec<_>>()
    };
    assert_eq!(found(MetricKind::Ratio), Vec::<String>::new());
    assert!(found(MetricKind::Quantile).iter().all(|message| message.contains("cut a rollout cannot freeze")));
    assert_eq!(found(MetricKind::Quantile).len(), 2);
}

#[test]
fn a_metric_guards_one_direction_once() {
    let mut body = policy_json();
    body["guardrails"]["metrics"][1] = body["guardrails"]["metrics"][0].clone();
    assert_eq!(
        problems(body),
        ["guardrails.metrics[1]: it repeats the metric and direction of `guardrails.metrics[0]`"]
    );
}

#[test]
fn guardrails_need_somebody_to_compare() {
    let mut body = policy_json();
    body["stages"] = json!([{"share": "100%", "bake": "1h"}]);
    assert_eq!(problems(body), ["stages: guardrails compare nobody without a stage below 100%"]);
}

#[test]
fn reads_yaml_and_hashes_what_it_means() {
    let yaml = "
unit: user
stages:
  - {share: 1%,  bake: 30m, min_exposed: 500}
  - {share: 10%, bake: 4h,  min_exposed: 2000}
  - {share: 50%, bake: 24h, min_exposed: 4000, max_wait: 7d}
  - {share: 100%, bake: 24h}
guardrails:
  alpha: 0.05
  metrics:
    - {metric: errors,     harm: increase, margin: 0%, act: rollback}
    - {metric: conversion, harm: decrease, margin: 5%, act: hold}
health: {srm: {alpha: 0.001, act: hold}, crossover: {max: 1%, act: hold}, exposure_loss: {max: 0.1%, act: hold}, stale_after: 15m, no_traffic: {grace: 6h, act: hold}}
on_rollback: {to: zero}
";
    let written: Policy = serde_yaml_ng::from_str(yaml).unwrap();
    let defaults: Policy = serde_json::from_value(policy_json()).unwrap();
    assert_eq!(written, defaults, "what is left out has the value that is documented");
    assert_eq!(policy_hash(&written), policy_hash(&defaults));
    let again: Policy = serde_json::from_str(&serde_json::to_string(&written).unwrap()).unwrap();
    assert_eq!(policy_hash(&again), policy_hash(&written));

    let mut other = defaults;
    other.guardrails.alpha = 0.01;
    assert_ne!(policy_hash(&other), policy_hash(&written));
}
