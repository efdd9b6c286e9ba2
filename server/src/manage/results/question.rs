//! The question that a readout asks of the warehouse. Quantiles need two: first their values, then how the events of each
//! unit lie around them.

use liftgate_domain::{
    Dimension, Experiment, Key, Metric, MetricKind, MetricQuery, MomentsAnswer, MomentsQuery, ResourceKind, Run, Scope,
    Timestamp,
};
use liftgate_stats::{decision::MetricRole, quantile::neighbours};

use super::parameters::{Parameters, Units};
use crate::{app::App, problem::ApiError};

/// A metric with what it is for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What it is for.
    pub role: MetricRole,
    /// What is asked of the warehouse.
    pub query: MetricQuery,
}

/// What the warehouse said.
pub struct Answered {
    /// Everything but what quantiles need beside their values.
    pub first: MomentsAnswer,
    /// Of quantiles: events up to each value, and the neighbouring values.
    pub second: Option<MomentsAnswer>,
    /// Of quantiles: the metric with its cuts, as asked the second time.
    pub quantiles: Vec<MetricQuery>,
}

/// The experiment's metrics as they were at its start. A guardrail may be a success metric too; each role is asked for.
pub async fn metrics(
    app: &App,
    scope: &Scope,
    experiment: &Experiment,
    parameters: &Parameters,
) -> Result<Vec<Asked>, ApiError> {
    let mut asked = Vec::new();
    for (role, key) in experiment.metrics() {
        let metric = match experiment.pinned.iter().find(|pinned| pinned.key == *key) {
            Some(pinned) => pinned.metric.clone(),
            None => current(app, scope, key).await?,
        };
        let mut query = MetricQuery::new(key.clone(), metric);
        match query.metric.kind {
            MetricKind::Quantile => query.probabilities.extend(query.metric.quantile),
            _ if parameters.with_covariates => query.lookback = experiment.plan.lookback,
            _ => {}
        }
        asked.push(Asked { role, query });
    }
    Ok(asked)
}

async fn current(app: &App, scope: &Scope, key: &Key) -> Result<Metric, ApiError> {
    let resource = app.catalog.resource(ResourceKind::Metric, &scope.to_project(), key).await?;
    Ok(resource.ok_or_else(|| ApiError::not_found(format!("metric `{key}`")))?.decode()?)
}

/// When and over what a question is asked.
pub struct When {
    /// Which units count.
    pub units: Units,
    /// How late a row may arrive and still count.
    pub lateness_ms: u64,
    /// The instant of received time; now when absent.
    pub as_of: Option<Timestamp>,
}

/// Asks about the run.
pub async fn ask(
    app: &App,
    run: &Run,
    experiment: &Experiment,
    asked: &[Asked],
    slices: &[Dimension],
    when: &When,
) -> Result<Answered, ApiError> {
    let query = |metrics: Vec<MetricQuery>, slices: Vec<Dimension>, as_of: Option<Timestamp>| MomentsQuery {
        environment: run.environment,
        history: run.history.clone(),
        arms: experiment.arms.keys().cloned().collect(),
        metrics,
        slices,
        exclude_runs: Vec::new(),
        lateness_ms: when.lateness_ms,
        rule: when.units.rule(),
        as_of,
    };
    // A metric that has two roles is asked for once.
    let mut distinct: Vec<MetricQuery> = Vec::new();
    for it in asked {
        if distinct.iter().all(|known| known.key != it.query.key) {
            distinct.push(it.query.clone());
        }
    }
    let first = app.warehouse.moments(&query(distinct.clone(), slices.to_vec(), when.as_of)).await?;
    let quantiles: Vec<MetricQuery> = distinct
        .into_iter()
        .filter(|query| query.metric.kind == MetricKind::Quantile)
        .filter_map(|query| around(query, &first))
        .collect();
    let second = if quantiles.is_empty() {
        None
    } else {
        // As of the same instant, so that both answers are about the same units.
        let as_of = when.as_of.or_else(|| first.watermark.time());
        Some(app.warehouse.moments(&query(quantiles.clone(), Vec::new(), as_of)).await?)
    };
    Ok(Answered { first, second, quantiles })
}

/// The quantile's second question: cuts at its values, and their neighbours. `None` when no arm has events.
fn around(query: MetricQuery, first: &MomentsAnswer) -> Option<MetricQuery> {
    let probability = query.metric.quantile?;
    let found: Vec<_> =
        first.quantiles.iter().filter(|cell| cell.metric == query.key && cell.slice.is_none()).collect();
    let mut cuts: Vec<f64> = found.iter().map(|cell| cell.value).collect();
    cuts.sort_by(f64::total_cmp);
    cuts.dedup();
    let mut probabilities: Vec<f64> =
        found.iter().filter_map(|cell| neighbours(probability, cell.events)).flat_map(|(l, u)| [l, u]).collect();
    probabilities.sort_by(f64::total_cmp);
    probabilities.dedup();
    (!cuts.is_empty()).then_some(MetricQuery { cuts, probabilities, ..query })
}
