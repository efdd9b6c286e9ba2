//! What an attempt freezes, read and checked: flag, policy, metrics, lateness. Later edits do not reach a rollout.

use liftgate_domain::{Catalog, Environment, Key, Metric, PinnedMetric, Resource, ResourceKind, Scope};
use liftgate_evaluator::{Flag, Problem, Share};

use super::attempt::Beginning;
use crate::{CommandError, Policy, lint};

/// What an attempt freezes.
pub(super) struct Frozen {
    pub policy: Policy,
    pub first_share: Share,
    pub metrics: Vec<PinnedMetric>,
    pub environment: u64,
    pub settings: Environment,
    pub flag: Flag,
}

/// Reads and checks all of it.
///
/// # Errors
/// `NotFound` for what is not there; `Invalid` for what the flag does not have or lint finds.
pub(super) async fn freeze(catalog: &dyn Catalog, wanted: &Beginning<'_>) -> Result<Frozen, CommandError> {
    let project = wanted.scope.to_project();
    let environment_key = wanted.scope.environment.as_ref();
    let environment_key =
        environment_key.ok_or_else(|| invalid("scope", "a rollout runs in an environment; name one"))?;
    let environment = require(catalog, ResourceKind::Environment, &project, environment_key).await?;
    let flag: Flag = require(catalog, ResourceKind::Flag, &project, wanted.flag).await?.decode()?;
    check_arms(&flag, wanted)?;

    let policy = require(catalog, ResourceKind::Policy, &project, wanted.policy).await?;
    let policy: Policy = serde_json::from_value(policy.body).map_err(|error| invalid("policy", error.to_string()))?;
    let metrics = pin_metrics(catalog, &project, &policy).await?;
    let lookup = |key: &Key| -> Option<Metric> {
        metrics.iter().find(|pinned| pinned.key == *key).map(|pinned| pinned.metric.clone())
    };
    refuse_first("policy", lint(&policy, &lookup))?;
    let first = policy.stages.first().ok_or_else(|| invalid("policy.stages", "there are none"))?;
    Ok(Frozen {
        first_share: first.share,
        metrics,
        environment: environment.number,
        settings: environment.decode()?,
        flag,
        policy,
    })
}

fn check_arms(flag: &Flag, wanted: &Beginning<'_>) -> Result<(), CommandError> {
    for (field, variation) in [("treatment", wanted.treatment), ("control", wanted.control)] {
        if flag.variations.iter().all(|known| known.key != variation) {
            return Err(invalid(field, format!("flag `{}` has no variation `{variation}`", wanted.flag)));
        }
    }
    if wanted.treatment == wanted.control {
        return Err(invalid("treatment", format!("`{}` is the control too", wanted.treatment)));
    }
    Ok(())
}

/// The metrics that the policy names, in its order, as they are now; unknown ones are lint's to report.
async fn pin_metrics(
    catalog: &dyn Catalog,
    project: &Scope,
    policy: &Policy,
) -> Result<Vec<PinnedMetric>, CommandError> {
    let mut pinned: Vec<PinnedMetric> = Vec::new();
    for guardrail in &policy.guardrails.metrics {
        let key = &guardrail.metric;
        if pinned.iter().any(|known| known.key == *key) {
            continue;
        }
        if let Some(metric) = live(catalog, ResourceKind::Metric, project, key).await? {
            let definition: Metric = metric.decode()?;
            pinned.push(PinnedMetric { key: key.clone(), revision: metric.revision, metric: definition });
        }
    }
    Ok(pinned)
}

/// A resource that is not archived.
pub(super) async fn live(
    catalog: &dyn Catalog,
    kind: ResourceKind,
    scope: &Scope,
    key: &Key,
) -> Result<Option<Resource>, CommandError> {
    Ok(catalog.resource(kind, scope, key).await?.filter(|resource| !resource.archived))
}

async fn require(
    catalog: &dyn Catalog,
    kind: ResourceKind,
    scope: &Scope,
    key: &Key,
) -> Result<Resource, CommandError> {
    let found = live(catalog, kind, scope, key).await?;
    found.ok_or_else(|| CommandError::NotFound { what: format!("{} `{key}`", kind.as_str()) })
}

/// The first problem, under the thing that has it; how many more there are stands beside it.
pub(super) fn refuse_first(thing: &str, problems: Vec<Problem>) -> Result<(), CommandError> {
    let more = problems.len().saturating_sub(1);
    let Some(first) = problems.into_iter().next() else { return Ok(()) };
    let message = if more == 0 { first.message } else { format!("{} (and {more} more)", first.message) };
    Err(invalid(&format!("{thing}.{}", first.path), message))
}

pub(super) fn invalid(field: &str, message: impl Into<String>) -> CommandError {
    CommandError::Invalid { field: field.to_owned(), message: message.into() }
}
