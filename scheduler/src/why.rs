//! Why does it not advance? Decides now, with the evidence of now, and writes nothing.

use liftgate_domain::{Catalog, Key, Rollout, Scope, Warehouse};
use serde::Serialize;

use crate::command::find;
use crate::look::{frozen_policy, gather};
use crate::{CommandError, DecisionRecord, ExposureLoss, Outcome, Policy, decide};

/// The answer, with everything it rests on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WhyReport {
    /// One sentence: where it stands, which gate blocks, what would open it and, when that can be computed, when.
    pub sentence: String,
    /// What would be decided now; of a rollout that is over, what was decided in the end.
    pub outcome: Outcome,
}

/// Explains a rollout, active or over.
///
/// # Errors
/// `NotFound` for an unknown rollout; `Store` when the catalog is away. A warehouse that is away is part of the answer.
pub async fn why(
    catalog: &dyn Catalog,
    warehouse: &dyn Warehouse,
    loss: &dyn ExposureLoss,
    scope: &Scope,
    key: &Key,
) -> Result<WhyReport, CommandError> {
    let rollout = find(catalog, scope, key).await?;
    let policy = frozen_policy(&rollout)?;
    if !rollout.status.is_active()
        && let Some(outcome) = last_word(catalog, &policy, &rollout).await?
    {
        return Ok(WhyReport { sentence: outcome.why.clone(), outcome });
    }
    let evidence = gather(catalog, warehouse, loss, &policy, &rollout).await?;
    let outcome = decide(&policy, &rollout, &evidence, catalog.now().await?);
    Ok(WhyReport { sentence: outcome.why.clone(), outcome })
}

/// The decision that ended a rollout, taken again from its record: the evidence of now is censored at that instant and
/// would show less than what was decided upon. `None` when a person ended it.
async fn last_word(catalog: &dyn Catalog, policy: &Policy, rollout: &Rollout) -> Result<Option<Outcome>, CommandError> {
    let after = rollout.decision_seq.saturating_sub(1);
    let last = catalog.decisions(&rollout.id, after, 1).await?;
    let Some(record) = last.first().and_then(|it| serde_json::from_str::<DecisionRecord>(&it.body).ok()) else {
        return Ok(None);
    };
    let (Some(before), Some(evidence)) = (&record.before, &record.evidence) else { return Ok(None) };
    Ok(Some(decide(policy, before, evidence, record.evaluated_at)))
}
