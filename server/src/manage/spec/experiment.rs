//! An experiment: its flag, arms and metrics exist, and what runs is not edited.

use liftgate_domain::{Cap, Experiment, ExperimentPlan, Key, Metric, Resource, ResourceKind, Scope, StoreError};
use liftgate_evaluator::{Flag, Problem};
use liftgate_stats::{Direction, Plan, PlanMethod, multiplicity::Correction};
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
    if !experiment.pinned.is_empty() && before.as_ref().is_none_or(|it| it.pinned != experiment.pinned) {
        problems.push(problem("pinned", "is written by the server when the experiment starts; leave it out"));
    }
    experiment.pinned = before.as_ref().map(|it| it.pinned.clone()).unwrap_or_default();
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
    check_metrics(lookup, &project, &experiment, &mut problems).await?;
    check_plan(&experiment.plan, &mut problems);
    Ok(if problems.is_empty() { Ok(Checked::plain(&experiment)) } else { Err(problems) })
}

/// Every metric exists, is there once a role, and can be read by the plan.
async fn check_metrics(
    lookup: &Lookup<'_>,
    project: &Scope,
    experiment: &Experiment,
    problems: &mut Vec<Problem>,
) -> Result<(), StoreError> {
    let guardrails: Vec<Key> = experiment.guardrails.iter().map(|guardrail| guardrail.metric.clone()).collect();
    let lists = [("success", &experiment.success), ("secondary", &experiment.secondary), ("guardrails", &guardrails)];
    for (field, metrics) in lists {
        for (index, key) in metrics.iter().enumerate() {
            let place = format!("{field}[{index}]");
            if metrics[..index].contains(key) {
                problems.push(problem(&place, format!("metric `{key}` is there twice")));
            }
            let Some(body) = lookup.body(ResourceKind::Metric, project, key).await? else {
                problems.push(problem(&place, format!("metric `{key}` not found; declare it first")));
                continue;
            };
            let metric: Metric = match decode(body) {
                Ok(metric) => metric,
                Err(found) => {
                    problems.extend(found);
                    continue;
                }
            };
            let moves = matches!(metric.cap, Some(Cap::Percentile(_)));
            if moves && experiment.plan.method == PlanMethod::Sequential {
                let message = format!(
                    "metric `{key}` is capped at a percentile, which moves as data come in; a sequential plan needs a cap of a \
                     fixed value"
                );
                problems.push(problem(&place, message));
            }
            let Some(guardrail) = experiment.guardrails.get(index).filter(|_| field == "guardrails") else {
                continue;
            };
            if guardrail.margin.is_relative()
                && metric.direction == Direction::Increase
                && guardrail.margin.size() >= 1.0
            {
                problems.push(problem(&format!("{place}.margin"), "a metric cannot fall by its whole size or more"));
            }
        }
    }
    Ok(())
}

fn check_plan(plan: &ExperimentPlan, problems: &mut Vec<Problem>) {
    if !(plan.alpha > 0.0 && plan.alpha < 1.0) {
        problems.push(problem("plan.alpha", "must lie strictly between 0 and 1; a usual one is 0.05"));
    }
    if !(plan.tuned_at > 0.0 && plan.tuned_at.is_finite()) {
        problems.push(problem("plan.tuned_at", "must be a number of units above 0; a usual one is 5000"));
    }
    if plan.correction == Some(Correction::EBh) {
        problems.push(problem("plan.correction", "`e_bh` works on e-values; use `by`, which holds as generally"));
    }
    if plan.prior.is_some() && plan.method != PlanMethod::Bayesian {
        problems.push(problem("plan.prior", "is only read by `method: bayesian`"));
    }
    // The statistics check the prior's own numbers.
    let as_read = Plan { method: plan.method, prior: plan.prior, ..Plan::default() };
    if as_read.check(Direction::Increase).is_err() {
        problems.push(problem("plan.prior", "needs a finite mean and a standard deviation above 0, or shapes above 0"));
    }
    if plan.lookback.is_some_and(|lookback| lookback.as_ms() == 0) {
        problems.push(problem("plan.lookback", "must be longer than 0; a usual one is `14d`"));
    }
}
