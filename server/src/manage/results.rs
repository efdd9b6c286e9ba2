//! An experiment's readout: arms, sample ratio, and every metric with its lifts and intervals.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use liftgate_domain::{
    Experiment, Key, Metric, MetricQuery, MomentsAnswer, MomentsQuery, ResourceKind, Role, RowRule, Scope, Timestamp,
    Watermark,
};
use liftgate_stats::{Comparison, Direction, Moments, Outcome, Srm, compare, srm_chi_square};
use serde::Serialize;

use super::paths::{InEnvironment, Named};
use crate::{access::Caller, app::App, problem::ApiError};

/// A sample ratio this unlikely is a warning: something is wrong with who was counted.
const SRM_ALPHA: f64 = 0.001;

/// The readout.
#[derive(Debug, Serialize)]
pub struct Readout {
    experiment: Key,
    flag: Key,
    run: u64,
    started_at: Option<Timestamp>,
    stopped_at: Option<Timestamp>,
    /// Two-sided error of the intervals, for one look at a time fixed in advance.
    alpha: f64,
    control: String,
    watermark: Watermark,
    arms: Vec<ArmUnits>,
    srm: Option<Srm>,
    metrics: Vec<MetricReadout>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ArmUnits {
    arm: String,
    units: u64,
}

#[derive(Debug, Serialize)]
struct MetricReadout {
    metric: Key,
    role: &'static str,
    direction: Direction,
    arms: Vec<ArmMoments>,
    comparisons: Vec<ArmComparison>,
}

#[derive(Debug, Serialize)]
struct ArmMoments {
    arm: String,
    n: u64,
    mean: f64,
}

#[derive(Debug, Serialize)]
struct ArmComparison {
    arm: String,
    comparison: Comparison,
}

/// `GET .../experiments/{key}/results`.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    InEnvironment(scope): InEnvironment,
    Named(key): Named,
) -> Result<Json<Readout>, ApiError> {
    caller.may(Role::Viewer, &scope)?;
    read(&app, &scope, key).await.map(Json)
}

async fn read(app: &App, scope: &Scope, key: Key) -> Result<Readout, ApiError> {
    let experiment: Experiment = app
        .catalog
        .resource(ResourceKind::Experiment, scope, &key)
        .await?
        .ok_or_else(|| ApiError::not_found(format!("experiment `{key}` in `{scope}`")))?
        .decode()?;
    let number = experiment.run.ok_or_else(|| {
        ApiError::new(axum::http::StatusCode::CONFLICT, "not_started", format!("experiment `{key}` has not started"))
            .next("start it with `POST .../experiments/{key}/start`")
    })?;
    let run = app
        .catalog
        .run(scope, number)
        .await?
        .ok_or_else(|| ApiError::not_found(format!("run {number} in `{scope}`")))?;
    let mut metrics = Vec::new();
    let roles = [("success", &experiment.success), ("secondary", &experiment.secondary)];
    for (role, keys) in roles {
        for metric_key in keys {
            let resource = app.catalog.resource(ResourceKind::Metric, &scope.to_project(), metric_key).await?;
            let metric: Metric =
                resource.ok_or_else(|| ApiError::not_found(format!("metric `{metric_key}`")))?.decode()?;
            metrics.push((role, MetricQuery::new(metric_key.clone(), metric)));
        }
    }
    let arms: Vec<String> = experiment.arms.keys().cloned().collect();
    let query = MomentsQuery {
        environment: run.environment,
        history: run.history,
        arms: arms.clone(),
        metrics: metrics.iter().map(|(_, metric)| metric.clone()).collect(),
        slices: Vec::new(),
        exclude_runs: Vec::new(),
        lateness_ms: 0,
        rule: RowRule::Readout,
        as_of: None,
    };
    let answer = app.warehouse.moments(&query).await?;
    let counts: Vec<u64> = arms.iter().map(|arm| units_of(&answer, arm)).collect();
    let weights: Vec<f64> = experiment.arms.values().map(|weight| f64::from(*weight)).collect();
    let srm = srm_chi_square(&counts, &weights).ok();
    let warnings = warnings(&answer, srm.as_ref(), &counts);
    Ok(Readout {
        metrics: metrics.iter().map(|(role, metric)| metric_readout(role, metric, &answer, &experiment)).collect(),
        experiment: key,
        flag: experiment.flag,
        run: number,
        started_at: experiment.started_at,
        stopped_at: experiment.stopped_at,
        alpha: experiment.alpha,
        control: experiment.control,
        watermark: answer.watermark,
        arms: arms.into_iter().zip(counts).map(|(arm, units)| ArmUnits { arm, units }).collect(),
        srm,
        warnings,
    })
}

fn metric_readout(
    role: &'static str,
    query: &MetricQuery,
    answer: &MomentsAnswer,
    experiment: &Experiment,
) -> MetricReadout {
    // An experiment has one stage; several would pool here, which a fixed split allows.
    let mut by_arm: BTreeMap<&str, Moments> =
        experiment.arms.keys().map(|arm| (arm.as_str(), Moments::default())).collect();
    for cell in answer.cells.iter().filter(|cell| cell.metric == query.key) {
        if let Some(moments) = by_arm.get_mut(cell.arm.as_str()) {
            moments.merge(&cell.moments);
        }
    }
    let control = by_arm.get(experiment.control.as_str()).copied().unwrap_or_default();
    // Kinds whose units have several values are refused where an experiment names its metrics.
    let outcome = query.metric.kind.outcome().unwrap_or(Outcome::Mean);
    let comparisons = by_arm
        .iter()
        .filter(|(arm, _)| **arm != experiment.control)
        .map(|(arm, treatment)| ArmComparison {
            arm: (*arm).to_owned(),
            comparison: compare(outcome, query.metric.direction, &control, treatment, experiment.alpha),
        })
        .collect();
    MetricReadout {
        metric: query.key.clone(),
        role,
        direction: query.metric.direction,
        arms: by_arm.iter().map(|(arm, m)| ArmMoments { arm: (*arm).to_owned(), n: m.n, mean: m.mean }).collect(),
        comparisons,
    }
}

fn units_of(answer: &MomentsAnswer, arm: &str) -> u64 {
    answer.arms.iter().filter(|count| count.arm == arm).map(|count| count.units).sum()
}

fn warnings(answer: &MomentsAnswer, srm: Option<&Srm>, counts: &[u64]) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(srm) = srm.filter(|srm| srm.p_value < SRM_ALPHA) {
        warnings.push(format!(
            "the arms' sizes do not fit their weights (p = {:.2e}): do not trust the effects before the cause is found",
            srm.p_value
        ));
    }
    if answer.crossover_units > 0 {
        warnings.push(format!("{} units were seen in several arms and are left out", answer.crossover_units));
    }
    if answer.non_finite > 0 {
        warnings.push(format!("{} values were not finite numbers and count as 0", answer.non_finite));
    }
    if counts.iter().any(|units| *units < 100) {
        warnings.push("an arm has fewer than 100 units: intervals are wide and approximate".to_owned());
    }
    warnings.push("units whose window is still open are included: their values may still grow".to_owned());
    warnings
}
