//! Gathers the evidence for one rollout: reads only, outside any transaction.

use std::time::Duration;

use liftgate_domain::{Catalog, MetricQuery, MomentsQuery, Rollout, RowRule, Warehouse};
use liftgate_evaluator::{CONTROL, TREATMENT};
use serde::Deserialize;

use crate::{Error, Evidence, ExposureLoss, Policy};

/// A warehouse that takes longer counts as one that could not answer.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);

/// The policy frozen in a rollout.
pub(crate) fn frozen_policy(rollout: &Rollout) -> Result<Policy, Error> {
    Policy::deserialize(&rollout.policy_body)
        .map_err(|error| Error::Policy { rollout: rollout.key.to_string(), message: error.to_string() })
}

/// What the warehouse and evaluation know of the rollout's run. A warehouse that cannot answer is evidence too.
pub(crate) async fn gather(
    catalog: &dyn Catalog,
    warehouse: &dyn Warehouse,
    loss: &dyn ExposureLoss,
    policy: &Policy,
    rollout: &Rollout,
) -> Result<Evidence, Error> {
    let run = catalog.run(&rollout.scope, rollout.run).await?;
    let run = run.ok_or_else(|| Error::Missing(format!("run `{}`", rollout.run)))?;
    let metrics = rollout.metrics.iter();
    let query = MomentsQuery {
        environment: run.environment,
        history: run.history,
        arms: vec![TREATMENT.to_owned(), CONTROL.to_owned()],
        metrics: metrics.map(|pinned| MetricQuery::new(pinned.key.clone(), pinned.metric.clone())).collect(),
        slices: Vec::new(),
        exclude_runs: Vec::new(),
        lateness_ms: rollout.lateness.as_ms(),
        rule: RowRule::Decision,
        as_of: None,
    };
    let answer = tokio::time::timeout(QUERY_TIMEOUT, warehouse.moments(&query)).await;
    Ok(match answer {
        Ok(Ok(answer)) => {
            let dropped = loss.dropped(run.environment, rollout.run);
            Evidence::from_answer(policy, answer, dropped)
        }
        Ok(Err(error)) => Evidence::unavailable(error.to_string()),
        Err(_) => Evidence::unavailable(format!("no answer within {} s", QUERY_TIMEOUT.as_secs())),
    })
}
