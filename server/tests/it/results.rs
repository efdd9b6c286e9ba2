//! The readout of a running experiment: every kind of metric, covariates, slices, looks back in time, the decision, and the
//! same rows in every form.

use std::{collections::BTreeMap, time::Duration};

use arrow::{array::Array, ipc::reader::StreamReader, record_batch::RecordBatch};
use liftgate_domain::{Clock, SystemClock};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Server, TOKEN, liftgate, shop};

const USERS: u64 = 600;
const PATH: &str = "/projects/shop/environments/production/experiments/banner/results";

/// Late enough for exposures that clients tell of half a second afterwards.
const DECLARED: &str = r#"
{kind: environment, project: shop, key: production, spec: {lateness: 3s}}
---
{kind: metric, project: shop, key: revenue, spec: {kind: mean, event: purchase, value: amount, window: 3s, cap: 1000, direction: increase}}
---
{kind: metric, project: shop, key: slow_share, spec: {kind: ratio, event: slow, aggregate: count, denominator: {event: page, aggregate: count}, window: 3s, direction: decrease}}
---
{kind: metric, project: shop, key: page_p90, spec: {kind: quantile, quantile: 0.9, event: page, value: ms, window: 3s, direction: decrease}}
---
{kind: metric, project: shop, key: bought, spec: {kind: proportion, event: purchase, window: 3s, direction: increase}}
---
kind: experiment
project: shop
environment: production
key: banner
spec:
  flag: checkout
  arms: {"on": 50, "off": 50}
  control: "off"
  success: [bought]
  secondary: [revenue, slow_share]
  guardrails: [{metric: page_p90, margin: 50%}]
  plan: {method: sequential, alpha: 0.05, lookback: 1h, correction: holm}
  start: true
"#;

fn now_ms() -> i64 {
    SystemClock.now().0 / 1_000
}

/// What truly happened, by arm.
#[derive(Default)]
struct Truth {
    users: u64,
    buyers: u64,
    amount: f64,
    slow: u64,
    pages: Vec<f64>,
}

/// Every user is exposed in a country, after a purchase of the past; buyers with the banner are more.
async fn play(server: &Server, key: &str) -> BTreeMap<String, Truth> {
    let mut truth: BTreeMap<String, Truth> = BTreeMap::new();
    let mut events = Vec::new();
    for user in 0..USERS {
        let (_, answer) = server.evaluate(key, "checkout", &format!("u{user}")).await;
        let arm = answer["variant"].as_str().unwrap().to_owned();
        // After the exposure that the server notes by itself, to the millisecond.
        let now = now_ms() + 1;
        let mut event = |name: &str, at: i64, more: Value| {
            let id = format!("{name}-{user}-{}", events.len());
            let mut event =
                json!({"type": "metric", "id": id, "timestamp": at, "unit": {"id": format!("u{user}")}, "event": name});
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            events.push(event);
        };
        let entry = truth.entry(arm.clone()).or_default();
        entry.users += 1;
        let wealth = (user % 7) as f64;
        event("purchase", now - 60_000, json!({"properties": {"amount": 10.0 * wealth}}));
        if user % 10 < if arm == "on" { 6 } else { 2 } {
            let amount = 10.0 * wealth + (user % 3) as f64 + 1.0;
            (entry.buyers, entry.amount) = (entry.buyers + 1, entry.amount + amount);
            event("purchase", now, json!({"properties": {"amount": amount}}));
        }
        for page in 0..3 {
            let ms = 100.0 + ((user * 37 + page * 11) % 200) as f64;
            entry.pages.push(ms);
            event("page", now, json!({"properties": {"ms": ms}}));
            if ms > 250.0 {
                entry.slow += 1;
                event("slow", now, json!({}));
            }
        }
        let country = if user % 3 == 0 { "DE" } else { "AT" };
        events.push(json!({"type": "exposure", "id": format!("x{user}"), "timestamp": now - 500, "flag": "checkout",
            "variation": arm, "unit": {"id": format!("u{user}")}, "attributes": {"country": country}}));
        if events.len() > 300 || user == USERS - 1 {
            let (status, receipt) = server.send(key, "application/json", json!({"events": events}).to_string()).await;
            assert_eq!(status, StatusCode::OK, "{receipt:#}");
            assert_eq!(receipt["rejected"].as_array().map_or(0, Vec::len), 0, "{receipt:#}");
            events.clear();
        }
    }
    truth
}

async fn until_matured(server: &Server) -> Value {
    for _ in 0..300 {
        let results = server.get(PATH).await;
        let open = results["metrics"].as_array().unwrap().iter().map(|metric| metric["open_units"].as_u64().unwrap());
        let units: u64 = results["arms"].as_array().unwrap().iter().map(|arm| arm["units"].as_u64().unwrap()).sum();
        if units == USERS && open.sum::<u64>() == 0 {
            return results;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the units do not mature: {:#}", server.get(PATH).await);
}

fn metric<'a>(results: &'a Value, key: &str) -> &'a Value {
    results["metrics"].as_array().unwrap().iter().find(|metric| metric["metric"] == json!(key)).unwrap()
}

fn mean(results: &Value, key: &str, arm: &str) -> f64 {
    let arms = metric(results, key)["arms"].as_array().unwrap();
    arms.iter().find(|it| it["arm"] == json!(arm)).unwrap()["mean"].as_f64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequential_experiment_is_read_in_every_way() {
    let server = Server::start().await;
    let key = shop(&server).await;
    let applied = server.apply(DECLARED).await;
    assert!(applied["results"].to_string().contains("started"), "{applied:#}");
    // The exposures of the clients come half a second after the start at the earliest.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let truth = play(&server, &key).await;
    let early = server.get(PATH).await;
    assert!(early["warnings"].to_string().contains("window is still open"), "{early:#}");
    let results = until_matured(&server).await;

    for (arm, true_arm) in &truth {
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{arm}: {found} {expected}");
        close(mean(&results, "bought", arm), true_arm.buyers as f64 / true_arm.users as f64);
        close(mean(&results, "revenue", arm), true_arm.amount / true_arm.users as f64);
        close(mean(&results, "slow_share", arm), true_arm.slow as f64 / true_arm.pages.len() as f64);
        let mut pages = true_arm.pages.clone();
        pages.sort_by(f64::total_cmp);
        close(mean(&results, "page_p90", arm), pages[(0.9 * pages.len() as f64).ceil() as usize - 1]);
    }
    let bought = &metric(&results, "bought")["comparisons"][0]["comparison"];
    assert_eq!((&bought["method"], &bought["verdict"]), (&json!("anytime"), &json!("better")), "{bought:#}");
    let revenue = &metric(&results, "revenue")["comparisons"][0];
    let reduction = revenue["comparison"]["cuped"]["variance_reduction"].as_f64().unwrap();
    assert!(reduction > 0.05 && revenue["p_adjusted"].is_f64(), "{revenue:#}");
    let page = &metric(&results, "page_p90")["comparisons"][0]["comparison"];
    assert_eq!(page["margin"]["verdict"], json!("safe"), "{page:#}");
    assert_eq!(results["srm"]["method"], json!("sequential"), "{results:#}");
    assert_eq!(results["decisions"][0]["verdict"], json!("ship"), "{:#}", results["decisions"]);

    let without = server.get(&format!("{PATH}?cuped=off")).await;
    assert!(metric(&without, "revenue")["comparisons"][0]["comparison"]["cuped"].is_null(), "{without:#}");
    let all = server.get(&format!("{PATH}?units=all")).await;
    assert_eq!(all["decisions"], json!([]), "open windows decide nothing: {all:#}");

    let sliced = server.get(&format!("{PATH}?slices=country,exposure_day&stratify=country")).await;
    let slices = &metric(&sliced, "revenue")["slices"];
    let names: Vec<&str> =
        slices["slices"].as_array().unwrap().iter().map(|slice| slice["slice"].as_str().unwrap()).collect();
    assert!(names.contains(&"country=DE") && names.contains(&"country=AT"), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("exposure_day=")), "{names:?}");
    assert!(slices["heterogeneity"][0]["p_value"].is_f64(), "{slices:#}");
    assert!(sliced["srm"]["groups"].as_array().unwrap().len() >= 3, "{:#}", sliced["srm"]);

    let series = server.get(&format!("{PATH}?series=4")).await;
    let looks = series["series"].as_array().unwrap();
    assert_eq!(looks.len(), 4, "{series:#}");
    let running: Vec<f64> = looks
        .iter()
        .flat_map(|look| look["metrics"].as_array().unwrap())
        .filter(|found| found["metric"] == json!("bought"))
        .filter_map(|found| found["p_value_running"].as_f64())
        .collect();
    assert!(!running.is_empty() && running.windows(2).all(|pair| pair[1] <= pair[0]), "{series:#}");

    forms(&server).await;
    bad_queries(&server).await;
    edits_of_metrics_do_not_move_results(&server, &results).await;
}

/// CSV, Arrow and Parquet carry the same rows.
async fn forms(server: &Server) {
    let fetch = async |accept: Option<&str>, query: &str| {
        let mut request = server.http().get(server.url(&format!("/manage/v1{PATH}{query}"))).bearer_auth(TOKEN);
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        (kind, response.bytes().await.unwrap())
    };
    let (kind, text) = fetch(None, "?format=csv").await;
    assert!(kind.starts_with("text/csv"), "{kind}");
    let text = String::from_utf8(text.to_vec()).unwrap();
    assert_eq!(text.lines().count(), 5, "a header and four comparisons: {text}");
    assert!(text.starts_with("experiment,run,as_of,metric,role,slice,control,arm,n_control"), "{text}");
    let check = |batch: &RecordBatch| {
        assert_eq!(batch.num_rows(), 4);
        let verdicts = batch.column_by_name("verdict").unwrap();
        assert_eq!(verdicts.null_count(), 0);
        let n = batch.column_by_name("n_treatment").unwrap();
        assert!(n.as_any().downcast_ref::<arrow::array::UInt64Array>().unwrap().value(0) > 200);
    };
    let (kind, stream) = fetch(Some("application/vnd.apache.arrow.stream"), "").await;
    assert_eq!(kind, "application/vnd.apache.arrow.stream");
    check(&StreamReader::try_new(&stream[..], None).unwrap().next().unwrap().unwrap());
    let (kind, file) = fetch(Some("text/html, application/vnd.apache.parquet;q=0.9"), "").await;
    assert_eq!(kind, "application/vnd.apache.parquet");
    check(&ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().next().unwrap().unwrap());

    let call = |args: &[&str]| {
        liftgate()
            .args(["results", "banner", "-p", "shop", "-e", "production"])
            .args(args)
            .env("LIFTGATE_URL", server.url(""))
            .env("LIFTGATE_TOKEN", TOKEN)
            .output()
            .unwrap()
    };
    let output = call(&["--slices", "country", "--series", "2"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for wanted in ["bought", "country=DE", "margin: safe", "decision for on: ship"] {
        assert!(shown.contains(wanted), "no `{wanted}` in {shown}");
    }
    let output = call(&["--output", "parquet"]);
    assert!(output.stdout.starts_with(b"PAR1"));
}

async fn bad_queries(server: &Server) {
    for (query, field) in [
        ("units=some", "query"),
        ("series=101", "series"),
        ("colour=red", "query"),
        ("stratify=exposure_day", "stratify"),
    ] {
        let (status, problem) = server.manage(Method::GET, &format!("{PATH}?{query}"), None).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {problem:#}");
        assert_eq!(problem["errors"][0]["field"], json!(field), "{query}: {problem:#}");
    }
}

/// The metrics are pinned at the start.
async fn edits_of_metrics_do_not_move_results(server: &Server, before: &Value) {
    server
        .apply("{kind: metric, project: shop, key: bought, spec: {kind: proportion, event: nothing, window: 3s, direction: increase}}")
        .await;
    let after = server.get(PATH).await;
    assert_eq!(metric(&after, "bought")["arms"], metric(before, "bought")["arms"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_that_cannot_work_are_refused_by_field() {
    let server = Server::start().await;
    shop(&server).await;
    server
        .apply("{kind: metric, project: shop, key: capped, spec: {kind: mean, event: purchase, window: 3s, cap: p99, direction: increase}}")
        .await;
    let check = async |spec: &str, field: &str| {
        let declared = format!(
            "{{kind: experiment, project: shop, environment: production, key: e, spec: {{flag: checkout, arms: {{on: 50, off: 50}}, control: 'off', {spec}}}}}"
        );
        let (status, problem) = server.try_apply(&declared).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{spec}: {problem:#}");
        assert!(problem.to_string().contains(field), "{spec}: no `{field}` in {problem:#}");
    };
    check("success: [conversion], plan: {alpha: 2}", "plan.alpha").await;
    check("success: [conversion], plan: {alpah: 0.05}", "plan").await;
    check("success: [conversion], plan: {method: sequential, tuned_at: 0}", "plan.tuned_at").await;
    check("success: [conversion], plan: {correction: e_bh}", "plan.correction").await;
    check("success: [conversion], plan: {prior: {relative: {mean: 0, sd: 0.3}}}", "plan.prior").await;
    check("success: [conversion], plan: {method: bayesian, prior: {relative: {mean: 0, sd: 0}}}", "plan.prior").await;
    check("success: [conversion], plan: {lookback: 0s}", "plan.lookback").await;
    check("success: [capped], plan: {method: sequential}", "success[0]").await;
    check("success: [conversion], guardrails: [{metric: nothing, margin: 1%}]", "guardrails[0]").await;
    check("success: [conversion], guardrails: [{metric: errors, margin: ten}]", "guardrails[0].margin").await;
    check("success: [conversion], guardrails: [{metric: conversion, margin: 100%}]", "guardrails[0].margin").await;
    check("success: [conversion, conversion]", "success[1]").await;
}
