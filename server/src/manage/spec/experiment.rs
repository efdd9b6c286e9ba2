//! An experiment: its flag, arms and metrics exist, and what runs is not edited.

use liftgate_domain::{Experiment, Metric, Resource, ResourceKind, StoreError};
use liftgate_evaluator::Flag;
use serde_json::Value;

use super::{Checked, Verdict, decode, problem};
use crate::manage::edit::{Lookup, Put};

pub(super) async fn check(
    lookup: &Lookup<'_>,
    put: &Put,
    spec: Value,
    current: Option<&Resource>,
) -> Result<Verdict, StoreError> {
    let mut experiment: Experiment = match decode(spec) {
        Ok(experiment) => experiment,
        Err(problems) => return Ok(Err(problems)),
    };
    let mut problems = Vec::new();
    let before: Option<Experiment> = current.map(Resource::decode).transpose()?;
    let given = (experiment.run, experiment.started_at, experiment.stopped_at);
    let stored = before.as_ref().map_or((None, None, None), |it| (it.run, it.started_at, it.stopped_at));
    if given != (None, None, None) && given != stored {
        problems.push(problem("run", "is given out by the server when the experiment starts; leave it out"));
    }
    (experiment.run, experiment.started_at, experiment.stopped_at) = stored;
    if let Some(before) = before.filter(|it| it.run.is_some()) {
        let named = Experiment { name: experiment.name.clone(), ..before };
        if named != experiment {
            problems.push(problem(
                "spec",
                "cannot be changed once the experiment has started; stop it and declare a new one",
            ));
        }
    }

    let project = put.scope.to_project();
    match lookup.body(ResourceKind::Flag, &project, &experiment.flag).await? {
        None => problems.push(problem("flag", format!("`{}` not found; declare the flag first", experiment.flag))),
        Some(body) => {
            let flag: Flag = match decode(body) {
                Ok(flag) => flag,
                Err(found) => return Ok(Err(found)),
            };
            for arm in experiment.arms.keys() {
                if !flag.variations.iter().any(|variation| variation.key == *arm) {
                    problems.push(problem(&format!("arms.{arm}"), format!("is no variation of flag `{}`", flag.key)));
                }
            }
        }
    }
    if experiment.arms.values().filter(|weight| **weight > 0).count() < 2 {
        problems.push(problem("arms", "needs at least two variations with a weight above 0"));
    }
    if experiment.arms.get(&experiment.control).copied().unwrap_or(0) == 0 {
        problems.push(problem("control", "must be one of `arms` with a weight above 0"));
    }
    if experiment.unit.trim().is_empty() {
        problems.push(problem("unit", "must name what is randomized, such as `user`"));
    }
    if experiment.success.is_empty() {
        problems.push(problem("success", "needs at least one metric"));
    }
    for (field, metrics) in [("success", &experiment.success), ("secondary", &experiment.secondary)] {
        for (index, metric) in metrics.iter().enumerate() {
            let message = match lookup.body(ResourceKind::Metric, &project, metric).await? {
                None => format!("metric `{metric}` not found; declare it first"),
                Some(body) => match unreadable(body) {
                    Some(kind) => format!(
                        "metric `{metric}` is a {kind}, which experiments do not read yet; use a proportion, mean, count \
                         or retention"
                    ),
                    None => continue,
                },
            };
            problems.push(problem(&format!("{field}[{index}]"), message));
        }
    }
    if !(experiment.alpha > 0.0 && experiment.alpha < 1.0) {
        problems.push(problem("alpha", "must lie strictly between 0 and 1; a usual one is 0.05"));
    }
    Ok(if problems.is_empty() { Ok(Checked::plain(&experiment)) } else { Err(problems) })
}

/// The kind of a metric whose units have more than one value.
fn unreadable(body: Value) -> Option<&'static str> {
    let metric: Metric = serde_json::from_value(body).ok()?;
    metric.kind.outcome().is_none().then(|| metric.kind.as_str())
}
