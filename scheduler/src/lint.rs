//! What cannot work is refused before it starts: every problem of a policy, with the path of the field.

use liftgate_domain::{Cap, Key, Metric, MetricKind, Share};
use liftgate_evaluator::Problem;
use liftgate_stats::GuardrailPlan;

use crate::policy::{Guardrail, Guardrails, Health, Policy, Require, Stage};

/// The most stages a policy may have.
pub const STAGES_MAX: usize = 50;
/// The most guardrails a policy may have.
pub const GUARDRAILS_MAX: usize = 50;

/// Every problem of a policy; empty when it can be started. `metric` looks a metric up by its key.
pub fn lint(policy: &Policy, metric: &dyn Fn(&Key) -> Option<Metric>) -> Vec<Problem> {
    let mut found = Found::default();
    if policy.unit.is_empty() {
        found.add("unit", "it must name a type of unit, such as `user`");
    }
    check_stages(policy, &mut found);
    check_alphas(&policy.guardrails, &mut found);
    check_health(&policy.health, &mut found);
    for (index, guardrail) in policy.guardrails.metrics.iter().enumerate() {
        let path = format!("guardrails.metrics[{index}]");
        check_guardrail(policy, guardrail, &path, &mut found);
        match metric(&guardrail.metric) {
            Some(metric) => check_against_metric(policy, guardrail, &metric, &path, &mut found),
            None => found.add(format!("{path}.metric"), format!("metric `{}` does not exist", guardrail.metric)),
        }
        let twin = policy.guardrails.metrics[..index]
            .iter()
            .position(|other| other.metric == guardrail.metric && other.harm == guardrail.harm);
        if let Some(twin) = twin {
            found.add(path, format!("it repeats the metric and direction of `guardrails.metrics[{twin}]`"));
        }
    }
    found.0
}

#[derive(Default)]
struct Found(Vec<Problem>);

impl Found {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { path: path.into(), message: message.into() });
    }
}

fn check_stages(policy: &Policy, found: &mut Found) {
    let stages = &policy.stages;
    if stages.is_empty() || stages.len() > STAGES_MAX {
        found.add("stages", format!("it needs 1 to {STAGES_MAX} stages, not {}", stages.len()));
    }
    for (index, stage) in stages.iter().enumerate() {
        let path = format!("stages[{index}]");
        let before = index.checked_sub(1).map_or(Share::ZERO, |before| stages[before].share);
        if stage.share <= before {
            found.add(format!("{path}.share"), format!("{} does not rise: it must be above {before}", stage.share));
        }
        check_stage(policy, stage, &path, found);
    }
    if let Some(last) = stages.last().filter(|last| last.share != Share::FULL) {
        let path = format!("stages[{}].share", stages.len() - 1);
        found.add(path, format!("the last stage must be 100%, not {}", last.share));
    }
    if !policy.guardrails.metrics.is_empty() && !stages.iter().any(Stage::is_analysed) {
        found.add("stages", "guardrails compare nobody without a stage below 100%");
    }
}

fn check_stage(policy: &Policy, stage: &Stage, path: &str, found: &mut Found) {
    let has_guardrails = !policy.guardrails.metrics.is_empty();
    if stage.is_analysed() && has_guardrails {
        match stage.min_exposed {
            None => found.add(
                format!("{path}.min_exposed"),
                "it is missing: say how many matured units each guardrail needs before the next stage",
            ),
            Some(units) if units < 2 => {
                found.add(format!("{path}.min_exposed"), format!("{units} units compare nothing; it needs 2 or more"));
            }
            Some(_) => {}
        }
    }
    if stage.max_wait.is_some_and(|max_wait| max_wait < stage.bake) {
        found.add(format!("{path}.max_wait"), format!("it ends before the bake of {} does", stage.bake));
    }
    if stage.require == Some(Require::Safe) {
        if !stage.is_analysed() {
            found.add(format!("{path}.require"), "nobody is compared at 100%, so nothing becomes safe there");
        }
        let zero = policy.guardrails.metrics.iter().find(|guardrail| guardrail.margin.size() == 0.0);
        if let Some(guardrail) = zero {
            found.add(
                format!("{path}.require"),
                format!("guardrail `{}` has a margin of 0 and can never be declared safe", guardrail.metric),
            );
        }
    }
}

fn check_alphas(guardrails: &Guardrails, found: &mut Found) {
    if guardrails.metrics.len() > GUARDRAILS_MAX {
        found.add(
            "guardrails.metrics",
            format!("{} are too many; the most is {GUARDRAILS_MAX}", guardrails.metrics.len()),
        );
    }
    for (path, alpha) in [("guardrails.alpha", guardrails.alpha), ("guardrails.alpha_safe", guardrails.alpha_safe)] {
        if !is_probability(alpha) {
            found.add(path, format!("`{alpha}` is not an error probability: it must lie between 0 and 1"));
        }
    }
}

fn check_health(health: &Health, found: &mut Found) {
    if !is_probability(health.srm.alpha) {
        let message = format!("`{}` is not an error probability: it must lie between 0 and 1", health.srm.alpha);
        found.add("health.srm.alpha", message);
    }
    if health.stale_after.as_ms() == 0 {
        found.add("health.stale_after", "with 0 no data is ever fresh");
    }
}

fn is_probability(alpha: f64) -> bool {
    alpha > 0.0 && alpha < 1.0
}

fn check_guardrail(policy: &Policy, guardrail: &Guardrail, path: &str, found: &mut Found) {
    if !(guardrail.weight.is_finite() && guardrail.weight > 0.0) {
        found.add(format!("{path}.weight"), format!("`{}` is not a number above 0", guardrail.weight));
    }
    match &guardrail.detect {
        Some(detect) if detect.is_relative() != guardrail.margin.is_relative() => {
            let margin = &guardrail.margin;
            let message = format!("`{detect}` and the margin `{margin}` must both be relative or both absolute");
            found.add(format!("{path}.detect"), message);
        }
        Some(detect) if detect.size() <= guardrail.margin.size() => {
            let message = format!("`{detect}` is not beyond the margin of `{}`", guardrail.margin);
            found.add(format!("{path}.detect"), message);
        }
        // What remains is the statistics' own business, such as a decrease by more than everything.
        _ => check_plan(policy, guardrail, path, found),
    }
}

fn check_plan(policy: &Policy, guardrail: &Guardrail, path: &str, found: &mut Found) {
    let plan = GuardrailPlan {
        outcome: liftgate_stats::Outcome::Mean,
        harm: guardrail.harm,
        margin: guardrail.margin.margin(),
        detect: guardrail.detect.as_ref().map(|detect| detect.margin()),
        // The error probabilities have their own paths and messages.
        alpha: 0.05,
        alpha_safe: 0.05,
        stages: policy.analysed_stages(),
    };
    if let Err(error) = plan.check() {
        found.add(format!("{path}.margin"), error.to_string());
    }
}

fn check_against_metric(policy: &Policy, guardrail: &Guardrail, metric: &Metric, path: &str, found: &mut Found) {
    if metric.kind == MetricKind::Quantile {
        let message = format!(
            "metric `{}` is a quantile, whose cut a rollout cannot freeze yet; use a proportion of slow units, a mean or a ratio",
            guardrail.metric
        );
        found.add(format!("{path}.metric"), message);
    }
    if matches!(metric.cap, Some(Cap::Percentile(_))) {
        let message = format!(
            "metric `{}` is capped at a percentile, which moves while data grow; a guardrail needs a fixed value, such as \
             `cap: 500`",
            guardrail.metric
        );
        found.add(format!("{path}.metric"), message);
    }
    if guardrail.harm == metric.direction {
        let message = format!("metric `{}` is better in that direction, so it cannot be harm", guardrail.metric);
        found.add(format!("{path}.harm"), message);
    }
    if let Some(maturity) = guardrail.maturity.filter(|maturity| *maturity != metric.window) {
        found.add(
            format!("{path}.maturity"),
            format!("{maturity} is not the window of metric `{}`, which is {}", guardrail.metric, metric.window),
        );
    }
    for (index, stage) in policy.stages.iter().enumerate().filter(|(_, stage)| stage.is_analysed()) {
        if stage.max_wait.is_some_and(|max_wait| max_wait < metric.window) {
            found.add(
                format!("stages[{index}].max_wait"),
                format!(
                    "it ends before a unit of metric `{}` has matured, which takes {}",
                    guardrail.metric, metric.window
                ),
            );
        }
    }
}
