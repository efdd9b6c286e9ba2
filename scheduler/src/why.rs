//! Why does it not advance? Decides now, with the evidence of now, and writes nothing.

use liftgate_domain::{Catalog, Key, Scope, Warehouse};
use serde::Serialize;

use crate::command::find;
use crate::look::{frozen_policy, gather};
use crate::{CommandError, ExposureLoss, Outcome, decide};

/// The answer, with everything it rests on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WhyReport {
    /// One sentence: where it stands, which gate blocks, what would open it and, when that can be computed, when.
    pub sentence: String,
    /// What would be decided now.
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
    let evidence = gather(catalog, warehouse, loss, &policy, &rollout).await?;
    let outcome = decide(&policy, &rollout, &evidence, catalog.now().await?);
    Ok(WhyReport { sentence: outcome.why.clone(), outcome })
}
