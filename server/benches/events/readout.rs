//! Times questions about the dataset: one metric, five in one pass, and the same under the rule of decisions.

use std::path::Path;
use std::time::Instant;

use liftgate_domain::Metric;
use liftgate_domain::{MetricKind, MetricQuery, MomentsAnswer, MomentsQuery, RowRule, Span, Timestamp, Warehouse};
use liftgate_evaluator::{Design, RunHistory, RunKind, Share, StageEntry};
use liftgate_stats::Direction;
use liftgate_store::warehouse::{ParquetOptions, ParquetWarehouse};
use serde_json::{Value, json};

use crate::{
    option, peak_memory,
    shape::{ENVIRONMENT, NAMES, RUN, SALT, START_US},
};

const WINDOW: Span = Span::from_ms(7 * 86_400_000);

pub fn run(arguments: &[&str]) {
    let dir = Path::new(arguments.first().expect("the folder of the dataset"));
    let runs: usize = option(arguments, "--runs", 7);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let began = Instant::now();
    let warehouse = ParquetWarehouse::open(dir, ParquetOptions::default()).expect("the dataset opens");
    let open_ms = began.elapsed().as_secs_f64() * 1e3;
    let one = &[("revenue", MetricKind::Mean, "purchase")];
    let five = &[
        ("revenue", MetricKind::Mean, "purchase"),
        ("buyers", MetricKind::Proportion, "purchase"),
        ("views", MetricKind::Count, "view"),
        ("clicks", MetricKind::Proportion, "click"),
        ("searches", MetricKind::Count, "search"),
    ];
    let mut timings = serde_json::Map::new();
    let mut answers = Vec::new();
    for (name, metrics, rule) in [
        ("one_metric", &one[..], RowRule::Readout),
        ("five_metrics", &five[..], RowRule::Readout),
        ("one_metric_decision", &one[..], RowRule::Decision),
        ("five_metrics_decision", &five[..], RowRule::Decision),
    ] {
        let query = question(metrics, rule);
        let mut times: Vec<f64> = Vec::new();
        let mut first_ms = 0.0;
        for run in 0..=runs {
            let began = Instant::now();
            let answer = runtime.block_on(warehouse.moments(&query)).expect("the warehouse answers");
            let took = began.elapsed().as_secs_f64() * 1e3;
            // The first one finds nothing in memory.
            if run == 0 {
                first_ms = took;
                answers.push((name, answer));
            } else {
                times.push(took);
            }
        }
        times.sort_by(f64::total_cmp);
        timings.insert(
            name.to_owned(),
            json!({"median_ms": times[times.len() / 2], "first_ms": first_ms, "all_ms": times}),
        );
    }
    let cells: Value = answers
        .iter()
        .map(|(name, answer)| ((*name).to_owned(), shown(answer)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    println!("{}", json!({"open_ms": open_ms, "timings": timings, "cells": cells, "peak_memory_bytes": peak_memory()}));
}

fn shown(answer: &MomentsAnswer) -> Value {
    let cell = |cell: &liftgate_domain::Cell| {
        let variance = cell.moments.variance().unwrap_or(0.0);
        json!({"metric": cell.metric, "arm": cell.arm, "n": cell.moments.n, "mean": cell.moments.mean, "variance": variance})
    };
    answer.cells.iter().map(cell).collect()
}

fn question(metrics: &[(&str, MetricKind, &str)], rule: RowRule) -> MomentsQuery {
    debug_assert!(metrics.iter().all(|(_, _, event)| NAMES.contains(event)));
    let history = RunHistory {
        dialect: liftgate_evaluator::Dialect::Native,
        number: RUN,
        kind: RunKind::Rollout,
        key: "bench".parse().expect("a valid key"),
        unit: "user".to_owned(),
        salt: SALT.to_owned(),
        design: Design::Ramp { treatment: "on".to_owned(), control: "off".to_owned() },
        stages: vec![StageEntry {
            stage: 0,
            share: Share::from_percent(50.0).expect("50 % is a share"),
            since: Timestamp(START_US),
        }],
        ended_at: None,
    };
    let metric = |(key, kind, event): &(&str, MetricKind, &str)| {
        MetricQuery::new(key.parse().expect("a valid key"), Metric::new(*kind, *event, WINDOW, Direction::Increase))
    };
    MomentsQuery {
        environment: ENVIRONMENT,
        history,
        arms: vec!["treatment".to_owned(), "control".to_owned()],
        metrics: metrics.iter().map(metric).collect(),
        slices: Vec::new(),
        exclude_runs: Vec::new(),
        lateness_ms: 900_000,
        rule,
        as_of: None,
    }
}
